"""Tiny models with a request and a survey of each, and latencies that nobody measured."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import families
from osscar_core.latencies import BlockTable, BlockUnit, LatencyTable
from osscar_core.models import LoadedModel
from osscar_core.records import PruneSpec
from osscar_core.survey import Survey, make_survey

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Surveyed:
    """A tiny dense model; shared by tests, which must not change it."""

    family: families.Family
    model: LoadedModel
    spec: PruneSpec
    survey: Survey

    @classmethod
    def of(cls, name: str, folder: Path) -> Surveyed:
        family = families.FAMILIES[name]()
        model = family.loaded(folder)
        spec = PruneSpec(
            model=model.source.model,
            weights=model.source.weights if family.catalogue_name else None,
            calibration=family.calibration_spec(folder),
            samples=family.samples,
            seqlen=family.seqlen,
            device="cpu",
        )
        return cls(family, model, spec, make_survey(model, spec))

    def copy(self) -> LoadedModel:
        """A dense model that may be changed."""
        return dataclasses.replace(self.model, module=copy.deepcopy(self.model.module))

    def request(self, **changes: Any) -> PruneSpec:
        return dataclasses.replace(self.spec, **changes)

    def fresh_survey(self) -> Survey:
        """The survey with no points, so that tests do not see each other's."""
        return Survey(self.survey.record, self.survey._kept)


@torch.no_grad()
def logits(model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    output = model(**inputs)
    return output if isinstance(output, Tensor) else output.logits


def widths_of(model: LoadedModel) -> dict[str, int]:
    return {unit.name: unit.groups for unit in model.adapter.units(model.module)}


def latencies(model: LoadedModel) -> LatencyTable:
    """A table in which every block takes 0.2 ms and each of its units up to 1 ms."""
    units = model.adapter.units(model.module)
    blocks = model.adapter.blocks(model.module)
    tables = {}
    for block in blocks:
        own = tuple(
            BlockUnit(
                unit.name[len(block) + 1 :],
                unit.structure,
                unit.groups,
                tuple(sorted({1, unit.groups})),
            )
            for unit in units
            if unit.block == block
        )
        points = itertools.product(*(unit.widths for unit in own))
        ms = tuple(
            0.2 + sum(width / unit.groups for width, unit in zip(point, own, strict=True))
            for point in points
        )
        tables[block] = BlockTable(block, own, ms)
    return LatencyTable(
        conditions={"device": "imagined"},
        dense_ms=1.0 + sum(table.complete_ms for table in tables.values()),
        blocks={block: block for block in blocks},
        tables=tables,
        scale=1.0,
        residual=0.0,
        noise=0.0,
        seconds=0.0,
    )
