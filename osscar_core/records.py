"""What crosses a boundary: specifications in, plans and reports out.

The decision hidden here: how a request or a result is checked and how it is written
as JSON. A record is frozen, is validated when it is made, and survives
``from_json(cls, to_json(record))`` unchanged. No tensors, no torch.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
import re
import types
import typing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeVar

from osscar_core.errors import SpecError, unknown_name
from osscar_core.goals import Budget, Goal, GoalKind
from osscar_core.guards import Guard, GuardReport
from osscar_core.resources import Resources

PLAN_VERSION = 1

_MODULE_PATH = re.compile(r"\w[\w.-]{0,299}")
_MOST_WHOLE = 2**63
_HALVES = re.compile("[\ud800-\udfff]")  # what JSON can say and no encoding can hold

LEAST_MEMORY = 256 * 2**20
"""The smallest memory budget that makes sense, in bytes."""

Task = Literal["text", "image"]


class Structure(StrEnum):
    """The kinds of structure that can be removed."""

    HEADS = "heads"
    NEURONS = "neurons"
    CHANNELS = "channels"


class Method(StrEnum):
    """How groups are chosen and whether the weights that stay are re-fitted."""

    OSSCAR = "osscar"
    PAPER = "paper"
    ZIPLM = "ziplm"
    FLAP = "flap"
    WANDA = "wanda"
    MAGNITUDE_REFIT = "magnitude-refit"
    MAGNITUDE = "magnitude"
    RANDOM = "random"


class Target(StrEnum):
    """What the shrunk layer is asked to reproduce.

    With X the consumer's input in the pruned model, X_dense in the dense one, W0 the
    dense weights and h the residual stream that the branch is added to:

    - ``layer``: ``X W0``.
    - ``dense``: ``X_dense W0``.
    - ``residual``: ``X_dense W0 + (h_dense - h)``.
    """

    LAYER = "layer"
    DENSE = "dense"
    RESIDUAL = "residual"


class Intercept(StrEnum):
    """Whether the re-fit may change the consumer's bias.

    ``auto`` does so where the layer has a bias already or is followed by a batch
    norm that can absorb one; ``on`` also adds a bias to a linear layer that has none.
    """

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class Certify(StrEnum):
    """How much is spent on saying how far each unit's support is from the best one.

    ``auto`` bounds the best support where that takes a fraction of the run, ``bound``
    everywhere and more tightly, ``prove`` also searches until the best support is proven
    or ten seconds a unit are over, where the groups are few; ``off`` says nothing.
    """

    AUTO = "auto"
    OFF = "off"
    BOUND = "bound"
    PROVE = "prove"


DTYPES = ("auto", "float32", "float16", "bfloat16")

_Enum = TypeVar("_Enum", bound=StrEnum)
_Record = TypeVar("_Record")


def parse_choice(kind: str, value: str, enum: type[_Enum]) -> _Enum:
    """Return the member of ``enum`` called ``value``.

    Raises:
        SpecError: There is none; the message lists the legal values.
    """
    try:
        return enum(value)
    except ValueError:
        raise unknown_name(kind, str(value), tuple(enum)) from None


def check_range(
    name: str,
    value: float,
    low: float,
    high: float = math.inf,
    *,
    high_open: bool = False,
) -> None:
    """Raise `SpecError` unless ``low <= value <= high`` (or ``< high``) and finite."""
    if isinstance(value, int) and abs(value) >= _MOST_WHOLE:
        raise SpecError(f"{name} has {value.bit_length()} bits", "It must be a number that counts")
    inside = low <= value and (value < high if high_open else value <= high)
    if isinstance(value, bool) or not math.isfinite(value) or not inside:
        if math.isinf(high):
            legal = f"at least {low:g}"
        else:
            legal = f"in [{low:g}, {high:g}{')' if high_open else ']'}"
        raise SpecError(f"{name} is {value}", f"It must be {legal}")


@dataclass(frozen=True, slots=True)
class PruneSpec:
    """One pruning run, complete enough to repeat it.

    ``None`` means "the default of the method, family or data kind"; the plan records
    what that was resolved to.

    Attributes:
        model: Catalogue name, Hugging Face id, directory or ``.gguf`` file.
        calibration: Data specification, such as ``text:PATH`` or ``images:PATH``.
        sparsity: Share of groups removed, in [0, 1): from every unit alike, or with a
            loss-weighted budget on the whole; 0 beside a goal.
        goal: What to reach instead of a given sparsity.
        budget: How removal is spread over the units; ``None`` for loss-weighted with a goal
            and uniform without.
        caps: Most that may be removed of units, by a pattern (``layer4.*``) of unit names or
            a structure's name, as a share in [0, 1]; 0 protects them.
        refine: Rounds in which groups are exchanged between units and the whole run is
            repeated; an exchange is kept only if the divergence from the dense model falls.
        data: Data to measure quality on, for the goal ``quality_loss`` and for guards;
            ``None`` for the model's own.
        guards: Groups of that data that may lose only so much; see `osscar_core.guarded`.
        plain_loadable: Whether the result is to load in plain `transformers`: every layer
            keeps the same number, of structures that the family's configuration has one
            number of, and no layer gains a bias. See `osscar_core.loadable`.
        weights: File with the weights, for families built from code.
        structures: What may be removed; ``None`` for all the family has.
        method: Selection method.
        target: What to reconstruct; ``None`` for the method's own default.
        samples: Calibration windows or images; ``None`` for 64 windows or 512 images, and
            for fewer with the demo models.
        seqlen: Tokens a window; ``None`` for the smaller of 1,024 and the model's limit.
        batch_size: Items a micro-batch; ``None`` to choose.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: Floating-point type of the forward passes.
        seed: 0 takes the first calibration items as stored, any other value a random
            sample of them; it also seeds the ``random`` method.
        damping: Ridge, relative to the mean of the gram's diagonal.
        intercept: Whether the re-fit may change the bias.
        swaps: Upper bound of swap rounds per unit; ``None`` for the method's default.
        certify: How much is spent on bounding the best support of every unit.
        round_to: Kept widths are rounded up to a multiple of this many groups.
        refit_head: Whether a classifier is re-fitted at the end, so that the small model
            gives the dense model's outputs; not with the target ``layer``, and only by
            methods that re-fit.
        image_size: Side in pixels of the network's input, for torchvision models with
            weights of one's own; ``None`` for the family's customary size.
        trust_remote_code: Allow a repository's own modelling code to run.
        gpu_memory: Bytes of each GPU that the run may use; ``None`` for no limit. What
            stays where is chosen from it; see `osscar_core.placement`.
        host_memory: Bytes of host memory that the process may use; ``None`` for no limit.
        gpus: GPUs that share the calibration.
    """

    model: str
    calibration: str
    sparsity: float = 0.0
    weights: str | None = None
    structures: tuple[Structure, ...] | None = None
    method: Method = Method.OSSCAR
    target: Target | None = None
    samples: int | None = None
    seqlen: int | None = None
    batch_size: int | None = None
    device: str = "auto"
    dtype: str = "auto"
    seed: int = 0
    damping: float = 1e-2
    intercept: Intercept = Intercept.AUTO
    swaps: int | None = None
    certify: Certify = Certify.AUTO
    round_to: int = 1
    refit_head: bool = True
    image_size: int | None = None
    trust_remote_code: bool = False
    goal: Goal | None = None
    budget: Budget | None = None
    caps: tuple[tuple[str, float], ...] = ()
    refine: int = 0
    data: str | None = None
    guards: tuple[Guard, ...] = ()
    plain_loadable: bool = False
    gpu_memory: int | None = None
    host_memory: int | None = None
    gpus: int = 1

    def __post_init__(self) -> None:
        """Check every setting that can be checked without the model or the data."""
        if not self.model:
            raise SpecError("no model was given", "Name one; 'models' lists those known")
        if not self.calibration:
            raise SpecError(
                "no calibration data was given",
                "Add --calibration text:PATH, images:PATH, own:PATH, hf:NAME or demo:NAME",
            )
        check_range("sparsity", self.sparsity, 0.0, 1.0, high_open=True)
        check_range("damping", self.damping, 0.0)
        check_range("seed", self.seed, 0, 2**63 - 1)
        check_range("round_to", self.round_to, 1)
        check_range("refine", self.refine, 0, 100)
        for pattern, share in self.caps:
            check_range(f"the cap of {pattern}", share, 0.0, 1.0)
        if self.goal is not None and self.sparsity:
            raise SpecError(
                f"sparsity is {self.sparsity:g} beside the goal {self.goal.describe()}",
                "Give one of the two",
            )
        if self.refine and not self.is_weighted:
            raise SpecError(
                f"refine is {self.refine}, and a uniform budget has nothing to exchange",
                "Use --budget loss-weighted",
            )
        if self.refine and self.plain_loadable:
            raise SpecError(
                f"refine is {self.refine}, and exchanges would leave layers of unequal width, "
                "which plain transformers cannot load",
                "Set refine to 0, or leave --plain-loadable out",
            )
        for name in ("samples", "batch_size", "image_size"):
            value = getattr(self, name)
            if value is not None:
                check_range(name, value, 1)
        check_range("gpus", self.gpus, 1)
        for name in ("gpu_memory", "host_memory"):
            value = getattr(self, name)
            if value is not None and value < LEAST_MEMORY:
                raise SpecError(
                    f"{name} is {value} bytes", "It must be at least 256 MiB, such as 32GiB"
                )
        if self.seqlen is not None:
            check_range("seqlen", self.seqlen, 2)
        if self.swaps is not None:
            check_range("swaps", self.swaps, 0)
        if self.dtype not in DTYPES:
            raise unknown_name("dtype", self.dtype, DTYPES)
        if self.structures is not None and not self.structures:
            raise SpecError(
                "the list of structures is empty",
                f"Choose from: {', '.join(Structure)}",
            )

    @property
    def is_weighted(self) -> bool:
        """Whether removal is spread by measured sensitivity."""
        if self.budget is None:
            return self.goal is not None
        return self.budget is Budget.LOSS_WEIGHTED

    @property
    def needs_survey(self) -> bool:
        """Whether sensitivities decide the widths, by the budget or by a goal of quality."""
        is_quality = self.goal is not None and self.goal.kind is GoalKind.QUALITY_LOSS
        return self.is_weighted or is_quality


@dataclass(frozen=True, slots=True)
class ImagePreprocess:
    """How an image file becomes the network's input, in this order.

    Attributes:
        mean: Per-channel mean subtracted from pixels scaled to [0, 1].
        std: Per-channel divisor after that.
        size: Side in pixels of the square that enters the network.
        resize: Shorter side after a bilinear antialiased resize, followed by a centre
            crop of ``size``; ``None`` when images are resized to ``size`` only if
            theirs differs.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: int
    resize: int | None = None

    def describe(self) -> str:
        """Return the preprocessing in words, for reports."""
        first = f"resize {self.resize}, centre crop" if self.resize else "resize to"
        return f"{first} {self.size}, mean {self.mean}, std {self.std}"


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """Where a model came from.

    Attributes:
        model: The name as asked for.
        family: Adapter family, such as ``opt``.
        task: ``text`` or ``image``.
        weights: Path or hub name of the weights; ``random`` if they were never trained.
        revision: Hub commit, where there is one.
        sha256: Digest of the weights, where they are local files.
        tokenizer: Name of the tokenizer, for text.
        preprocess: Image preprocessing, for images.
        classes: Number of classes, for images.
        class_names: What the class ids mean, where that is known.
        licence: What the source says of its licence, such as ``apache-2.0``.
    """

    model: str
    family: str
    task: Task
    weights: str
    revision: str | None = None
    sha256: str | None = None
    tokenizer: str | None = None
    preprocess: ImagePreprocess | None = None
    classes: int | None = None
    class_names: tuple[str, ...] | None = None
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class DataInfo:
    """What data a number rests on.

    Attributes:
        spec: The data specification as asked for.
        kind: ``text`` or ``image``.
        count: Windows or images used.
        digest: SHA-256 over the token ids or encoded images actually used.
        available: Windows or images there were to choose from; ``None`` for a stream.
        seqlen: Tokens a window, for text.
        tokenizer: Tokenizer name, for text.
        preprocess: Image preprocessing in words, for images.
        notes: How the data was read, such as how documents were joined.
        warnings: What makes it doubtful, such as missing classes.
    """

    spec: str
    kind: Task
    count: int
    digest: str
    available: int | None = None
    seqlen: int | None = None
    tokenizer: str | None = None
    preprocess: str | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """What is kept of one prunable unit.

    Attributes:
        name: The consumer's module path in the dense model.
        structure: What a group is.
        block: Module path of the block that the unit lives in.
        groups: Number of groups in the dense model.
        kept: Ascending indices of the groups that stay.
        adds_bias: Whether the consumer gained a bias parameter that it did not have.
    """

    name: str
    structure: Structure
    block: str
    groups: int
    kept: tuple[int, ...]
    adds_bias: bool = False

    def __post_init__(self) -> None:
        """Check the path, and that ``kept`` is a non-empty ascending subset of the groups."""
        _check_path(self.name)
        kept = self.kept
        ascending = all(a < b for a, b in itertools.pairwise(kept))
        if not kept or not ascending or kept[0] < 0 or kept[-1] >= self.groups:
            raise SpecError(
                f"unit {self.name} keeps {len(kept)} of {self.groups} groups with bad indices",
                "Indices must ascend, be unique and lie in [0, groups), and one must stay",
            )

    @property
    def sparsity(self) -> float:
        """Share of the groups that was removed, in [0, 1)."""
        return 1.0 - len(self.kept) / self.groups


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything needed to rebuild the small model's shape and to repeat the run.

    Attributes:
        source: Where the dense model came from.
        spec: The request, with every default resolved.
        calibration: The data that the statistics rest on.
        units: Kept groups of every unit that was pruned, in forward order.
        dtype: Floating-point type in which the weights are stored.
        environment: Versions and device of the run.
        created: Time of creation, ISO 8601 UTC.
        version: Version of this format.
    """

    source: SourceInfo
    spec: PruneSpec
    calibration: DataInfo
    units: tuple[UnitPlan, ...]
    dtype: str
    environment: dict[str, str] = field(default_factory=dict)
    created: str = ""
    version: int = PLAN_VERSION

    def __post_init__(self) -> None:
        """Refuse a plan written by a newer format."""
        if not 1 <= self.version <= PLAN_VERSION:
            raise SpecError(
                f"the plan has format version {self.version}",
                f"This release reads versions 1 to {PLAN_VERSION}; update it or make a new plan",
            )


@dataclass(frozen=True, slots=True)
class UnitReport:
    """How one unit fared.

    Attributes:
        name: The consumer's module path.
        structure: What a group is.
        block: Module path of the block.
        groups: Groups before.
        kept: Number of groups after.
        relative_error: Mean squared output error over mean squared target, undamped,
            on the calibration data; measured behind the batch norm where one follows.
        magnitude_error: The same for magnitude selection with re-fit on the same
            statistics; the baseline shown beside it.
        swaps: Accepted swaps of the local search.
        seconds: Time of the search and re-fit.
        gap: Share of what the removal costs that another support of this size might save
            at most, in [0, 1]; ``None`` if it was not bounded.
        is_proven: Whether no support of this size is better.
    """

    name: str
    structure: Structure
    block: str
    groups: int
    kept: int
    relative_error: float
    magnitude_error: float
    swaps: int
    seconds: float
    gap: float | None = None
    is_proven: bool = False

    def __post_init__(self) -> None:
        """Check the path."""
        _check_path(self.name)


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """One quantity of the dense and of the pruned model."""

    dense: int
    pruned: int


@dataclass(frozen=True, slots=True)
class GoalReport:
    """What was asked for and what came of it.

    Attributes:
        goal: The goal.
        asked: Its value in the unit of ``achieved``: a share became a number.
        achieved: The measured value, in the unit of the goal's kind.
        is_met: Whether the goal is reached: sizes exactly, times within five percent, and
            quality by the measured value.
        dense: The same quantity of the dense model; ``None`` where that means nothing.
        interval: 95% interval of ``achieved`` for what is timed or sampled.
        estimate: What had been predicted for ``achieved``; ``None`` if nothing was.
        tries: Attempts that were measured, this one included.
        protocol: How ``achieved`` was measured, in words.
    """

    goal: Goal
    asked: float
    achieved: float
    is_met: bool
    dense: float | None = None
    interval: tuple[float, float] | None = None
    estimate: float | None = None
    tries: int = 1
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """How removal was spread over the units, and what that took.

    Attributes:
        budget: The rule.
        predicted: Sum of the units' measured divergences at the chosen widths, in nats per
            prediction.
        bound: No other choice at this price has a smaller predicted sum.
        probes: Calibration items that sensitivities were measured on.
        survey_seconds: Time to calibrate and search every unit of the dense model.
        probe_seconds: Time to measure the sensitivities.
        budget_seconds: Time to choose the widths, timing of candidates included.
        exchanges: Refinements that were kept.
        divergence: Divergence from the dense model on the probes, in nats per prediction,
            before and after refinement; ``None`` without.
    """

    budget: Budget
    predicted: float
    bound: float
    probes: int
    survey_seconds: float
    probe_seconds: float
    budget_seconds: float
    exchanges: int = 0
    divergence: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class PruneReport:
    """The result of a pruning run.

    Attributes:
        out: Directory that holds the small model; ``None`` when it was not written.
        parameters: Number of parameters, shared ones once.
        bytes: Size of the safetensors file, as written (dense: what the same writer
            would write).
        flops: Floating-point operations of one forward pass of ``flops_input``.
        flops_input: What that pass reads, in words.
        units: Per unit, in forward order.
        seconds: Wall time of calibration, search, re-fit and writing.
        peak_memory_bytes: Highest memory used: of the process on a CPU, allocated by
            torch on a GPU.
        plan: The plan, as stored beside the weights.
        warnings: What a careful reader should know.
        head: Path of the classifier that was re-fitted at the end, if one was.
        goal: What was asked and achieved, for a run with a goal.
        budget: How the widths were chosen, unless all units lost the same share.
        guards: What became of protected groups, for a run that has some.
        resources: What it took beside what was foreseen, for a run on a GPU or within a
            memory budget.
    """

    out: str | None
    parameters: BeforeAfter
    bytes: BeforeAfter
    flops: BeforeAfter
    flops_input: str
    units: tuple[UnitReport, ...]
    seconds: float
    peak_memory_bytes: int
    plan: Plan
    warnings: tuple[str, ...] = ()
    head: str | None = None
    goal: GoalReport | None = None
    budget: BudgetReport | None = None
    guards: GuardReport | None = None
    resources: Resources | None = None


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Quality of one model on one set of data.

    Attributes:
        model: The model as asked for.
        metric: ``perplexity`` or ``top1``.
        value: Its value; accuracy as a fraction.
        count: Predicted tokens or images behind it.
        data: The data it rests on.
        protocol: Everything needed to repeat the number, in words.
        seconds: Wall time.
        interval: Approximate 95% interval of ``value``.
        top5: Top-5 accuracy as a fraction, for ten classes and more.
        loss: Mean cross-entropy in nats.
    """

    model: str
    metric: Literal["perplexity", "top1"]
    value: float
    count: int
    data: DataInfo
    protocol: str
    seconds: float
    interval: tuple[float, float]
    loss: float
    top5: float | None = None


@dataclass(frozen=True, slots=True)
class Latency:
    """Repeated timings of one operation, in milliseconds."""

    median: float
    p95: float
    minimum: float
    repeats: int


@dataclass(frozen=True, slots=True)
class MeasureReport:
    """Speed of one model on this machine.

    Attributes:
        model: The model as asked for.
        latency_ms: One forward pass: a batch of images, or the prefill of a prompt.
        decode_ms: One further token with the key-value cache, for text.
        throughput: Items a second: images, or prompt tokens.
        throughput_unit: ``images/s`` or ``tokens/s``.
        conditions: Device, dtype, batch, input size, threads, warm-up and versions.
        seconds: Wall time.
    """

    model: str
    latency_ms: Latency
    throughput: float
    throughput_unit: str
    conditions: dict[str, str]
    seconds: float
    decode_ms: Latency | None = None


@dataclass(frozen=True, slots=True)
class SpeedComparison:
    """Speed of two models, timed in turns in one run so that drift hits both alike.

    Attributes:
        dense: The reference.
        pruned: The model compared with it.
        speedup: Median latency of ``dense`` over that of ``pruned``; above 1, ``pruned``
            is faster.
        interval: 95% bootstrap interval of ``speedup``.
        decode_speedup: The same for one further token, for text.
        decode_interval: 95% bootstrap interval of ``decode_speedup``.
    """

    dense: MeasureReport
    pruned: MeasureReport
    speedup: float
    interval: tuple[float, float]
    decode_speedup: float | None = None
    decode_interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class DensePoint:
    """The model before pruning."""

    evaluation: EvaluationReport


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One finished point of the grid.

    Attributes:
        method: Selection method.
        sparsity: Share of groups removed; 0 beside a goal.
        seed: The seed.
        prune: The pruning report with the plan; its ``out`` is ``None``, since a sweep
            keeps no weights.
        evaluation: Quality of the small model.
        speed: Its speed in turns with the dense model's, unless that was not asked for.
        goal: What was asked for instead of a sparsity.
    """

    method: Method
    sparsity: float
    seed: int
    prune: PruneReport
    evaluation: EvaluationReport
    speed: SpeedComparison | None = None
    goal: Goal | None = None


@dataclass(frozen=True, slots=True)
class UnreachablePoint:
    """A point of the grid that no widths within the limits lead to.

    Attributes:
        method: Selection method.
        sparsity: As in `SweepPoint`.
        seed: The seed.
        goal: What was asked for; ``None`` for a sparsity.
        nearest: The two nearest goals that can be reached, the farther one first.
    """

    method: Method
    sparsity: float
    seed: int
    goal: Goal | None
    nearest: tuple[Goal, ...]


@dataclass(frozen=True, slots=True)
class SweepReport:
    """The dense model and all points, by method, then sparsity, then goal, then seed.

    Attributes:
        dense: The dense model.
        points: The points that were measured.
        unreachable: Those that cannot be.
    """

    dense: DensePoint
    points: tuple[SweepPoint, ...]
    unreachable: tuple[UnreachablePoint, ...] = ()


def _check_path(name: str) -> None:
    if not _MODULE_PATH.fullmatch(name):
        raise SpecError(
            f"a unit is called {name!r:.80}", "Units are called by module paths, such as layer1.0"
        )


def to_dict(record: Any) -> dict[str, Any]:
    """Return a record as plain JSON-ready values (tuples become lists)."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(record)))
    return plain


def to_json(record: Any, *, indent: int | None = None) -> str:
    """Return a record as JSON text."""
    return json.dumps(dataclasses.asdict(record), indent=indent, ensure_ascii=False)


def from_dict(record_type: type[_Record], values: Any) -> _Record:
    """Rebuild a record from plain values, checking names and types on the way.

    Raises:
        SpecError: A field is missing, unknown, or of the wrong type.
    """
    return typing.cast("_Record", _read(record_type, values, record_type.__name__))


def from_json(record_type: type[_Record], text: str | bytes) -> _Record:
    """Rebuild a record from JSON text.

    Raises:
        SpecError: The text is not JSON or does not describe such a record.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SpecError(
            f"the {record_type.__name__} is not valid JSON ({error})",
            "The file is damaged; make it again",
        ) from error
    return from_dict(record_type, values)


def _read(expected: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(expected)
    if origin in (types.UnionType, typing.Union):
        options = typing.get_args(expected)
        if value is None and type(None) in options:
            return None
        (inner,) = (option for option in options if option is not type(None))
        return _read(inner, value, where)
    if dataclasses.is_dataclass(expected) and isinstance(expected, type):
        return _read_record(expected, value, where)
    if origin is tuple:
        arguments = typing.get_args(expected)
        items = _require(value, (list, tuple), where)
        if arguments[-1] is Ellipsis:
            return tuple(_read(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(items))
        if len(items) != len(arguments):
            raise _mismatch(where, f"{len(arguments)} values", value)
        return tuple(_read(a, item, where) for a, item in zip(arguments, items, strict=True))
    if origin is dict:
        _, value_type = typing.get_args(expected)
        items = _require(value, (dict,), where)
        return {str(key): _read(value_type, item, f"{where}.{key}") for key, item in items.items()}
    if origin is Literal:
        if value not in typing.get_args(expected):
            raise _mismatch(where, f"one of {typing.get_args(expected)}", value)
        return value
    if isinstance(expected, type) and issubclass(expected, StrEnum):
        return parse_choice(where, value, expected)
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise _mismatch(where, "a number that a float can hold", value) from None
    if expected is int and isinstance(value, bool):
        raise _mismatch(where, "int", value)
    found = _require(value, (expected,), where)
    if expected is str and _HALVES.search(found):
        raise _mismatch(where, "text, without halves of characters", value)
    return found


@functools.cache
def _hints(record_type: type) -> dict[str, Any]:
    return typing.get_type_hints(record_type)


def _read_record(expected: type, value: Any, where: str) -> Any:
    hints = _hints(expected)
    items = _require(value, (dict,), where)
    fields = {f.name: f for f in dataclasses.fields(expected)}
    unknown = sorted(set(items) - set(fields))
    if unknown:
        raise SpecError(f"{where} has unknown fields {unknown}", f"Known: {', '.join(fields)}")
    missing = [
        name
        for name, f in fields.items()
        if name not in items
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise SpecError(f"{where} lacks {missing}", "The file is incomplete; make it again")
    return expected(
        **{name: _read(hints[name], item, f"{where}.{name}") for name, item in items.items()}
    )


def _require(value: Any, accepted: tuple[type, ...], where: str) -> Any:
    if not isinstance(value, accepted):
        raise _mismatch(where, " or ".join(t.__name__ for t in accepted), value)
    return value


def _mismatch(where: str, wanted: str, value: Any) -> SpecError:
    return SpecError(f"{where} is {value!r:.80}", f"It must be {wanted}")
