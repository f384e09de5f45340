"""The kernels' logic, run by Triton's interpreter where there is no GPU.

The interpreter must be chosen before Triton is imported, so it has a process of its own.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from osscar_core.solver import fused
from osscar_core.solver.elimination import State
from osscar_core.solver.fused import WIDEST_GROUP, FusedSteps

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import json, sys
sys.path.insert(0, "tests")
from layers import case_of
from osscar_core.errors import NumericalError
from osscar_core.solver import Constraints, eliminate

found = []
for groups, width, panel, keep, bounds in json.loads(sys.argv[1]):
    problem = case_of(groups, width, weighted=True, intercept=True, seed=groups).problem
    limits = Constraints(*map(tuple, bounds))
    plain = eliminate(problem, keep, panel=panel, constraints=limits, fused=False)
    fused = eliminate(problem, keep, panel=panel, constraints=limits, fused=True)
    off = (plain.costs - fused.costs).abs().max() / abs(plain.initial)
    found.append([plain.order.tolist() == fused.order.tolist(), float(off)])
print(json.dumps(found))
"""

# Groups, width, panel, keep, protected and forced groups.
CASES = [
    (20, 1, 7, 1, ((), ())),
    (140, 1, 16, 110, ((5,), (1, 139))),
    (8, 3, 7, 1, ((), ())),
    (6, 9, 18, 1, ((2,), (5,))),
    (5, 17, 34, 2, ((), ())),
]


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs Triton")
def test_the_kernels_remove_what_the_plain_steps_remove():
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(CASES)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert len(found) == len(CASES)
    assert all(same for same, _ in found), found
    assert max(off for _, off in found) < 1e-12


def test_kernels_serve_gpus_and_groups_that_fit(make_case):
    cpu = torch.device("cpu")
    narrow = State(make_case(3, 2).problem, 8, cpu)
    wide = State(make_case(2, WIDEST_GROUP + 1).problem, 8, cpu)
    assert not FusedSteps.serves(narrow, None)
    assert not FusedSteps.serves(narrow, False)
    assert not FusedSteps.serves(wide, True)


def test_without_triton_or_a_compiler_there_are_no_kernels(monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    fused._kernels.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(fused.shutil, "which", lambda _: None)
        assert fused._kernels() is None
    fused._kernels.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(fused.importlib.util, "find_spec", lambda _: None)
        assert fused._kernels() is None
    fused._kernels.cache_clear()
