"""How large a model is at any widths, without building it.

The decision hidden here: that size is a polynomial. Every tensor that a unit touches has
a dimension proportional to the groups that the unit keeps, and no tensor is touched by
more than two units, so each quantity is a sum of integers times the widths of at most two
units. The products are read off the dense model once; after that a size is arithmetic on
integers, and exact.
"""

from __future__ import annotations

import math
import operator
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from osscar_core.errors import SpecError, unknown_name
from osscar_core.tensorfile import StoredTensor, file_header
from osscar_core.units import Unit


class Price(StrEnum):
    """What a model's size is counted in."""

    PARAMETERS = "parameters"
    BYTES = "bytes"
    FLOPS = "flops"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Terms:
    """A quantity as ``constant + sum(coefficient * product of widths)``, in integers.

    Example: a bottleneck's middle convolution, 3 x 3, between the units ``a`` and ``b``
    has ``9 * w[a] * w[b]`` weights: ``Terms(0, ((9, ("a", "b")),))``.

    Attributes:
        constant: What depends on no width.
        products: Coefficients with the names of one or two units.
    """

    constant: int
    products: tuple[tuple[int, tuple[str, ...]], ...]

    @classmethod
    def of(cls, pieces: Iterable[tuple[int, tuple[str, ...]]]) -> Terms:
        """Add up coefficients by the units they belong to; those of no unit are constant."""
        sums: dict[tuple[str, ...], int] = defaultdict(int)
        for coefficient, names in pieces:
            sums[tuple(sorted(names))] += coefficient
        constant = sums.pop((), 0)
        return cls(constant, tuple((value, names) for names, value in sums.items() if value))

    def total(self, widths: Mapping[str, int]) -> int:
        """Return the quantity at the widths of all units that occur."""
        return self.constant + sum(
            coefficient * math.prod(widths[name] for name in names)
            for coefficient, names in self.products
        )

    def vary(self, widths: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        """Return the sum of the products of these units, at arrays of widths.

        Args:
            widths: int64 arrays of shapes that broadcast, for every unit of a block.

        Returns:
            int64 of the common shape.
        """
        sums = np.zeros(np.broadcast_shapes(*(one.shape for one in widths.values())), np.int64)
        for coefficient, names in self.products:
            if names[0] in widths:
                product = np.asarray(coefficient, np.int64)
                for name in names:
                    product = product * widths[name]
                sums += product
        return sums


@dataclass(frozen=True, slots=True)
class ScaledTensor:
    """A stored tensor whose dimensions may follow units.

    Attributes:
        name: Its name in the model's state.
        kind: Name of the stored type, such as ``F16``.
        shape: Its dimensions; of those that follow a unit, the entries per group.
        owners: The unit that each dimension follows; ``None`` for those that stay.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    owners: tuple[str | None, ...]

    @property
    def entries(self) -> tuple[int, tuple[str, ...]]:
        """Number of entries, as a product of widths."""
        return math.prod(self.shape), tuple(owner for owner in self.owners if owner is not None)

    def at(self, widths: Mapping[str, int]) -> StoredTensor:
        """Return the tensor as it is stored at the widths of all units."""
        shape = (
            size if owner is None else size * widths[owner]
            for size, owner in zip(self.shape, self.owners, strict=True)
        )
        return StoredTensor(self.name, self.kind, tuple(shape))


@dataclass(frozen=True, slots=True)
class CostModel:
    """The size of one model at any widths: plain values, to be stored and shared.

    ``widths`` maps a unit's name to the number of groups it keeps, everywhere; a unit that
    is absent is complete. For every `Price` the total is ``constant(kind)`` plus the sum of
    ``block_prices`` over all blocks: of parameters, of FLOPs, of the bytes behind the
    file's header (see `header_bytes`), and of the share kept, which is ``1 - removed``.

    Attributes:
        units: All prunable units, in forward order.
        flops_input: What the counted forward pass reads, in words.
        tensors: What the weights file holds, in file order.
        parameter_terms: Number of parameters.
        byte_terms: Bytes of the weights file behind its header.
        flop_terms: Floating-point operations of the pass.
        owned_terms: Parameters owned by the groups kept: consumers' inputs and producers'
            outputs, so that a weight between two units counts for both.
    """

    units: tuple[Unit, ...]
    flops_input: str
    tensors: tuple[ScaledTensor, ...]
    parameter_terms: Terms
    byte_terms: Terms
    flop_terms: Terms
    owned_terms: Terms

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks that have units, in forward order."""
        return tuple(dict.fromkeys(unit.block for unit in self.units))

    def parameters(self, widths: Mapping[str, int], new_biases: Collection[str] = ()) -> int:
        """Return the number of parameters, exactly as `count_parameters` counts them.

        Args:
            widths: Groups kept by unit name.
            new_biases: Names of the units whose consumer gained a bias it did not have.

        Raises:
            SpecError: An unknown unit, a width outside [1, groups], or a new bias where
                there is one already.
        """
        complete = self._complete(widths)
        added = (math.prod(bias.at(complete).shape) for bias in self._biases(new_biases))
        return self.parameter_terms.total(complete) + sum(added)

    def bytes(self, widths: Mapping[str, int], new_biases: Collection[str] = ()) -> int:
        """Return the size of the weights file, exactly as it would be written.

        Header and padding are included, so this takes about a millisecond.

        Args:
            widths: Groups kept by unit name.
            new_biases: Names of the units whose consumer gained a bias it did not have.

        Raises:
            SpecError: As `parameters`.
        """
        header, data = file_header(self._file(widths, new_biases))
        return len(header) + data

    def header_bytes(self, widths: Mapping[str, int], new_biases: Collection[str] = ()) -> int:
        """Return the part of `bytes` before the data: length, names, shapes and padding.

        It grows with the digits of the shapes, so that of the complete model, with the same
        new biases, bounds it for all widths.

        Raises:
            SpecError: As `parameters`.
        """
        return len(file_header(self._file(widths, new_biases))[0])

    def flops(self, widths: Mapping[str, int]) -> int:
        """Return the FLOPs of one forward pass, exactly as `count_flops` counts them.

        Raises:
            SpecError: An unknown unit, or a width outside [1, groups].
        """
        return self.flop_terms.total(self._complete(widths))

    def removed(self, widths: Mapping[str, int]) -> float:
        """Return the share of the groups that is gone, in [0, 1).

        It is the mean over all units of ``1 - width / groups``, each weighted by the
        parameters that its groups own in the complete model.

        Raises:
            SpecError: An unknown unit, or a width outside [1, groups].
        """
        dense = self.owned_terms.total(self._complete({}))
        return (dense - self.owned_terms.total(self._complete(widths))) / dense

    def share_of(self, names: Iterable[str]) -> float:
        """Return the share of all groups that some units own, in [0, 1].

        Of those units alone, ``removed(widths) / share_of(names)`` is gone. Units with a
        single group, which stays, own none.

        Raises:
            SpecError: An unknown unit.
        """
        groups = {unit.name: unit.groups for unit in self.units}
        return sum(
            self.removed({name: 1}) / (1 - 1 / groups[name])
            for name in names
            if groups.get(name, 2) > 1
        )

    def constant(self, kind: Price) -> int:
        """Return what of a total depends on no width; of bytes, without the header."""
        return self._terms(kind).constant

    def block_prices(
        self, block: str, kind: Price, widths: Mapping[str, ArrayLike]
    ) -> NDArray[np.int64] | NDArray[np.float64]:
        """Return what of a total depends on the units of one block, at arrays of widths.

        Args:
            block: The block's module path.
            kind: The quantity. ``bytes`` are those of the data, without the header;
                ``removed`` gives the share kept, which over all blocks is ``1 - removed``.
                New biases are left out.
            widths: Integers by unit name, in arrays whose shapes broadcast.

        Returns:
            int64, or float64 for ``removed``, of the common shape.

        Raises:
            SpecError: An unknown block, a unit that it does not have, or a width that is
                not an integer in [1, groups].
        """
        units = {unit.name: unit for unit in self.units if unit.block == block}
        if not units:
            raise unknown_name("block", block, self.blocks)
        arrays = {name: np.asarray(unit.groups, np.int64) for name, unit in units.items()}
        for name, given in widths.items():
            if name not in units:
                raise unknown_name(f"unit of {block}", name, tuple(units))
            arrays[name] = _checked_array(units[name], given)
        prices = self._terms(kind).vary(arrays)
        if kind is not Price.REMOVED:
            return prices
        return np.asarray(prices / self.owned_terms.total(self._complete({})))

    def _terms(self, kind: Price) -> Terms:
        match kind:
            case Price.PARAMETERS:
                return self.parameter_terms
            case Price.BYTES:
                return self.byte_terms
            case Price.FLOPS:
                return self.flop_terms
            case Price.REMOVED:
                return self.owned_terms

    def _complete(self, widths: Mapping[str, int]) -> dict[str, int]:
        """Return the checked widths of all units."""
        units = {unit.name: unit for unit in self.units}
        complete = {name: unit.groups for name, unit in units.items()}
        for name, given in widths.items():
            if name not in units:
                raise unknown_name("unit", name, tuple(units))
            complete[name] = _checked(units[name], given)
        return complete

    def _file(
        self, widths: Mapping[str, int], new_biases: Collection[str]
    ) -> Iterator[StoredTensor]:
        complete = self._complete(widths)
        return (one.at(complete) for one in (*self.tensors, *self._biases(new_biases)))

    def _biases(self, names: Collection[str]) -> tuple[ScaledTensor, ...]:
        """Return the biases that the consumers of the named units do not have yet."""
        if not names:
            return ()
        units = {unit.name: unit for unit in self.units}
        tensors = {one.name: one for one in self.tensors}
        biases = []
        for name in sorted(set(names)):
            if name not in units:
                raise unknown_name("unit", name, tuple(units))
            consumer = units[name].consumer
            if f"{consumer}.bias" in tensors:
                raise SpecError(
                    f"{consumer} is to gain a bias and has one",
                    "Name only units whose consumer has none",
                )
            weight = tensors[f"{consumer}.weight"]
            biases.append(
                ScaledTensor(f"{consumer}.bias", weight.kind, weight.shape[:1], weight.owners[:1])
            )
        return tuple(biases)


def _checked(unit: Unit, width: Any) -> int:
    try:
        whole = operator.index(width)
    except TypeError:
        raise _bad_width(unit, width) from None
    if isinstance(width, bool) or not 1 <= whole <= unit.groups:
        raise _bad_width(unit, width)
    return whole


def _checked_array(unit: Unit, widths: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(widths)
    if array.dtype.kind not in "iu":
        raise _bad_width(unit, f"an array of {array.dtype}")
    bad = (array < 1) | (array > unit.groups)
    if bad.any():
        raise _bad_width(unit, array[bad][0])
    return array.astype(np.int64)


def _bad_width(unit: Unit, width: object) -> SpecError:
    return SpecError(
        f"the width of {unit.name} is {width}", f"It must be an integer in [1, {unit.groups}]"
    )
