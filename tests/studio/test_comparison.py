"""Runs side by side: what may be compared, what is better, and whether that can be told."""

from __future__ import annotations

import csv
import dataclasses
import io

import pytest

from osscar_core.goals import Goal, GoalKind
from osscar_core.records import GoalReport, Method
from osscar_core.studio import comparison
from osscar_core.studio.compare import MOST_IN_COLUMNS, headline, letter, result_lines
from osscar_core.studio.comparison import Compared
from osscar_core.studio.jobs import LOCAL, Run, State, Status
from osscar_core.studio.runtable import (
    Entry,
    Standing,
    columns_for,
    common_to_all,
    figures_of,
    removed_share,
    values_of,
)


@pytest.fixture
def make(samples, tmp_path):
    """Return what makes finished runs of one model."""

    def compared(method: Method = Method.OSSCAR, sparsity: float = 0.5, **numbers) -> Compared:
        request = samples.image_request(sparsity, method)
        run = Run("20260101-000000-000000", tmp_path, request, Status(State.FINISHED))
        return Compared(run, samples.result(request, **numbers))

    return compared


def test_a_gap_beyond_both_intervals_is_measurable(make) -> None:
    good, bad = make(pruned=0.75, half=0.01).result, make(pruned=0.70, half=0.01).result
    gap = comparison.quality_gap(good, bad)
    assert gap.value == pytest.approx(-5.0)
    assert gap.low == pytest.approx(-5 - 2**0.5)
    assert gap.is_measurable
    near = comparison.quality_gap(good, make(pruned=0.745, half=0.01).result)
    assert not near.is_measurable


def test_perplexity_is_compared_by_its_ratio(samples) -> None:
    request = samples.text_request()
    one = samples.result(request, dense=20.0, pruned=24.0, half=0.1)
    two = samples.result(request, dense=20.0, pruned=30.0, half=0.1)
    assert comparison.quality_gap(one, two).value == pytest.approx(0.25)
    assert comparison.best_quality([two, one]) == 1


def test_speeds_are_compared_as_ratios_of_ratios(make) -> None:
    slow = make(speedup=1.2, interval=(1.15, 1.25)).result
    fast = make(speedup=1.8, interval=(1.75, 1.85)).result
    gap = comparison.speed_gap(slow, fast)
    assert gap.value == pytest.approx(1.5)
    assert gap.low < 1.5 < gap.high
    assert gap.is_measurable
    assert not comparison.speed_gap(slow, slow).is_measurable
    assert comparison.best_speed([slow, fast]) == 1


def test_all_that_cannot_be_told_from_the_best_are_tied(make) -> None:
    results = [make(pruned=value, half=0.01).result for value in (0.70, 0.75, 0.748)]
    assert comparison.tied(results, 1, comparison.quality_gap) == {1, 2}
    assert comparison.smallest([3, 1, 1]) == {1, 2}


def test_only_the_same_weights_data_and_conditions_are_compared(make) -> None:
    one = make().result
    source = dataclasses.replace(one.prune.plan.source, sha256="00" * 32)
    plan = dataclasses.replace(one.prune.plan, source=source)
    other = dataclasses.replace(one, prune=dataclasses.replace(one.prune, plan=plan))
    assert not comparison.is_same_model([one, other])
    assert comparison.is_same_model([one, one])
    elsewhere = dataclasses.replace(
        one.pruned, data=dataclasses.replace(one.pruned.data, digest="")
    )
    assert not comparison.is_same_test([one, dataclasses.replace(one, pruned=elsewhere)])
    speed = dataclasses.replace(
        one.pruned_speed, conditions=one.pruned_speed.conditions | {"device": "Another"}
    )
    assert not comparison.is_same_timing([one, dataclasses.replace(one, pruned_speed=speed)])


def test_only_what_differs_is_named_in_order(make) -> None:
    one, two = make(), make(Method.MAGNITUDE)
    assert comparison.differing([one.settings, two.settings]) == ["method"]
    assert comparison.differing([one.settings, one.settings]) == []
    assert comparison.differing([{"a": 1}, {"a": 1, "b": 2}]) == ["b"]


def test_the_sentence_says_whether_the_difference_is_measurable(make) -> None:
    clear = " ".join(headline([make(pruned=0.6), make(Method.MAGNITUDE, pruned=0.75)]))
    assert "They differ in: method." in clear
    assert "B has the better quality" in clear
    assert "a measurable difference" in clear
    unclear = " ".join(headline([make(pruned=0.706), make(Method.MAGNITUDE, pruned=0.707)]))
    assert "No measurable difference in quality" in unclear
    assert "No measurable difference in speed" in unclear


def test_the_sentence_names_ties_among_many(make) -> None:
    many = [make(pruned=value, half=0.01) for value in (0.5, 0.75, 0.748)]
    words = " ".join(headline(many))
    assert "B has the best quality" in words
    assert "C cannot be told from it; 1 other is measurably worse" in words
    alike = " ".join(headline([make(pruned=0.7)] * 3))
    assert "between the best, A, and any of the 3" in alike
    assert "They were asked for the same" in alike


def test_runs_of_other_models_compare_settings_only(make, samples, tmp_path) -> None:
    request = samples.text_request()
    run = Run("20260101-000001-000000", tmp_path, request, Status(State.FINISHED))
    other = Compared(run, samples.result(request, dense=20.0, pruned=30.0))
    items = [make(), other]
    assert "different models" in " ".join(headline(items))
    assert result_lines(items) == []


def test_a_run_without_a_result_has_dashes_and_is_never_best(make, samples, tmp_path) -> None:
    failed = Compared(
        Run("20260101-000001-000000", tmp_path, samples.image_request(), Status(State.FAILED)), None
    )
    items = [failed, make(pruned=0.6), make(Method.MAGNITUDE, pruned=0.75)]
    lines = {line.label: line for line in result_lines(items)}
    quality = lines["Accuracy (95% CI)"]
    assert quality.cells[0] == "\N{EN DASH}"
    assert quality.best == {2}
    assert quality.dense == "82.0%"
    assert "1 run has no result" in " ".join(headline(items))


def test_what_is_not_faster_than_the_dense_model_is_not_called_fastest(make) -> None:
    items = [
        make(speedup=1.02, interval=(0.97, 1.07)),
        make(Method.MAGNITUDE, speedup=1.0, interval=(0.95, 1.05)),
    ]
    speed = next(line for line in result_lines(items) if line.label.startswith("Speed"))
    assert speed.best == frozenset()
    assert "None is measurably faster" in " ".join(headline(items))


def test_the_csv_has_raw_numbers_and_no_formulas(make) -> None:
    item = make(pruned=0.7)
    evil = dataclasses.replace(item.run, name="=HYPERLINK(1)")
    rows = list(csv.DictReader(io.StringIO(comparison.as_csv([Compared(evil, item.result), item]))))
    assert len(rows) == 2
    assert float(rows[1]["quality_pruned"]) == 0.7
    assert float(rows[1]["speedup_low"]) == 1.52
    assert rows[1]["method"] == "osscar"
    assert rows[0]["name"] == "'=HYPERLINK(1)"


def test_letters_go_on_after_z() -> None:
    assert [letter(index) for index in (0, 25, 26, 51, 52)] == ["A", "Z", "AA", "AZ", "BA"]
    assert MOST_IN_COLUMNS == 6


def entry(item: Compared, **changes) -> Entry:
    run = dataclasses.replace(item.run, **changes)
    return Entry(run, None if item.result is None else figures_of(item.result))


def test_the_list_keeps_the_longer_half_of_an_interval(make) -> None:
    found = figures_of(make(speedup=1.6, interval=(1.5, 1.65), pruned=0.7, half=0.02).result)
    assert found.speedup_half == pytest.approx(0.1)
    assert found.change == pytest.approx(-12.0)
    assert found.change_half == pytest.approx(200 * 0.02 / 2**0.5)
    assert found.removed == 0.5
    assert found.device == "Test CPU"


def test_a_share_that_was_asked_for_is_told_as_measured(make) -> None:
    result = make(sparsity=0.5).result
    goal = GoalReport(Goal(GoalKind.REMOVED, 0.4), 0.4, 0.41, is_met=True)
    assert removed_share(dataclasses.replace(result, asked=goal)) == 0.41
    assert removed_share(result) == 0.5


@pytest.mark.parametrize(
    ("changes", "has_figures", "standing"),
    [
        ({}, True, Standing.FINISHED),
        ({}, False, Standing.DAMAGED),
        ({"is_imported": True}, True, Standing.IMPORTED),
        ({"status": Status(State.FAILED)}, False, Standing.FAILED),
        ({"id": "example-opt-osscar-50"}, True, Standing.EXAMPLE),
    ],
)
def test_what_became_of_a_run_is_told_in_one_word(make, changes, has_figures, standing) -> None:
    item = make()
    found = entry(item if has_figures else Compared(item.run, None), **changes)
    assert found.standing is standing


def test_a_survey_has_no_result_and_is_not_damaged(make) -> None:
    from osscar_core.studio.requests import JobKind

    item = make()
    request = dataclasses.replace(item.run.request, kind=JobKind.SURVEY)
    found = entry(Compared(item.run, None), request=request, owner=LOCAL)
    assert found.standing is Standing.FINISHED
    assert values_of(found)["asked"] == "survey"


def test_columns_that_say_nothing_are_left_out_and_the_rest_fits(make) -> None:
    rows = [values_of(entry(make(pruned=value))) for value in (0.6, 0.7)]
    names = [column.key for column in columns_for(rows, 2000)]
    assert "model" not in names
    assert "name" not in names
    assert "star" not in names
    assert names[:2] == ["asked", "method"]
    assert {"accuracy", "accuracy_half"} <= set(names)
    assert common_to_all(rows, "model") == "cifar/resnet20"
    narrow = columns_for(rows, 600)
    assert sum(column.width for column in narrow) <= 600
    assert {"asked", "speedup", "accuracy", "state"} <= {column.key for column in narrow}


def test_two_kinds_of_quality_share_a_column_with_their_units(make, samples, tmp_path) -> None:
    request = samples.text_request()
    run = Run("20260101-000001-000000", tmp_path, request, Status(State.FINISHED))
    text = Compared(run, samples.result(request, dense=20.0, pruned=21.0, half=0.1))
    rows = [values_of(entry(make(pruned=0.7, half=0.02))), values_of(entry(text))]
    names = [column.key for column in columns_for(rows, 2000)]
    assert "quality" in names
    assert "accuracy" not in names
    assert rows[0]["quality"] == "\N{MINUS SIGN}12.0 ± 2.8 pt"
    assert str(rows[1]["quality"]).startswith("+5.0 ± ")
    assert str(rows[1]["quality"]).endswith("%")
    assert "model" in names
