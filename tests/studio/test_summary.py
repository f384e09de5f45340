"""Statements made from measured records: values, signs and the claims that are not made."""

from __future__ import annotations

import dataclasses
import math

import pytest

from osscar_core.studio import summary
from osscar_core.studio.jobs import RunStore
from osscar_core.studio.numbers import MINUS, TIMES
from osscar_core.studio.summary import Finished


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


def test_a_slower_model_is_called_slower(samples) -> None:
    found = samples.result(samples.image_request(), speedup=0.5, interval=(0.45, 0.55))
    assert f"2.00{TIMES} slower" in summary.verdict(found)
    assert summary.metrics(found)[0].is_good is False


def test_a_larger_file_is_called_larger(samples) -> None:
    found = samples.result(samples.image_request())
    report = dataclasses.replace(found.prune, bytes=dataclasses.replace(found.prune.bytes, dense=9))
    report = dataclasses.replace(report, bytes=dataclasses.replace(report.bytes, pruned=18))
    assert "**100% larger**" in summary.verdict(dataclasses.replace(found, prune=report))


def test_perplexity_is_compared_as_a_ratio_with_its_interval(samples) -> None:
    found = samples.result(samples.text_request(), dense=20.0, pruned=30.0, half=1.0)
    change, low, high = summary.difference(found.dense, found.pruned)
    assert change == pytest.approx(0.5)
    below = math.hypot(math.log(30 / 29), math.log(21 / 20))
    above = math.hypot(math.log(31 / 30), math.log(20 / 19))
    assert low == pytest.approx(1.5 * math.exp(-below) - 1)
    assert high == pytest.approx(1.5 * math.exp(above) - 1)
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


def test_the_metrics_show_dense_and_pruned(samples) -> None:
    speed, quality, size = summary.metrics(samples.result(samples.image_request()))
    assert (speed.value, speed.delta) == ("100 → 62.5 ms", f"1.60{TIMES} (1.52 to 1.69)")
    assert "threads 1" in speed.help
    assert quality.value == "82.0% → 70.6%"
    assert "2,000 images" in quality.help
    assert (size.value, size.delta) == ("1.09 MB → 684 kB", f"{MINUS}37%")


def test_random_weights_are_declared_untrained(samples) -> None:
    found = samples.result(samples.image_request())
    assert not summary.is_untrained(found)
    source = dataclasses.replace(found.prune.plan.source, weights="random")
    plan = dataclasses.replace(found.prune.plan, source=source)
    changed = dataclasses.replace(found, prune=dataclasses.replace(found.prune, plan=plan))
    assert summary.is_untrained(changed)


def test_runs_are_comparable_only_on_the_same_model_and_data(samples) -> None:
    first, second = samples.image_request(0.3), samples.image_request(0.7)
    assert summary.group_of(first) == summary.group_of(second)
    assert summary.group_of(first) != summary.group_of(dataclasses.replace(first, limit=10))
    assert summary.group_of(first) != summary.group_of(dataclasses.replace(first, data="images:x"))


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
    points = summary.points(finished, finished[0])
    assert [point.series for point in points] == ["dense", "osscar"]
    assert points[1].latency_interval == pytest.approx((100 / 1.69, 100 / 1.52))


def test_runs_timed_on_a_busy_machine_stand_on_the_scale_of_the_run_shown(home, samples) -> None:
    finished = []
    for index, busy in enumerate((1.0, 3.0)):
        asked = samples.image_request(0.1 + index / 10)
        found = samples.result(asked, speedup=2.0, interval=(1.9, 2.1))
        slowed = dataclasses.replace(
            found, dense_speed=samples._speed(100 * busy), pruned_speed=samples._speed(50 * busy)
        )
        samples.write_run(home, f"20260101-00000{index}-000000", asked, slowed)
        finished.append(Finished(RunStore(home).runs()[0], slowed))
    assert [point.latency for point in summary.points(finished, finished[0])] == [100, 50, 50]
    assert [point.latency for point in summary.points(finished, finished[1])] == [300, 150, 150]
