"""The catalogue of sentences, and how numbers look."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from osscar_core.records import Intercept, Method, Structure, Target
from osscar_core.studio import numbers, texts
from osscar_core.studio.jobs import State
from osscar_core.studio.numbers import MINUS, TIMES
from osscar_core.studio.pace import STEPS

ROOT = Path(__file__).resolve().parents[2]


def sources() -> str:
    files = [ROOT / "app.py", *(ROOT / "pages").glob("*.py")]
    files += (ROOT / "osscar_core/studio").glob("*.py")
    return "\n".join(path.read_text(encoding="utf8") for path in files)


def test_every_key_that_the_app_names_exists() -> None:
    named = set(re.findall(r"""say\(\s*["']([a-z0-9._ -]+)["']""", sources()))
    assert len(named) > 50
    assert named - texts.all_keys() == set()


def test_every_key_is_used() -> None:
    code = sources()
    prefixes = set(re.findall(r'f["\']([a-z._]+\.)\{', code))
    unused = {
        key
        for key in texts.all_keys()
        if f'"{key}"' not in code
        and f"'{key}'" not in code
        and not any(key.startswith(prefix) for prefix in prefixes)
    }
    assert unused == set()


@pytest.mark.parametrize(
    ("prefix", "values"),
    [
        ("method", Method),
        ("structure", Structure),
        ("target", Target),
        ("intercept", Intercept),
        ("runs.state", State),
        ("step", {step for steps in STEPS.values() for step in steps}),
        ("state", ("ready", "weights missing", "needs download", "needs weights file")),
    ],
)
def test_every_choice_has_a_name(prefix: str, values) -> None:
    assert {f"{prefix}.{value}" for value in values} <= texts.all_keys()


def test_text_from_elsewhere_is_shown_as_it_is() -> None:
    assert texts.as_plain("/a_b/*[x]:red[") == r"/a\_b/\*\[x\]\:red\["


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (numbers.significant(0.01234), "0.0123"),
        (numbers.significant(1234.5), "1,230"),
        (numbers.significant(0), "0"),
        (numbers.percent(0.3749), "37%"),
        (numbers.signed(-1.25), f"{MINUS}1.2"),
        (numbers.signed(0.04), "0.0"),
        (numbers.signed(3), "+3.0"),
        (numbers.factor(1.616), f"1.62{TIMES}"),
        (numbers.factor(12.34), f"12.3{TIMES}"),
        (numbers.milliseconds(62.5), "62.5 ms"),
        (numbers.milliseconds(1500), "1.50 s"),
        (numbers.megabytes(1_094_320), "1.09 MB"),
        (numbers.megabytes(12), "12 B"),
        (numbers.counted(134_515_008), "135M"),
        (numbers.duration(42.4), "42 s"),
        (numbers.duration(61), "1 min 01 s"),
        (numbers.duration(3720), "1 h 02 min"),
    ],
)
def test_numbers_look_as_agreed(shown: str, expected: str) -> None:
    assert shown == expected
