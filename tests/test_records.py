"""Records: legal values only, and JSON that comes back unchanged."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osscar_core.errors import SpecError
from osscar_core.goals import Budget, Goal, GoalKind
from osscar_core.records import (
    PLAN_VERSION,
    BeforeAfter,
    BudgetReport,
    DataInfo,
    DensePoint,
    EvaluationReport,
    GoalReport,
    ImagePreprocess,
    Intercept,
    Latency,
    MeasureReport,
    Method,
    Plan,
    PruneReport,
    PruneSpec,
    SourceInfo,
    SpeedComparison,
    Structure,
    SweepPoint,
    SweepReport,
    Target,
    UnitPlan,
    UnitReport,
    UnreachablePoint,
    check_range,
    from_dict,
    from_json,
    parse_choice,
    to_dict,
    to_json,
)

SPEC = PruneSpec(
    "facebook/opt-125m",
    "text:données.txt",
    0.5,
    structures=(Structure.HEADS, Structure.NEURONS),
    target=Target.DENSE,
    samples=8,
    intercept=Intercept.OFF,
)
PREPROCESS = ImagePreprocess((0.5, 0.4, 0.3), (0.2, 0.2, 0.1), 32)
SOURCE = SourceInfo("cifar/resnet20", "cifar-resnet", "image", "w.safetensors", classes=10)
DATA = DataInfo("text:a.txt", "text", 4, "ab" * 32, available=9, seqlen=16, notes=("short",))
UNIT = UnitPlan("blocks.0.fc2", Structure.NEURONS, "blocks.0", 4, (0, 3), adds_bias=True)
PLAN = Plan(
    dataclasses.replace(SOURCE, preprocess=PREPROCESS),
    SPEC,
    DATA,
    (UNIT,),
    "float32",
    environment={"torch": "2"},
    created="2026-01-01T00:00:00+00:00",
)
UNIT_REPORT = UnitReport("fc2", Structure.NEURONS, "b", 4, 2, 0.25, 0.5, 1, 0.01)
BOTH = BeforeAfter(10, 5)
PRUNED = PruneReport(None, BOTH, BOTH, BOTH, "one image", (UNIT_REPORT,), 1.5, 2**33, PLAN, ("w",))
REACHED = GoalReport(
    Goal(GoalKind.SPEEDUP, 2.0), 2.0, 1.97, True, 1.0, (1.9, 2.1), 2.03, 3, "timed"
)
BUDGET = BudgetReport(Budget.LOSS_WEIGHTED, 0.2, 0.19, 64, 3.0, 1.0, 0.1, 2, (0.3, 0.25))
PRUNED_FOR_GOAL = dataclasses.replace(
    PRUNED,
    goal=REACHED,
    budget=BUDGET,
    plan=dataclasses.replace(
        PLAN,
        spec=dataclasses.replace(
            SPEC, sparsity=0.0, goal=REACHED.goal, caps=(("heads", 0.0), ("*.1.*", 0.5)), refine=2
        ),
    ),
)
EVALUATED = EvaluationReport("m", "top1", 0.5, 10, DATA, "first 10", 0.1, (0.2, 0.8), 0.7, top5=0.9)
LATENCY = Latency(1.0, 2.0, 0.5, 20)
MEASURED = MeasureReport("m", LATENCY, 99.5, "images/s", {"device": "cpu"}, 3.0, decode_ms=LATENCY)
COMPARED = SpeedComparison(MEASURED, MEASURED, 1.5, (1.0, 2.0), 1.0, (0.5, 1.5))
DENSE = DensePoint(EVALUATED)
POINT = SweepPoint(Method.PAPER, 0.3, 1, PRUNED, EVALUATED, COMPARED)
GOAL = Goal(GoalKind.SPEEDUP, 2.0)
REACHED = GoalReport(GOAL, 2.0, 1.9, False, 1.0, (1.8, 2.0), 2.1, 3, "in turns")
SPREAD = BudgetReport(Budget.LOSS_WEIGHTED, 0.2, 0.1, 8, 3.0, 1.0, 0.1, 2, (0.3, 0.2))
AIMED = dataclasses.replace(
    POINT, sparsity=0.0, goal=GOAL, prune=dataclasses.replace(PRUNED, goal=REACHED, budget=SPREAD)
)
MISSED = UnreachablePoint(Method.OSSCAR, 0.0, 1, GOAL, (Goal(GoalKind.SPEEDUP, 1.5), GOAL))
SWEPT = SweepReport(DENSE, (POINT, dataclasses.replace(POINT, speed=None), AIMED), (MISSED,))

EVERY_RECORD = [
    SPEC, PREPROCESS, SOURCE, DATA, UNIT, PLAN, UNIT_REPORT, BOTH, PRUNED, EVALUATED, LATENCY,
    MEASURED, COMPARED, DENSE, POINT, PRUNED_FOR_GOAL, REACHED, SPREAD, AIMED, MISSED, SWEPT,
]  # fmt: skip


def _name(record: Any) -> str:
    return type(record).__name__


def test_every_record_type_is_covered() -> None:
    from osscar_core import records

    types = {t for t in vars(records).values() if isinstance(t, type)}
    defined = {t for t in types if dataclasses.is_dataclass(t) and t.__module__ == records.__name__}
    assert defined == {type(record) for record in EVERY_RECORD}


@pytest.mark.parametrize("record", EVERY_RECORD, ids=_name)
def test_round_trip_is_exact(record: Any) -> None:
    assert from_json(type(record), to_json(record)) == record
    assert from_json(type(record), to_json(record, indent=2).encode()) == record
    assert from_dict(type(record), to_dict(record)) == record


@pytest.mark.parametrize("record", EVERY_RECORD, ids=_name)
def test_records_are_frozen(record: Any) -> None:
    field = dataclasses.fields(record)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, field, None)
    assert not hasattr(record, "__dict__")


@pytest.mark.parametrize("record", EVERY_RECORD, ids=_name)
def test_unknown_field_is_refused(record: Any) -> None:
    with pytest.raises(SpecError, match=r"unknown fields \['surprise'\]"):
        from_dict(type(record), {**to_dict(record), "surprise": 1})


@pytest.mark.parametrize("record", EVERY_RECORD, ids=_name)
def test_missing_field_is_refused(record: Any) -> None:
    first = dataclasses.fields(record)[0].name
    values = to_dict(record)
    del values[first]
    with pytest.raises(SpecError, match=f"lacks .*'{first}'"):
        from_dict(type(record), values)


@pytest.mark.parametrize("record", EVERY_RECORD, ids=_name)
@pytest.mark.parametrize("junk", [None, 3, "text", [1, 2]])
def test_not_an_object_is_refused(record: Any, junk: object) -> None:
    with pytest.raises(SpecError, match=_name(record)):
        from_dict(type(record), junk)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sparsity", "0.5"),
        ("sparsity", None),
        ("sparsity", True),
        ("sparsity", 10**400),
        ("samples", 1.5),
        ("samples", True),
        ("seed", "0"),
        ("model", 7),
        ("structures", "heads"),
        ("structures", ["wings"]),
        ("method", "osscr"),
        ("target", "sparse"),
        ("trust_remote_code", "yes"),
        ("trust_remote_code", 1),
    ],
)
def test_wrong_type_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(SpecError, match=field):
        from_dict(PruneSpec, {**to_dict(SPEC), field: value})


def test_whole_numbers_are_read_as_floats() -> None:
    spec = from_dict(PruneSpec, {**to_dict(SPEC), "damping": 1})
    assert spec.damping == 1.0
    assert isinstance(spec.damping, float)


def test_fixed_length_tuples_keep_their_length() -> None:
    with pytest.raises(SpecError, match=r"mean.*3 values"):
        from_dict(ImagePreprocess, {**to_dict(PREPROCESS), "mean": [0.1, 0.2]})


def test_literals_are_checked() -> None:
    with pytest.raises(SpecError, match=r"task.*'sound'"):
        from_dict(SourceInfo, {**to_dict(SOURCE), "task": "sound"})


@pytest.mark.parametrize("text", ["", "{", "nope", b"\xff\xfe\x00", '{"a": 1', "[" * 10**5])
def test_text_that_is_not_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(SpecError, match="not valid JSON"):
        from_json(Plan, text)


@pytest.mark.parametrize(
    ("settings_", "words"),
    [
        ({"sparsity": 1.0}, r"sparsity is 1\.0\. It must be in \[0, 1\)"),
        ({"sparsity": -1}, "sparsity is -1"),
        ({"sparsity": math.nan}, "sparsity is nan"),
        ({"sparsity": math.inf}, "sparsity is inf"),
        ({"damping": -0.1}, r"damping is -0\.1\. It must be at least 0"),
        ({"damping": math.nan}, "damping is nan"),
        ({"damping": math.inf}, "damping is inf"),
        ({"samples": 0}, "samples is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"image_size": 0}, "image_size is 0"),
        ({"seqlen": 1}, "seqlen is 1. It must be at least 2"),
        ({"swaps": -1}, "swaps is -1"),
        ({"round_to": 0}, "round_to is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**63}, "seed has 64 bits"),
        ({"dtype": "float23"}, "unknown dtype 'float23'. Did you mean 'float32'"),
        ({"structures": ()}, "list of structures is empty"),
        ({"model": ""}, "no model"),
        ({"calibration": ""}, "no calibration data"),
    ],
)
def test_spec_refuses_illegal_settings(settings_: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        dataclasses.replace(SPEC, **settings_)


@pytest.mark.parametrize("sparsity", [0.0, 0, 0.999999])
def test_spec_accepts_the_legal_ends(sparsity: float) -> None:
    assert dataclasses.replace(SPEC, sparsity=sparsity).sparsity == sparsity


@pytest.mark.parametrize("kept", [(), (1, 1), (2, 1), (-1, 2), (0, 4), (4,)])
def test_unit_refuses_bad_indices(kept: tuple[int, ...]) -> None:
    with pytest.raises(SpecError, match=r"blocks\.0\.fc2 keeps"):
        dataclasses.replace(UNIT, kept=kept)


def test_unit_sparsity_is_the_share_removed() -> None:
    assert UNIT.sparsity == 0.5
    assert dataclasses.replace(UNIT, kept=(0, 1, 2, 3)).sparsity == 0.0


@pytest.mark.parametrize("version", [0, PLAN_VERSION + 1])
def test_other_plan_versions_are_refused(version: int) -> None:
    values = {**to_dict(PLAN), "version": version}
    with pytest.raises(SpecError, match=f"format version {version}.*reads versions 1 to"):
        from_json(Plan, json.dumps(values))


@pytest.mark.parametrize(
    ("value", "low", "high", "high_open", "legal"),
    [
        (0.0, 0.0, 1.0, True, True),
        (1.0, 0.0, 1.0, True, False),
        (1.0, 0.0, 1.0, False, True),
        (5.0, 0.0, math.inf, False, True),
        (math.inf, 0.0, math.inf, False, False),
        (math.nan, 0.0, math.inf, False, False),
        (True, 0.0, 1.0, False, False),
    ],
)
def test_check_range(value: float, low: float, high: float, high_open: bool, legal: bool) -> None:
    if legal:
        check_range("x", value, low, high, high_open=high_open)
    else:
        with pytest.raises(SpecError, match="x is"):
            check_range("x", value, low, high, high_open=high_open)


def test_parse_choice() -> None:
    assert parse_choice("method", "magnitude-refit", Method) is Method.MAGNITUDE_REFIT
    with pytest.raises(SpecError, match="Did you mean 'heads'"):
        parse_choice("structure", "head", Structure)


def test_preprocess_in_words() -> None:
    assert PREPROCESS.describe().startswith("resize to 32")
    cropped = dataclasses.replace(PREPROCESS, size=224, resize=256)
    assert cropped.describe().startswith("resize 256, centre crop 224")


_counts = st.none() | st.integers(1, 10**9)
_specs = st.builds(
    PruneSpec,
    model=st.text(min_size=1),
    calibration=st.text(min_size=1),
    sparsity=st.floats(0, 1, exclude_max=True),
    weights=st.none() | st.text(),
    structures=st.none() | st.lists(st.sampled_from(Structure), min_size=1).map(tuple),
    method=st.sampled_from(Method),
    target=st.none() | st.sampled_from(Target),
    samples=_counts,
    seqlen=st.none() | st.integers(2, 10**9),
    batch_size=_counts,
    device=st.text(),
    dtype=st.sampled_from(("auto", "float32", "float16", "bfloat16")),
    seed=st.integers(0, 2**63 - 1),
    damping=st.floats(0, 1e300, allow_nan=False),
    intercept=st.sampled_from(Intercept),
    swaps=st.none() | st.integers(0, 10**9),
    round_to=st.integers(1, 10**9),
    image_size=_counts,
    trust_remote_code=st.booleans(),
)


@given(_specs)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_legal_spec_survives_json(spec: PruneSpec) -> None:
    assert from_json(PruneSpec, to_json(spec)) == spec
    assert json.loads(to_json(spec)) == to_dict(spec)


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.sampled_from(sorted(to_dict(PLAN))), _json_values)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_damage_to_a_plan_is_refused_in_words(field: str, value: object) -> None:
    values = {**to_dict(PLAN), field: value}
    try:
        plan = from_dict(Plan, values)
    except SpecError:
        return
    assert from_json(Plan, to_json(plan)) == plan
