from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

import families
from osscar_core.bench import (
    Contender,
    SyntheticProblem,
    bench_solver,
    capture,
    load_problem,
    save_problem,
)
from osscar_core.bench import solver as bench
from osscar_core.bench.recipe import published_refit, published_swaps
from osscar_core.errors import DataError, SpecError
from osscar_core.evaluation.speed import _keep_freed_memory
from osscar_core.records import Method, PruneSpec
from osscar_core.solver import objective, refit, relative_error, solve

CPU = torch.device("cpu")


@pytest.mark.parametrize("group_size", [1, 3])
@pytest.mark.parametrize("intercept", [False, True])
def test_generated_statistics_are_those_of_some_data(group_size, intercept):
    """Joint second moments of (1, X, Y) must be positive semi-definite."""
    spec = SyntheticProblem(48, 5, group_size, intercept=intercept)
    problem = spec.build(CPU)
    raw = problem.statistics
    answer = torch.linalg.lstsq(raw.gram + 1e-12 * torch.eye(48).double(), raw.cross).solution
    explained = (answer * raw.cross).sum(0)
    assert (raw.power_y >= explained * (1 - 1e-9)).all()
    joint = torch.cat(
        (
            torch.cat((raw.gram, raw.mean_x[:, None]), 1),
            torch.cat((raw.mean_x, torch.ones(1).double()))[None],
        )
    )
    assert torch.linalg.eigvalsh(joint).min() >= -1e-9 * float(raw.gram.diagonal().max())
    assert problem.groups == 48 // group_size
    assert problem.intercept is intercept
    assert spec.build(CPU).digest() == problem.digest()
    assert dataclasses.replace(spec, seed=1).build(CPU).digest() != problem.digest()


def test_a_generated_layer_looks_like_a_layer():
    problem = SyntheticProblem(600, 40, dead=0.05, outliers=0.01).build(CPU)
    diagonal = problem.statistics.gram.diagonal()
    assert 10 <= int((diagonal == 0).sum()) <= 60
    assert float(diagonal.max() / diagonal[diagonal > 0].median()) > 100
    dense = relative_error(problem, torch.arange(600), problem.W0, None)
    assert 0 < dense < 0.2


@pytest.mark.parametrize("sizes", [(10, 3, 3), (1, 3, 1), (10, 0, 1)])
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(SpecError):
        SyntheticProblem(*sizes)


def test_a_stored_problem_is_the_problem(tmp_path, make_case):
    problem = make_case(6, 2, weighted=True, intercept=True).problem
    save_problem(problem, tmp_path / "p.safetensors", name="a layer")
    name, again = load_problem(tmp_path / "p.safetensors", CPU)
    assert name == "a layer"
    assert again.digest() == problem.digest()
    for method in (Method.OSSCAR, Method.FLAP):
        first, second = solve(problem, 3, method), solve(again, 3, method)
        assert first.support.equal(second.support)
        assert first.objective == second.objective
        assert first.relative_error == second.relative_error


@pytest.mark.parametrize("content", [b"", b"x" * 100])
def test_a_file_that_is_no_problem_is_refused(tmp_path, content):
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(DataError, match="no stored layer problem"):
        load_problem(tmp_path / "p", CPU)
    with pytest.raises(DataError, match="cannot be written"):
        save_problem(SyntheticProblem(4, 2).build(CPU), tmp_path / "no" / "p", name="x")


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("intercept", [False, True])
def test_the_recipe_is_right(make_case, width, intercept):
    """Its refit is the refit, its rounds lower the objective and keep the count."""
    improved = 0
    for seed in range(12):
        problem = make_case(20, width, seed=seed, weighted=True, intercept=intercept).problem
        start = solve(problem, 9, Method.RANDOM, seed=seed).support
        W, bias = published_refit(problem, start)
        expected, expected_bias = refit(problem, start)
        torch.testing.assert_close(W, expected, rtol=1e-8, atol=1e-9)
        assert (bias is None) == (expected_bias is None)
        found, rounds = published_swaps(problem, start, at_once=2, rounds=20)
        assert found.unique().numel() == 9
        before, after = objective(problem, start), objective(problem, found)
        assert (after < before) if rounds else found.equal(start)
        improved += rounds > 0
    assert improved >= 10


@pytest.mark.parametrize("group_size", [1, 3])
def test_the_comparison_tells_the_truth(group_size):
    spec = SyntheticProblem(60, 7, group_size)
    result = bench_solver(spec, remove=0.5, device=CPU, device_name="here")
    problem = spec.build(CPU)
    groups = 60 // group_size
    assert [row.contender for row in result.rows] == list(Contender)
    assert (result.features, result.outputs, result.keep) == (60, 7, groups // 2)
    by = {row.contender: row for row in result.rows}
    ours = solve(problem, groups // 2, Method.OSSCAR, swaps=0)
    assert by[Contender.OURS].objective == pytest.approx(ours.objective, rel=1e-12)
    assert by[Contender.OURS].relative_error == pytest.approx(ours.relative_error, rel=1e-9)
    assert by[Contender.NAIVE].objective == pytest.approx(by[Contender.OURS].objective, rel=1e-9)
    assert by[Contender.OURS_SWAPS].objective <= by[Contender.OURS].objective
    assert by[Contender.PUBLISHED].objective == pytest.approx(by[Contender.RECIPE].objective)
    assert by[Contender.RECIPE_SWAPS].objective <= by[Contender.RECIPE].objective
    for row in result.rows:
        assert row.seconds > 0
        assert row.speedup == pytest.approx(by[Contender.PUBLISHED].seconds / row.seconds)
        assert row.speedup_over_recipe == pytest.approx(by[Contender.RECIPE].seconds / row.seconds)
        assert row.objective >= result.bound
        assert row.peak_bytes is None or 0 <= row.peak_bytes < 2**30
        assert 0 <= row.gap <= 1


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_memory_on_a_cpu_is_the_work_s_own():
    def work():
        return float(torch.ones(2**23, dtype=torch.float64).sum())

    _keep_freed_memory()  # as it is in a process that timed a model before
    freed = [torch.ones(2**18, dtype=torch.float64) for _ in range(40)]
    del freed[:-1]
    peaks = []
    for _ in range(5):  # no run may inherit the peak of the one before
        result, seconds, peak = bench._timed(work, CPU)
        assert result == 2**23
        assert seconds > 0
        assert peak < 200e6
        peaks.append(peak)
    # The system may take back other pages of the process meanwhile, which hides some of it.
    assert max(peaks) > 60e6
    assert bench._timed(lambda: None, CPU)[2] < 20e6


@pytest.mark.parametrize("remove", [0.0, 1.0, 0.001])
def test_nothing_to_do_is_refused(remove):
    with pytest.raises(SpecError, match="Remove at least one"):
        bench_solver(SyntheticProblem(8, 2), remove=remove, device=CPU, device_name="here")


def test_units_of_a_real_run_are_captured(tmp_path):
    family = families.FAMILIES["cifar-resnet20"]()
    loaded = family.loaded(tmp_path)
    spec = PruneSpec(
        model=loaded.source.model,
        weights=loaded.source.weights,
        calibration=family.calibration_spec(tmp_path),
        samples=family.samples,
        sparsity=0.5,
        device="cpu",
    )
    files = capture(spec, tmp_path / "problems")
    assert len(files) == 9
    name, problem = load_problem(files[0], CPU)
    assert name == "cifar/resnet20 layer1.0.conv2"
    assert (problem.groups, problem.width) == (16, 9)
    result = bench_solver(problem, name=name, remove=0.5, device=CPU, device_name="here")
    assert result.problem == name
    assert result.keep == 8
