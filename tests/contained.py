"""Commands run one by one, each in a process of its own with little memory and time.

One process imports the program once and then forks for every command, so that a command
costs milliseconds to start, and one that dies takes nothing else with it. What is measured
of a command is its own: seconds of CPU, and the memory that it took beyond the program.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve()
_MIB = 2**20
# Beyond what the program itself takes: an allocation of more fails, and is told as such.
_MOST_MEMORY = 3 * 2**30
_MOST_SECONDS = 20
_WARM = (
    "gguf",
    "PIL.Image",
    "pyarrow.parquet",
    "torchvision.transforms.v2.functional",
    "transformers.modeling_gguf_pytorch_utils",
    "transformers.models.llama.modeling_llama",
    "transformers.models.opt.modeling_opt",
    "transformers.models.auto.tokenization_auto",
    "osscar_core.cli",
    "osscar_core.cli.decide",
    "osscar_core.evaluation",
    "osscar_core.datasets.images",
    "osscar_core.datasets.own.parsing",
    "osscar_core.models",
    "osscar_core.planning",
    "osscar_core.pruner",
)


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Its exit code, or minus the signal that killed it.
        out: What it wrote to standard output.
        err: What it wrote to standard error.
        megabytes: Memory that it took beyond the program's own, at its peak.
        seconds: Seconds of CPU that it took.
    """

    code: int
    out: str
    err: str
    megabytes: float
    seconds: float

    @property
    def reason(self) -> str:
        """The one line that tells the failure; fails unless it is one, and a refusal."""
        lines = self.err.splitlines()
        assert self.code == 2, (self.code, self.err[-2000:])
        assert self.out == ""
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: "), self.err
        return lines[0]


class Contained:
    """The process that runs the commands.

    Args:
        folder: Where commands run, and what is the home of all that they keep.
    """

    def __init__(self, folder: Path) -> None:
        root = _HERE.parents[1]
        path = os.pathsep.join((str(_HERE.parent), str(root)))
        given = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", "import contained; contained.serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
            env={**os.environ, **given, "OSSCAR_HOME": str(folder), "HF_HOME": str(folder / "hf")},
            text=True,
        )

    def run(self, argv: Sequence[object], env: Mapping[str, str] | None = None) -> Ended:
        """Return how one command ends."""
        question = {"argv": [str(one) for one in argv], "env": dict(env or {})}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return Ended(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=60)


def serve() -> None:
    """Answer questions on standard input until there are no more."""
    for name in _WARM:
        importlib.import_module(name)
    for line in sys.stdin:
        answer = _answer(**json.loads(line))
        sys.__stdout__.write(json.dumps(answer) + "\n")
        sys.__stdout__.flush()


def _answer(argv: list[str], env: dict[str, str]) -> dict[str, Any]:
    with contextlib.ExitStack() as stack:
        out, err, note = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        child = os.fork()
        if not child:
            os.write(note.fileno(), str(_pages(1)).encode())
            _command(argv, env, out.fileno(), err.fileno())
        _, status, used = os.wait4(child, 0)
        before = int(os.pread(note.fileno(), 32, 0))
        told = []
        for file in (out, err):
            file.seek(0)
            told.append(file.read(10 * _MIB).decode(errors="replace"))
    return {
        "code": os.waitstatus_to_exitcode(status),
        "out": told[0],
        "err": told[1],
        "megabytes": max(0, used.ru_maxrss * 1024 - before) / _MIB,
        "seconds": used.ru_utime + used.ru_stime,
    }


def _command(argv: list[str], env: dict[str, str], out: int, err: int) -> None:
    from osscar_core.cli import main

    code = 99
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (_MOST_SECONDS, _MOST_SECONDS))
        limit = _pages(0) + _MOST_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        import signal

        signal.alarm(3 * _MOST_SECONDS)
        os.environ.update(env)
        code = main(argv)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _pages(field: int) -> int:
    return int(Path("/proc/self/statm").read_text().split()[field]) * resource.getpagesize()
