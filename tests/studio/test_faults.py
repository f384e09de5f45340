"""Two hundred things that go wrong, in one process with many children; see `faults`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

FILE = Path(__file__).with_name("faults.py")
SEED, COUNT = os.environ.get("FAULTS_SEED", "1"), os.environ.get("FAULTS", "200")
"""For a longer trial, or to see one again."""


def test_no_result_is_lost_none_is_half_and_the_queue_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, str(FILE), "--seed", SEED, "--faults", COUNT]
    around = {**os.environ, "PYTHONPATH": str(FILE.parents[2]), "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=around, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["faults"] == int(COUNT)
    assert {"finished", "failed", "cancelled", "interrupted"} <= set(found["runs ended"])
