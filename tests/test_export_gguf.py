"""GGUF: what is written reads back as the same model, and what would not is refused in words."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from families import FAMILIES, VOCABULARY, Family, randomise_
from osscar_core.errors import OutputError, SpecError
from osscar_core.export import ExportFormat, comparing, export_model, llamacpp
from osscar_core.export.items import Items, open_items
from osscar_core.export.job import Job, Logits, Reader
from osscar_core.export.records import LEADING_SPACE, NOT_NFC
from osscar_core.export.vocabulary import vocabulary_of
from osscar_core.models import LoadedModel, load_model
from osscar_core.pruner import prune
from osscar_core.records import PruneSpec, Structure
from osscar_core.tracing import traceable
from test_models import write_gguf as write_foreign_gguf

TEXT = "the pump  holds 12 of 345\n it's</s> a Pump"


def merging_tokenizer(*, control: tuple[str, ...] = ("<s>", "</s>")) -> Any:
    """Return a tokenizer of bytes with two merges, as many tokens as the families have rows."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = [*control, *sorted(pre_tokenizers.ByteLevel.alphabet()), "Ġp", "um"]
    assert len(words) == VOCABULARY
    vocabulary = {word: number for number, word in enumerate(words)}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[("Ġ", "p"), ("u", "m")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=control[0],
        eos_token=control[1],
        unk_token=control[1],
        pad_token=control[1],
    )


def character_tokenizer() -> Any:
    """Return a tokenizer of characters that falls back on bytes, as Llama 2 has it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    merges = [("▁", "p"), ("u", "m"), ("▁p", "um"), ("▁", "h")]
    made = [left + right for left, right in merges]
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *made, *"▁phum"]
    vocabulary = {word: number for number, word in enumerate(words)}
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    unknown = special["unk_token"]
    backend = Tokenizer(
        models.BPE(vocabulary, merges, unk_token=unknown, fuse_unk=True, byte_fallback=True)
    )
    backend.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    replaced, stripped = decoders.Replace("▁", " "), decoders.Strip(content=" ", left=1)
    backend.decoder = decoders.Sequence(
        [replaced, decoders.ByteFallback(), decoders.Fuse(), stripped]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special)


@dataclasses.dataclass(frozen=True)
class Case:
    """A family to write, and how it is to be changed first."""

    family: str
    dtype: torch.dtype
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    structures: tuple[Structure, ...] = (Structure.HEADS, Structure.NEURONS)
    tokenizer: Callable[[], Any] = merging_tokenizer

    def pruned(self, folder: Path) -> tuple[LoadedModel, str]:
        """Return a model of fewer heads and neurons, and the data it was calibrated on."""
        request = self.request(folder)
        prune(request, out=folder / "small")
        return load_model(str(folder / "small"), device="cpu"), request.calibration

    def request(self, folder: Path) -> PruneSpec:
        """Write the model with a tokenizer that merges, and ask for less of it."""
        family = self.built()
        request = family.request(folder, sparsity=0.3, structures=self.structures)
        self.tokenizer().save_pretrained(request.model)
        return request

    def built(self) -> Family:
        """Return the family's model with the changes."""
        family = FAMILIES[self.family]()
        if self.config:
            old: Any = family.model
            config = type(old.config)(**{**old.config.to_dict(), **self.config})
            family.model = randomise_(type(old)(config))
        family.model = family.model.to(self.dtype)
        return family


NO_WINDOW = {"use_sliding_window": False, "sliding_window": None, "layer_types": None}
CASES = {
    "llama": Case("llama", torch.float32),
    "tied": Case("llama", torch.float16, {"tie_word_embeddings": True}),
    "mistral": Case("mistral", torch.bfloat16, {"sliding_window": 32}),
    "qwen2": Case(
        *("qwen2", torch.float32, NO_WINDOW, (Structure.NEURONS,)),
        tokenizer=partial(merging_tokenizer, control=("<s>", "<|endoftext|>")),
    ),
    "characters": Case("llama", torch.float32, {"vocab_size": 272}, tokenizer=character_tokenizer),
}


def job_of(model: LoadedModel, data: str, folder: Path) -> Job:
    """Return an export that is about to be written."""
    items = open_items(model, data, 4, 24)
    module = Logits(traceable(model), is_text=True).eval()
    folder.mkdir()
    return Job(model, module, items, "small", folder, None)


@pytest.fixture(scope="module", params=CASES)
def written(request: pytest.FixtureRequest, tmp_path_factory: Any) -> tuple[str, Job]:
    folder = tmp_path_factory.mktemp(request.param)
    model, data = CASES[request.param].pruned(folder)
    job = job_of(model, data, folder / "out")
    llamacpp.write_gguf(job)
    return request.param, job


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadedModel, str]:
    return CASES["llama"].pruned(tmp_path_factory.mktemp("llama"))


def read_back(job: Job) -> tuple[Any, Any]:
    """Return network and tokenizer as `transformers` reads them from the file alone."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    places = {"gguf_file": llamacpp.FILE}
    model = AutoModelForCausalLM.from_pretrained(job.folder, dtype=torch.float32, **places)
    return model.eval(), AutoTokenizer.from_pretrained(job.folder, **places)


def logits_apart(job: Job, model: Any) -> float:
    assert job.items.ids is not None
    with torch.inference_mode():
        wanted = job.module(job.items.ids)
        return float((model(input_ids=job.items.ids).logits - wanted).abs().max())


def fields_of(job: Job) -> dict[str, Any]:
    reader = gguf.GGUFReader(job.folder / llamacpp.FILE)
    return {name: field.contents() for name, field in reader.fields.items()}


def types_of(job: Job) -> dict[str, str]:
    reader = gguf.GGUFReader(job.folder / llamacpp.FILE)
    return {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}


def test_a_pruned_model_reads_back_exactly(written: tuple[str, Job]) -> None:
    name, job = written
    model, tokenizer = read_back(job)
    assert logits_apart(job, model) == 0
    ours: Any = job.loaded.tokenizer
    assert tokenizer(TEXT).input_ids == ours(TEXT).input_ids
    ids = list(range(VOCABULARY if name != "characters" else 268))
    assert tokenizer.convert_ids_to_tokens(ids) == ours.convert_ids_to_tokens(ids)
    assert tokenizer.decode(ours(TEXT).input_ids) == ours.decode(ours(TEXT).input_ids)
    assert tokenizer.decode(ids, skip_special_tokens=True) == ours.decode(
        ids, skip_special_tokens=True
    )
    said = fields_of(job)
    architecture = "qwen2" if name == "qwen2" else "llama"
    assert said["general.architecture"] == architecture
    heads = (6, 3) if name == "qwen2" else (4, 2)
    counts = ("head_count", "head_count_kv")
    assert tuple(said[f"{architecture}.attention.{one}"] for one in counts) == heads
    assert said[f"{architecture}.feed_forward_length"] == 28
    head_dim = 16 if name == "mistral" else 8
    is_told = heads[0] * head_dim != 48
    assert said.get(f"{architecture}.attention.key_length") == (head_dim if is_told else None)
    assert said[f"{architecture}.context_length"] == (32 if name == "mistral" else 64)


def test_weights_keep_their_type(written: tuple[str, Job]) -> None:
    name, job = written
    types = types_of(job)
    wanted, number = {"tied": ("F16", 1), "mistral": ("BF16", 32)}.get(name, ("F32", 0))
    flat = {one for one in types if "norm" in one or one.endswith(".bias")}
    assert {types[one] for one in flat} == {"F32"}
    assert {types[one] for one in types.keys() - flat} == {wanted}
    assert fields_of(job)["general.file_type"] == number
    assert ("output.weight" in types) is (name != "tied")
    assert ("blk.1.attn_k.bias" in types) is (name == "qwen2")


def test_queries_and_keys_are_in_the_order_of_llama(
    llama: tuple[LoadedModel, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(*llama, tmp_path / "out")
    shape, _ = llamacpp.shape_of(job.loaded, job.items)
    rows = torch.arange(shape.kv_heads * shape.head_dim).unsqueeze(1).expand(-1, 3)
    order = llamacpp._permuted("blk.0.attn_k.weight", rows, shape)[:, 0].tolist()
    assert order[:10] == [0, 4, 1, 5, 2, 6, 3, 7, 8, 12]
    assert sorted(order) == list(range(16))
    monkeypatch.setattr(llamacpp, "_permuted", lambda _name, tensor, _shape: tensor)
    llamacpp.write_gguf(job)
    assert logits_apart(job, read_back(job)[0]) > 0.01


def test_an_export_is_compared_and_says_where_it_comes_from(tmp_path: Path) -> None:
    request = CASES["mistral"].request(tmp_path)
    card = Path(request.model) / "README.md"
    card.write_text("---\nlicense: apache-2.0\n---\n", encoding="utf8")
    prune(request, out=tmp_path / "small")
    report = export_model(
        load_model(str(tmp_path / "small"), device="cpu"),
        tmp_path / "out",
        ExportFormat.GGUF,
        data=request.calibration,
        limit=4,
        seqlen=24,
        dense=load_model(request.model, device="cpu"),
    )
    assert report.max_difference == 0
    assert (report.same, report.continued, report.quality) == (1, 3, report.model_quality)
    assert {file.name for file in report.files} == {"README.md", "model.gguf", "pruning.json"}
    assert "gguf" in report.versions
    (note,) = report.notes
    assert note.startswith("the context is 32 tokens, not 64")
    text = (tmp_path / "out/README.md").read_text()
    for words in ("license: apache-2.0", "llama-cli -m model.gguf", "gguf_file=file", "0.0e+00"):
        assert words in text
    reader = gguf.GGUFReader(tmp_path / "out/model.gguf")
    assert reader.fields["general.license"].contents() == "apache-2.0"
    again = load_model(str(tmp_path / "out/model.gguf"), device="cpu")
    assert again.source.licence == "apache-2.0"


# ---------------------------------------------------------------- what is refused


def changed(model: LoadedModel, **values: Any) -> LoadedModel:
    """Return a model whose configuration says something else."""
    module: Any = copy.deepcopy(model.module)
    for name, value in values.items():
        setattr(module.config, name, value)
    return dataclasses.replace(model, module=module)


def narrower(model: LoadedModel) -> LoadedModel:
    """Return a model with one neuron fewer in layer 1."""
    module: Any = copy.deepcopy(model.module)
    mlp = module.model.layers[1].mlp
    mlp.down_proj = torch.nn.Linear(27, 48, bias=False)
    return dataclasses.replace(model, module=module)


def biased(model: LoadedModel) -> LoadedModel:
    """Return a model with a bias in a norm's place, which no width tells."""
    module: Any = copy.deepcopy(model.module)
    module.model.layers[1].mlp.down_proj.bias = torch.nn.Parameter(torch.ones(48))
    return dataclasses.replace(model, module=module)


SCALED = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}
REFUSED: dict[str, tuple[Callable[[LoadedModel], LoadedModel], str]] = {
    "widths": (narrower, r"layer 1 has intermediate_size 27 and layer 0 has 28.*--plain-loadable"),
    "bias": (biased, r"a bias, model\.layers\.1\.mlp\.down_proj\.bias"),
    "activation": (lambda one: changed(one, hidden_act="gelu"), "compute gelu"),
    "rope": (lambda one: changed(one, rope_parameters=SCALED), "rope_type = linear"),
    "window": (lambda one: changed(one, sliding_window=8), "8 tokens only.*up to 29"),
    "kind": (lambda one: changed(one, model_type="cohere"), "is a cohere.*llama, mistral, qwen2"),
    "words": (lambda one: dataclasses.replace(one, tokenizer=None), "has none"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_passed_over_is_refused(
    name: str, llama: tuple[LoadedModel, str], tmp_path: Path
) -> None:
    model, data = llama
    change, words = REFUSED[name]
    job = dataclasses.replace(job_of(model, data, tmp_path / "out"), loaded=change(model))
    with pytest.raises(SpecError, match=words):
        llamacpp.write_gguf(job)
    assert list(job.folder.iterdir()) == []


def test_biases_and_heads_that_a_reader_does_not_know_are_refused(tmp_path: Path) -> None:
    items = Items  # nothing is read of them before the refusal
    biases = FAMILIES["llama-bias"]().loaded(tmp_path)
    with pytest.raises(SpecError, match=r"a bias, model\.layers\.0\.self_attn\.q_proj\.bias"):
        llamacpp.shape_of(biases, items)  # type: ignore[arg-type]
    heads = dataclasses.replace(CASES["qwen2"], structures=(Structure.HEADS,))
    (tmp_path / "qwen2").mkdir()
    model, _ = heads.pruned(tmp_path / "qwen2")
    with pytest.raises(SpecError, match="cannot say 2 groups of heads in every layer"):
        llamacpp.shape_of(model, items)  # type: ignore[arg-type]


# ---------------------------------------------------------------- the tokenizer


def retold(model: LoadedModel, change: Callable[[dict[str, Any]], None]) -> LoadedModel:
    """Return a model whose tokenizer says something else of itself."""
    from tokenizers import Tokenizer

    tokenizer: Any = copy.deepcopy(model.tokenizer)
    said = json.loads(tokenizer.backend_tokenizer.to_str())
    change(said)
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(said))
    return dataclasses.replace(model, tokenizer=tokenizer)


def splitting_by(*steps: dict[str, Any], **merging: Any) -> Callable[[dict[str, Any]], None]:
    def change(said: dict[str, Any]) -> None:
        said["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": list(steps)}
        said["model"].update(merging)

    return change


def byte_level(**settings: Any) -> dict[str, Any]:
    usual = {"add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {"type": "ByteLevel", **usual, **settings}


def split(regex: str) -> dict[str, Any]:
    pattern = {"Regex": regex}
    return {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}


DIGITS = {"type": "Digits", "individual_digits": True}


@pytest.mark.parametrize(
    ("change", "name", "is_exact"),
    [
        (splitting_by(byte_level()), "gpt-2", True),
        (splitting_by(DIGITS, byte_level()), "smollm", False),
    ],
)
def test_ways_to_split_have_names(
    llama: tuple[LoadedModel, str],
    change: Callable[[dict[str, Any]], None],
    name: str,
    is_exact: bool,
) -> None:
    found = vocabulary_of(retold(llama[0], change), VOCABULARY)
    said = {entry.key: entry.value for entry in found.entries}
    assert said["tokenizer.ggml.pre"] == name
    assert found.is_exact is is_exact
    assert len(found.notes) == (not is_exact)


@pytest.mark.parametrize("name", ["qwen2", "llama-bpe"])
def test_regexes_are_those_that_transformers_reads_under_the_name(
    name: str, llama: tuple[LoadedModel, str]
) -> None:
    known = pytest.importorskip("transformers.integrations.gguf.gguf_tokenizer_mapping")
    steps = (split(known.GGUF_PRE_TOKENIZER_SPLITS[name]), byte_level(use_regex=False))
    whole = name == "llama-bpe"
    change = splitting_by(*steps, ignore_merges=whole)
    found = vocabulary_of(retold(llama[0], change), VOCABULARY)
    assert found.entries[1].value == name
    other = splitting_by(*steps, ignore_merges=not whole)
    with pytest.raises(SpecError, match=f"ignore_merges = {not whole}"):
        vocabulary_of(retold(llama[0], other), VOCABULARY)


def no_merges(said: dict[str, Any]) -> None:
    said["model"]["merges"] = []


def greedy(said: dict[str, Any]) -> None:
    said["added_tokens"][0]["lstrip"] = True


def lowering(said: dict[str, Any]) -> None:
    said["normalizer"] = {"type": "Lowercase"}


def by_byte(said: dict[str, Any]) -> None:
    said["model"]["byte_fallback"] = True


def spaced(said: dict[str, Any]) -> None:
    said["added_tokens"][0]["content"] = "a word"
    said["model"]["vocab"]["a word"] = said["model"]["vocab"].pop("<s>")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (splitting_by(split("a+"), byte_level()), r"Split\(pattern=.*a\+.*\) \+ ByteLevel.*qwen2"),
        (splitting_by(byte_level(add_prefix_space=True)), "add_prefix_space=True"),
        (no_merges, "merges nothing"),
        (greedy, "'<s>' takes the spaces beside it"),
        (lowering, "changes text by Lowercase"),
        (by_byte, "prepares text by .*ByteLevel"),
        (spaced, "'a word' holds characters beside"),
    ],
)
def test_tokenizers_without_a_name_are_refused(
    change: Callable[[dict[str, Any]], None], words: str, llama: tuple[LoadedModel, str]
) -> None:
    with pytest.raises(SpecError, match=words):
        vocabulary_of(retold(llama[0], change), VOCABULARY)


@pytest.fixture(scope="module")
def characters(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    request = CASES["characters"].request(tmp_path_factory.mktemp("characters"))
    return load_model(request.model, device="cpu")


def test_scores_say_what_merges_say(characters: LoadedModel) -> None:
    found = vocabulary_of(characters, 272)
    assert found.is_exact
    assert found.notes == (LEADING_SPACE,)
    said = {entry.key: entry.value for entry in found.entries}
    words, types = said["tokenizer.ggml.tokens"], said["tokenizer.ggml.token_type"]
    assert types == [2, 3, 3, *[6] * 256, *[1] * 9, *[5] * 4]
    scores = dict(zip(words, said["tokenizer.ggml.scores"], strict=True))
    assert scores["▁p"] > scores["um"] > scores["▁pum"] > scores["▁h"] > scores["u"]
    assert said["tokenizer.ggml.add_space_prefix"] is True


def marked(said: dict[str, Any]) -> None:
    prepend = {"type": "Prepend", "prepend": "▁"}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    said["pre_tokenizer"] = None
    said["normalizer"] = {"type": "Sequence", "normalizers": [prepend, replace]}


def unmarked(said: dict[str, Any]) -> None:
    said["pre_tokenizer"]["prepend_scheme"] = "never"


def shorter(said: dict[str, Any]) -> None:
    said["model"]["merges"] = said["model"]["merges"][1:]
    said["model"]["merges"].remove(["▁p", "um"])


def test_merges_that_no_score_says_are_refused(characters: LoadedModel) -> None:
    assert not vocabulary_of(retold(characters, marked), 272).is_exact
    with pytest.raises(SpecError, match=r"prepares text by .*never"):
        vocabulary_of(retold(characters, unmarked), 272)
    with pytest.raises(SpecError, match="an order that is none of whole tokens"):
        vocabulary_of(retold(characters, shorter), 272)


def test_rows_and_tokens_need_not_be_as_many(llama: tuple[LoadedModel, str]) -> None:
    found = {entry.key: entry.value for entry in vocabulary_of(llama[0], VOCABULARY + 2).entries}
    assert found["tokenizer.ggml.tokens"][-3:] == ["um", "[PAD260]", "[PAD261]"]
    assert found["tokenizer.ggml.token_type"] == [3, 3, *[1] * 258, 5, 5]
    with pytest.raises(SpecError, match="up to number 259, and the model 200 embeddings"):
        vocabulary_of(llama[0], 200)


def test_what_a_tokenizer_puts_around_a_text_is_told(llama: tuple[LoadedModel, str]) -> None:
    def template(*names: str) -> Callable[[dict[str, Any]], None]:
        ids = {"<s>": 0, "</s>": 1}
        single = [
            {"Sequence": {"id": "A", "type_id": 0}}
            if name == "A"
            else {"SpecialToken": {"id": name, "type_id": 0}}
            for name in names
        ]
        special = {name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in ids}

        def change(said: dict[str, Any]) -> None:
            said["post_processor"] = {
                "type": "TemplateProcessing",
                "single": single,
                "pair": single,
                "special_tokens": special,
            }

        return change

    found = vocabulary_of(retold(llama[0], template("<s>", "A")), VOCABULARY)
    said = {entry.key: entry.value for entry in found.entries}
    adds = [said[f"tokenizer.ggml.add_{one}_token"] for one in ("bos", "eos")]
    assert adds == [True, False]
    with pytest.raises(SpecError, match="can put no more than the first and the last"):
        vocabulary_of(retold(llama[0], template("<s>", "<s>", "A")), VOCABULARY)


def test_a_tokenizer_that_normalises_is_told_of(tmp_path: Path) -> None:
    request = CASES["qwen2"].request(tmp_path)
    found = vocabulary_of(load_model(request.model, device="cpu"), VOCABULARY)
    assert found.entries[1].value == "qwen2"
    assert found.notes == (NOT_NFC,)


def test_the_tokenizer_of_a_gguf_file_is_kept_word_for_word(tmp_path: Path) -> None:
    source = tmp_path / "tiny.gguf"
    write_foreign_gguf(source)
    model = load_model(str(source), device="cpu")
    rows = VOCABULARY + 2
    kept = {entry.key: entry.value for entry in vocabulary_of(model, rows).entries}
    fields = gguf.GGUFReader(source).fields
    assert kept == {
        name: field.contents() for name, field in fields.items() if name.startswith("tokenizer.")
    }
    assert kept["tokenizer.ggml.pre"] == "smollm"
    with source.open("ab") as file:
        file.write(b"\0")
    own = {entry.key: entry.value for entry in vocabulary_of(model, rows).entries}
    assert own["tokenizer.ggml.pre"] == "gpt-2"
    assert own["tokenizer.ggml.tokens"] == kept["tokenizer.ggml.tokens"]


def test_other_tokens_of_a_text_are_told() -> None:
    ids, scores = torch.tensor([[5]]), torch.zeros(1, 1, 8)
    ours = comparing.Continued(ids, scores, "a", encoded=(1, 2, 3))
    reader = Reader("transformers", Path(), ())
    for theirs, words in (((1, 4, 3), "number 1 is 4, and the model's 2"), ((1, 2), "makes 2 of")):
        other = comparing.Continued(ids, text="a", encoded=theirs)
        with pytest.raises(OutputError, match=words):
            comparing._check_continued(ours, other, "small", reader)
        lenient = dataclasses.replace(reader, encodes=False)
        comparing._check_continued(ours, other, "small", lenient)


# ---------------------------------------------------------------- 8-bit numbers


def test_8_bit_numbers_where_rows_allow_it(llama: tuple[LoadedModel, str], tmp_path: Path) -> None:
    job = dataclasses.replace(job_of(*llama, tmp_path / "out"), int8=True)
    notes = llamacpp.write_gguf(job).notes
    types = types_of(job)
    # Rows of 32 hold the heads that stay; rows of 48 and 28 are no multiple of it.
    assert {name for name in types if types[name] == "Q8_0"} == {
        f"blk.{layer}.attn_output.weight" for layer in range(2)
    }
    assert "2 of 16 matrices are 8-bit numbers (Q8_0); 14 stay float32" in notes[0]
    assert fields_of(job)["general.file_type"] == 7
    reader = gguf.GGUFReader(job.folder / llamacpp.FILE)
    (coded,) = (one for one in reader.tensors if one.name == "blk.1.attn_output.weight")
    module: Any = job.loaded.module
    wanted = module.model.layers[1].self_attn.o_proj.weight.numpy()
    apart = np.abs(gguf.dequantize(coded.data, coded.tensor_type) - wanted).max()
    assert 0 < apart <= np.abs(wanted).max() / 127
