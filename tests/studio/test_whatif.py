"""What one wish leads to, checked against the library and against sums made by hand."""

from __future__ import annotations

import dataclasses
import math
from statistics import fmean

import pytest

from osscar_core.catalogue import own_data
from osscar_core.explorer import UnreachableGoal
from osscar_core.export.records import ExportFormat
from osscar_core.goals import Goal, GoalKind
from osscar_core.records import BeforeAfter, Method, PruneSpec
from osscar_core.sample import brief_file
from osscar_core.studio import examples
from osscar_core.studio.briefs import find_brief
from osscar_core.studio.evidence import Finished
from osscar_core.studio.orders import (
    expected_seconds,
    plain_request,
    point_request,
    prediction,
)
from osscar_core.studio.requests import (
    CheckKind,
    CheckRequest,
    JobKind,
    JobRequest,
    PointEstimate,
)
from osscar_core.studio.runs import Run, State, Status
from osscar_core.studio.whatif import (
    Answers,
    Standing,
    achieved,
    best,
    exceeding,
    look,
    measured,
    misses,
)
from osscar_core.studio.wishes import Aim, Wish

MODELS = ("demo/opt", "demo/resnet50")


def base(model: str = "demo/resnet50", **changes) -> JobRequest:
    data = own_data(model)
    return JobRequest(PruneSpec(model, data, samples=64, **changes), data, repeats=20)


@pytest.fixture(scope="module", params=MODELS)
def model(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def answers(model: str) -> Answers:
    spec = base(model).spec
    brief = find_brief(dataclasses.replace(spec, samples=None))
    return Answers(brief, spec, examples.of_model(model))


def finished(request: JobRequest, result, run_id: str = "20260101-000000-000000") -> Finished:
    return Finished(Run(run_id, None, request, Status(State.FINISHED, seconds=40.0)), result)


class TestAnswers:
    def test_it_is_the_library_that_answers(self, model: str, answers: Answers) -> None:
        answer = answers.at(Wish(Aim.REMOVED, 50))
        assert answer.goal == Goal(GoalKind.REMOVED, 0.5)
        costs, table = answers.brief.record.costs, answers.brief.table
        assert answer.bytes == costs.bytes(answer.widths)
        assert answer.speedup == pytest.approx(table.dense_ms / table.model_ms(answer.widths))
        assert answers.dense_ms == table.dense_ms

    def test_removal_is_spread_unevenly(self, answers: Answers) -> None:
        groups = {unit.name: unit.groups for unit in answers.brief.record.units}
        answer = answers.at(Wish(Aim.REMOVED, 50))
        shares = {round(kept / groups[name], 2) for name, kept in answer.widths.items()}
        assert len(shares) > 3

    @pytest.mark.parametrize("aim", list(Aim))
    def test_the_same_model_in_another_unit_is_nearly_the_same_model(
        self, answers: Answers, aim: Aim
    ) -> None:
        start = answers.at(Wish(Aim.REMOVED, 70))
        wish = answers.reworded(start, aim)
        assert wish.aim is aim
        again = answers.at(wish)
        scale = answers.scale(aim)
        there, here = answers.value_of(again, aim), answers.value_of(start, aim)
        assert abs(there - here) <= 1.5 * scale.step or aim is Aim.LOSS
        assert wish.is_reached(there) or aim is Aim.LOSS

    def test_a_wish_said_twice_in_its_own_unit_stays_where_it_is(self, answers: Answers) -> None:
        for wish in (Wish(Aim.REMOVED, 30), Wish(Aim.SPEED, 1.5), Wish(Aim.SIZE, 60)):
            assert answers.reworded(answers.at(wish), wish.aim).is_same(wish)

    def test_values_are_in_the_unit_of_the_aim(self, model: str, answers: Answers) -> None:
        answer = answers.at(Wish(Aim.REMOVED, 60))
        dense = answers.brief.record.costs.bytes({})
        assert answers.value_of(answer, Aim.SIZE) == pytest.approx(100 * answer.bytes / dense)
        assert answers.value_of(answer, Aim.SPEED) == answer.speedup
        loss = answer.quality.median
        expected = 100 * loss if model == "demo/resnet50" else 100 * (math.exp(loss) - 1)
        assert answers.value_of(answer, Aim.LOSS) == pytest.approx(expected)

    def test_sliders_reach_beyond_what_can_be_had(self, answers: Answers) -> None:
        for aim in (Aim.SPEED, Aim.SIZE):
            scale = answers.scale(aim)
            far = scale.high if aim is Aim.SPEED else scale.low
            with pytest.raises(UnreachableGoal):
                answers.at(Wish(aim, far))
        removed = answers.scale(Aim.REMOVED)
        assert answers.at(Wish(Aim.REMOVED, removed.high)).removed >= removed.high / 100
        assert answers.at(Wish(Aim.LOSS, answers.scale(Aim.LOSS).high)).removed > 0.8

    def test_the_nearest_options_are_reachable_and_different(self, answers: Answers) -> None:
        wish = Wish(Aim.SPEED, answers.scale(Aim.SPEED).high)
        options = answers.options(wish)
        assert 1 <= len(options) <= 2
        for option in options:
            assert option.answer.speedup >= option.wish.value
            assert option.wish.value < wish.value
        values = [option.wish.value for option in options]
        assert values == sorted(values, reverse=True)
        losses = [option.answer.quality.median for option in options]
        assert losses == sorted(losses, reverse=True)

    def test_the_line_runs_from_the_dense_model_to_the_smallest(self, answers: Answers) -> None:
        line = answers.curve(Aim.REMOVED)
        assert len(line) > 30
        assert line[0].removed == 0
        assert line[0].quality.median == 0
        assert line[-1].removed >= answers.scale(Aim.REMOVED).high / 100
        removed = [point.removed for point in line]
        assert removed == sorted(removed)
        fast = answers.curve(Aim.SPEED)
        assert fast is answers.curve(Aim.LOSS)
        assert fast[-1].speedup > 1.5 * fast[0].speedup
        assert answers.curve(Aim.SIZE) is line

    def test_the_spread_of_speeds_is_what_measured_models_missed_by(
        self, model: str, answers: Answers
    ) -> None:
        table = answers.brief.table
        missed = [
            math.log(
                item.result.speedup
                / table.speedup({unit.name: unit.kept for unit in item.result.prune.units})
            )
            for item in examples.of_model(model)
        ]
        rms = math.sqrt(fmean(one**2 for one in missed))
        assert answers.speed_spread == pytest.approx(1.96 * rms)

    def test_without_measured_models_the_table_says_how_sure_it_is(self) -> None:
        brief = find_brief(PruneSpec("demo/opt", own_data("demo/opt")))
        lonely = Answers(brief, base("demo/opt").spec, [])
        assert lonely.speed_spread == pytest.approx(
            1.96 * max(brief.table.residual, brief.table.noise)
        )
        assert lonely.taught_by == 0

    def test_without_timings_there_is_no_speed(self) -> None:
        brief = dataclasses.replace(
            find_brief(PruneSpec("demo/opt", own_data("demo/opt"))), table=None
        )
        slow = Answers(brief, base("demo/opt").spec, [])
        assert slow.aims == (Aim.REMOVED, Aim.LOSS, Aim.SIZE)
        assert slow.dense_ms is None
        answer = slow.at(Wish(Aim.LOSS, 5))
        assert answer.speedup is None
        assert slow.curve(Aim.LOSS)[-1].removed > 0.8

    def test_protection_is_kept_and_its_absence_is_known(self, model: str) -> None:
        spec = base(model).spec
        brief = find_brief(dataclasses.replace(spec, samples=None))
        name = brief.record.units[-1].name
        held = Answers(brief, dataclasses.replace(spec, caps=((name, 0.0),)), [])
        wish = Wish(Aim.REMOVED, 70)
        assert held.at(wish).widths[name] == brief.record.units[-1].groups
        assert held.unprotected(wish).widths[name] < brief.record.units[-1].groups
        assert held.scale(Aim.SPEED) == Answers(brief, spec, []).scale(Aim.SPEED)

    def test_where_everything_is_protected_nothing_is_offered(self) -> None:
        spec = base(caps=(("*", 0.0),)).spec
        brief = find_brief(dataclasses.replace(spec, samples=None))
        stuck = Answers(brief, spec, [])
        for wish in (Wish(Aim.REMOVED, 30), Wish(Aim.SPEED, 1.5), Wish(Aim.SIZE, 50)):
            view = look(wish, base(caps=(("*", 0.0),)), [], stuck)
            assert view.is_unreachable
            assert view.options == ()
            assert stuck.unprotected(wish) is not None


class TestMeasured:
    def test_the_run_of_the_wish_speaks_one_s_own_before_examples(self, samples) -> None:
        wish, widths = Wish(Aim.REMOVED, 50), {"layer1.0.conv2": 8}
        request = point_request(samples.image_request(0.0), wish, widths)
        own = finished(request, samples.result(request))
        other = finished(
            dataclasses.replace(request, repeats=5), samples.result(request), "example-x-osscar-50"
        )
        assert measured([other, own], samples.image_request(0.0), wish, widths) is own
        assert measured([other], samples.image_request(0.0), wish, widths) is other
        assert measured([own], samples.image_request(0.0), Wish(Aim.REMOVED, 51), None) is None

    def test_equal_widths_are_the_same_model_whatever_was_asked(self, samples) -> None:
        request = samples.image_request(0.5)
        own = finished(request, samples.result(request))
        wish = Wish(Aim.SIZE, 63)
        assert measured([own], samples.image_request(0.0), wish, own.widths) is own
        assert measured([own], samples.image_request(0.0), wish, {"x": 1}) is None

    def test_an_equal_share_answers_only_where_there_is_no_survey(self, samples) -> None:
        request = samples.image_request(0.5)
        own = finished(request, samples.result(request))
        wish = Wish(Aim.REMOVED, 50)
        assert measured([own], samples.image_request(0.0), wish, None) is own
        assert measured([own], samples.image_request(0.0), wish, {"layer1.0.conv2": 3}) is None

    @pytest.mark.parametrize(
        "change",
        [
            {"method": Method.PAPER},
            {"caps": (("*", 0.5),)},
            {"calibration": "images:/other"},
        ],
    )
    def test_another_method_cap_or_calibration_does_not_answer(self, samples, change) -> None:
        request = samples.image_request(0.5)
        own = finished(request, samples.result(request))
        asked = samples.image_request(0.0)
        asked = dataclasses.replace(asked, spec=dataclasses.replace(asked.spec, **change))
        assert measured([own], asked, Wish(Aim.REMOVED, 50), None) is None


class TestAchieved:
    @pytest.mark.parametrize(
        ("asked", "standing"),
        [(1.5, Standing.MET), (1.6, Standing.UNPROVEN), (1.7, Standing.MISSED)],
    )
    def test_a_speed_up_is_judged_by_its_interval(self, samples, asked, standing) -> None:
        request = samples.image_request()
        item = finished(request, samples.result(request, speedup=1.6, interval=(1.52, 1.69)))
        found = achieved(item, Wish(Aim.SPEED, asked), None)
        assert found.standing is standing
        assert (found.value, found.low, found.high) == (1.6, 1.52, 1.69)

    @pytest.mark.parametrize(
        ("asked", "standing"),
        [(14, Standing.MET), (11, Standing.UNPROVEN), (8, Standing.MISSED)],
    )
    def test_a_loss_is_judged_by_its_interval(self, samples, asked, standing) -> None:
        request = samples.image_request()
        item = finished(request, samples.result(request, dense=0.82, pruned=0.706, half=0.017))
        found = achieved(item, Wish(Aim.LOSS, asked), None)
        assert found.value == pytest.approx(11.4)
        reach = 100 * math.hypot(0.017, 0.017)
        assert (found.low, found.high) == pytest.approx((11.4 - reach, 11.4 + reach))
        assert found.standing is standing

    def test_a_rise_of_perplexity_is_a_loss_in_per_cent(self, samples) -> None:
        request = samples.text_request()
        item = finished(request, samples.result(request, dense=20.0, pruned=21.0, half=0.1))
        found = achieved(item, Wish(Aim.LOSS, 5), None)
        assert found.value == pytest.approx(5)
        assert found.standing is Standing.UNPROVEN

    def test_a_size_is_exact(self, samples) -> None:
        request = samples.image_request()
        item = finished(request, samples.result(request))
        found = achieved(item, Wish(Aim.SIZE, 63), None)
        assert found.value == pytest.approx(100 * 684_000 / 1_094_320)
        assert found.low == found.high
        assert found.standing is Standing.MET
        assert achieved(item, Wish(Aim.SIZE, 62), None).standing is Standing.MISSED

    def test_the_share_removed_is_counted_as_it_was_asked_for(self) -> None:
        brief = find_brief(PruneSpec("demo/opt", own_data("demo/opt")))
        answers = Answers(brief, base("demo/opt").spec, [])
        item = next(
            item
            for item in examples.of_model("demo/opt")
            if item.spec.method is Method.OSSCAR and item.spec.goal == Goal.parse("removed=0.5")
        )
        found = achieved(item, Wish(Aim.REMOVED, 50), answers)
        assert found.value == pytest.approx(100 * answers.removed(item.widths))
        assert achieved(item, Wish(Aim.REMOVED, 51), answers) is None


class TestBest:
    def runs(self, samples) -> list[Finished]:
        cases = {"a": (1.4, 0.81, 0.9), "b": (1.8, 0.79, 0.6), "c": (2.2, 0.60, 0.4)}
        found = []
        for name, (speedup, quality, left) in cases.items():
            request = samples.image_request()
            ends = (speedup - 0.1, speedup + 0.1)
            result = samples.result(request, pruned=quality, speedup=speedup, interval=ends)
            sizes = BeforeAfter(1_000_000, round(left * 1_000_000))
            report = dataclasses.replace(result.prune, bytes=sizes)
            found.append(finished(request, dataclasses.replace(result, prune=report), name))
        return found

    @pytest.mark.parametrize(
        ("wish", "expected"),
        [
            (Wish(Aim.SPEED, 1.5), "b"),
            (Wish(Aim.SPEED, 2.0), "c"),
            (Wish(Aim.SPEED, 3.0), None),
            (Wish(Aim.LOSS, 4.0), "b"),
            (Wish(Aim.LOSS, 2.0), "a"),
            (Wish(Aim.SIZE, 70), "b"),
            (Wish(Aim.REMOVED, 50), None),
        ],
    )
    def test_it_is_the_fastest_or_the_truest_within_the_limit(
        self, samples, wish: Wish, expected: str | None
    ) -> None:
        found = best(self.runs(samples), wish)
        assert (found.run.id if found else None) == expected


class TestMisses:
    def test_they_are_means_over_the_runs_that_were_foretold(self, samples) -> None:
        items = []
        for estimated, measured_speed in ((1.5, 1.6), (2.0, 1.6)):
            estimate = PointEstimate(speedup=estimated, bytes=1, loss=0.104, low=0.0, high=0.2)
            request = dataclasses.replace(samples.image_request(), estimate=estimate)
            result = samples.result(request, dense=0.82, pruned=0.706, speedup=measured_speed)
            items.append(finished(request, result))
        found = misses(items)
        assert found.count == 2
        assert found.speed == pytest.approx((abs(1.5 / 1.6 - 1) + abs(2.0 / 1.6 - 1)) / 2)
        assert found.quality == pytest.approx(abs(10.4 - 11.4))
        assert misses(items[:1]) is None

    def test_a_rise_of_perplexity_is_compared_in_per_cent(self, samples) -> None:
        estimate = PointEstimate(speedup=None, bytes=1, loss=math.log(1.1))
        request = dataclasses.replace(samples.text_request(), estimate=estimate)
        item = finished(request, samples.result(request, dense=20.0, pruned=23.0, half=0.1))
        found = misses([item, item])
        assert found.speed is None
        assert found.quality == pytest.approx(5)


class TestOrders:
    def test_a_point_is_measured_at_the_widths_of_the_answer(self) -> None:
        brief = find_brief(PruneSpec("demo/resnet50", own_data("demo/resnet50")))
        answers = Answers(brief, base().spec, [])
        wish = Wish(Aim.SPEED, 1.5)
        answer = answers.at(wish)
        request = point_request(base(), wish, answer.widths, prediction(answer))
        assert request.spec.goal == Goal(GoalKind.SPEEDUP, 1.5)
        assert request.spec.sparsity == 0
        assert request.widths == answer.widths
        assert request.estimate.speedup == answer.speedup
        assert request.estimate.loss == answer.quality.median
        assert request.estimate.bytes == answer.bytes
        assert request.key == dataclasses.replace(request, estimate=None).key
        assert (request.spec.samples, request.repeats) == (64, 20)

    def test_without_a_survey_every_unit_loses_the_same_share(self) -> None:
        request = plain_request(base(), Wish(Aim.REMOVED, 35))
        assert (request.spec.sparsity, request.spec.goal, request.widths) == (0.35, None, None)

    def test_time_is_that_of_earlier_runs_else_the_customary_one(self) -> None:
        request = base()
        runs = [
            Run("a", None, request, Status(State.FINISHED, seconds=seconds))
            for seconds in (10.0, 30.0, 20.0)
        ]
        failed = Run("b", None, request, Status(State.FAILED, seconds=1.0))
        other = Run("c", None, base("demo/opt"), Status(State.FINISHED, seconds=1.0))
        assert expected_seconds(request, [*runs, failed, other]) == 20
        assert expected_seconds(request, []) > 5
        survey = dataclasses.replace(request, kind=JobKind.SURVEY)
        assert expected_seconds(survey, runs) != 20
        check = CheckRequest(CheckKind.AB, "a")
        written = dataclasses.replace(request, kind=JobKind.EXPORT, check=check)
        as_hf = dataclasses.replace(written, format=ExportFormat.HF)
        past = [Run("d", None, written, Status(State.FINISHED, seconds=77.0))]
        assert expected_seconds(written, past) == 77
        assert expected_seconds(as_hf, past) != 77
        own = dataclasses.replace(request, spec=PruneSpec("own", "text:x"))
        assert expected_seconds(own, []) is None


def test_what_exceeds_its_cap_is_named(samples) -> None:
    units = samples.result(samples.image_request(0.5)).prune.units
    assert exceeding({}, units) == ()
    assert exceeding({"layer1.*": 0.5}, units) == ()
    assert exceeding({"layer1.*": 0.25}, units) == tuple(
        unit.name for unit in units if unit.name.startswith("layer1.")
    )
    assert len(exceeding({"channels": 0.0}, units)) == len(units)


def test_a_selected_run_speaks_wherever_the_slider_stands(samples) -> None:
    request = samples.image_request(0.5)
    item = finished(request, samples.result(request))
    view = look(Wish(Aim.REMOVED, 10), samples.image_request(0.0), [item], None, item)
    assert view.shown is item
    assert not view.is_unreachable


def test_the_shipped_surveys_are_there() -> None:
    assert all(brief_file(model) is not None for model in MODELS)
