"""A GGUF file: weights, shape and tokenizer of the Llama family in one, for llama.cpp.

The decision hidden here: what is refused. GGUF could say more than its readers read, and a key
that is passed over makes another model of the same weights. What stands here is what can be read
back: one width for all layers, and no bias, scaling or window that is not understood.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import MODEL_ARCH, GGMLQuantizationType, GGUFWriter, LlamaFileType
from torch import Tensor

from osscar_core.errors import SpecError
from osscar_core.export import replay_torch
from osscar_core.export.huggingface import widths_of
from osscar_core.export.items import Items
from osscar_core.export.job import Job, Reader, Written
from osscar_core.export.vocabulary import Vocabulary, vocabulary_of
from osscar_core.models import LoadedModel
from osscar_core.models.store import as_stored
from osscar_core.models.weights import unique_tensors

FILE = "model.gguf"
NEEDS = "llama.cpp and what is built on it; transformers with the package gguf"

_INSTEAD = "Take hf or onnx, which can say it"
_TYPES = {
    torch.float32: (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    torch.float16: (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    torch.bfloat16: (GGMLQuantizationType.BF16, LlamaFileType.MOSTLY_BF16),
}
_ARCHITECTURES = {
    "llama": MODEL_ARCH.LLAMA,
    "mistral": MODEL_ARCH.LLAMA,
    "qwen2": MODEL_ARCH.QWEN2,
}
_BIASED = {"qwen2": ("q_proj.bias", "k_proj.bias", "v_proj.bias")}
_PLAIN_ROPE = {"rope_type": "default", "type": "default", "partial_rotary_factor": 1.0}
_USAGE = """`model.gguf` holds weights, shape and tokenizer, for llama.cpp and what is built on it:

```sh
llama-cli -m model.gguf -p "The pump" -n 20
```

`transformers` reads it too, with the package `gguf`:

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, file = ".", "model.gguf"  # this directory
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file)
tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
ids = tokenizer("The pump", return_tensors="pt").input_ids
print(tokenizer.decode(model.generate(ids, max_new_tokens=20)[0]))
```"""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a GGUF file says of a network.

    Attributes:
        architecture: The architecture whose keys it uses.
        layers: Number of layers.
        hidden: Width of the residual stream.
        neurons: Feed-forward neurons of every layer.
        heads: Query heads of every layer.
        kv_heads: Key-value heads of every layer.
        head_dim: Width of a head.
        context: Most tokens of a text.
        rows: Tokens with an embedding.
        theta: Base of the rotary frequencies.
        epsilon: What the norms add to the mean square.
    """

    architecture: MODEL_ARCH
    layers: int
    hidden: int
    neurons: int
    heads: int
    kv_heads: int
    head_dim: int
    context: int
    rows: int
    theta: float
    epsilon: float


def write_gguf(job: Job) -> Written:
    """Write weights, shape and tokenizer of a language model into one file.

    Args:
        job: The export; with ``int8``, matrices are stored as 8-bit numbers (``Q8_0``) where
            their rows allow it.

    Raises:
        SpecError: GGUF, or what reads it back, cannot say what the model is.
        NumericalError: A weight does not fit the type in which it is to be stored.
    """
    loaded, int8 = job.loaded, job.int8
    shape, notes = shape_of(loaded, job.items)
    vocabulary = vocabulary_of(loaded, shape.rows)
    file = job.folder / FILE
    stored = dict(_stored(loaded, shape))
    kinds = {name: _kind(loaded.dtype, tensor, int8=int8) for name, tensor in stored.items()}
    writer = GGUFWriter(file, gguf.MODEL_ARCH_NAMES[shape.architecture])
    _say(writer, job, shape, vocabulary, int8=int8)
    for name, tensor in stored.items():
        block, size = gguf.GGML_QUANT_SIZES[kinds[name]]
        count = tensor.numel() // block * size
        writer.add_tensor_info(name, tensor.shape, np.dtype(np.float32), count, kinds[name])
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for name, tensor in stored.items():
            writer.write_tensor_data(_coded(_permuted(name, tensor, shape), kinds[name]))
    finally:
        writer.close()
    if int8:
        notes += (_int8_note(stored, kinds, loaded.dtype),)
    reader = Reader(
        "transformers",
        Path(replay_torch.__file__),
        ("gguf", str(file)),
        encodes=vocabulary.is_exact,
        is_exact=not int8,
    )
    versions = {"gguf": importlib.metadata.version("gguf")}
    return Written((reader,), NEEDS, (*notes, *vocabulary.notes), versions, usage=_USAGE)


def shape_of(loaded: LoadedModel, items: Items) -> tuple[Shape, tuple[str, ...]]:
    """Return what a GGUF file says of a network, and what a reader should know of it.

    Args:
        loaded: The model.
        items: What the file is to be compared on.

    Raises:
        SpecError: GGUF, or what reads it back, cannot say what the model is.
    """
    module: Any = loaded.module
    config = module.config
    kind = config.model_type
    if kind not in _ARCHITECTURES:
        raise SpecError(
            f"{loaded.source.model} is a {kind}, and GGUF is written for "
            f"{', '.join(_ARCHITECTURES)}",
            "Take hf or onnx",
        )
    width = _one_width(loaded)
    if config.hidden_act != "silu":
        raise SpecError(
            f"its neurons compute {config.hidden_act}, and those of GGUF's {kind} silu", _INSTEAD
        )
    _check_biases(loaded, kind)
    context, notes = _context(config, items)
    shape = Shape(
        architecture=_ARCHITECTURES[kind],
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        neurons=width["intermediate_size"],
        heads=width["num_attention_heads"],
        kv_heads=width["num_key_value_heads"],
        head_dim=module.model.layers[0].self_attn.head_dim,
        context=context,
        rows=module.get_input_embeddings().num_embeddings,
        theta=_theta(config),
        epsilon=config.rms_norm_eps,
    )
    return shape, notes


def _one_width(loaded: LoadedModel) -> dict[str, Any]:
    """Return the widths that all layers have.

    Raises:
        SpecError: They differ, or what reads GGUF back does not know them.
    """
    found = widths_of(loaded)
    remedy = "Prune again with --plain-loadable, which keeps to what fits, or take hf"
    first = found.layers[0]
    for number, layer in enumerate(found.layers):
        for key, value in layer.items():
            if value != first[key]:
                raise SpecError(
                    f"layer {number} has {key} {value} and layer 0 has {first[key]}, and what "
                    "reads GGUF back wants one number for all layers",
                    remedy,
                )
    if found.reason:
        raise SpecError(f"what reads GGUF back does not know this model: {found.reason}", remedy)
    return first


def _check_biases(loaded: LoadedModel, kind: str) -> None:
    for name in unique_tensors(loaded.module):
        if name.endswith(".bias") and not name.endswith(_BIASED.get(kind, ())):
            raise SpecError(
                f"it has a bias, {name}, which what reads GGUF's {kind} back passes over", _INSTEAD
            )


def _context(config: Any, items: Items) -> tuple[int, tuple[str, ...]]:
    """Return the longest text that is the same with and without a sliding window."""
    longest: int = config.max_position_embeddings
    window: int | None = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None) or ("sliding_attention",)
    if window is None or "sliding_attention" not in kinds or window >= longest:
        return longest, ()
    needed = max(0 if items.ids is None else items.ids.shape[1], _written(items))
    if window < needed:
        raise SpecError(
            f"its attention looks back over {window} tokens only, which GGUF's {config.model_type} "
            f"cannot say, and it is compared on texts of up to {needed}",
            "Compare on shorter texts with --seqlen, or take hf or onnx",
        )
    note = (
        f"the context is {window:,} tokens, not {longest:,}: GGUF's {config.model_type} cannot say "
        "that attention looks back no further, and up to there it makes no difference"
    )
    return window, (note,)


def _written(items: Items) -> int:
    """Return how long the longest prompt is in the end."""
    prompts = items.prompts
    return 0 if prompts is None else max(map(len, prompts.ids)) + prompts.new


def _theta(config: Any) -> float:
    """Return the base of the rotary frequencies.

    Raises:
        SpecError: They are scaled.
    """
    said = dict(config.rope_parameters)
    theta = float(said.pop("rope_theta"))
    for key, value in said.items():
        if value is not None and _PLAIN_ROPE.get(key) != value:
            raise SpecError(
                f"its rotary frequencies have {key} = {value}, which transformers does not read "
                "from GGUF",
                _INSTEAD,
            )
    return theta


def _say(writer: GGUFWriter, job: Job, shape: Shape, vocabulary: Vocabulary, *, int8: bool) -> None:
    """Say what the model is and what its tokenizer does."""
    loaded = job.loaded
    source = loaded.source if loaded.plan is None else loaded.plan.source
    writer.add_type("model")
    # Of a model of exactly this name, transformers expects an architecture that GGUF has not got.
    writer.add_name(job.name.capitalize() if job.name == "mistral" else job.name)
    if source.licence is not None:
        writer.add_license(source.licence)
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0 if int8 else _TYPES[loaded.dtype][1])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.neurons)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    if shape.head_dim * shape.heads != shape.hidden:
        writer.add_key_length(shape.head_dim)
        writer.add_value_length(shape.head_dim)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.theta)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_vocab_size(shape.rows)
    for entry in vocabulary.entries:
        writer.add_key_value(entry.key, entry.value, entry.kind, entry.items)


def _stored(loaded: LoadedModel, shape: Shape) -> Iterator[tuple[str, Tensor]]:
    """Give the model's tensors under the names of GGUF."""
    names = gguf.get_tensor_name_map(shape.architecture, shape.layers)
    for name, tensor in unique_tensors(loaded.module).items():
        known = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if known is None:
            raise SpecError(f"GGUF has no name for the tensor {name}", _INSTEAD)
        kind = torch.float32 if tensor.ndim == 1 else loaded.dtype
        as_stored(name, tensor, kind)  # or it says why that cannot be
        yield known, tensor.detach()


def _permuted(name: str, tensor: Tensor, shape: Shape) -> Tensor:
    """Return a tensor with the rows of queries and keys in the order of GGUF's architecture.

    `transformers` turns row i of a head together with row i + d/2, and GGUF's ``llama`` row 2i
    with row 2i + 1; its ``qwen2`` does as `transformers` does.
    """
    if shape.architecture is not MODEL_ARCH.LLAMA:
        return tensor
    part = name.split(".")[-2]
    heads = {"attn_q": shape.heads, "attn_k": shape.kv_heads}.get(part)
    if heads is None:
        return tensor
    halves = tensor.reshape(heads, 2, shape.head_dim // 2, -1)  # (heads, half, d/2, hidden)
    return halves.transpose(1, 2).reshape(tensor.shape)


def _kind(dtype: torch.dtype, tensor: Tensor, *, int8: bool) -> GGMLQuantizationType:
    """Return the type in which a tensor is stored."""
    if tensor.ndim == 1:
        return GGMLQuantizationType.F32
    block, _ = gguf.GGML_QUANT_SIZES[GGMLQuantizationType.Q8_0]
    if int8 and tensor.shape[-1] % block == 0:
        return GGMLQuantizationType.Q8_0
    return _TYPES[dtype][0]


def _coded(tensor: Tensor, kind: GGMLQuantizationType) -> np.ndarray:
    """Return a tensor's bytes in a type, as an array that is written as it lies."""
    here = tensor.to("cpu")
    if kind is GGMLQuantizationType.BF16:  # numpy has no such type
        coded: np.ndarray = here.to(torch.bfloat16).contiguous().view(torch.int16).numpy()
        return coded
    wide = here.to(torch.float32).contiguous().numpy()
    return np.ascontiguousarray(gguf.quantize(wide, kind))


def _int8_note(
    stored: dict[str, Tensor], kinds: dict[str, GGMLQuantizationType], dtype: torch.dtype
) -> str:
    matrices = [name for name, tensor in stored.items() if tensor.ndim > 1]
    kept = sum(kinds[name] is not GGMLQuantizationType.Q8_0 for name in matrices)
    note = f"{len(matrices) - kept:,} of {len(matrices):,} matrices are 8-bit numbers (Q8_0)"
    if not kept:
        return note
    return (
        f"{note}; {kept:,} stay {str(dtype).removeprefix('torch.')}, because their rows are no "
        "multiple of 32 long, which prune --round-to 32 makes them"
    )
