"""How many groups each unit keeps: equal shares, caps, multiples.

The decision hidden here: how shares become whole numbers of groups.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Protocol

from osscar_core.errors import SpecError
from osscar_core.records import PruneSpec, Structure
from osscar_core.units import Unit

_ROUNDING = 1e-9


class Named(Protocol):
    """What a cap may name: a unit, or the plan or the report of one."""

    @property
    def name(self) -> str:
        """The module path of its consumer."""

    @property
    def structure(self) -> Structure:
        """What a group is."""


def caps(spec: PruneSpec, units: Sequence[Named]) -> dict[str, float]:
    """Return the most that may be removed of every unit, as a share in [0, 1].

    Where several patterns name a unit, the smallest share holds. Where all layers are to keep
    the same number, the smallest share of a structure holds for all its units.

    Raises:
        SpecError: A pattern names no unit of the request.
    """
    most = stated_caps(spec, units)
    if not spec.plain_loadable:
        return most
    strictest: dict[Structure, float] = {}
    for unit in units:
        share = most[unit.name]
        strictest[unit.structure] = min(share, strictest.get(unit.structure, share))
    return {unit.name: strictest[unit.structure] for unit in units}


def stated_caps(spec: PruneSpec, units: Sequence[Named]) -> dict[str, float]:
    """Return what a request itself says of the most that may be removed of every unit.

    Raises:
        SpecError: A pattern names no unit of the request.
    """
    most = {unit.name: 1.0 for unit in units}
    for pattern, share in spec.caps:
        named = [unit.name for unit in units if _is_named(unit, pattern)]
        if not named:
            raise SpecError(
                f"nothing that may be removed is called '{pattern}'",
                f"Use a structure, or a pattern of unit names such as {units[0].name}",
            )
        for name in named:
            most[name] = min(most[name], share)
    return most


def least_kept(groups: int, cap: float) -> int:
    """Return how many of a unit's groups must stay under a cap: at least one."""
    return max(1, math.ceil(groups * (1 - cap) - _ROUNDING))


def uniform_widths(
    units: Sequence[Unit],
    sparsity: float,
    most: Mapping[str, float],
    round_to: int = 1,
    *,
    is_plain: bool = False,
) -> dict[str, int]:
    """Return how many groups each unit keeps if all lose the same share, caps apart.

    Args:
        units: The units.
        sparsity: Share of groups removed, in [0, 1).
        most: The cap of every unit.
        round_to: Widths are rounded up to a multiple of this.
        is_plain: Whether they are rounded up to what a configuration can say, too.
    """
    widths = {}
    for unit in units:
        removed = math.floor(sparsity * unit.groups + 0.5)
        keep = max(unit.groups - removed, least_kept(unit.groups, most[unit.name]))
        width = round_width(keep, unit.groups, round_to)
        widths[unit.name] = _said(unit, width, round_to) if is_plain else width
    return widths


def _said(unit: Unit, width: int, multiple: int) -> int:
    """Return the width nearest above that a configuration can say, or all groups."""
    if unit.said is None:
        return width
    fitting = (each for each in unit.said if each >= width and each % multiple == 0)
    return min(fitting, default=unit.groups)


def _is_named(unit: Named, pattern: str) -> bool:
    return pattern == unit.structure or fnmatchcase(unit.name, pattern)


def round_width(keep: int, groups: int, multiple: int) -> int:
    """Return the width nearest above ``keep`` that is a multiple, or all groups.

    Args:
        keep: Groups wanted, at least 1.
        groups: Groups there are.
        multiple: What the width should be a multiple of, at least 1.
    """
    return min(groups, -(-keep // multiple) * multiple)
