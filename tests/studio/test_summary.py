"""Statements made from measured records: values, signs and the claims that are not made."""

from __future__ import annotations

import dataclasses

import pytest

from osscar_core.goals import Goal
from osscar_core.records import Method
from osscar_core.studio import explain, summary
from osscar_core.studio.evidence import Finished, compared
from osscar_core.studio.jobs import RunStore
from osscar_core.studio.numbers import MINUS, TIMES
from osscar_core.studio.runs import Run, State, Status


def test_the_verdict_states_speed_quality_with_interval_and_size(samples) -> None:
    found = samples.result(samples.image_request(0.5))
    assert summary.verdict(found) == (
        f"At 50% removed: **1.60{TIMES} faster**, **{MINUS}11.4 points** of accuracy "
        f"(95% CI {MINUS}13.8 to {MINUS}9.0), **37% smaller**."
    )


def test_no_speed_up_is_claimed_where_the_interval_includes_one(samples) -> None:
    found = samples.result(samples.image_request(), speedup=1.2, interval=(0.98, 1.4))
    assert "not measurably faster on this device" in summary.verdict(found)
    assert summary.metrics(found)[0].is_good is None


@pytest.mark.parametrize(
    ("goal", "lead"),
    [
        ("removed=0.3", "At 30% removed:"),
        ("speedup=1.5", f"For at least 1.50{TIMES} the speed:"),
        ("quality_loss=0.01", "Losing at most 1.0 pt:"),
        ("bytes=0.5", "With at most 50% of the size left:"),
        ("flops=0.5", "Asked for 50% of FLOPs left:"),
    ],
)
def test_the_verdict_begins_with_what_was_asked(samples, goal: str, lead: str) -> None:
    asked = samples.image_request()
    spec = dataclasses.replace(asked.spec, sparsity=0.0, goal=Goal.parse(goal))
    found = samples.result(dataclasses.replace(asked, spec=spec))
    assert summary.verdict(found).startswith(lead)


def test_another_method_is_named(samples) -> None:
    found = samples.result(samples.image_request(0.5, Method.MAGNITUDE))
    assert summary.verdict(found).startswith("Magnitude · At 50% removed:")


def test_a_slower_model_is_called_slower(samples) -> None:
    found = samples.result(samples.image_request(), speedup=0.5, interval=(0.45, 0.55))
    assert f"2.00{TIMES} slower" in summary.verdict(found)
    assert summary.metrics(found)[0].is_good is False


def test_a_larger_file_is_called_larger(samples) -> None:
    found = samples.result(samples.image_request())
    report = dataclasses.replace(found.prune, bytes=dataclasses.replace(found.prune.bytes, dense=9))
    report = dataclasses.replace(report, bytes=dataclasses.replace(report.bytes, pruned=18))
    assert "**100% larger**" in summary.verdict(dataclasses.replace(found, prune=report))


def test_perplexity_is_compared_as_a_ratio(samples) -> None:
    found = samples.result(samples.text_request(), dense=20.0, pruned=30.0, half=1.0)
    assert "**perplexity +50.0%**" in summary.verdict(found)
    assert summary.metrics(found)[1].is_good is False


def test_a_better_pruned_model_is_good_and_an_uncertain_one_neither(samples) -> None:
    asked = samples.image_request()
    better = samples.result(asked, dense=0.5, pruned=0.6, half=0.01)
    unsure = samples.result(asked, dense=0.5, pruned=0.51, half=0.02)
    assert summary.metrics(better)[1].is_good is True
    assert summary.metrics(unsure)[1].is_good is None
    perplexity = samples.result(samples.text_request(), dense=30.0, pruned=20.0, half=1.0)
    assert summary.metrics(perplexity)[1].is_good is True


def test_the_metrics_show_the_change_its_interval_and_both_values(samples) -> None:
    speed, quality, size = summary.metrics(samples.result(samples.image_request()))
    assert {metric.standing for metric in (speed, quality, size)} == {"measured"}
    assert (speed.value, speed.span) == (f"1.60{TIMES}", "95% CI 1.52 to 1.69")
    assert speed.note == "100 → 62.5 ms"
    for stated in ("threads 1", "p95 108 ms", "n = 30", "median 62.5 ms"):
        assert stated in speed.help
    assert quality.value == f"{MINUS}11.4 pt"
    assert quality.span == f"95% CI {MINUS}13.8 to {MINUS}9.0"
    assert quality.note == "82.0% → 70.6%"
    assert "2,000 images" in quality.help
    assert (size.value, size.note) == (f"{MINUS}37%", "1.09 MB → 684 kB")


def test_random_weights_are_declared_untrained(samples) -> None:
    found = samples.result(samples.image_request())
    assert not summary.is_untrained(found)
    source = dataclasses.replace(found.prune.plan.source, weights="random")
    plan = dataclasses.replace(found.prune.plan, source=source)
    changed = dataclasses.replace(found, prune=dataclasses.replace(found.prune, plan=plan))
    assert summary.is_untrained(changed)


def test_the_table_holds_every_point_with_its_conditions(home, samples) -> None:
    asked = samples.image_request()
    samples.write_run(home, "20260101-000000-000000", asked, samples.result(asked))
    run = RunStore(home).runs()[0]
    finished = [Finished(run, RunStore(home).result(run))]
    dense, pruned = summary.rows(finished)
    assert list(dense) == list(pruned)
    assert (dense["Model"], dense["Median ms"], dense["p95 ms"], dense["n"]) == (
        "dense", 100.0, 108.0, 30,
    )  # fmt: skip
    assert pruned["Method"] == "OSSCAR"
    assert pruned["Speed-up 95% CI"] == "1.52 to 1.69"
    assert (pruned["Device"], pruned["Batch"], pruned["dtype"], pruned["Threads"]) == (
        "Test CPU", "256", "float32", "1",
    )  # fmt: skip
    assert pruned["Run"] == run.id


def rival(samples, method: Method, pruned: float, half: float = 0.005) -> Finished:
    request = samples.image_request(0.5, method)
    result = samples.result(request, dense=0.82, pruned=pruned, half=half)
    return Finished(Run(f"run-{method}", None, request, Status(State.FINISHED)), result)


@pytest.mark.parametrize(
    ("ours", "theirs", "half", "said"),
    [
        (0.80, 0.70, 0.005, "OSSCAR keeps most quality here.** Next is Magnitude, 10.0 (95% CI"),
        (0.80, 0.799, 0.01, "No measurable difference** between OSSCAR and Magnitude"),
        (0.799, 0.80, 0.01, "No measurable difference** between OSSCAR and Magnitude"),
        (0.70, 0.80, 0.005, "Magnitude is better here**, 10.0 (95% CI"),
    ],
)
def test_the_winner_is_only_named_if_it_can_be_told(samples, ours, theirs, half, said) -> None:
    items = [
        rival(samples, Method.OSSCAR, ours, half),
        rival(samples, Method.MAGNITUDE, theirs, half),
    ]
    assert said in summary.winner(compared(items, items[0].widths))


def test_the_comparison_shows_differences_with_intervals_and_run_ids(samples) -> None:
    items = [
        rival(samples, Method.MAGNITUDE, 0.70),
        rival(samples, Method.OSSCAR, 0.80),
        rival(samples, Method.PAPER, 0.799),
    ]
    rows = summary.rival_rows(compared(items, items[0].widths))
    assert [row["Method"] for row in rows] == ["OSSCAR", "OSSCAR as published", "Magnitude"]
    assert [row["Behind OSSCAR"] for row in rows] == ["", "+0.1 pt", "+10.0 pt"]
    assert [row["Measurable"] for row in rows] == ["", "no", "yes"]
    assert rows[2]["95% CI of that"] == "+9.3 pt to +10.7 pt"
    assert [row["Run"] for row in rows] == ["run-osscar", "run-paper", "run-magnitude"]


def test_explain_names_the_worst_and_the_best_layer(samples) -> None:
    units = samples.result(samples.image_request(0.5)).prune.units
    text = explain.lead(units)
    assert "72 of 144 convolution channels removed from 9 layers" in text
    assert "most in **layer3.2** (9.00%)" in text
    assert "least in **layer1.0** (1.00%)" in text
    assert "In 9 of 9 layers the error is lower" in text
    assert "the median is 50% of it" in text


def test_provenance_names_data_digests_and_versions(home, samples) -> None:
    asked = samples.image_request()
    samples.write_run(home, "20260101-000000-000000", asked, samples.result(asked))
    run = RunStore(home).runs()[0]
    facts = explain.provenance(run, RunStore(home).result(run))
    values = " ".join(value for _, value in facts)
    for expected in ("cd" * 32, "ab" * 32, "torch 2.14", "images:/nowhere/test", run.id):
        assert expected in values
