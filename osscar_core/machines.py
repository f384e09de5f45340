"""What a pruning run may run on.

The decision hidden here: the figures of a device that decide how long a run takes, and how
much of them a run reaches. Public data sheets, so that a plan needs no such device.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from osscar_core.errors import unknown_name

# Shares of the data sheet's peak that a run reaches. The search's comes from measured
# searches on one H100 (p = 16,384: 0.44 s; p = 28,672: 1.9 s, re-fit included), which is 0.5
# of its float64 peak and a little more. The other two, and the three rates below, are
# assumptions until they are calibrated.
FORWARD_EFFICIENCY = 0.55
STATISTICS_EFFICIENCY = 0.6
SEARCH_EFFICIENCY = 0.5
BUS_EFFICIENCY = 0.6
DISK_BYTES_A_SECOND = 1.0e9
SECONDS_A_PASS = 3e-3
"""Fixed cost of one micro-batch's pass through a block: launches, hooks, Python."""
SECONDS_A_REMOVAL = 1.5e-5
"""Fixed cost of one step of the search on a GPU."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A device, by its data sheet.

    Attributes:
        name: What to write to mean it.
        kind: ``cuda`` or ``cpu``.
        memory: Bytes of its memory, in the data sheet's decimal gigabytes.
        half_flops: Dense half-precision FLOP/s of matrix products; of a CPU, float32.
        single_flops: Float32 FLOP/s, without reduced-precision shortcuts.
        double_flops: Float64 FLOP/s of matrix products.
        bandwidth: Bytes a second of its memory.
        bus_bandwidth: Bytes a second to host memory, one way.
    """

    name: str
    kind: Literal["cuda", "cpu"]
    memory: int
    half_flops: float
    single_flops: float
    double_flops: float
    bandwidth: float
    bus_bandwidth: float


_GB = 10**9

MACHINES = (
    Machine("H100 SXM 80GB", "cuda", 80 * _GB, 989e12, 67e12, 67e12, 3.35e12, 64e9),
    Machine("H200 141GB", "cuda", 141 * _GB, 989e12, 67e12, 67e12, 4.8e12, 64e9),
    Machine("A100 80GB", "cuda", 80 * _GB, 312e12, 19.5e12, 19.5e12, 2.039e12, 32e9),
    Machine("L40S 48GB", "cuda", 48 * _GB, 362e12, 91.6e12, 1.43e12, 0.864e12, 32e9),
    Machine("RTX 4090 24GB", "cuda", 24 * _GB, 165.2e12, 82.6e12, 1.29e12, 1.008e12, 32e9),
    Machine("V100 32GB", "cuda", 32 * _GB, 125e12, 15.7e12, 7.8e12, 0.9e12, 16e9),
    # Two cores at 3 GHz with two AVX2 multiply-adds a cycle; no data sheet of one product.
    Machine("CPU two cores", "cpu", 16 * _GB, 0.192e12, 0.192e12, 0.096e12, 20e9, 20e9),
)
DEFAULT_GPU = MACHINES[0]
DEFAULT_CPU = MACHINES[-1]


def find_machine(name: str) -> Machine:
    """Return the machine that a name means: its own, or a part of it such as ``h200``.

    The name that a driver gives to a GPU is understood where it says one of these models,
    such as ``NVIDIA H100 80GB HBM3``.

    Raises:
        SpecError: None is meant, or several could be.
    """
    found = match_machine(name)
    if found is None:
        raise unknown_name("GPU", name, tuple(machine.name for machine in MACHINES))
    return found


def match_machine(name: str) -> Machine | None:
    """Return the machine that a name means; ``None`` where that is not clear."""
    words = set(_words(name))
    exact = [one for one in MACHINES if words and words <= set(_words(one.name))]
    if len(exact) == 1:
        return exact[0]
    said = [one for one in MACHINES if _model(one) & words]
    return said[0] if len(said) == 1 else None


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", name.lower())


def _model(machine: Machine) -> set[str]:
    """Return the word of a GPU's name that no other has."""
    return {word for word in _words(machine.name) if re.fullmatch(r"[ahlv]\d+s?|4090", word)}
