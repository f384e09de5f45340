"""What this machine computes with, as far as that can be told without a driver call.

The decision hidden here: where the name of a GPU is looked for without torch.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

_DRIVER = Path("/proc/driver/nvidia/gpus")
_PATIENCE = 5.0


@functools.cache
def gpu_name() -> str:
    """Return the first NVIDIA GPU's name; empty where there is none."""
    for file in sorted(_DRIVER.glob("*/information")):
        for line in file.read_text(encoding="utf8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "Model" and value.strip():
                return value.strip()
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    try:
        listed = subprocess.run(
            [program, "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return listed.stdout.partition("\n")[0].strip()
