"""Whether plain `transformers` can load a pruned model, and if not, why.

The decision hidden here: what the configuration of each family can say. A configuration has
one number for all layers, so only structures with such a number can go, equally many from
every layer, and no layer may gain a bias. Which numbers those may be, a unit says itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from osscar_core.errors import SpecError
from osscar_core.records import Plan, PruneSpec, Structure
from osscar_core.units import Unit
from osscar_core.widths import stated_caps


@dataclass(frozen=True, slots=True)
class Wording:
    """What the configuration of a family can say.

    Attributes:
        config: Name of its class in `transformers`.
        structures: Those of which it has the number that every layer keeps.
    """

    config: str
    structures: tuple[Structure, ...]


@dataclass(frozen=True, slots=True)
class _Layer:
    """How many groups a layer had, how many it keeps, and which numbers can be said."""

    groups: int
    kept: int
    said: tuple[int, ...] | None


_WORDINGS = {
    "opt": Wording("OPTConfig", (Structure.NEURONS,)),
    "llama": Wording("the family's configuration", (Structure.HEADS, Structure.NEURONS)),
}


def wording(family: str) -> Wording | None:
    """Return what the configuration of a family can say; ``None`` if it has none."""
    return _WORDINGS.get(family)


def why_not_plain(plan: Plan, units: Sequence[Unit] = ()) -> str | None:
    """Return why plain `transformers` cannot load the model of a plan; ``None`` if it can.

    Args:
        plan: The plan.
        units: All units of its model, dense or pruned, where they are known. They tell which
            layers a plan leaves out, and what the configuration can say of their number.

    Returns:
        The first reason, such as "layers keep between 12 and 40 neurons".
    """
    words = wording(plan.source.family)
    if words is None:
        return _no_configuration(plan.source.family)
    said = {unit.name: unit.said for unit in units}
    layers: dict[Structure, list[_Layer]] = {}
    for one in plan.units:
        layer = _Layer(one.groups, len(one.kept), said.get(one.name))
        layers.setdefault(one.structure, []).append(layer)
    named = {one.name for one in plan.units}
    for unit in units:
        if unit.name not in named:
            layer = _Layer(unit.groups, unit.groups, unit.said)
            layers.setdefault(unit.structure, []).append(layer)
    reason = _why_not_widths(words, layers)
    added = (unit.name for unit in plan.units if unit.adds_bias)
    name = next(added, None)
    if reason is None and name is not None:
        return f"a bias was added to {name}, which {words.config} cannot say"
    return reason


def removable(
    spec: PruneSpec, family: str, available: tuple[Structure, ...]
) -> tuple[Structure, ...]:
    """Return the structures that a request may remove.

    Args:
        spec: The request.
        family: The model's family.
        available: What the family, or a survey of the model, has.

    Raises:
        SpecError: Plain `transformers` is to load the result, and the family has no
            configuration, or none that can say what the request names.
    """
    wanted = spec.structures or available
    if not spec.plain_loadable:
        return wanted
    words = wording(family)
    if words is None:
        raise SpecError(
            f"the result is to load in plain transformers, and {_no_configuration(family)}",
            "Leave --plain-loadable out; export --format onnx makes a file for other programs",
        )
    fitting = tuple(structure for structure in wanted if structure in words.structures)
    if not fitting or (spec.structures is not None and fitting != wanted):
        unsaid = ", ".join(structure for structure in wanted if structure not in words.structures)
        raise SpecError(
            f"the result is to load in plain transformers, and {words.config} cannot say "
            f"that {unsaid} were removed",
            f"Use --structures {','.join(words.structures)}, or leave --plain-loadable out",
        )
    return fitting


def removable_from_survey(
    spec: PruneSpec, family: str, surveyed: tuple[Structure, ...]
) -> tuple[Structure, ...]:
    """Return the structures that a request to a survey may remove.

    Args:
        spec: The request. Where it names all that was surveyed, as the survey's own request
            does, nobody chose that.
        family: The model's family.
        surveyed: What the survey is about.

    Raises:
        SpecError: As `removable`.
    """
    is_chosen = spec.structures != surveyed
    asked = spec if is_chosen else dataclasses.replace(spec, structures=None)
    return removable(asked, family, surveyed)


def refuse_biases(names: Sequence[str]) -> None:
    """Refuse a request for plain `transformers` by which layers would gain biases.

    Raises:
        SpecError: There are such layers.
    """
    if names:
        raise SpecError(
            f"the result is to load in plain transformers, and {len(names)} layers without a "
            f"bias would gain one, {names[0]} first",
            "Use --intercept off, or leave --plain-loadable out",
        )


def check_alike(units: Iterable[Unit]) -> None:
    """Refuse a model whose layers differ before anything is removed.

    Raises:
        SpecError: Units of one structure have different numbers of groups.
    """
    first: dict[Structure, Unit] = {}
    for unit in units:
        other = first.setdefault(unit.structure, unit)
        if unit.groups != other.groups:
            raise SpecError(
                f"the result is to load in plain transformers, and {unit.name} has {unit.groups} "
                f"groups where {other.name} has {other.groups}",
                "Leave --plain-loadable out: these layers have no common width",
            )


def check_widths(
    spec: PruneSpec, family: str, units: Sequence[Unit], widths: Mapping[str, int]
) -> None:
    """Refuse widths that were chosen beforehand, where plain `transformers` is to load them.

    Args:
        spec: The request.
        family: The model's family.
        units: All units of the model.
        widths: Groups kept by unit name; the other units are complete.

    Raises:
        SpecError: It could not.
    """
    words = wording(family)
    if not spec.plain_loadable or words is None:
        return
    layers: dict[Structure, list[_Layer]] = {}
    for unit in units:
        kept = widths.get(unit.name, unit.groups)
        layers.setdefault(unit.structure, []).append(_Layer(unit.groups, kept, unit.said))
    reason = _why_not_widths(words, layers)
    if reason is not None:
        raise SpecError(
            f"the result is to load in plain transformers, and {reason}",
            "Keep equally many in every layer, or leave --plain-loadable out",
        )


def notes(
    asked: PruneSpec, family: str, available: Sequence[Structure], units: Sequence[Unit]
) -> tuple[str, ...]:
    """Return what a request did not say and plain `transformers` asks for, for reports.

    Args:
        asked: The request as it was made.
        family: The model's family.
        available: What the family has.
        units: The units that the request is about.
    """
    words = wording(family)
    if not asked.plain_loadable or words is None:
        return ()
    complete = {unit.structure for unit in units if unit.said == (unit.groups,)}
    if asked.structures is None:
        complete |= set(available) - set(words.structures)
    said = [
        f"all {structure} stay: {words.config} cannot say that some were removed"
        for structure in available
        if structure in complete
    ]
    shares: dict[Structure, set[float]] = {}
    for name, share in stated_caps(asked, units).items():
        (structure,) = (unit.structure for unit in units if unit.name == name)
        shares.setdefault(structure, set()).add(share)
    for structure, stated in shares.items():
        if len(stated) > 1:
            most = f"at most {min(stated):.0%} are removed" if min(stated) else "all stay"
            said.append(
                f"every layer keeps equally many {structure}, so the strictest limit of one "
                f"holds for all: {most}"
            )
    return tuple(said)


def _no_configuration(family: str) -> str:
    return f"transformers has no configuration for the family {family}"


def _why_not_widths(words: Wording, layers: Mapping[Structure, Sequence[_Layer]]) -> str | None:
    for structure, each in layers.items():
        kept = {layer.kept for layer in each}
        is_cut = any(layer.kept < layer.groups for layer in each)
        if is_cut and structure not in words.structures:
            return f"{structure} were removed, which {words.config} cannot say"
        if len(kept) > 1:
            return f"layers keep between {min(kept)} and {max(kept)} {structure}"
        if any(layer.said is not None and layer.kept not in layer.said for layer in each):
            return f"{words.config} cannot say {min(kept)} groups of {structure} in every layer"
    return None
