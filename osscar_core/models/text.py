"""Language models, through `transformers`.

The decision hidden here: how a hub id, a directory or a GGUF file becomes a checked
model, and what keeps that safe: no code from a repository unless allowed, tensors only
from pickles, no silently invented or dropped weights, no surprise downloads.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import io
import os
import pickle
import re
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from osscar_core.adapters import find_adapter, unknown_model
from osscar_core.adapters.base import Adapter
from osscar_core.catalogue import (
    HUB_WEIGHTS,
    OPT_SHAPES,
    OptShape,
    hub_cache_folder,
    missing_weights,
)
from osscar_core.errors import MissingDependencyError, SpecError, WeightsError, unknown_name
from osscar_core.models.blocks import RandomBlocks, StoredBlocks
from osscar_core.models.images import RANDOM, finished
from osscar_core.models.loaded import LoadedModel, Precision
from osscar_core.models.untrusted import (
    check_archive,
    check_config_file,
    check_folder,
    check_gguf,
    check_proportion,
    check_sizes,
    check_stored_types,
    check_tokenizer_file,
    indexed_files,
)
from osscar_core.models.weights import (
    DAMAGE,
    check_finite,
    counted,
    first_sentence,
    refused_pickle,
    sha256,
    stored_types,
    unique_tensors,
)
from osscar_core.records import SourceInfo
from osscar_core.storage import given_path

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
)
_TOKENIZER = _TOKENIZER_FILES[0]
_CONFIG = "config.json"
_CARD = "README.md"
_UNKNOWN_ARCHITECTURE = re.compile(
    r"does not recognize this architecture|Unrecognized (model|configuration class)"
    r"|model with architecture .* is not supported"
)
_PROBE_SECONDS = 5.0
_LLAMA_8B = "llama-8b"


def load_text_model(
    name: str,
    *,
    weights: str | None,
    dtype: str,
    device: torch.device,
    trust_remote_code: bool = False,
    is_streamed: bool = False,
) -> LoadedModel:
    """Load a causal language model and its tokenizer, on the CPU.

    Args:
        name: Hub id, directory with ``config.json``, or ``.gguf`` file.
        weights: ``None``, or ``random`` for a never-trained model of the same shape.
        dtype: Floating-point type, or ``auto`` for that of the checkpoint.
        device: Where forward passes will run.
        trust_remote_code: Allow code that comes with the repository to run.
        is_streamed: Leave the weights of the blocks where they are: their parameters are
            on the meta device, and the result's ``blocks`` reads them one at a time.

    Raises:
        SpecError: The blocks of this source cannot be read one at a time.
        UnknownModelError: The architecture belongs to no family here.
        WeightsError: A file is missing, unsafe, damaged, or does not fit.
    """
    if weights not in (None, RANDOM):
        raise SpecError(
            f"weights are given as {weights}, and {name} brings its own",
            "Give a directory with config.json and weights as the model instead",
        )
    source = _Source(name, trust_remote_code)
    with _quiet(), source.read_once():
        if weights == RANDOM:
            return _load_random(source, dtype, device, is_streamed)
        if is_streamed:
            return _load_streamed(source, dtype, device, trust_remote_code)
        config = source.config()
        skeleton: Any = text_skeleton(config, trust_remote_code=trust_remote_code)
        adapter = find_adapter(skeleton)
        source.check_weights(sum(one.numel() for one in skeleton.parameters()))
        known = torch.float32 if source.is_gguf else getattr(config, "dtype", None)
        first = "auto" if known is None else Precision.choose(dtype, known, device).compute
        module = source.model(config, first, adapter)
        precision = Precision.choose(dtype, known or module.dtype, device)
        if module.dtype != precision.compute:  # tables of positions keep their precision
            module = module.to(precision.compute)
        check_finite(module.named_parameters(), name)
        tokenizer = source.tokenizer()
        about = source.info(adapter, config, name)
    return LoadedModel(
        module=finished(module),
        adapter=adapter,
        source=about,
        dtype=precision.storage,
        tokenizer=tokenizer,
    )


def text_skeleton(config: Any, *, trust_remote_code: bool) -> nn.Module:
    """Return the model that a configuration describes, its parameters on the meta device.

    Buffers are real, so that tables computed at construction (rotary frequencies) are.

    Raises:
        UnknownModelError: It describes no causal language model.
        WeightsError: Its values contradict each other.
    """
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        module = _from_config(copy.deepcopy(config), torch.float32, trust_remote_code)
    module.tie_weights()  # moving parameters to the meta device one by one undid it
    whole: nn.Module = module
    return whole


def load_tokenizer(folder: Path) -> Any | None:
    """Return the tokenizer stored in a directory, or ``None`` if there is none."""
    return _Source(str(folder), trust_remote_code=False).tokenizer()


def load_config(folder: Path, *, trust_remote_code: bool) -> Any:
    """Return the configuration stored in a directory.

    Raises:
        UnknownModelError: `transformers` does not know such a model.
        WeightsError: It is missing or damaged.
    """
    return _Source(str(folder), trust_remote_code).config()


class _Source:
    """One place that a model can come from, with everything said about its failures."""

    def __init__(self, name: str, trust_remote_code: bool) -> None:
        path = given_path(name)
        self.name = name
        self.is_gguf = path.suffix.lower() == ".gguf"
        self.is_local = self.is_gguf or path.is_dir()
        self._path = path
        self._options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
        self._place = str(path) if self.is_local else name
        if self.is_gguf:
            check_gguf(path)
            self._place = str(path.parent)
            self._options["gguf_file"] = path.name
        elif self.is_local:
            check_folder(path)
            check_config_file(path / _CONFIG)
        if not self.is_local:
            self._options["local_files_only"] = not _hub_is_reachable()

    @contextlib.contextmanager
    def read_once(self) -> Iterator[None]:
        """Let configuration, weights and tokenizer share one pass over a GGUF header.

        `transformers` opens the file for each of the three, and going through the words
        of its vocabulary takes seconds every time.
        """
        if not self.is_gguf:
            yield
            return
        with self._explained("metadata"):
            import gguf

            reader = gguf.GGUFReader
        gguf.GGUFReader = functools.cache(reader)
        try:
            yield
        finally:
            gguf.GGUFReader = reader

    def config(self) -> Any:
        from transformers import AutoConfig

        with self._explained("metadata" if self.is_gguf else _CONFIG):
            config = AutoConfig.from_pretrained(self._place, **self._options)
        check_sizes(vars(config), f"the configuration of {self.name}")
        config.return_dict = True  # what is read from a forward pass is read by name
        quantised = getattr(config, "quantization_config", None)
        if quantised and not self.is_gguf:
            raise WeightsError(
                f"{self.name} is a quantised checkpoint",
                "Structured pruning needs plain weights; use the model it was made from",
            )
        return config

    def model(self, config: Any, dtype: torch.dtype | str, adapter: type[Adapter]) -> Any:
        from transformers import AutoModelForCausalLM

        # Asking a public service to convert other people's weights is not ours to do.
        os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
        with contextlib.redirect_stderr(io.StringIO()), self._explained("weights"):
            module, found = AutoModelForCausalLM.from_pretrained(
                self._place,
                config=config,
                dtype=dtype,
                attn_implementation="sdpa",
                weights_only=True,
                ignore_mismatched_sizes=True,  # reported below, by name
                output_loading_info=True,
                **self._options,
            )
        self._check_report(found, adapter.blocks(module)[0])
        _forget_quantisation_(module)
        return module

    def tokenizer(self) -> Any | None:
        from transformers import AutoTokenizer

        in_folder = self.is_local and not self.is_gguf
        if in_folder and not any((self._path / file).exists() for file in _TOKENIZER_FILES):
            return None
        if not self.is_gguf:
            file = self._path / _TOKENIZER if self.is_local else self._fetched(_TOKENIZER)
            if file is not None:
                check_tokenizer_file(file)
        with self._explained("tokenizer"):
            tokenizer = AutoTokenizer.from_pretrained(self._place, **self._options)
            tokenizer("a")  # settings of another kind than they should be fail on first use
        return tokenizer

    def check_weights(self, parameters: int) -> None:
        """Look at the files before minutes are spent on them: headers, not what they hold."""
        if self.is_gguf:
            check_proportion(parameters, self._path.parent, self._path)
            return
        folder = self._path if self.is_local else self._fetched_weights()
        if folder is None:
            return  # `transformers` says what it looked for
        missing = missing_weights(folder) if self.is_local else ()
        if missing:
            raise WeightsError(
                f"{self._path} lacks {missing[0]:.200}",
                "Copy the weights next to config.json, as .safetensors",
            )
        for file in sorted(folder.glob("*.safetensors")):
            check_stored_types(stored_types(file), file)
        for file in sorted(folder.glob("*.bin")):
            check_archive(file)
        check_proportion(parameters, folder, None)

    def _fetched_weights(self) -> Path | None:
        """Return the folder of the weights from the hub; ``None`` if it has none in our forms."""
        for name in HUB_WEIGHTS:
            file = self._fetched(name)
            if file is None:
                continue
            parts = indexed_files(file).values() if file.suffix == ".json" else ()
            for part in dict.fromkeys(parts):
                self._fetched(part)
            return file.parent
        return None

    def _fetched(self, name: str) -> Path | None:
        """Return a file from the hub, downloaded if need be; ``None`` if it is not there."""
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        offline = {"local_files_only": self._options["local_files_only"]}
        with self._explained(name):
            try:
                return Path(hf_hub_download(self.name, name, **offline))
            except EntryNotFoundError:
                return None

    def folder(self) -> Path:
        """Return the directory of the files; those of the hub are downloaded if need be.

        Raises:
            WeightsError: They are not here and cannot be had.
        """
        folder = self._path if self.is_local else self._fetched_weights()
        if folder is None:
            raise self._explanation("weights", FileNotFoundError("no weights in a known form"))
        return folder

    def info(self, adapter: type[Adapter], config: Any, weights: str) -> SourceInfo:
        file = self._single_file()
        return SourceInfo(
            model=self.name,
            family=adapter.family,
            task=adapter.task,
            weights=weights,
            revision=getattr(config, "_commit_hash", None),
            sha256=sha256(file) if file and weights != RANDOM else None,
            tokenizer=self.name,
            licence=self.licence(),
        )

    def licence(self) -> str | None:
        """Return what the source says of its licence; ``None`` if it says nothing here."""
        if self.is_gguf:
            import gguf

            # By the name that `transformers` uses, so that `read_once` has it already.
            field = gguf.GGUFReader(str(self._path)).get_field("general.license")
            return None if field is None else str(field.contents())
        card = self._path / _CARD if self.is_local else self._cached_card()
        if card is None or not card.is_file():
            return None
        from huggingface_hub import metadata_load
        from yaml import YAMLError  # type: ignore[import-untyped]

        try:
            found = (metadata_load(card) or {}).get("license")
        except (OSError, ValueError, YAMLError, AttributeError):
            return None  # a card in somebody else's form is no reason to stop
        return found if isinstance(found, str) else None

    def _cached_card(self) -> Path | None:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self.name, _CARD)
        return Path(found) if isinstance(found, str) else None

    def _single_file(self) -> Path | None:
        if self.is_gguf:
            return self._path
        file = self._path / "model.safetensors"
        return file if self.is_local and file.is_file() else None

    def _check_report(self, found: dict[str, Any], block: str) -> None:
        """Refuse what `transformers` only warns of: invented or dropped weights."""
        remedy = "Weights and config.json do not belong together; download the model again"
        mismatched = sorted(found["mismatched_keys"])
        if mismatched:
            name, had, wanted = mismatched[0]
            raise WeightsError(
                f"tensor {name} of {self.name} has the shape {tuple(had)}, and config.json "
                f"wants {tuple(wanted)}",
                remedy,
            )
        missing = sorted(found["missing_keys"])
        if missing:
            raise WeightsError(
                f"the weights of {self.name} lack {counted(missing)}",
                remedy,
            )
        layers = block.rpartition(".")[0].partition(".")[2] + "."
        extra = sorted(
            name
            for name in found["unexpected_keys"]
            if layers in name and name.endswith((".weight", ".bias"))
        )
        if extra:
            raise WeightsError(
                f"the weights of {self.name} hold {counted(extra)} that its config.json knows "
                f"nothing of",
                remedy,
            )

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn whatever the libraries raise into one sentence."""
        try:
            yield
        except ImportError as error:
            raise MissingDependencyError(
                f"{self.name} needs a package that is not installed ({first_sentence(error)})",
                "Install it and try again",
            ) from error
        except Exception as error:
            # `tokenizers` raises Exception itself; anything else unforeseen is a bug.
            if type(error) is Exception or isinstance(error, _library_errors()):
                raise self._explanation(what, error) from error
            raise

    def _explanation(self, what: str, error: Exception) -> Exception:
        reason = first_sentence(error)
        if isinstance(error, pickle.UnpicklingError):
            return refused_pickle(self.name, error)
        if "trust_remote_code" in str(error):
            return WeightsError(
                f"{self.name} brings its own code, which would have to run",
                "Read that code, then allow it with --trust-remote-code",
            )
        if _UNKNOWN_ARCHITECTURE.search(str(error)):
            return unknown_model(f"{self.name} ({reason})")
        if self.is_local or not isinstance(error, OSError):
            return WeightsError(
                f"the {what} of {self.name} cannot be read ({reason})",
                "The file is missing, damaged or cut short; copy or download it again",
            )
        return WeightsError(
            f"the {what} of {self.name} is neither in {hub_cache_folder()} nor could it be "
            f"downloaded ({reason})",
            f"With a connection, run 'hf download {self.name}'; or copy its files to a "
            f"directory and give that as the model",
        )


def shaped_model(name: str, *, layers: int | None, dtype: str, device: torch.device) -> LoadedModel:
    """Return a never-trained model of a public model's shape, its blocks still to be made.

    Args:
        name: A key of `catalogue.OPT_SHAPES`, or ``llama-8b``.
        layers: Number of blocks; ``None`` for as many as the public model has.
        dtype: See `load_text_model`.
        device: Where forward passes will run.

    Raises:
        SpecError: There is no such shape.
    """
    config = _public_config(name)
    config.num_hidden_layers = layers or config.num_hidden_layers
    source = SourceInfo(model=name, family="", task="text", weights=RANDOM)
    return _random_model(config, source, dtype, device, is_streamed=True)


def public_size(name: str) -> tuple[int, int]:
    """Return the number of blocks and of parameters of a public model; see `shaped_model`."""
    config = _public_config(name)
    module = text_skeleton(config, trust_remote_code=False)
    return config.num_hidden_layers, sum(one.numel() for one in module.parameters())


def _public_config(name: str) -> Any:
    if name != _LLAMA_8B and name not in OPT_SHAPES:
        raise unknown_name("shape", name, (*OPT_SHAPES, _LLAMA_8B))
    return _llama_config() if name == _LLAMA_8B else _opt_config(OPT_SHAPES[name])


def _load_random(
    source: _Source, dtype: str, device: torch.device, is_streamed: bool
) -> LoadedModel:
    shape = OPT_SHAPES.get(source.name)
    config = source.config() if shape is None else _opt_config(shape)
    adapter = find_adapter(text_skeleton(config, trust_remote_code=False))
    about = source.info(adapter, config, RANDOM)
    loaded = _random_model(config, about, dtype, device, is_streamed=is_streamed)
    with contextlib.suppress(WeightsError):  # shapes and speed need no words
        loaded.tokenizer = source.tokenizer()
    return loaded


def _random_model(
    config: Any, source: SourceInfo, dtype: str, device: torch.device, *, is_streamed: bool
) -> LoadedModel:
    module: Any = text_skeleton(config, trust_remote_code=False)
    adapter = find_adapter(module)
    precision = Precision.choose(dtype, getattr(config, "dtype", None) or torch.float32, device)
    std = getattr(config, "init_std", None) or getattr(config, "initializer_range", None)
    blocks = RandomBlocks(module, precision.compute, **({} if std is None else {"std": std}))
    left_out = tuple(f"{path}." for path in adapter.blocks(module)) if is_streamed else ()
    names = [name for name in unique_tensors(module) if not name.startswith(left_out)]
    _complete_(module, {name: blocks.tensor(name) for name in names}, precision.compute)
    return LoadedModel(
        module=finished(module),
        adapter=adapter,
        source=dataclasses.replace(source, family=adapter.family),
        dtype=precision.storage,
        blocks=blocks if is_streamed else None,
    )


def _load_streamed(
    source: _Source, dtype: str, device: torch.device, trust_remote_code: bool
) -> LoadedModel:
    if source.is_gguf:
        raise SpecError(
            f"{source.name} is a GGUF file, which is read as a whole",
            "Leave the memory budget out, or convert it to a directory with safetensors",
        )
    config = source.config()
    module: Any = text_skeleton(config, trust_remote_code=trust_remote_code)
    adapter = find_adapter(module)
    known = getattr(config, "dtype", None) or torch.float32
    precision = Precision.choose(dtype, known, device)
    folder, prefix = source.folder(), module.base_model_prefix
    blocks = StoredBlocks(folder, module, adapter.blocks(module), precision.compute, prefix)
    outer = blocks.outer()
    check_finite(outer.items(), source.name)
    _complete_(module, outer, precision.compute)
    return LoadedModel(
        module=finished(module),
        adapter=adapter,
        source=source.info(adapter, config, source.name),
        dtype=precision.storage,
        tokenizer=source.tokenizer(),
        blocks=blocks,
    )


def _complete_(module: Any, state: dict[str, Tensor], dtype: torch.dtype) -> None:
    """Give a skeleton the tensors there are; the rest keeps shapes, in the same type."""
    module.load_state_dict(state, strict=False, assign=True)
    module.tie_weights()
    for parameter in module.parameters():
        if parameter.is_meta:
            parameter.data = parameter.data.to(dtype)
    module.config.dtype = dtype


def _opt_config(shape: OptShape) -> Any:
    from transformers import OPTConfig

    return OPTConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        ffn_dim=shape.neurons,
        max_position_embeddings=shape.positions,
        do_layer_norm_before=shape.norm_first,
        word_embed_proj_dim=shape.embedding,
        num_attention_heads=shape.heads,
        dtype="float16",
    )


def _llama_config() -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=128_256,
        hidden_size=4096,
        num_hidden_layers=32,
        intermediate_size=14_336,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=8192,
        rms_norm_eps=1e-5,
        dtype="float16",
    )


def _from_config(config: Any, dtype: torch.dtype, trust_remote_code: bool) -> Any:
    from transformers import AutoModelForCausalLM

    try:
        return AutoModelForCausalLM.from_config(
            config,
            dtype=dtype,
            attn_implementation="sdpa",
            trust_remote_code=trust_remote_code,
        )
    except ValueError as error:
        if _UNKNOWN_ARCHITECTURE.search(str(error)):
            raise unknown_model(f"a {type(config).__name__}") from error
        raise _bad_config(error) from error
    except _library_errors() as error:
        raise _bad_config(error) from error


def _bad_config(error: Exception) -> WeightsError:
    return WeightsError(
        f"config.json describes no model that can be built ({first_sentence(error)})",
        "Restore the file that belongs to the weights",
    )


def _forget_quantisation_(module: Any) -> None:
    """Remove the traces of a GGUF file's coding; the weights are plain numbers by now."""
    for owner, names in (
        (module.config, ("quantization_config", "_is_quantized")),
        (module, ("is_quantized", "quantization_method", "hf_quantizer")),
    ):
        for name in names:
            if name in owner.__dict__:
                delattr(owner, name)


def _hub_is_reachable() -> bool:
    """Return whether it is worth asking the hub.

    Without this, each file of a model that lies in the cache costs half a minute of
    retries on a machine without a connection.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if urllib.request.getproxies():
        return True
    address = urllib.parse.urlsplit(constants.ENDPOINT)
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        socket.create_connection((address.hostname or "", port), _PROBE_SECONDS).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence progress bars and advice of `transformers`: errors carry what matters."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _library_errors() -> tuple[type[Exception], ...]:
    """Return what the libraries raise on files that make no sense."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    return (SafetensorError, StrictDataclassError, *DAMAGE)
