"""Whether plain `transformers` can load a pruned model, and if not, why.

The decision hidden here: what the configuration of each family can say. A configuration has
one number for all layers, so only structures with such a number can go, equally many from
every layer, and no layer may gain a bias.
"""

from __future__ import annotations

from dataclasses import dataclass

from osscar_core.records import Plan, Structure


@dataclass(frozen=True, slots=True)
class Wording:
    """What the configuration of a family can say.

    Attributes:
        config: Name of its class in `transformers`.
        structures: Those of which it has the number that every layer keeps.
    """

    config: str
    structures: tuple[Structure, ...]


_WORDINGS = {
    "opt": Wording("OPTConfig", (Structure.NEURONS,)),
    "llama": Wording("the family's configuration", (Structure.HEADS, Structure.NEURONS)),
}


def wording(family: str) -> Wording | None:
    """Return what the configuration of a family can say; ``None`` if it has none."""
    return _WORDINGS.get(family)


def why_not_plain(plan: Plan, *, layers: int | None = None) -> str | None:
    """Return why plain `transformers` cannot load the model of a plan; ``None`` if it can.

    Args:
        plan: The plan.
        layers: How many layers the model has, where that is known: those that a plan does not
            name are complete, which it does not tell by itself.

    Returns:
        The first reason, such as "layers keep between 12 and 40 neurons".
    """
    words = wording(plan.source.family)
    if words is None:
        return f"transformers has no configuration for the family {plan.source.family}"
    for structure in dict.fromkeys(unit.structure for unit in plan.units):
        units = [unit for unit in plan.units if unit.structure is structure]
        kept = {len(unit.kept) for unit in units}
        if layers is not None and len(units) < layers:
            kept |= {unit.groups for unit in units}
        is_cut = any(len(unit.kept) < unit.groups for unit in units)
        if is_cut and structure not in words.structures:
            return f"{structure} were removed, which {words.config} cannot say"
        if len(kept) > 1:
            return f"layers keep between {min(kept)} and {max(kept)} {structure}"
    for unit in plan.units:
        if unit.adds_bias:
            return f"a bias was added to {unit.name}, which {words.config} cannot say"
    return None
