"""From a model's name to what pruning it takes, without its weights.

The decision hidden here: how the sizes of any model are found. Those of the public OPT
models are known; of the others a network without weights is built from the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from osscar_core.catalogue import DEMO_MODELS, OPT_SHAPES, demo_folder
from osscar_core.driver import gpu_name
from osscar_core.errors import SpecError, unknown_name
from osscar_core.machines import (
    DEFAULT_CPU,
    DEFAULT_GPU,
    MACHINES,
    Machine,
    find_machine,
    match_machine,
)
from osscar_core.placement import forecast, place
from osscar_core.records import DTYPES, LEAST_MEMORY, check_range
from osscar_core.resources import Forecast
from osscar_core.shapes import BlockShape, ModelShape, UnitShape
from osscar_core.storage import given_path

if TYPE_CHECKING:
    from torch import nn

    from osscar_core.models import LoadedModel

_RANDOM = "random"
# The public OPT checkpoints are in half precision.
_BYTES = {"auto": 2, "float32": 4, "float16": 2, "bfloat16": 2}
_MAPS_AT_ONCE = 3  # of a block's largest map, while one image passes


@dataclass(frozen=True, slots=True)
class Alternative:
    """The same run on another machine, within its own memory.

    Attributes:
        machine: Its name.
        forecast: What the run would need there; ``None`` if it does not fit.
        refusal: Why not; empty if it does.
    """

    machine: str
    forecast: Forecast | None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class ResourcePlan:
    """What a run is expected to need, and how that would be elsewhere.

    Attributes:
        forecast: On the machine in question.
        chosen: Why this machine, in words.
        gpu_memory: Budget of each GPU in bytes; ``None`` on a CPU.
        host_memory: Budget of the process in bytes; ``None`` for no limit.
        machines: All machines whose data sheet is known here.
    """

    forecast: Forecast
    chosen: str
    gpu_memory: int | None
    host_memory: int | None
    machines: tuple[Alternative, ...]


def plan_resources(
    model: str,
    *,
    samples: int | None = None,
    seqlen: int | None = None,
    sparsity: float = 0.5,
    gpu: str | None = None,
    gpu_memory: int | None = None,
    host_memory: int | None = None,
    gpus: int = 1,
    device: str = "auto",
    dtype: str = "auto",
    weights: str | None = None,
    image_size: int | None = None,
    batch: int | None = None,
    with_dense: bool = True,
    trust_remote_code: bool = False,
) -> ResourcePlan:
    """Say what pruning a model takes, before its weights are there.

    Args:
        model: As for `osscar_core.prune`.
        samples: Calibration windows or images; ``None`` for the default of a run.
        seqlen: Tokens a window; ``None`` for the default of a run.
        sparsity: Share of the groups that goes.
        gpu: A machine known by its data sheet; ``None`` for the GPU of this machine if
            that is one, else for a default.
        gpu_memory: Bytes of each GPU that may be used; ``None`` for all it has.
        host_memory: Bytes that the process may use; ``None`` for no limit.
        gpus: GPUs that share the calibration.
        device: ``auto`` and ``cuda`` plan for a GPU, ``cpu`` for a CPU.
        dtype: Floating-point type of the forward passes.
        weights: ``random`` where nothing is read from disk.
        image_size: Side of the input in pixels, for torchvision models.
        batch: Items a micro-batch; ``None`` to choose.
        with_dense: Whether the target needs the dense model beside the pruned one.
        trust_remote_code: Allow the repository's own modelling code to run.

    Raises:
        SpecError: A setting is out of range, or nothing fits the budget.
        UnknownModelError: The model belongs to no family here.
        WeightsError: Its configuration is missing or damaged.
    """
    check_range("sparsity", sparsity, 0.0, 1.0, high_open=True)
    check_range("gpus", gpus, 1)
    for name, value in (("samples", samples), ("batch_size", batch)):
        if value is not None:
            check_range(name, value, 1)
    for name, value in (("gpu_memory", gpu_memory), ("host_memory", host_memory)):
        if value is not None and value < LEAST_MEMORY:
            raise SpecError(
                f"{name} is {value} bytes", "It must be at least 256 MiB, such as 32GiB"
            )
    machine, chosen = _machine(gpu, device)
    shape = model_shape(
        model,
        dtype=dtype,
        weights=weights,
        image_size=image_size,
        trust_remote_code=trust_remote_code,
    )
    count = samples or shape.default_samples
    window = shape.window(seqlen)

    def on(where: Machine, budget: int | None) -> Forecast:
        many = gpus if where.kind == "cuda" else 1
        placement = place(
            shape,
            samples=count,
            seqlen=window,
            gpu_memory=budget if where.kind == "cuda" else None,
            host_memory=host_memory,
            with_dense=with_dense,
            device_kind=where.kind,
            gpus=many,
            batch=batch,
            machine=where,
        )
        return forecast(
            shape,
            placement,
            samples=count,
            seqlen=window,
            machine=where,
            with_dense=with_dense,
            gpus=many,
            sparsity=sparsity,
        )

    budget = (gpu_memory or machine.memory) if machine.kind == "cuda" else None
    return ResourcePlan(
        forecast=on(machine, budget),
        chosen=chosen,
        gpu_memory=budget,
        host_memory=host_memory,
        machines=tuple(_alternative(other, on) for other in MACHINES),
    )


def _alternative(machine: Machine, on: Callable[[Machine, int | None], Forecast]) -> Alternative:
    try:
        return Alternative(machine.name, on(machine, machine.memory))
    except SpecError as error:
        return Alternative(machine.name, None, f"{error.problem}.")


def _machine(gpu: str | None, device: str) -> tuple[Machine, str]:
    """Return what to plan for, and why."""
    if gpu is not None:
        return find_machine(gpu), "as asked for"
    if device == "cpu":
        return DEFAULT_CPU, "a default for CPUs"
    here = gpu_name()
    known = match_machine(here) if here else None
    if known is not None:
        return known, f"the GPU of this machine ({here})"
    without = f"the data sheet of {here} is not known here" if here else "this machine has no GPU"
    return DEFAULT_GPU, f"a default, since {without}"


def model_shape(
    name: str,
    *,
    dtype: str = "auto",
    weights: str | None = None,
    image_size: int | None = None,
    trust_remote_code: bool = False,
) -> ModelShape:
    """Return the sizes of a model; those of public OPT models without any library.

    Args:
        name: As for `osscar_core.prune`.
        dtype: Floating-point type; ``auto`` for that of the checkpoint.
        weights: ``random`` where nothing is read from disk.
        image_size: Side of the input in pixels, for torchvision models.
        trust_remote_code: Allow the repository's own modelling code to run.

    Raises:
        SpecError: The name or a setting makes no sense.
        UnknownModelError: The model belongs to no family here.
        WeightsError: Its configuration is missing or damaged.
    """
    if dtype not in DTYPES:
        raise unknown_name("dtype", dtype, DTYPES)
    has_source = weights != _RANDOM
    if name in OPT_SHAPES:
        return ModelShape.of_opt(
            name, OPT_SHAPES[name], bytes_per_value=_BYTES[dtype], has_source=has_source
        )
    return shape_of(
        _bare(name, dtype, weights, image_size, trust_remote_code),
        is_streamable=not name.lower().endswith(".gguf"),
        has_source=has_source,
    )


def shape_of(
    model: LoadedModel, *, is_streamable: bool = True, has_source: bool = True
) -> ModelShape:
    """Return the sizes of a model, whether its weights are there or on the meta device.

    Args:
        model: The model, not pruned yet.
        is_streamable: Whether its weights can be read block by block; image models are
            always loaded as a whole.
        has_source: Whether they are read from disk at all.
    """
    module, adapter = model.module, model.adapter
    by_block: dict[str, list[Any]] = {path: [] for path in adapter.blocks(module)}
    for unit in adapter.units(module):
        by_block[unit.block].append(unit)
    is_text = model.task == "text"
    build = _text_block if is_text else _image_block_of(model)
    blocks = tuple(build(module, path, units) for path, units in by_block.items())
    whole = sum(parameter.numel() for parameter in module.parameters())
    config: Any = getattr(module, "config", None)
    return ModelShape(
        name=model.source.model,
        family=adapter.family,
        task=model.task,
        blocks=blocks,
        outer_parameters=whole - sum(block.parameters for block in blocks),
        bytes_per_value=model.dtype.itemsize,
        positions=model.max_length,
        heads=int(getattr(config, "num_attention_heads", 0)),
        pixels=None if is_text else model.preprocess.size,
        is_streamable=is_text and is_streamable,
        has_source=has_source,
    )


def _text_block(module: nn.Module, path: str, units: list[Any]) -> BlockShape:
    parameters = _numel(module, path)
    owned = {one: _numel(module, one) for one in _paths(units)}
    shapes = tuple(
        UnitShape(*_widths(module, unit.consumer), unit.groups, share=share)
        for unit, share in zip(units, _shares(units, owned), strict=True)
    )
    hidden = max((shape.outputs for shape in shapes), default=0)
    widest = max((shape.features for shape in shapes), default=0)
    return BlockShape.of_text(parameters, hidden, widest, shapes, sum(owned.values()))


def _image_block_of(
    model: LoadedModel,
) -> Callable[[nn.Module, str, list[Any]], BlockShape]:
    """Return what describes a block, after one image has passed through the shapes."""
    from osscar_core.evaluation.size import module_flops

    flops, _ = module_flops(model)
    maps = _maps(model)

    def build(module: nn.Module, path: str, units: list[Any]) -> BlockShape:
        work = {one: flops.get(one, 0) for one in _paths(units)}
        shapes = []
        for unit, share in zip(units, _shares(units, work), strict=True):
            consumer: Any = module.get_submodule(unit.consumer)
            outputs = int(consumer.weight.shape[0])
            features = int(consumer.weight[0].numel())
            rows = maps[unit.consumer][1] // outputs
            shapes.append(UnitShape(features, outputs, unit.groups, rows, share))
        inside = [sizes for name, sizes in maps.items() if name.startswith(f"{path}.")]
        largest = max(max(sizes) for sizes in inside)
        return BlockShape(
            parameters=_numel(module, path),
            units=tuple(shapes),
            flops=flops.get(path, 0),
            state=max(maps[path]),
            working=_MAPS_AT_ONCE * largest,
            removable=sum(_numel(module, one) for one in _paths(units)),
        )

    return build


def _maps(model: LoadedModel) -> dict[str, tuple[int, int]]:
    """Return the values that enter and leave each module, by path, for one image."""
    import torch

    from osscar_core.evaluation.size import weightless

    found: dict[str, tuple[int, int]] = {}
    side = model.preprocess.size
    with weightless(model.module) as module, torch.no_grad():
        for path, child in module.named_modules():

            def note(_: Any, args: Any, output: Any, path: str = path) -> None:
                found[path] = (args[0].numel(), output.numel())

            child.register_forward_hook(note)
        dtype = next(module.parameters()).dtype
        module(torch.zeros(1, 3, side, side, dtype=dtype, device=next(module.parameters()).device))
    return found


def _paths(units: list[Any]) -> tuple[str, ...]:
    """Return the layers that units touch, each once, in forward order of the units."""
    return tuple(
        dict.fromkeys(
            path
            for unit in units
            for path in (*(one.path for one in unit.producers), unit.consumer)
        )
    )


def _shares(units: list[Any], work: Mapping[str, int]) -> tuple[float, ...]:
    """Return the share of the work done when each unit's consumer has run."""
    whole = sum(work.values())
    return tuple(
        sum(work[path] for path in _paths(units[: index + 1])) / whole
        for index in range(len(units))
    )


def _numel(module: nn.Module, path: str) -> int:
    return sum(parameter.numel() for parameter in module.get_submodule(path).parameters())


def _widths(module: nn.Module, path: str) -> tuple[int, int]:
    outputs, features = module.get_submodule(path).get_parameter("weight").shape
    return int(features), int(outputs)


def _bare(
    name: str, dtype: str, weights: str | None, image_size: int | None, trust_remote_code: bool
) -> LoadedModel:
    """Return a model without weights; a pruned one, which keeps its widths there, with them."""
    import torch

    from osscar_core.adapters import find_adapter
    from osscar_core.models import LoadedModel, check_hub_id, load_model
    from osscar_core.models.images import ARCHITECTURES, bare_network
    from osscar_core.models.loaded import Precision
    from osscar_core.models.store import PLAN_FILE
    from osscar_core.models.text import load_config, text_skeleton
    from osscar_core.records import SourceInfo

    gpu = torch.device("cuda")
    if name in ARCHITECTURES:
        module, preprocess = bare_network(name, weights=weights, image_size=image_size)
        adapter = find_adapter(module)
        source = SourceInfo(name, adapter.family, "image", weights or name, preprocess=preprocess)
        kind = Precision.choose(dtype, torch.float32, gpu).storage
        return LoadedModel(module, adapter, source, kind)
    folder = demo_folder(name) if name in DEMO_MODELS else given_path(name)
    if (folder / PLAN_FILE).is_file():
        return load_model(name, dtype=dtype, trust_remote_code=trust_remote_code)
    if not folder.exists():
        check_hub_id(name, folder)
    config = load_config(folder, trust_remote_code=trust_remote_code)
    module = text_skeleton(config, trust_remote_code=trust_remote_code)
    adapter = find_adapter(module)
    known = getattr(config, "dtype", None) or torch.float32
    source = SourceInfo(name, adapter.family, "text", weights or name)
    return LoadedModel(module, adapter, source, Precision.choose(dtype, known, gpu).storage)
