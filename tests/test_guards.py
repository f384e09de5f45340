"""Protected groups: how they are written, how the search goes, what is said of the end."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osscar_core.checks.records import ABReport, SliceResult
from osscar_core.datasets.groups import groups
from osscar_core.errors import DataError, SpecError
from osscar_core.goals import Goal, GoalKind
from osscar_core.guarded import (
    MOST_TRIES,
    check_guards,
    guarded_calibration,
    lessened_goal,
    next_share,
    prune_guarded,
)
from osscar_core.guards import Guard, GuardReport, GuardResult, GuardTry
from osscar_core.records import (
    BeforeAfter,
    DataInfo,
    PruneReport,
    PruneSpec,
    from_json,
    to_json,
)
from osscar_core.sample import sample_runs

GOLD = Guard("tier", "gold", 0.01)
SPEC = PruneSpec("demo/resnet50", "demo:factory", sparsity=0.8, guards=(GOLD,))


class TestGuard:
    def test_it_is_written_and_read(self) -> None:
        assert Guard.parse("tier=gold:0.005") == Guard("tier", "gold", 0.005)
        assert str(Guard.parse(" line = A :0")) == "line=A:0"
        assert Guard.parse("when=8:15:0.1").value == "8:15"

    @pytest.mark.parametrize(
        "text", ["", "tier", "tier=gold", "tier:0.1", "tier=gold:much", "=gold:0.1", "tier=:0.1",
                 "tier=gold:-0.1", "tier=gold:1", "a,b=c:0.1", "tier=gold:nan"],
    )  # fmt: skip
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(SpecError):
            Guard.parse(text)

    def test_a_request_with_guards_survives_json(self) -> None:
        assert from_json(PruneSpec, to_json(SPEC)) == SPEC


class TestDemands:
    def test_the_demo_data_knows_its_groups(self) -> None:
        known = groups("demo:factory")
        assert set(known["tier"]) == {"gold", "silver", "standard"}
        assert known["class"]["crack"] == 250
        assert sum(known["line"].values()) == 2000

    def test_what_the_data_has_is_accepted(self) -> None:
        check_guards([GOLD, Guard("line", "B", 0.0)], "demo:factory")

    @pytest.mark.parametrize(
        ("guards", "words"),
        [
            ([Guard("shift", "night", 0.1)], "no attribute 'shift'"),
            ([Guard("tier", "bronze", 0.1)], "gold, silver, standard"),
            ([GOLD, Guard("tier", "gold", 0.5)], "protected twice"),
        ],
    )
    def test_a_contradiction_is_told_before_anything_runs(self, guards, words: str) -> None:
        with pytest.raises(SpecError) as raised:
            check_guards(guards, "demo:factory")
        assert words in str(raised.value)

    def test_a_group_of_too_few_is_told(self, tmp_path: Path) -> None:
        rows = [{"text": f"line {i}", "site": "far" if i < 5 else "near"} for i in range(60)]
        path = tmp_path / "notes.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows))
        with pytest.raises(DataError, match="5 items"):
            check_guards([Guard("site", "far", 0.1)], f"text:{path}")

    def test_calibration_weighs_the_groups_as_much_as_all(self) -> None:
        assert guarded_calibration("demo:factory", [GOLD]) == (
            "mix:1*demo:factory+1*demo:factory[tier=gold]"
        )
        two = guarded_calibration("demo:factory", [GOLD, Guard("line", "B", 0)])
        assert two == "mix:2*demo:factory+1*demo:factory[tier=gold]+1*demo:factory[line=B]"
        assert guarded_calibration("demo:python-docs", [GOLD]) == "demo:python-docs"


class TestLesser:
    @given(share=st.floats(0.01, 1.0))
    def test_less_is_asked_and_all_of_it_is_the_goal(self, share: float) -> None:
        removed = lessened_goal(Goal(GoalKind.REMOVED, 0.8), share)
        assert removed.value == pytest.approx(0.8 * share)
        assert lessened_goal(Goal(GoalKind.SPEEDUP, 3.0), share).value == pytest.approx(
            1 + 2 * share
        )
        assert lessened_goal(Goal(GoalKind.FLOPS, 0.4), share).value == pytest.approx(
            1 - 0.6 * share
        )
        absolute = lessened_goal(Goal(GoalKind.BYTES, 40e6), share, dense=100e6)
        assert absolute.value == pytest.approx(100e6 - 60e6 * share)

    def test_a_number_needs_the_dense_models(self) -> None:
        with pytest.raises(SpecError, match="cannot be lessened"):
            lessened_goal(Goal(GoalKind.LATENCY, 0.01), 0.5)


def attempt(share: float, loss: float, guard: Guard = GOLD) -> GuardTry:
    result = GuardResult(guard, 500, 0.9, 0.9 - loss, loss, loss - 0.01, loss + 0.01)
    return GuardTry(share, round(1e6 * (1 - share)), round(4e6 * (1 - share)), (result,))


class TestSearch:
    def test_what_keeps_at_once_is_not_tried_again(self) -> None:
        assert next_share([attempt(1.0, 0.009)]) is None

    @given(
        limit=st.floats(0.0, 1.0),
        allowed=st.floats(0.0, 0.05),
        power=st.floats(0.5, 6.0),
    )
    def test_it_ends_with_the_largest_share_that_was_seen_to_keep(
        self, limit: float, allowed: float, power: float
    ) -> None:
        """The true loss crosses what is allowed at ``limit``."""
        guard = Guard("tier", "gold", allowed)
        tries: list[GuardTry] = []
        share: float | None = 1.0
        while share is not None:
            assert 0 < share <= 1
            assert all(abs(share - each.share) > 1e-6 for each in tries)
            beyond = 0.2 * max(0.0, share - limit) ** power
            tries.append(attempt(share, allowed * min(1.0, share) + beyond, guard))
            share = next_share(tries)
        assert len(tries) <= MOST_TRIES
        kept = [each.share for each in tries if each.is_kept]
        broken = [each.share for each in tries if not each.is_kept]
        assert not kept or not broken or max(kept) < min(broken)

    def test_nothing_is_promised_where_nothing_may_be_lost(self) -> None:
        guard = Guard("tier", "gold", 0.0)
        shares = [1.0]
        tries = [attempt(1.0, 0.1, guard)]
        while (share := next_share(tries)) is not None:
            shares.append(share)
            tries.append(attempt(share, 0.1 * share, guard))
        assert shares == sorted(shares, reverse=True)
        assert 1 < len(tries) <= MOST_TRIES
        assert shares[-1] < 0.05


class Workshop:
    """Makes models that lose as they are told to, and notes what it was asked."""

    def __init__(self, report: PruneReport, loss) -> None:
        self.report = report
        self.loss = loss
        self.asked: list[PruneSpec] = []

    def make(self, spec: PruneSpec, share: float, folder: Path) -> PruneReport:
        folder.mkdir()
        (folder / "share").write_text(str(share))
        self.asked.append(spec)
        left = round(1e6 * (1 - 0.8 * share))
        return dataclasses.replace(
            self.report, parameters=BeforeAfter(10**6, left), bytes=BeforeAfter(4 * 10**6, 4 * left)
        )

    def judge(self, folder: Path, data: str, columns: Sequence[str]) -> ABReport:
        loss = self.loss(float((folder / "share").read_text()))
        slices = tuple(
            SliceResult(
                column, value, 500, 0.95, 0.95 - loss, loss, loss - 0.01, loss + 0.01, 0.5, None
            )
            for column in columns
            for value in ("gold", "A", "B")
        )
        info = DataInfo(data, "image", 2000, "0" * 64)
        return ABReport(
            "dense", "pruned", "top1", 0.01, 0.95, info, slices[0], slices, "", 0, 0, (), (), "how",
            0, 1.0,
        )  # fmt: skip


@pytest.fixture
def report() -> PruneReport:
    return sample_runs()[0].report.points[0].prune


class TestPruning:
    def test_the_request_as_it_stands_is_taken_if_it_keeps(self, tmp_path, report) -> None:
        shop = Workshop(report, lambda share: 0.005 * share)
        found, guards = prune_guarded(SPEC, tmp_path / "small", shop.make, shop.judge)
        assert guards.is_kept
        assert guards.final.share == 1.0
        assert (tmp_path / "small" / "share").read_text() == "1.0"
        assert shop.asked[0].guards == ()
        assert shop.asked[0].calibration == guards.calibration
        assert "[tier=gold]" in guards.calibration
        assert found.guards == guards
        assert list(tmp_path.iterdir()) == [tmp_path / "small"]

    def test_less_is_removed_until_the_group_keeps(self, tmp_path, report) -> None:
        shop = Workshop(report, lambda share: 0.04 * share**2)
        found, guards = prune_guarded(SPEC, tmp_path / "small", shop.make, shop.judge)
        assert guards.is_kept
        assert 0.3 < guards.final.share <= 0.5  # it is kept up to a half
        assert guards.final.results[0].loss <= GOLD.allowed
        assert math.isclose(shop.asked[guards.chosen].sparsity, 0.8 * guards.final.share)
        assert found.parameters.pruned == guards.final.parameters > guards.tries[0].parameters
        assert found.warnings == report.warnings
        assert from_json(GuardReport, to_json(guards)) == guards

    def test_what_cannot_be_kept_is_said(self, tmp_path, report) -> None:
        shop = Workshop(report, lambda share: 0.02 + 0.01 * share)
        found, guards = prune_guarded(SPEC, tmp_path / "small", shop.make, shop.judge)
        assert not guards.is_kept
        assert len(guards.tries) == MOST_TRIES
        assert guards.final.share == min(each.share for each in guards.tries)
        assert any("could not be kept: tier=gold lost 0.02" in text for text in found.warnings)

    def test_nothing_is_made_where_the_demand_is_impossible(self, tmp_path, report) -> None:
        shop = Workshop(report, lambda share: 0.0)
        spec = dataclasses.replace(SPEC, guards=(Guard("tier", "bronze", 0.1),))
        with pytest.raises(SpecError):
            prune_guarded(spec, tmp_path / "small", shop.make, shop.judge)
        assert shop.asked == []
        assert list(tmp_path.iterdir()) == []
