"""Known weaknesses of what is locked: ``python -m tools.audit``.

The decision hidden here: what counts as having looked. The tool that asks says "no known
vulnerabilities" of packages that its source has never heard of, so it is counted here for how
many packages a source really answered. If for none, that is said, and nothing is claimed.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"
SOURCES = ("pypi", "osv")
_OPTIONS = ["--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json"]
_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What one source said.

    Attributes:
        source: Its name.
        looked_up: How many packages it knows.
        unknown: How many it does not know.
        weaknesses: Package, version and mark of each known weakness.
    """

    source: str
    looked_up: int
    unknown: int
    weaknesses: tuple[str, ...]


def ask(source: str, command: Sequence[str]) -> Answer | None:
    """Return what a source says of the lock; ``None`` if it cannot be reached."""
    call = [*command, "--requirement", str(LOCK), "--vulnerability-service", source, *_OPTIONS]
    try:
        ended = subprocess.run(call, capture_output=True, text=True, timeout=_SECONDS, check=False)
        listed: list[dict[str, Any]] = json.loads(ended.stdout)["dependencies"]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError):
        return None
    known = [one for one in listed if "skip_reason" not in one]
    weaknesses = [
        f"{one['name']} {one['version']}: {found['id']}"
        + (f", mended in {', '.join(found['fix_versions'])}" if found.get("fix_versions") else "")
        for one in known
        for found in one["vulns"]
    ]
    return Answer(source, len(known), len(listed) - len(known), tuple(weaknesses))


def main(command: Sequence[str] = ()) -> int:
    """Ask the sources in turn until one answers; return 1 if there are known weaknesses."""
    if not command and importlib.util.find_spec("pip_audit") is None:
        sys.stderr.write("error: pip-audit is not installed. Run: make audit\n")
        return 2
    for source in SOURCES:
        answer = ask(source, command or (sys.executable, "-m", "pip_audit"))
        if answer is None or answer.looked_up == 0:
            continue
        for weakness in answer.weaknesses:
            sys.stdout.write(f"weakness: {weakness}\n")
        unknown = f"; {answer.unknown} are not known there" if answer.unknown else ""
        count = len(answer.weaknesses)
        sys.stdout.write(
            f"{answer.looked_up} packages looked up at {source}{unknown}: "
            f"{count or 'no'} known weaknesses\n"
        )
        return 1 if answer.weaknesses else 0
    sys.stdout.write(
        f"note: no source of advisories could be reached ({', '.join(SOURCES)}); "
        "NOTHING WAS AUDITED. Run this again where one can be\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
