from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from osscar_core.errors import NumericalError, SpecError
from osscar_core.solver import (
    Constraints,
    LayerProblem,
    branching,
    eliminate,
    objective,
    swap_search,
)
from osscar_core.solver.certificate import Certificate, Proof, branch_and_bound, certify_support


def duplicate(X, W0):
    X[:, 1] = X[:, 0]


def nearly_duplicate(X, W0):
    X[:, 1] = X[:, 0] + 1e-5 * X[:, -1]


def dead(X, W0):
    X[:, 0] = 0.0


def constant(X, W0):
    X[:, 0] = 3.0


def unequal_scales(X, W0):
    scale = torch.logspace(0, -5, X.shape[1], dtype=torch.float64)
    X *= scale
    W0 /= scale[:, None]


def ill_conditioned(X, W0):
    p = X.shape[1]
    turn = torch.linalg.qr(torch.vander(torch.linspace(-1, 1, p).double())).Q
    X[:] = X @ turn * torch.logspace(0, -5, p, dtype=torch.float64) @ turn.T


def nothing_to_fit(X, W0):
    W0[:] = 0.0


CHANGES = [
    None,
    duplicate,
    nearly_duplicate,
    dead,
    constant,
    unequal_scales,
    ill_conditioned,
    nothing_to_fit,
]


@pytest.fixture
def no_enumeration(monkeypatch):
    """Makes the search branch down to the last group."""
    monkeypatch.setattr(branching, "_ENUMERATE_FLOPS", 0.0)
    monkeypatch.setattr(branching, "_ENUMERATE_FACTOR", 0.0)


def best_of(problem, keep, stays=(), goes=()):
    return min(
        objective(problem, torch.tensor(chosen))
        for chosen in itertools.combinations(range(problem.groups), keep)
        if set(stays) <= set(chosen) and not set(goes) & set(chosen)
    )


def indices(groups):
    return torch.tensor(sorted(groups), dtype=torch.int64)


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(data=st.data())
def test_it_is_brute_force_and_no_bound_exceeds_it(make_case, data):
    width = data.draw(st.sampled_from([1, 1, 2, 4]))
    groups = data.draw(st.integers(2, 8 if width < 3 else 5))
    keep = data.draw(st.integers(1, groups))
    p = groups * width
    change = data.draw(st.sampled_from(CHANGES))
    problem = make_case(
        groups,
        width,
        outputs=data.draw(st.integers(1, 2 * p)),
        rows=data.draw(st.sampled_from([None, max(2, p // 2)])),
        seed=data.draw(st.integers(0, 10**6)),
        damping=data.draw(st.sampled_from([1e-2, 1e-4, 1e-10])),
        intercept=data.draw(st.booleans()),
        weighted=data.draw(st.booleans()),
        change=None if change is nearly_duplicate and p < 3 else change,
    ).problem
    order = data.draw(st.permutations(range(groups)))
    stays = order[: data.draw(st.integers(0, keep))]
    rest = order[len(stays) :]
    goes = rest[: data.draw(st.integers(0, groups - keep))]
    best = best_of(problem, keep, stays, goes)
    with pytest.MonkeyPatch.context() as patch:
        if data.draw(st.booleans()):
            patch.setattr(branching, "_ENUMERATE_FLOPS", 0.0)
            patch.setattr(branching, "_ENUMERATE_FACTOR", 0.0)
            patch.setattr(branching, "_NODE_FEATURES", data.draw(st.sampled_from([2, 8, 384])))
        support, certificate = branch_and_bound(
            problem, keep, constraints=Constraints(tuple(stays), tuple(goes))
        )
    scale = abs(objective(problem, torch.arange(groups)))
    assert certificate.proven
    assert certificate.gap == certificate.relative_gap == 0.0
    assert certificate.objective == objective(problem, support)
    assert best - 1e-13 * scale <= certificate.objective <= best + 1e-9 * scale
    assert set(stays) <= set(support.tolist())
    assert not set(goes) & set(support.tolist())
    assert support.tolist() == sorted(set(support.tolist()))
    assert support.numel() == keep
    assert certificate.bound <= best + 1e-13 * scale
    for rounds in (1, 4):
        relaxed = certify_support(
            problem, support, constraints=Constraints(tuple(stays), tuple(goes)), rounds=rounds
        )
        assert relaxed.bound <= best + 1e-13 * scale
        assert 0.0 <= relaxed.gap <= 1.0
        assert 0.0 <= relaxed.relative_gap <= 1.0


@pytest.mark.parametrize("width", [1, 2])
def test_branching_alone_is_brute_force(make_case, brute_force, no_enumeration, width):
    branched = 0
    for seed in range(100):
        groups = 4 + seed % 5
        keep = 1 + seed % (groups - 1)
        problem = make_case(groups, width, seed=seed, rows=6 + seed % 20, weighted=True).problem
        support, certificate = branch_and_bound(problem, keep)
        _, best = brute_force(problem, keep)
        assert certificate.proven
        assert objective(problem, support) == pytest.approx(best, rel=1e-9)
        branched += certificate.nodes > 1
    assert branched > 50


@pytest.mark.parametrize("features", [1, 5, 12])
def test_bounds_from_some_directions_only_stay_valid(
    make_case, brute_force, no_enumeration, monkeypatch, features
):
    monkeypatch.setattr(branching, "_NODE_FEATURES", features)
    for seed in range(20):
        problem = make_case(6, 4, seed=seed, outputs=30).problem
        support, certificate = branch_and_bound(problem, 3)
        assert certificate.proven
        assert objective(problem, support) == pytest.approx(brute_force(problem, 3)[1], rel=1e-9)


def test_a_bad_start_is_improved_and_a_good_one_kept(make_case, brute_force, no_enumeration):
    problem = make_case(8, 2, seed=1).problem
    best, value = brute_force(problem, 4)
    worst = max(
        itertools.combinations(range(8), 4), key=lambda s: objective(problem, torch.tensor(s))
    )
    for start in (best, torch.tensor(worst)):
        support, certificate = branch_and_bound(problem, 4, start=start)
        assert support.equal(best)
        assert certificate.objective == pytest.approx(value, rel=1e-12)


def test_stopped_early_it_reports_a_valid_gap(make_case):
    problem = make_case(26, 3, seed=4).problem
    support, stopped = branch_and_bound(problem, 13, seconds=0.0)
    again, longer = branch_and_bound(problem, 13, seconds=1.0)
    assert stopped.how is Proof.BRANCH_AND_BOUND
    assert not stopped.proven
    assert stopped.nodes == 1
    assert longer.nodes > 1
    assert support.numel() == again.numel() == 13
    assert stopped.bound <= longer.bound <= longer.objective <= stopped.objective
    assert 0.0 < longer.gap < stopped.gap < 1.0
    expected = (stopped.objective - stopped.bound) / (stopped.objective - stopped.full)
    assert stopped.gap == pytest.approx(expected, rel=1e-12)
    start = swap_search(problem, eliminate(problem, 13).support(13), 64)[0]
    assert stopped.objective <= objective(problem, start) + 1e-12


def test_it_is_deterministic(make_case, no_enumeration):
    problem = make_case(10, 2, seed=6).problem
    first, second = branch_and_bound(problem, 5), branch_and_bound(problem, 5)
    assert first[0].equal(second[0])
    assert dataclasses.replace(first[1], seconds=0.0) == dataclasses.replace(second[1], seconds=0.0)


def test_how_it_was_proven_is_said(make_case, monkeypatch):
    problem = make_case(8, seed=2).problem
    support, enumerated = branch_and_bound(problem, 4)
    assert enumerated.how is Proof.ENUMERATED
    assert enumerated.nodes == 1
    monkeypatch.setattr(branching, "_ENUMERATE_MOST", 1)
    assert branch_and_bound(problem, 4)[1].how is Proof.BRANCH_AND_BOUND
    assert certify_support(problem, support).how is Proof.RELAXATION


@pytest.mark.parametrize("solve", [branch_and_bound, None])
def test_with_one_legal_support_there_is_nothing_to_search(make_case, solve):
    problem = make_case(6, 2).problem
    for keep, stays, goes, only in [
        (6, [], [], [0, 1, 2, 3, 4, 5]),
        (2, [1, 4], [], [1, 4]),
        (4, [2], [0, 5], [1, 2, 3, 4]),
    ]:
        if solve is None:
            support = indices(only)
            found = certify_support(
                problem, support, constraints=Constraints(tuple(stays), tuple(goes))
            )
        else:
            support, found = solve(
                problem, keep, constraints=Constraints(tuple(stays), tuple(goes))
            )
        assert support.tolist() == only
        assert found.proven
        assert found.gap == 0.0


def test_forced_groups_count_as_lost_from_the_start(make_case):
    problem = make_case(6, seed=3).problem
    support, found = branch_and_bound(problem, 3, constraints=Constraints(forced=(1,)))
    assert found.full == pytest.approx(objective(problem, indices([0, 2, 3, 4, 5])), rel=1e-10)
    assert (
        certify_support(problem, support, constraints=Constraints(forced=(1,))).full == found.full
    )


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"constraints": Constraints((0, 1), (1, 2))}, "group 1 is both"),
        ({"constraints": Constraints((0, 1, 2, 3))}, "4 groups are protected"),
        ({"constraints": Constraints(forced=(0, 1, 2))}, "3 of 5 groups are forced"),
        ({"constraints": Constraints((5,))}, "group 5 does not exist"),
        ({"start": [0, 1]}, "must hold 3 groups"),
        ({"start": [0, 1, 2], "constraints": Constraints(forced=(2,))}, "contradicts"),
        ({"start": [0, 1, 2], "constraints": Constraints((4,))}, "contradicts"),
        ({"start": [2, 1, 0]}, "ascend"),
    ],
)
def test_contradictions_are_refused(make_case, settings_, message):
    problem = make_case(5).problem
    given_ = dict(settings_)
    if "start" in given_:
        given_["start"] = torch.tensor(given_["start"])
    with pytest.raises(SpecError, match=message):
        branch_and_bound(problem, 3, **given_)
    support = given_.pop("start", None)
    if support is None or given_:
        with pytest.raises(SpecError, match=message):
            certify_support(problem, torch.arange(3) if support is None else support, **given_)


@pytest.mark.parametrize("keep", [0, 6, 2.5])
def test_keep_is_checked(make_case, keep):
    with pytest.raises(SpecError, match=r"whole number in \[1, 5\]"):
        branch_and_bound(make_case(5).problem, keep)


def test_the_effort_is_checked(make_case):
    problem = make_case(5).problem
    with pytest.raises(SpecError, match="rounds is 0"):
        certify_support(problem, torch.arange(3), rounds=0)
    for seconds in (-1.0, float("nan")):
        with pytest.raises(SpecError, match="seconds is"):
            branch_and_bound(problem, 3, seconds=seconds)


def test_a_singular_hessian_is_refused(make_case):
    problem = make_case(6, rows=4, damping=0.0).problem
    with pytest.raises(NumericalError, match="Raise the damping"):
        certify_support(problem, torch.arange(3))
    with pytest.raises(NumericalError, match="Raise the damping"):
        branch_and_bound(problem, 3)


def test_a_search_without_a_start_still_ends(make_case, brute_force, monkeypatch, no_enumeration):
    def refuse(*_):
        raise NumericalError("the hessian is bad", "Raise the damping")

    monkeypatch.setattr(branching, "eliminate", refuse)
    problem = make_case(7, 2, seed=9).problem
    support, certificate = branch_and_bound(problem, 3)
    assert certificate.proven
    assert objective(problem, support) == pytest.approx(brute_force(problem, 3)[1], rel=1e-9)


def test_the_bound_of_a_wide_layer_closes_part_of_the_gap(make_case):
    problem = make_case(200, outputs=50, seed=0).problem
    support = eliminate(problem, 100).support(100)
    gaps = [certify_support(problem, support, rounds=rounds).gap for rounds in (1, 2, 4, 8)]
    assert gaps == sorted(gaps, reverse=True)
    assert 0.0 < gaps[-1] < 0.9
    found = certify_support(problem, support)
    assert found.full < found.bound < found.objective
    assert found.relative_gap == pytest.approx(
        (found.objective - found.bound) / abs(found.objective), rel=1e-12
    )


def test_a_removal_that_costs_nothing_has_no_gap(make_case):
    problem = make_case(6, change=nothing_to_fit, rows=40).problem
    free = LayerProblem.of_quadratic(problem.H, torch.zeros_like(problem.G), 6, problem.damping)
    found = certify_support(free, torch.arange(3))
    assert found.proven
    assert (found.cost, found.gap, found.relative_gap) == (0.0, 0.0, 0.0)
    unproven = Certificate(-1.0, -1.0, -1.5, Proof.RELAXATION, False, 1, 0.0)
    assert (unproven.cost, unproven.gap, unproven.relative_gap) == (0.0, 0.0, 0.5)


def test_a_dead_group_may_go_for_nothing(make_case):
    problem = make_case(6, change=dead).problem
    support, found = branch_and_bound(problem, 5)
    assert support.tolist() == [1, 2, 3, 4, 5]
    assert found.cost <= 1e-3 * abs(found.full)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("width", [1, 3])
def test_the_gpu_agrees(make_case, width):
    case = make_case(14, width)
    raw = case.problem.statistics
    moved = dataclasses.replace(
        raw,
        **{
            f.name: getattr(raw, f.name).cuda()
            for f in dataclasses.fields(raw)
            if f.name != "count"
        },
    )
    problem = LayerProblem.build(moved, case.W0, 14, damping=1e-2, intercept=False)
    support, found = branch_and_bound(problem, 7)
    expected_support, expected = branch_and_bound(case.problem, 7)
    assert support.tolist() == expected_support.tolist()
    assert found.objective == pytest.approx(expected.objective, rel=1e-10)
    relaxed, same = (
        certify_support(problem, support),
        certify_support(case.problem, expected_support),
    )
    # Both are valid; where a basis is not unique, rounding leads to different ones.
    assert relaxed.bound == pytest.approx(same.bound, rel=1e-3)
    assert max(relaxed.bound, same.bound) <= expected.objective
