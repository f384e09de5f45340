"""Which groups a search may not choose freely.

The decision hidden here: what "must stay" and "must go" mean together, and when a
demand cannot be met.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from osscar_core.errors import SpecError


@dataclass(frozen=True, slots=True)
class Constraints:
    """Groups whose fate is settled beforehand.

    Attributes:
        protected: Indices of groups that must stay.
        forced: Indices of groups that must go.
    """

    protected: tuple[int, ...] = ()
    forced: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.protected or self.forced)

    def check(self, groups: int, keep: int) -> None:
        """Raise `SpecError` unless some support of ``keep`` groups meets the demands."""
        for name, indices in (("protected", self.protected), ("forced", self.forced)):
            wrong = [j for j in indices if isinstance(j, bool) or not 0 <= j < groups]
            if wrong:
                raise SpecError(
                    f"the {name} group {wrong[0]} does not exist",
                    f"The layer has groups 0 to {groups - 1}",
                )
        both = sorted(set(self.protected) & set(self.forced))
        if both:
            raise SpecError(
                f"group {both[0]} is both protected and forced to go", "Drop one of the demands"
            )
        stay, go = len(set(self.protected)), len(set(self.forced))
        if keep < stay:
            raise SpecError(
                f"{stay} groups are protected but only {keep} are to be kept",
                "Keep more, or protect fewer",
            )
        if keep > groups - go:
            raise SpecError(
                f"{go} of {groups} groups are forced to go but {keep} are to be kept",
                f"Keep at most {groups - go}",
            )

    def check_support(self, support: Tensor) -> None:
        """Raise `SpecError` unless a support holds all protected and no forced groups."""
        kept = set(support.tolist())
        missing, extra = set(self.protected) - kept, set(self.forced) & kept
        if missing or extra:
            which = min(missing or extra)
            state = "is protected but removed" if missing else "is forced to go but kept"
            raise SpecError(
                f"group {which} {state} in the given search result",
                "Search again under these constraints",
            )

    def mask(self, indices: tuple[int, ...], groups: int) -> Tensor:
        """Return ``indices`` as a mask over the groups, (groups,) bool, on the host."""
        mask = torch.zeros(groups, dtype=torch.bool)
        mask[list(indices)] = True
        return mask

    def movable(self, groups: int) -> Tensor:
        """Return the groups that a search may move either way, (groups,) bool, on the host."""
        return ~self.mask(self.protected + self.forced, groups)
