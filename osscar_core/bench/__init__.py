"""Benchmarks of the library against what it is compared with, in one run each.

The decision hidden here: what counts as a fair comparison. Every contender gets the same
problem, in the same process and on the same device, and the table says what was included.
"""

from __future__ import annotations

from osscar_core.bench.pipeline import PipelineBench, StageTime, bench_pipeline
from osscar_core.bench.problems import SyntheticProblem, capture, load_problem, save_problem
from osscar_core.bench.solver import Contender, SolverBench, SolverRow, bench_solver

__all__ = [
    "Contender",
    "PipelineBench",
    "SolverBench",
    "SolverRow",
    "StageTime",
    "SyntheticProblem",
    "bench_pipeline",
    "bench_solver",
    "capture",
    "load_problem",
    "save_problem",
]
