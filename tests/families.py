"""Tiny models of every family, for the conformance suite.

``FAMILIES`` maps a name to a builder that takes no argument and returns a fresh `Family`:
a seeded, randomly initialised model in evaluation mode with example inputs. Nothing in it
is an identity: biases, layer norms and batch norm statistics are random too, so that a
mistake in any of them shows. A new model family adds one builder here and nothing else.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from osscar_core.adapters import find_adapter
from osscar_core.models import LoadedModel, load_model
from osscar_core.models.images import ARCHITECTURES, Architecture
from osscar_core.networks import cifar_resnet
from osscar_core.records import ImagePreprocess, PruneSpec
from osscar_core.surgery import shrink_

VOCABULARY = 260
SEQLEN = 24
IMAGE_SIZE = 32
CLASSES = 10
_WIDTHS = (8, 8, 16, 16)


@dataclass
class Family:
    """A tiny model with everything a test needs to run, prune and save it.

    Attributes:
        name: Its key in ``FAMILIES``.
        model: The network, in evaluation mode.
        inputs: Keyword arguments of a forward pass.
        calibration: The same as calibration passes them (without a cache, for text).
        samples: Windows or images to calibrate with.
        seqlen: Tokens a window; ``None`` for images.
        catalogue_name: Name under which an image network is built; ``None`` for text.
    """

    name: str
    model: nn.Module
    inputs: dict[str, Tensor]
    calibration: dict[str, Any]
    samples: int
    seqlen: int | None = None
    catalogue_name: str | None = None

    def loaded(self, folder: Path) -> LoadedModel:
        """Write the model below ``folder`` as its library would, and load it from there."""
        if self.catalogue_name is None:
            target = folder / "dense"
            self.model.save_pretrained(target)
            byte_tokenizer().save_pretrained(target)
            return load_model(str(target))
        file = folder / "dense.safetensors"
        save_file(self.model.state_dict(), file)
        return load_model(self.catalogue_name, weights=str(file))

    def request(self, folder: Path, **changes: Any) -> PruneSpec:
        """Write model and data below ``folder`` and return a request to halve every unit."""
        loaded = self.loaded(folder)
        settings: dict[str, Any] = {
            "model": loaded.source.model,
            "weights": loaded.source.weights if self.catalogue_name else None,
            "calibration": self.calibration_spec(folder),
            "sparsity": 0.5,
            "samples": self.samples,
            "seqlen": self.seqlen,
            "device": "cpu",
        }
        return PruneSpec(**{**settings, **changes})

    def calibration_spec(self, folder: Path) -> str:
        """Write calibration data below ``folder`` and return its data specification."""
        rng = np.random.default_rng(7)
        if self.seqlen is not None:
            words = np.array(["pump", "valve", "leaks", "holds", "the", "a", "seal", "motor."])
            count = self.samples * self.seqlen
            file = folder / "calibration.txt"
            file.write_text(" ".join(rng.choice(words, size=count)), encoding="utf8")
            return f"text:{file}"
        file = folder / "calibration.parquet"
        pixels = rng.integers(0, 256, (self.samples, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
        labels = [index % CLASSES for index in range(self.samples)]
        pq.write_table(pa.table({"image": [_png(one) for one in pixels], "label": labels}), file)
        return f"images:{file}"


def byte_tokenizer() -> Any:
    """Return a tokenizer of the 256 bytes and four special tokens, made without files."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<s>", "</s>", "<unk>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate(special + letters)}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **dict(zip(("pad_token", "bos_token", "eos_token", "unk_token"), special, strict=True)),
    )


def randomise_(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter and batch norm statistic a random value of a sensible size."""
    generator = torch.Generator().manual_seed(seed)

    def normal(like: Tensor, scale: float) -> Tensor:
        return torch.randn(like.shape, generator=generator) * scale

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.copy_(normal(parameter, 0.2))
            elif parameter.dim() == 1:  # the scale of a norm
                parameter.copy_(1 + normal(parameter, 0.2))
            else:
                fan_in = parameter[0].numel()
                parameter.copy_(normal(parameter, 1.4 * fan_in**-0.5))
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.copy_(normal(module.running_mean, 0.3))
                spread = torch.rand(module.running_var.shape, generator=generator)
                module.running_var.copy_(0.5 + spread)
    return model.eval().requires_grad_(requires_grad=False)


def _text(name: str, model: nn.Module) -> Family:
    ids = torch.randint(4, VOCABULARY, (2, SEQLEN), generator=torch.Generator().manual_seed(1))
    return Family(
        name=name,
        model=randomise_(model),
        inputs={"input_ids": ids},
        calibration={"input_ids": ids, "use_cache": False},
        samples=8,
        seqlen=SEQLEN,
    )


def _opt(name: str, **changes: Any) -> Family:
    from transformers import OPTConfig, OPTForCausalLM

    settings = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "word_embed_proj_dim": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "ffn_dim": 48,
        "max_position_embeddings": 64,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "dropout": 0.0,
    }
    return _text(name, OPTForCausalLM(OPTConfig(**{**settings, **changes})))


def _llama(name: str, kind: str = "Llama", **changes: Any) -> Family:
    import transformers

    settings = {
        "vocab_size": VOCABULARY,
        "hidden_size": 48,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 3,
        "max_position_embeddings": 64,
        "tie_word_embeddings": False,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    config = getattr(transformers, f"{kind}Config")(**{**settings, **changes})
    return _text(name, getattr(transformers, f"{kind}ForCausalLM")(config))


def halve_(model: nn.Module) -> nn.Module:
    """Remove a different random half of every unit, so that layers end up unlike."""
    for seed, unit in enumerate(find_adapter(model).units(model)):
        keep = max(1, unit.groups // 2 - seed % 2)
        generator = torch.Generator().manual_seed(seed)
        kept = torch.randperm(unit.groups, generator=generator)[:keep].sort().values
        shrink_(model, unit, kept)
    return model


class NarrowResNet(ResNet):
    """A `torchvision` ResNet with few channels, which its own constructor cannot say."""

    def __init__(
        self, block: type[BasicBlock | Bottleneck], layers: list[int], width_per_group: int = 64
    ) -> None:
        super().__init__(block, [1, 1, 1, 1], CLASSES, width_per_group=width_per_group)
        self.inplanes = _WIDTHS[0]
        self.conv1 = nn.Conv2d(3, _WIDTHS[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(_WIDTHS[0])
        for stage, (width, count) in enumerate(zip(_WIDTHS, layers, strict=True)):
            made = self._make_layer(block, width, count, stride=1 if stage == 0 else 2)
            setattr(self, f"layer{stage + 1}", made)
        self.fc = nn.Linear(_WIDTHS[-1] * block.expansion, CLASSES)


_NARROW: dict[str, Callable[[], nn.Module]] = {
    "resnet-basic": partial(NarrowResNet, BasicBlock, [1, 1, 2, 1]),
    "resnet-bottleneck": partial(NarrowResNet, Bottleneck, [1, 2, 1, 1]),
    "resnet-wide": partial(NarrowResNet, Bottleneck, [1, 1, 1, 1], width_per_group=128),
}
_PREPROCESS = ImagePreprocess((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), size=IMAGE_SIZE)


def _register_narrow_networks() -> None:
    """Let `load_model` build the narrow networks, so that they can be saved and loaded."""
    for name, build in _NARROW.items():
        ARCHITECTURES[f"tests/{name}"] = Architecture(
            lambda _classes, build=build: build(), CLASSES, "fc.weight", _PREPROCESS
        )


_register_narrow_networks()


def _image(name: str, catalogue_name: str, model: nn.Module, samples: int) -> Family:
    shape = (4, 3, IMAGE_SIZE, IMAGE_SIZE)
    pixels = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    return Family(
        name=name,
        model=randomise_(model),
        inputs={"x": pixels},
        calibration={"x": pixels},
        samples=samples,
        catalogue_name=catalogue_name,
    )


def _narrow(name: str) -> Family:
    return _image(name, f"tests/{name}", _NARROW[name](), samples=16)


def resnext() -> nn.Module:
    """Return a network of grouped convolutions, which no family may accept."""
    return ResNet(Bottleneck, [1, 1, 1, 1], CLASSES, groups=32, width_per_group=4)


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


FAMILIES: dict[str, Callable[[], Family]] = {
    "opt": partial(_opt, "opt"),
    "opt-350m": partial(_opt, "opt-350m", do_layer_norm_before=False, word_embed_proj_dim=16),
    "opt-no-bias": partial(_opt, "opt-no-bias", enable_bias=False),
    "llama": partial(_llama, "llama"),
    "llama-bias": partial(
        _llama, "llama-bias", attention_bias=True, mlp_bias=True, tie_word_embeddings=True
    ),
    "mistral": partial(_llama, "mistral", "Mistral", sliding_window=8, head_dim=16),
    "qwen2": partial(
        _llama, "qwen2", "Qwen2", use_sliding_window=True, sliding_window=8, max_window_layers=1
    ),
    **{name: partial(_narrow, name) for name in _NARROW},
    "cifar-resnet20": lambda: _image(
        "cifar-resnet20", "cifar/resnet20", cifar_resnet(20, CLASSES), samples=16
    ),
}
