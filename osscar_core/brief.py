"""What a survey found, without its tensors: enough to answer any goal, and small.

The decision hidden here: which numbers answers rest on. Plain values, to be stored beside
the survey, sent, or shipped; reading them needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from osscar_core.budget import LossCurve
from osscar_core.costs import CostModel
from osscar_core.errors import OutputError
from osscar_core.estimates import MeasuredPoint, Prior, QualityModel
from osscar_core.latencies import LatencyTable
from osscar_core.records import DataInfo, PruneSpec, SourceInfo, Task, from_json, to_json
from osscar_core.storage import read_sealed, write_sealed

SURVEY_VERSION = 1

# How the sum of single divergences relates to what whole runs lose before any is measured:
# from the runs of benchmarks/README.md.
PRIORS: dict[Task, Prior] = {
    "text": Prior(intercept=-0.1, intercept_sd=0.4, slope=1.05, slope_sd=0.15, noise_sd=0.08),
    "image": Prior(intercept=-1.5, intercept_sd=0.9, slope=1.1, slope_sd=0.3, noise_sd=0.15),
}


@dataclass(frozen=True, slots=True)
class UnitSurvey:
    """What was measured of one unit.

    Attributes:
        name: The consumer's module path.
        groups: Number of groups.
        count: Calibration rows.
        widths: Probed widths, ascending, the complete one last.
        divergences: Mean divergence of the model's predictions with this unit alone at
            these widths, in nats per prediction; 0 at the end.
        seconds: Time to calibrate and search it.
        file: Where statistics and path lie, relative to the survey.
        sha256: Digest of that file; empty until it is written.
    """

    name: str
    groups: int
    count: int
    widths: tuple[int, ...]
    divergences: tuple[float, ...]
    seconds: float
    file: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class SurveyRecord:
    """A survey but for its tensors.

    Attributes:
        source: Where the dense model came from.
        spec: The request that it was made for, with every default resolved.
        calibration: The data that the statistics rest on.
        costs: How large the model is at any widths.
        units: Per unit, in forward order.
        predictions: Predictions that the divergences are means of.
        probes: Calibration items that they were measured on.
        survey_seconds: Time to calibrate and search.
        probe_seconds: Time to measure the divergences.
        version: Version of this format.
    """

    source: SourceInfo
    spec: PruneSpec
    calibration: DataInfo
    costs: CostModel
    units: tuple[UnitSurvey, ...]
    predictions: int
    probes: int
    survey_seconds: float
    probe_seconds: float
    version: int = SURVEY_VERSION


@dataclass(frozen=True, slots=True)
class Points:
    """What runs of a surveyed model were measured to lose.

    Attributes:
        sequential: Of runs that calibrated again, block after block.
        deployed: Of models made from the survey alone.
    """

    sequential: tuple[MeasuredPoint, ...] = ()
    deployed: tuple[MeasuredPoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Brief:
    """A survey without its tensors.

    Attributes:
        record: What was surveyed, and how.
        scales: Per unit, what its own output loses at every width from 1 to the complete
            one: the shape of its loss between the widths that were probed.
        points: What runs were measured to lose.
        table: Latencies of the model; ``None`` where they were not measured.
    """

    record: SurveyRecord
    scales: dict[str, tuple[float, ...]]
    points: Points = Points()
    table: LatencyTable | None = None

    def curves(self) -> dict[str, LossCurve]:
        """Return the predicted divergence of every unit at every width."""
        return {
            unit.name: LossCurve(
                unit.name, unit.groups, unit.widths, unit.divergences, self.scales[unit.name]
            )
            for unit in self.record.units
        }

    def quality(self, *, is_deployed: bool = False) -> QualityModel:
        """Return what is known of how much quality a predicted divergence costs.

        Args:
            is_deployed: For models made from the survey alone, instead of whole runs.
        """
        points = self.points.deployed if is_deployed else self.points.sequential
        return QualityModel(PRIORS[self.record.source.task], points)


def read_brief(file: Path) -> Brief:
    """Read a stored brief.

    Raises:
        OSError: There is no such file, or it cannot be read.
        DamagedError: It is not what was written.
        SpecError: It is of another release.
    """
    return from_json(Brief, read_sealed(file))


def write_brief(brief: Brief, file: Path) -> None:
    """Store a brief, whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_sealed(file, to_json(brief) + "\n")
    except OSError as error:
        raise OutputError(
            f"cannot write {file} ({error.strerror})", "Check the disk and the rights"
        ) from error
