"""The rule: its table, and that worse evidence never gives a better verdict."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from decisions import (
    ab_report,
    measured_runs,
    savings_of,
    shift_report,
    slice_result,
)
from osscar_core.checks.records import Conclusion, Light
from osscar_core.phrases import LANGUAGES, Words
from osscar_core.phrases.sentences import finding_text, rule_header, rule_rows
from osscar_core.records import BeforeAfter, from_json, to_json
from osscar_core.savings import Currency, Range, Source
from osscar_core.verdict import (
    Choice,
    Criterion,
    Evidence,
    Grade,
    Protection,
    QualityEvidence,
    SavingsEvidence,
    ShiftEvidence,
    SpeedEvidence,
    Verdict,
    gather,
    judge,
)

SMALL, SAME = BeforeAfter(100, 60), BeforeAfter(100, 100)


def quality(
    conclusion: Conclusion, lost: tuple[str, ...] = (), source: Source = Source.MEASURED
) -> QualityEvidence:
    return QualityEvidence(conclusion, "top1", 0.0, -0.01, 0.02, 0.01, lost, source)


FASTER = SpeedEvidence(1.2, 1.3, 1.4)
CALM = ShiftEvidence(Light.GREEN, is_extra_loss=False)
GAIN = SavingsEvidence(Range(1.0, 2.0, 3.0))

# From worst to best; the places between are what "worse" means.
SPEEDS = [
    (SpeedEvidence(0.7, 0.8, 0.9), SAME),
    (SpeedEvidence(0.7, 0.8, 0.9), SMALL),
    (SpeedEvidence(0.9, 1.1, 1.2), SMALL),
    (FASTER, SMALL),
]
QUALITIES = [
    quality(Conclusion.LOSS_FOUND),
    quality(Conclusion.NOT_PROVEN),
    quality(Conclusion.CONFIRMED, ("line=A",)),
    quality(Conclusion.CONFIRMED),
]
PROTECTIONS = [Protection.NOT_KEPT, Protection.NOT_PROVEN, Protection.KEPT]
SHIFTS = [
    ShiftEvidence(Light.RED, is_extra_loss=True),
    ShiftEvidence(Light.AMBER, is_extra_loss=True),
    ShiftEvidence(Light.AMBER, is_extra_loss=False),
    CALM,
]
SAVINGS = [
    SavingsEvidence(Range(-3.0, -2.0, -1.0)),
    SavingsEvidence(Range(-3.0, 0.0, 1.0)),
    GAIN,
]
LADDERS = (SPEEDS, QUALITIES, PROTECTIONS, SHIFTS, SAVINGS)
RANK = {Choice.DONT: 0, Choice.PILOT: 1, Choice.GO: 2}


def evidence_at(places: tuple[int, ...]) -> Evidence:
    (speed, size), found, protected, shift, savings = (
        ladder[place] for ladder, place in zip(LADDERS, places, strict=True)
    )
    return Evidence(speed, size, found, protected, shift, savings)


BEST = evidence_at(tuple(len(ladder) - 1 for ladder in LADDERS))


def test_all_five_good_is_go() -> None:
    verdict = judge(BEST)
    assert verdict.choice is Choice.GO
    assert [finding.grade for finding in verdict.findings] == [Grade.GOOD] * 5
    assert verdict.missing == ()


def test_worse_evidence_never_gives_a_better_verdict() -> None:
    places = list(itertools.product(*(range(len(ladder)) for ladder in LADDERS)))
    ranks = {place: RANK[judge(evidence_at(place)).choice] for place in places}
    assert set(ranks.values()) == {0, 1, 2}
    for place in places:
        for criterion, ladder in enumerate(LADDERS):
            if place[criterion] + 1 < len(ladder):
                better = (*place[:criterion], place[criterion] + 1, *place[criterion + 1 :])
                assert ranks[place] <= ranks[better], (place, better)


@pytest.mark.parametrize("missing", ["speed", "quality", "protected", "shift", "savings"])
def test_missing_evidence_is_never_go_and_is_named(missing: str) -> None:
    verdict = judge(_without(BEST, missing))
    assert verdict.choice is Choice.PILOT
    assert verdict.missing == (Criterion(missing),)
    assert verdict.reasons[0].criterion == missing
    assert verdict.reasons[0].key == "missing"


def _without(evidence: Evidence, *names: str) -> Evidence:
    fields = ("speed", "size", "quality", "protected", "shift", "savings")
    return Evidence(**{n: None if n in names else getattr(evidence, n) for n in fields})


def test_no_subset_of_evidence_is_go() -> None:
    names = ("speed", "quality", "protected", "shift", "savings")
    for count in range(1, 6):
        for gone in itertools.combinations(names, count):
            assert judge(_without(BEST, *gone)).choice is Choice.PILOT


def test_no_evidence_at_all_is_a_pilot() -> None:
    verdict = judge(Evidence())
    assert verdict.choice is Choice.PILOT
    assert verdict.missing == tuple(Criterion)


@pytest.mark.parametrize(
    "estimated",
    [
        {"speed": SpeedEvidence(1.2, 1.3, 1.4, Source.ASSUMED)},
        {"quality": quality(Conclusion.CONFIRMED, source=Source.ASSUMED)},
        {"savings": SavingsEvidence(Range(1.0, 2.0, 3.0), Source.ASSUMED)},
    ],
)
def test_estimates_are_never_go(estimated: dict[str, object]) -> None:
    fields = ("speed", "size", "quality", "protected", "shift", "savings")
    values = {name: getattr(BEST, name) for name in fields}
    verdict = judge(Evidence(**{**values, **estimated}))
    assert verdict.choice is Choice.PILOT
    assert verdict.reasons[0].key == "estimated"


@pytest.mark.parametrize(
    ("evidence", "criterion", "grade", "key"),
    [
        (Evidence(FASTER, SAME), Criterion.SPEED, Grade.GOOD, "faster"),
        (Evidence(FASTER), Criterion.SPEED, Grade.GOOD, "faster"),
        (Evidence(SpeedEvidence(1.0, 1.1, 1.2), SMALL), Criterion.SPEED, Grade.OPEN, "same"),
        (Evidence(SpeedEvidence(1.0, 1.1, 1.2), SAME), Criterion.SPEED, Grade.BAD, "neither"),
        (Evidence(SpeedEvidence(0.8, 0.9, 0.99), SMALL), Criterion.SPEED, Grade.OPEN, "slower"),
        (
            Evidence(quality=quality(Conclusion.CONFIRMED)),
            Criterion.QUALITY,
            Grade.GOOD,
            "confirmed",
        ),
        (
            Evidence(quality=quality(Conclusion.CONFIRMED, ("line=A",))),
            Criterion.QUALITY,
            Grade.OPEN,
            "slices",
        ),
        (
            Evidence(quality=quality(Conclusion.NOT_PROVEN)),
            Criterion.QUALITY,
            Grade.OPEN,
            "unproven",
        ),
        (Evidence(quality=quality(Conclusion.LOSS_FOUND)), Criterion.QUALITY, Grade.BAD, "loss"),
        (
            Evidence(protected=Protection.NONE_DEMANDED),
            Criterion.PROTECTED,
            Grade.GOOD,
            "none",
        ),
        (Evidence(protected=Protection.KEPT), Criterion.PROTECTED, Grade.GOOD, "kept"),
        (Evidence(protected=Protection.NOT_PROVEN), Criterion.PROTECTED, Grade.OPEN, "unproven"),
        (Evidence(protected=Protection.NOT_KEPT), Criterion.PROTECTED, Grade.BAD, "broken"),
        (Evidence(shift=CALM), Criterion.SHIFT, Grade.GOOD, "calm"),
        (
            Evidence(shift=ShiftEvidence(Light.GREEN, None)),
            Criterion.SHIFT,
            Grade.OPEN,
            "unlabelled",
        ),
        (Evidence(shift=ShiftEvidence(Light.RED, False)), Criterion.SHIFT, Grade.OPEN, "alarm"),
        (Evidence(shift=ShiftEvidence(Light.GREEN, True)), Criterion.SHIFT, Grade.OPEN, "extra"),
        (Evidence(shift=ShiftEvidence(Light.RED, True)), Criterion.SHIFT, Grade.BAD, "far"),
        (Evidence(savings=GAIN), Criterion.SAVINGS, Grade.GOOD, "positive"),
        (
            Evidence(savings=SavingsEvidence(Range(-1.0, 2.0, 3.0))),
            Criterion.SAVINGS,
            Grade.OPEN,
            "unclear",
        ),
        (
            Evidence(savings=SavingsEvidence(Range(-2.0, -1.0, 0.0), Source.ASSUMED)),
            Criterion.SAVINGS,
            Grade.BAD,
            "negative",
        ),
    ],
)
def test_each_cell_of_the_rule(
    evidence: Evidence, criterion: Criterion, grade: Grade, key: str
) -> None:
    found = next(f for f in judge(evidence).findings if f.criterion is criterion)
    assert (found.grade, found.key) == (grade, key)
    assert (judge(evidence).choice is Choice.DONT) == (grade is Grade.BAD)


def test_three_reasons_the_worst_first_each_with_its_place() -> None:
    evidence = evidence_at((3, 0, 2, 2, 2))
    reasons = judge(evidence).reasons
    assert [reason.criterion for reason in reasons] == [
        Criterion.QUALITY,
        Criterion.SHIFT,
        Criterion.SPEED,
    ]
    assert [(r.pointer.page, r.pointer.anchor) for r in reasons] == [
        ("check", "quality"),
        ("check", "shift"),
        ("explore", "speed"),
    ]


def test_records_become_evidence() -> None:
    run = measured_runs("demo/resnet50")[5]
    assert run.speed is not None
    lost = slice_result("line=A", 0.05, 0.01)
    evidence = gather(
        speed=run.speed,
        size=run.prune.bytes,
        ab=ab_report(slices=(lost,)),
        protected=Protection.KEPT,
        shift=shift_report(Light.RED, extra=0.05),
        savings=savings_of(run),
    )
    assert evidence.speed == SpeedEvidence(
        *run.speed.interval[:1], run.speed.speedup, run.speed.interval[1]
    )
    assert evidence.quality is not None
    assert evidence.quality.conclusion is Conclusion.CONFIRMED
    assert evidence.quality.lost_slices == ("line=A",)
    assert evidence.shift == ShiftEvidence(Light.RED, is_extra_loss=True)
    assert evidence.savings is not None
    assert evidence.savings.source is Source.MEASURED
    assert gather(shift=shift_report(extra=None)).shift == ShiftEvidence(Light.GREEN, None)
    assert gather() == Evidence()


def test_too_few_items_prove_nothing() -> None:
    report = ab_report()
    few = dataclasses.replace(report, overall=dataclasses.replace(report.overall, count=29))
    for ab, conclusion in ((report, Conclusion.CONFIRMED), (few, Conclusion.NOT_PROVEN)):
        found = gather(ab=ab).quality
        assert found is not None
        assert found.conclusion is conclusion


def test_a_verdict_survives_json() -> None:
    verdict = judge(evidence_at((3, 2, 2, 2, 1)))
    assert from_json(Verdict, to_json(verdict)) == verdict


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_rule_is_printed_whole(language: str) -> None:
    rows = rule_rows(Words(language))
    assert len(rows) == 5
    assert all(len(row) == len(rule_header(Words(language))) for row in rows)
    assert all(cell for row in rows for cell in row)


def test_a_reason_holds_its_interval() -> None:
    words, verdict = Words("en"), judge(BEST)
    texts = [finding_text(f, verdict, Currency.DOLLAR, words) for f in verdict.findings]
    assert texts[0] == "Faster by measurement: 1.20 to 1.40× (95% interval)."
    assert texts[1] == "No loss beyond the margin: −1.0 to +2.0 pt."
    assert texts[4] == "A net gain in the full range: $1 to $3."
