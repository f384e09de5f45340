"""A workspace in which every text is a picture, a link, a script, a formula and a colour at once.

Wherever a record takes a text, it is replaced: of a run, one that failed, a comparison, a shift.
"""

from __future__ import annotations

import base64
import copy
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from checked import ab_report, shift_report, stress_report, text_report, write_check
from hostilefiles import picture
from osscar_core.errors import OsscarError
from osscar_core.records import from_dict, to_dict, to_json
from osscar_core.showcase import Guess, Picture, Showcase
from osscar_core.studio.jobs import State, Status
from osscar_core.studio.requests import CheckResult

RUN, FAILED = "20260101-000000-000000", "20260101-000001-000000"
CHECKS = {
    "ab": ("20260102-000000-000000", CheckResult(ab=ab_report())),
    "text": ("20260102-000001-000000", CheckResult(ab=text_report())),
    "shift": ("20260102-000002-000000", CheckResult(shift=shift_report(2.0))),
    "stress": ("20260102-000003-000000", CheckResult(stress=stress_report())),
}
LIVE = (
    "x` ![p](http://evil.example/p.png) [l](http://evil.example) <script>alert(1)</script> "
    "<img src=x onerror=alert(2)> <a href='http://evil.example'>a</a> "
    "$\\alpha$ :red[r] **b** `c` | :material/delete: \u202e~~"
)

_Record = TypeVar("_Record")


def hostile(record: _Record, *spared: str) -> _Record:
    """Return a record with every text replaced that may be any text."""
    kind, values = type(record), to_dict(record)
    for path in list(_texts(values)):
        if path[-1] in spared:
            continue
        changed = copy.deepcopy(values)
        _put(changed, path, LIVE)
        try:
            from_dict(kind, changed)
        except OsscarError:
            continue
        values = changed
    return from_dict(kind, values)


def _texts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, str):
        yield path
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        yield from _texts(item, (*path, key))


def _put(values: Any, path: tuple[Any, ...], text: str) -> None:
    for key in path[:-1]:
        values = values[key]
    values[path[-1]] = text


def write_hostile(home: Path, samples: ModuleType) -> None:
    """Put the runs and the checks into a workspace."""
    asked = samples.image_request(0.5)
    found = hostile(samples.result(asked), "created")
    request = hostile(asked, "device", "dtype")
    asked = dataclasses.replace(request, spec=dataclasses.replace(request.spec, model=LIVE))
    folder = samples.write_run(home, RUN, asked, found, name=LIVE, note=LIVE)
    guesses = (Guess(1, LIVE, 0.9), Guess(2, LIVE, 0.1))
    image = base64.b64encode(picture("PNG")).decode()
    pictures = (Picture(0, image, "image/png", 1, LIVE, guesses, guesses),)
    (folder / "showcase.json").write_text(
        to_json(Showcase("image", LIVE, seen=1, pictures=pictures)), encoding="utf8"
    )
    failed = Status(State.FAILED, step=LIVE, detail=LIVE, reason=LIVE, remedy=LIVE, error_id="ab")
    samples.write_run(home, FAILED, asked, None, failed, name=LIVE, note=LIVE)
    for run_id, result in CHECKS.values():
        write_check(home, run_id, asked.spec, RUN, hostile(result))
