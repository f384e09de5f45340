"""What the export of a monitoring kit reports: plain records, no torch.

The decision hidden here: what of a kit is worth telling without opening it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from osscar_core.records import DataInfo
from osscar_core.storage import FileDigest

Language = Literal["en", "ja", "both"]


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """How often unchanged data raised an alarm, on items that set no threshold.

    Attributes:
        size: Items a batch.
        resamples: Batches drawn.
        alarms: Alarms among them.
        low: Lower end of the 95% interval of the rate (Wilson); it counts the draws as
            independent, though they share items.
        high: Upper end.
    """

    size: int
    resamples: int
    alarms: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        """The share of batches that raised an alarm."""
        return self.alarms / self.resamples


@dataclass(frozen=True, slots=True)
class KitReport:
    """What was exported.

    Attributes:
        out: The folder.
        model: Name of the pruned model.
        dense: Name of the dense model; ``None`` if the kit has none.
        data: The reference data.
        baseline_items: Items whose features are kept.
        threshold_items: Items that set the thresholds, the baseline's among them.
        held_out_items: Items that only measured the rate of false alarms.
        sizes: Batch sizes with a threshold of their own.
        thresholds: For each size, the squared distance that raises an alarm.
        alarm_rate: The rate of false alarms that the thresholds are set for.
        false_alarms: What the rate was on the held-out items.
        max_difference: Largest difference between the exported and the loaded model's
            outputs, relative to the largest output.
        dense_difference: The same of the dense model.
        agreement: Share of predictions on which pruned and dense model agree.
        files: All files.
        manifest_sha256: Digest of ``manifest.json``, to keep elsewhere.
        seconds: Time it took.
        notes: What a reader should know.
    """

    out: str
    model: str
    dense: str | None
    data: DataInfo
    baseline_items: int
    threshold_items: int
    held_out_items: int
    sizes: tuple[int, ...]
    thresholds: tuple[float, ...]
    alarm_rate: float
    false_alarms: tuple[FalseAlarms, ...]
    max_difference: float
    dense_difference: float | None
    agreement: float | None
    files: tuple[FileDigest, ...]
    manifest_sha256: str
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Size of the folder."""
        return sum(file.bytes for file in self.files)
