"""An image model for PyTorch: a program that needs torch alone, and weights with their loader.

The decision hidden here: a program of `torch.export` runs anywhere and cannot be trained on;
the weights with a short file that builds the network can. Both are written and both compared.
"""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from osscar_core import networks
from osscar_core.errors import OutputError
from osscar_core.evaluation.accuracy import class_logits
from osscar_core.export import replay_torch
from osscar_core.export.job import Job, Reader, Written
from osscar_core.export.records import ONLY_PROGRAM
from osscar_core.models import stored_state
from osscar_core.tracing import TRACE_ERRORS, batch_dimension, trace_reason

PROGRAM = "model.pt2"
WEIGHTS = "model.safetensors"
LOADER = "load_model.py"
NETWORKS = "networks.py"

_USAGE = """`model.pt2` needs torch alone; `load_model.py` builds the network itself from
`model.safetensors`, with torch and torchvision, so that it can be read, moved to half precision
or trained on. Pictures are prepared like this: {prepared}; see `inputs.json`.

```python
import json

import torch
{loading}

inputs = json.load(open("inputs.json", encoding="utf8"))
mean, std = (torch.tensor(inputs[name])[:, None, None] for name in ("mean", "std"))


def prepared(pictures):  # RGB, uint8, (batch, 3, {size}, {size})
    return (pictures / 255 - mean) / std


pictures = torch.zeros(2, 3, {size}, {size}, dtype=torch.uint8)  # put yours here
with torch.inference_mode():
    best = network(prepared(pictures)).argmax(1)
print([inputs["class_names"][one] for one in best])
```"""
_WITH_LOADER = """from load_model import load

network = load(".")  # or torch.export.load("model.pt2").module(), without torchvision"""
_WITH_PROGRAM = """
network = torch.export.load("model.pt2").module()"""


def write_torch(job: Job) -> Written:
    """Write the program and, for networks that a short file can build, weights and loader.

    Raises:
        OutputError: torch cannot follow the network.
        NumericalError: A weight does not fit the type in which it is to be stored.
    """
    folder = job.folder
    _write_program(job)
    replay = Path(replay_torch.__file__)
    readers: tuple[Reader, ...] = (
        Reader("torch.export", replay, ("program", str(folder / PROGRAM))),
    )
    facts = network_facts(job.loaded.module)
    settings = job.items.settings
    prepared = job.items.info.preprocess or f"{settings['size']} x {settings['size']}"
    if facts is None:
        usage = _USAGE.format(prepared=prepared, size=settings["size"], loading=_WITH_PROGRAM)
        return Written(readers, "torch", (ONLY_PROGRAM,), usage=usage)
    _write_weights(job, facts)
    shutil.copyfile(Path(__file__).parent / "carried" / LOADER, folder / LOADER)
    needs = "torch and torchvision"
    if facts["kind"] == "cifar":
        shutil.copyfile(networks.__file__, folder / NETWORKS)
        needs = "torch"
    readers = (*readers, Reader(needs, replay, ("loader", str(folder / LOADER))))
    usage = _USAGE.format(prepared=prepared, size=settings["size"], loading=_WITH_LOADER)
    return Written(readers, needs, usage=usage)


def network_facts(module: nn.Module) -> dict[str, Any] | None:
    """Return what the loader has to know of a network's form; ``None`` if it knows it not."""
    if isinstance(module, networks.CifarResNet):
        blocks, classes = len(module.layer1), module.linear.out_features
        return {"kind": "cifar", "blocks": blocks, "classes": classes}
    from torchvision.models import resnet

    if not isinstance(module, resnet.ResNet):
        return None
    stages = (module.layer1, module.layer2, module.layer3, module.layer4)
    return {
        "kind": "resnet",
        "block": type(module.layer1[0]).__name__,
        "layers": [len(stage) for stage in stages],
        "classes": module.fc.out_features,
    }


class Classifier(nn.Module):
    """A network as it runs fastest: batch norms within convolutions, channels last in memory."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        # What runs no faster for being smaller is what lies between the convolutions.
        self.module = fuse(module).to(memory_format=torch.channels_last)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits (B, C) of pixels (B, 3, S, S)."""
        return class_logits(self.module(pixels.contiguous(memory_format=torch.channels_last)))


def _write_program(job: Job) -> None:
    sample = job.items.compared()[1]
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = Classifier(job.module.module).eval()
            program = torch.export.export(
                network, (sample,), dynamic_shapes=({0: batch_dimension()},), strict=False
            )
            torch.export.save(program, job.folder / PROGRAM)
    except TRACE_ERRORS as error:
        raise OutputError(
            f"torch.export cannot follow {job.name} ({trace_reason(error)})",
            "Take the model's own directory instead, or try another version of torch",
        ) from error


def _write_weights(job: Job, facts: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    stored = stored_state(job.loaded.module, job.loaded.dtype)
    save_file(stored, job.folder / WEIGHTS, metadata={"network": json.dumps(facts)})
