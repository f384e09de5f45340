"""The catalogue of sentences in every language, and how numbers look in each."""

from __future__ import annotations

import ast
import re
import string
import unicodedata
from collections.abc import Iterator
from datetime import UTC, timedelta, timezone
from pathlib import Path

import pytest

from osscar_core.export.records import ExportFormat
from osscar_core.records import Intercept, Method, Structure, Target
from osscar_core.studio import numbers, texts
from osscar_core.studio.jobs import State
from osscar_core.studio.numbers import ALMOST, MINUS, TIMES
from osscar_core.studio.pace import steps_of
from osscar_core.studio.requests import JobKind

ROOT = Path(__file__).resolve().parents[2]
OTHERS = sorted(set(texts.LANGUAGES) - {"en"})
# Names and notations that are the same in every language.
NAMES = {
    "app.name",
    "badge.gpu",
    "device.cuda",
    "form.weights.example",
    "method.flap",
    "method.osscar",
    "method.wanda",
    "method.ziplm",
}
HAN_OR_KANA = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


@pytest.fixture(params=texts.LANGUAGES)
def code(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(texts, "_source", lambda: request.param)
    return request.param


@pytest.fixture
def japanese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_source", lambda: "ja")


def sources() -> list[Path]:
    pages = [ROOT / "app.py", *(ROOT / "pages").glob("*.py")]
    return [*pages, *(ROOT / "osscar_core/studio").glob("*.py")]


def strings() -> Iterator[re.Pattern[str]]:
    """Every string of the app's code as a pattern; what is filled in matches any name."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            if isinstance(node, ast.JoinedStr):
                pieces = [
                    re.escape(part.value) if isinstance(part, ast.Constant) else "[^.]+"
                    for part in node.values
                ]
                if "." in "".join(p.value for p in node.values if isinstance(p, ast.Constant)):
                    yield re.compile("".join(pieces))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.compile(re.escape(node.value))


def spoken() -> Iterator[str]:
    """Every key that the app names outright."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "say"):
                continue
            chosen = node.args[0]
            choices = [chosen.body, chosen.orelse] if isinstance(chosen, ast.IfExp) else [chosen]
            yield from (c.value for c in choices if isinstance(c, ast.Constant))


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def filled(text: str, key: str) -> str:
    """Fill a sentence the way the app does: counts where it counts, words elsewhere."""
    values = {
        name: 2 if spec else "5"
        for _, name, spec, _ in string.Formatter().parse(text)
        if name is not None
    }
    return texts.say(key, **values)


def test_every_key_that_the_app_names_exists() -> None:
    named = set(spoken())
    assert len(named) > 50
    assert named - texts.all_keys() == set()


def test_every_key_is_used() -> None:
    patterns = list(strings())
    unused = {key for key in texts.all_keys() if not any(p.fullmatch(key) for p in patterns)}
    assert unused == set()


@pytest.mark.parametrize("other", OTHERS)
def test_every_language_has_the_same_keys(other: str) -> None:
    assert texts.sentences(other).keys() == texts.sentences("en").keys()


@pytest.mark.parametrize("other", OTHERS)
def test_every_language_fills_in_the_same_values(other: str) -> None:
    english, theirs = texts.sentences("en"), texts.sentences(other)
    different = {key for key in english if fields(english[key]) != fields(theirs.get(key, ""))}
    assert different == set()


def test_no_sentence_is_empty_and_all_can_be_filled(code: str) -> None:
    for key, text in texts.sentences(code).items():
        assert text.strip() == text != "", key
        assert "{" not in filled(text, key), key


def test_no_english_is_left_in_japanese() -> None:
    left = {
        key
        for key, text in texts.sentences("ja").items()
        if re.search("[A-Za-z]", re.sub(r"\{[^}]*\}", "", text)) and not HAN_OR_KANA.search(text)
    }
    assert left == NAMES


def test_english_has_no_japanese() -> None:
    assert [key for key, text in texts.sentences("en").items() if HAN_OR_KANA.search(text)] == []


def is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"


def test_bold_is_bold_where_no_space_parts_the_words(code: str) -> None:
    """Markdown takes ``**`` between a letter and a mark for two asterisks, such as は**−5%**."""
    broken = set()
    for key, text in texts.sentences(code).items():
        values = dict.fromkeys(fields(text), "x") | {"change": f"{MINUS}5%"}
        shown = re.sub(r"\{(\w+)[^}]*\}", lambda found, given=values: given[found[1]], text)
        for index, found in enumerate(re.finditer(r"\*\*", shown)):
            before, after = shown[: found.start()][-1:] or " ", shown[found.end() :][:1] or " "
            inner, outer = (after, before) if index % 2 == 0 else (before, after)
            if inner.isspace() or (is_mark(inner) and not (outer.isspace() or is_mark(outer))):
                broken.add(key)
    assert broken == set()


def test_a_second_area_does_not_overwrite_a_sentence() -> None:
    for language in ("ENGLISH", "JAPANESE"):
        keys = [key for area in texts._AREAS for key in getattr(area, language)]
        assert len(keys) == len(set(keys))


def test_one_is_not_many() -> None:
    assert texts.say("runs.count", count=1) == "1 run in this workspace"
    assert texts.say("runs.count", count=0) == "0 runs in this workspace"
    assert texts.say("runs.count", count=1200) == "1,200 runs in this workspace"


def test_japanese_counts_without_a_plural(japanese: None) -> None:
    assert texts.say("runs.count", count=1200) == "このワークスペースの実行：1,200件"


def test_an_unknown_language_is_met_with_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_source", lambda: "XX")
    assert texts.say("menu.runs") == "Runs"


@pytest.mark.parametrize(
    ("prefix", "values"),
    [
        ("method", Method),
        ("structure", Structure),
        ("target", Target),
        ("intercept", Intercept),
        ("runs.state", State),
        ("step", {step for kind in JobKind for step in steps_of(kind)}),
        ("step", steps_of(JobKind.EXPORT, ExportFormat.ONNX)),
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
        (numbers.whole(-1234567), f"{MINUS}1,234,567"),
        (numbers.percent(0.3749), "37%"),
        (numbers.signed(-1.25), f"{MINUS}1.2"),
        (numbers.signed(0.04), "0.0"),
        (numbers.signed(3), "+3.0"),
        (numbers.signed_percent(-0.374), f"{MINUS}37%"),
        (numbers.points(-2.5), f"{MINUS}2.5 pt"),
        (numbers.factor(1.616), f"1.62{TIMES}"),
        (numbers.factor(12.34), f"12.3{TIMES}"),
        (numbers.between("1.5", "1.7"), "1.5 to 1.7"),
        (numbers.about("20 s"), f"{ALMOST}\N{NO-BREAK SPACE}20 s"),
        (numbers.milliseconds(62.5), "62.5 ms"),
        (numbers.milliseconds(1500), "1.50 s"),
        (numbers.megabytes(1_094_320), "1.09 MB"),
        (numbers.megabytes(12), "12 B"),
        (numbers.counted(134_515_008), "135M"),
        (numbers.duration(0), "0 s"),
        (numbers.duration(0.34), "0.3 s"),
        (numbers.duration(42.4), "42 s"),
        (numbers.duration(59.7), "1 min 00 s"),
        (numbers.duration(61), "1 min 01 s"),
        (numbers.duration(3720), "1 h 02 min"),
    ],
)
def test_numbers_look_as_agreed(shown: str, expected: str) -> None:
    assert shown == expected


def test_numbers_follow_the_language(japanese: None) -> None:
    assert numbers.duration(40) == "40秒"
    assert numbers.duration(61) == "1分01秒"
    assert numbers.duration(3720) == "1時間02分"
    assert numbers.points(-2.5) == f"{MINUS}2.5ポイント"
    assert numbers.factor(1.616) == "1.62倍"
    assert numbers.between("1.5", "1.7") == "1.5～1.7"
    assert numbers.counted(134_515_008) == "1.35億"
    assert numbers.counted(269_722) == "27.0万"
    assert texts.say("strip.left", time=numbers.duration(40)) == "残り約40秒"


def test_dates_follow_language_and_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    late = "2026-11-25T15:05:00+00:00"
    monkeypatch.setattr(numbers, "_zone", lambda: UTC)
    assert numbers.date_time(late) == "25 Nov 2026, 15:05"
    assert numbers.date_time("2026-11-25T15:05:00") == "25 Nov 2026, 15:05"
    assert numbers.date(1_795_618_800) == "25 Nov 2026"
    monkeypatch.setattr(numbers, "_zone", lambda: timezone(timedelta(hours=9)))
    assert numbers.date_time(late) == "26 Nov 2026, 00:05"
    monkeypatch.setattr(texts, "_source", lambda: "ja")
    assert numbers.date_time(late) == "2026年11月26日 00:05"
    assert numbers.date(late) == "2026年11月26日"
