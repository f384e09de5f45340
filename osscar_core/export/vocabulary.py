"""A tokenizer as GGUF says it.

The decision hidden here: which tokenizers llama.cpp reads as they are. It knows the way in which
a text is split by name only, so a tokenizer is matched with the names piece by piece, and one
that matches none is refused: a file that splits text in another way is another model. A tokenizer
that came from a GGUF file which is still there goes into the new one word for word.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
from gguf import GGUFValueType, Keys, TokenType

from osscar_core.errors import SpecError
from osscar_core.models import LoadedModel
from osscar_core.models.weights import sha256

NOT_NFC = (
    "its tokenizer brings text into the Unicode form NFC first; what reads GGUF takes it as it is"
)
_REMEDY = "Take hf or onnx, which carry the tokenizer's own file"
_PREFIX = "tokenizer."
_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN_2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a GGUF file's metadata.

    Attributes:
        key: Its name.
        value: Its value.
        kind: Type of the value.
        items: Type of an array's items.
    """

    key: str
    value: Any
    kind: GGUFValueType
    items: GGUFValueType | None = None


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A tokenizer in GGUF.

    Attributes:
        entries: What the file says of it.
        is_exact: Whether `transformers` makes the same tokens of a text from these entries;
            llama.cpp does in any case.
        notes: What a reader should know.
    """

    entries: tuple[Entry, ...]
    is_exact: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Splitting:
    """A way of splitting text that llama.cpp has a name for.

    Attributes:
        name: The name.
        steps: The same in the words of `tokenizers`.
        ignore_merges: Whether a word of the vocabulary is taken whole, whatever the merges.
        inexact: What `transformers` does otherwise when it finds the name in a GGUF file.
    """

    name: str
    steps: tuple[Mapping[str, Any], ...]
    ignore_merges: bool = False
    inexact: str = ""


def _bytes(*, use_regex: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "use_regex": use_regex}


def _split(regex: str) -> dict[str, Any]:
    pattern = {"Regex": regex}
    return {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}


_SPLITTINGS = (
    Splitting("gpt-2", (_bytes(use_regex=True),)),
    Splitting(
        "smollm",
        ({"type": "Digits", "individual_digits": True}, _bytes(use_regex=True)),
        inexact="splits the spaces before a number in another way",
    ),
    Splitting(
        "llama-bpe",
        (_split(_LLAMA_3), _bytes(use_regex=False)),
        ignore_merges=True,
        inexact="takes no word of the vocabulary whole unless its merges lead there",
    ),
    Splitting("qwen2", (_split(_QWEN_2), _bytes(use_regex=False))),
)


def vocabulary_of(loaded: LoadedModel, rows: int) -> Vocabulary:
    """Return what a GGUF file says of a model's tokenizer.

    Args:
        loaded: The model.
        rows: Tokens that the model has embeddings for.

    Raises:
        SpecError: There is no tokenizer, or GGUF cannot say it.
    """
    if loaded.tokenizer is None:
        raise SpecError(
            f"a GGUF file holds the tokenizer too, and {loaded.source.model} has none",
            "Put the tokenizer's files beside the weights",
        )
    return _copied(loaded, rows) or _described(loaded.tokenizer, rows)


def _copied(loaded: LoadedModel, rows: int) -> Vocabulary | None:
    """Return the tokenizer of the GGUF file that the model was made from, if it is there."""
    source = loaded.source if loaded.plan is None else loaded.plan.source
    file = Path(source.tokenizer or "")
    if file.suffix.lower() != ".gguf" or not file.is_file() or sha256(file) != source.sha256:
        return None
    fields = gguf.GGUFReader(file).fields
    entries = []
    for key, field in fields.items():
        value = field.contents() if key.startswith(_PREFIX) else []
        if value != []:
            items = field.types[-1] if field.types[0] is GGUFValueType.ARRAY else None
            entries.append(Entry(key, value, field.types[0], items))
    values = {entry.key: entry.value for entry in entries}
    words: list[str] = values.get(Keys.Tokenizer.LIST, [])
    tokenizer: Any = loaded.tokenizer
    if len(words) != rows or words != tokenizer.convert_ids_to_tokens(range(rows)):
        return None
    return Vocabulary(tuple(entries))


def _described(tokenizer: Any, rows: int) -> Vocabulary:
    """Return a tokenizer of byte-level BPE in GGUF's words."""
    said = json.loads(tokenizer.backend_tokenizer.to_str())
    model = said["model"]
    splitting = _splitting(said)
    _check_merging(model, splitting)
    words, types = _words(said, rows)
    merges = [one if isinstance(one, str) else " ".join(one) for one in model["merges"]]
    if not merges:
        raise SpecError(
            "its tokenizer is one of bytes without merges, and llama.cpp reads none without them",
            _REMEDY,
        )
    strings, numbers = GGUFValueType.STRING, GGUFValueType.INT32
    entries = (
        Entry(Keys.Tokenizer.MODEL, "gpt2", strings),
        Entry(Keys.Tokenizer.PRE, splitting.name, strings),
        Entry(Keys.Tokenizer.LIST, words, GGUFValueType.ARRAY, strings),
        Entry(Keys.Tokenizer.TOKEN_TYPE, types, GGUFValueType.ARRAY, numbers),
        Entry(Keys.Tokenizer.MERGES, merges, GGUFValueType.ARRAY, strings),
        *_special(tokenizer, rows),
        *_template(tokenizer.chat_template),
    )
    notes = [NOT_NFC] if said["normalizer"] else []
    if splitting.inexact:
        notes.append(
            f"transformers, reading GGUF, {splitting.inexact}; llama.cpp makes the model's own "
            "tokens, so what text becomes was not compared"
        )
    return Vocabulary(entries, is_exact=not splitting.inexact, notes=tuple(notes))


def _splitting(said: Mapping[str, Any]) -> Splitting:
    """Return the name of a way to split text.

    Raises:
        SpecError: It has none.
    """
    if said["model"]["type"] != "BPE" or said["model"].get("byte_fallback"):
        raise SpecError(
            f"its tokenizer is {said['model']['type']} of characters, and only byte-level BPE is "
            "written in GGUF here, unless the model came from a GGUF file that is still there",
            _REMEDY,
        )
    if said["normalizer"] not in (None, {"type": "NFC"}):
        kind = said["normalizer"]["type"]
        raise SpecError(f"its tokenizer changes text by {kind}, which GGUF cannot say", _REMEDY)
    step = said["pre_tokenizer"] or {"type": "none"}
    steps = step["pretokenizers"] if step["type"] == "Sequence" else [step]
    bare = tuple({key: one[key] for key in one if key != "trim_offsets"} for one in steps)
    decodes_bytes = (said["decoder"] or {}).get("type") == "ByteLevel"
    for known in _SPLITTINGS:
        if known.steps == bare and decodes_bytes:
            return known
    kinds = " + ".join(_kind(one) for one in bare)
    names = ", ".join(known.name for known in _SPLITTINGS)
    raise SpecError(
        f"its tokenizer splits text by {kinds}, which is none of the ways that are known by name "
        f"in GGUF here ({names})",
        _REMEDY,
    )


def _kind(step: Mapping[str, Any]) -> str:
    settings = {key: value for key, value in step.items() if key != "type"}
    shown = ", ".join(f"{key}={value}" for key, value in settings.items())
    return f"{step['type']}({shown})" if len(shown) <= 120 else f"{step['type']}({shown[:117]}...)"


def _check_merging(model: Mapping[str, Any], splitting: Splitting) -> None:
    """Raise `SpecError` unless words are put together as llama.cpp does it."""
    wanted = {
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": "",
        "end_of_word_suffix": "",
        "ignore_merges": splitting.ignore_merges,
    }
    for key, value in wanted.items():
        found = model.get(key)
        if (found or None) != (value or None):
            raise SpecError(
                f"its tokenizer merges with {key} = {found!r}, and what splits text as "
                f"{splitting.name} does has {value!r}",
                _REMEDY,
            )


def _words(said: Mapping[str, Any], rows: int) -> tuple[list[str], list[int]]:
    """Return every token and its type, in the order of their ids.

    Raises:
        SpecError: There are more than the model has embeddings for, or one that reads otherwise.
    """
    named = {index: (word, TokenType.NORMAL) for word, index in said["model"]["vocab"].items()}
    if max(named) >= rows:
        raise SpecError(
            f"its tokenizer has tokens up to number {max(named)}, and the model {rows} embeddings",
            "The tokenizer belongs to another model; use the right one",
        )
    for one in said["added_tokens"]:
        if one["id"] >= rows:
            continue  # a default of `transformers`, which the model has never seen
        if one["lstrip"] or one["rstrip"] or one["single_word"]:
            raise SpecError(
                f"its token {one['content']!r} takes the spaces beside it, which GGUF cannot say",
                _REMEDY,
            )
        kind = TokenType.CONTROL if one["special"] else TokenType.USER_DEFINED
        named[one["id"]] = (one["content"], kind)
    alphabet = set(_alphabet())
    for word, _ in named.values():
        if not set(word) <= alphabet:
            raise SpecError(
                f"its token {word!r} holds characters beside those that stand for bytes, and is "
                "read from GGUF as another",
                _REMEDY,
            )
    filled = (named.get(index, (f"[PAD{index}]", TokenType.UNUSED)) for index in range(rows))
    words, types = zip(*filled, strict=True)
    return list(words), [int(one) for one in types]


def _alphabet() -> Sequence[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    letters: Sequence[str] = ByteLevel.alphabet()
    return letters


def _special(tokenizer: Any, rows: int) -> Iterator[Entry]:
    """Give the numbers of the tokens with a meaning, and which of them a text gets.

    Raises:
        SpecError: A text gets others, or none ends it.
    """
    if tokenizer.eos_token_id is None or tokenizer.eos_token_id >= rows:
        raise SpecError(
            "its tokenizer names no token that ends a text, and llama.cpp would take another",
            "Set eos_token in tokenizer_config.json",
        )
    for key, number in (
        (Keys.Tokenizer.BOS_ID, tokenizer.bos_token_id),
        (Keys.Tokenizer.EOS_ID, tokenizer.eos_token_id),
        (Keys.Tokenizer.UNK_ID, tokenizer.unk_token_id),
        (Keys.Tokenizer.PAD_ID, tokenizer.pad_token_id),
    ):
        if number is not None and number < rows:
            yield Entry(key, int(number), GGUFValueType.UINT32)
    plain = tokenizer("a", add_special_tokens=False).input_ids
    whole = tokenizer("a").input_ids
    begins, ends = whole[:1] == [tokenizer.bos_token_id], whole[-1:] == [tokenizer.eos_token_id]
    first = [tokenizer.bos_token_id] if begins else []
    last = [tokenizer.eos_token_id] if ends else []
    if [*first, *plain, *last] != whole:
        raise SpecError(
            f"its tokenizer makes {whole} of 'a', and GGUF can put no more than the first and the "
            f"last token around {plain}",
            _REMEDY,
        )
    yield Entry(Keys.Tokenizer.ADD_BOS, begins, GGUFValueType.BOOL)
    yield Entry(Keys.Tokenizer.ADD_EOS, ends, GGUFValueType.BOOL)
    yield Entry(Keys.Tokenizer.ADD_PREFIX, value=False, kind=GGUFValueType.BOOL)


def _template(found: str | Mapping[str, str] | None) -> Iterator[Entry]:
    """Give the chat template; of several, the default one."""
    text = found if found is None or isinstance(found, str) else found.get("default")
    if text:
        yield Entry(Keys.Tokenizer.CHAT_TEMPLATE, text, GGUFValueType.STRING)
