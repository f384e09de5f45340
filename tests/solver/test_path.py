from __future__ import annotations

import dataclasses

import pytest
import torch

from osscar_core.errors import DataError, SpecError
from osscar_core.records import Method
from osscar_core.solver import Constraints, Path, eliminate, objective, refit, solve


def test_weights_at_every_width_are_the_refit(make_case):
    problem = make_case(9, 2, intercept=True).problem
    path = eliminate(problem, 1)
    for keep in range(1, 10):
        W, bias = path.weights(problem, keep)
        expected, expected_bias = refit(problem, path.support(keep))
        assert W.equal(expected)
        assert bias.equal(expected_bias)


def test_a_stored_path_is_the_path(make_case, tmp_path):
    problem = make_case(9, 2, seed=1).problem
    path = eliminate(problem, 2, constraints=Constraints(forced=(4,)))
    path.save(tmp_path / "path.safetensors")
    again = Path.load(tmp_path / "path.safetensors")
    assert again.order.equal(path.order)
    assert again.costs.equal(path.costs)
    for name in ("groups", "initial", "forced", "problem"):
        assert getattr(again, name) == getattr(path, name)


def test_a_path_spares_the_search_and_changes_nothing(make_case, monkeypatch):
    problem = make_case(14, seed=2).problem
    path = eliminate(problem, 1)
    expected = {keep: solve(problem, keep, Method.OSSCAR) for keep in (3, 7, 12)}
    monkeypatch.setattr("osscar_core.solver.eliminate", lambda *_, **__: pytest.fail("searched"))
    for keep, solution in expected.items():
        reused = solve(problem, keep, Method.OSSCAR, path=path)
        assert reused.support.equal(solution.support)
        assert reused.W.equal(solution.W)


def test_a_path_of_another_problem_is_refused(make_case):
    path = eliminate(make_case(8, seed=0).problem, 1)
    for other in (make_case(8, seed=1), make_case(9), make_case(8, damping=0.02)):
        with pytest.raises(SpecError, match="another problem"):
            solve(other.problem, 4, Method.OSSCAR, path=path)


def test_the_digest_is_of_all_that_decides(make_case):
    problem = make_case(8, 2, weighted=True).problem
    same = make_case(8, 2, weighted=True).problem
    assert problem.digest() == same.digest()
    digests = {
        make_case(8, 2).problem.digest(),
        make_case(8, 2, weighted=True, intercept=True).problem.digest(),
        make_case(16, 1, weighted=True).problem.digest(),
        dataclasses.replace(problem, damping=0.5).digest(),
        problem.digest(),
    }
    assert len(digests) == 5


def test_the_path_is_checked_against_the_constraints(make_case):
    problem = make_case(8).problem
    path = eliminate(problem, 1)
    gone = int(path.order[0])
    with pytest.raises(SpecError, match=f"group {gone} is protected but removed"):
        solve(problem, 4, Method.OSSCAR, path=path, constraints=Constraints(protected=(gone,)))


@pytest.mark.parametrize("content", [b"", b"\x10\0\0\0\0\0\0\0{", b"not a path" * 9])
def test_a_damaged_file_is_refused_in_words(tmp_path, content):
    file = tmp_path / "path.safetensors"
    file.write_bytes(content)
    with pytest.raises(DataError, match="no stored path"):
        Path.load(file)
    with pytest.raises(DataError, match="no stored path"):
        Path.load(tmp_path / "missing.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        {"order": torch.tensor([0, 0])},
        {"order": torch.tensor([0, 9])},
        {"order": torch.tensor([0.0, 1.0])},
        {"order": torch.tensor([0])},
        {"costs": torch.tensor([1.0, torch.nan], dtype=torch.float64)},
        {"forced": 3},
        {"groups": 2},
    ],
)
def test_a_path_that_contradicts_itself_is_refused(tmp_path, change):
    path = Path(4, torch.tensor([0, 2]), -3.0, torch.tensor([-2.0, -1.0], dtype=torch.float64))
    path.check()
    dataclasses.replace(path, **change).save(tmp_path / "p")
    with pytest.raises(DataError, match="contradicts itself"):
        Path.load(tmp_path / "p")


def test_a_newer_format_is_refused(tmp_path, monkeypatch):
    path = Path(4, torch.tensor([0]), -3.0, torch.tensor([-2.0], dtype=torch.float64))
    with monkeypatch.context() as patch:
        patch.setattr("osscar_core.solver.path.PATH_VERSION", 99)
        path.save(tmp_path / "p")
    with pytest.raises(DataError, match="format version 99"):
        Path.load(tmp_path / "p")
    with pytest.raises(DataError, match="cannot be written"):
        path.save(tmp_path / "no" / "such" / "folder")


def test_costs_along_a_path_are_objectives(make_case):
    problem = make_case(10, 3).problem
    path = eliminate(problem, 1)
    for keep in range(1, 11):
        assert path.cost(keep) == pytest.approx(objective(problem, path.support(keep)), rel=1e-9)
