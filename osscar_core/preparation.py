"""How a request becomes units to prune and inputs to calibrate on.

The decisions hidden here: what every setting that was left open is resolved to, which of
a family's units a request is about, and how calibration data is cut into micro-batches.
"""

from __future__ import annotations

import dataclasses

from torch import Tensor

from osscar_core.catalogue import own_samples
from osscar_core.datasets import load_images, load_windows
from osscar_core.errors import SpecError
from osscar_core.loadable import refuse_biases, removable
from osscar_core.methods import default_target, gains_bias
from osscar_core.models import LoadedModel
from osscar_core.records import DataInfo, Plan, PruneSpec
from osscar_core.shapes import DEFAULT_IMAGES, DEFAULT_SEQLEN, DEFAULT_WINDOWS, default_batch
from osscar_core.units import Unit


def resolve(model: LoadedModel, spec: PruneSpec) -> PruneSpec:
    """Return the request with every ``None`` that has a default replaced by it.

    Raises:
        SpecError: Windows longer than the model's limit, or a result that plain
            `transformers` could not load, where that is asked for.
    """
    is_text = model.task == "text"
    seqlen = spec.seqlen
    if is_text:
        limit = model.max_length
        seqlen = seqlen or min(DEFAULT_SEQLEN, limit or DEFAULT_SEQLEN)
        if limit is not None and seqlen > limit:
            raise SpecError(
                f"seqlen is {seqlen}, more than the {limit} positions of {spec.model}",
                f"Use --seqlen {limit} or less",
            )
    if spec.plain_loadable and gains_bias(spec):
        refuse_biases(_without_place(model))
    usual = DEFAULT_WINDOWS if is_text else DEFAULT_IMAGES
    return dataclasses.replace(
        spec,
        structures=removable(spec, model.adapter.family, model.adapter.structures),
        target=spec.target or default_target(spec.method),
        samples=spec.samples or own_samples(spec.model) or usual,
        seqlen=seqlen if is_text else None,
    )


def _without_place(model: LoadedModel) -> list[str]:
    """Return the units whose consumers cannot store an intercept."""
    return [
        unit.name
        for unit in model.adapter.units(model.module)
        if unit.norm is None and model.module.get_submodule(unit.consumer).bias is None
    ]


def chosen_units(
    model: LoadedModel, spec: PruneSpec, repeat: Plan | None = None
) -> tuple[Unit, ...]:
    """Return the units that a request is about, in forward order.

    Args:
        model: The dense model.
        spec: The request.
        repeat: A stored plan, whose units count instead of the request's structures.

    Raises:
        SpecError: The family lacks a structure, or the plan does not fit the model.
    """
    available = model.adapter.structures
    wanted = spec.structures or available
    for structure in wanted:
        if structure not in available:
            raise SpecError(
                f"models of the family {model.adapter.family} have no {structure}",
                f"Choose from: {', '.join(available)}",
            )
    units = model.adapter.units(model.module)
    if repeat is None:
        return tuple(unit for unit in units if unit.structure in wanted)
    by_name = {unit.name: unit for unit in units}
    for given in repeat.units:
        if given.name not in by_name or by_name[given.name].groups != given.groups:
            raise SpecError(
                f"the plan's unit {given.name} with {given.groups} groups is not in {spec.model}",
                f"Use the plan with the model it was made for ({repeat.source.model})",
            )
    if not repeat.units:
        raise SpecError("the plan names no units", "Use a plan written by a pruning run")
    named = {given.name for given in repeat.units}
    return tuple(unit for unit in units if unit.name in named)


def calibration_inputs(
    model: LoadedModel, spec: PruneSpec, *, exactly: bool
) -> tuple[list[dict[str, Tensor | bool]], DataInfo]:
    """Return the model's keyword arguments, one mapping per micro-batch, and their origin."""
    if model.task == "text":
        seqlen = spec.seqlen or DEFAULT_SEQLEN
        windows = load_windows(
            spec.calibration,
            model.tokenizer,
            seqlen=seqlen,
            samples=spec.samples or DEFAULT_WINDOWS,
            seed=spec.seed,
            split="calibration",
            exactly=exactly,
            repeats=True,
        )
        size = spec.batch_size or default_batch(seqlen=seqlen)
        return [
            {"input_ids": windows.ids[start : start + size], "use_cache": False}
            for start in range(0, len(windows.ids), size)
        ], windows.info
    preprocess = model.preprocess
    images = load_images(
        spec.calibration,
        preprocess,
        limit=spec.samples or DEFAULT_IMAGES,
        seed=spec.seed,
        classes=model.source.classes,
        class_names=model.source.class_names,
        split="calibration",
        exactly=exactly,
        repeats=True,
    )
    size = spec.batch_size or default_batch(seqlen=None, pixels=preprocess.size)
    dtype = next(model.module.parameters()).dtype
    return [{"x": pixels.to(dtype)} for pixels, _ in images.batches(size)], images.info
