"""The phrases of savings, verdict and report in both languages; numbers as on screen."""

from __future__ import annotations

import itertools
import re
import string
from pathlib import Path

import pytest

from osscar_core import phrases
from osscar_core.checks.records import Conclusion, Light
from osscar_core.errors import SpecError
from osscar_core.phrases import AREAS, LANGUAGES, Words
from osscar_core.records import Method, Structure
from osscar_core.savings import QUANTITIES, Currency, Remark, Source
from osscar_core.studio import numbers, summary, texts
from osscar_core.verdict import RULE, Choice, Criterion, Grade

ROOT = Path(__file__).resolve().parent.parent
HAN_OR_KANA = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
NAMES = {
    *("method.osscar", "method.flap", "method.wanda", "method.ziplm"),
    *("report.head.id", "report.head.p95"),
}


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_both_languages_have_the_same_phrases_and_placeholders() -> None:
    english, japanese = phrases.phrases("en"), phrases.phrases("ja")
    assert english.keys() == japanese.keys()
    assert [k for k in english if fields(english[k]) != fields(japanese[k])] == []
    assert all(text.strip() for text in (*english.values(), *japanese.values()))


def test_no_area_overwrites_another() -> None:
    for language in ("ENGLISH", "JAPANESE"):
        keys = [key for area in AREAS for key in getattr(area, language)]
        assert len(keys) == len(set(keys))


def test_each_language_is_itself() -> None:
    japanese = phrases.phrases("ja")
    english_left = {
        key
        for key, text in japanese.items()
        if re.search("[A-Za-z]", re.sub(r"\{[^}]*\}", "", text)) and not HAN_OR_KANA.search(text)
    }
    assert english_left == NAMES
    assert [k for k, text in phrases.phrases("en").items() if HAN_OR_KANA.search(text)] == []


def test_every_choice_has_its_phrase() -> None:
    expected = {
        *(f"savings.input.{name}" for name in QUANTITIES),
        *(f"savings.short.{name}" for name in QUANTITIES),
        *(f"savings.reason.{name}" for name in QUANTITIES),
        *(f"savings.remark.{remark}" for remark in Remark),
        *(f"savings.source.{source}" for source in Source),
        *(f"savings.currency.{currency}" for currency in Currency),
        *(f"verdict.{choice}" for choice in Choice),
        *(f"verdict.{choice}.text" for choice in Choice),
        *(f"criterion.{criterion}" for criterion in Criterion),
        *(f"grade.{grade}" for grade in Grade),
        *(f"rule.{criterion}.{grade}" for criterion, grade in RULE),
        *(f"method.{method}" for method in Method),
        *(f"structure.{structure}" for structure in Structure),
        *(f"light.{light}" for light in Light),
        *(f"conclusion.{conclusion}" for conclusion in Conclusion),
        *(f"conclusion.short.{conclusion}" for conclusion in Conclusion),
    }
    assert expected - phrases.phrases("en").keys() == set()


def test_every_finding_has_its_phrase() -> None:
    source = (ROOT / "osscar_core/verdict.py").read_text(encoding="utf8")
    keys = set(re.findall(r'Grade\.\w+, "([a-z]+)"', source))
    assert {"faster", "confirmed", "broken", "calm", "positive"} <= keys
    known = phrases.phrases("en")
    for key in keys:
        assert any(f"finding.{criterion}.{key}" in known for criterion in Criterion), key
    assert all(f"finding.{criterion}.missing" in known for criterion in Criterion)


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_are_those_of_the_app(language: str) -> None:
    app, words = texts.sentences(language), Words(language)
    for method in Method:
        assert words.say(f"method.{method}") == app[f"method.{method}"]
    for metric in ("top1", "perplexity"):
        assert words.say(f"metric.{metric}") == app[f"metric.name.{metric}"]
    assert words.say("report.dense") == app["table.dense"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_numbers_are_those_of_the_screen(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_source", lambda: language)
    words = Words(language)
    for value in (0.5, 0.999, 1.616, 9.996, 12.34, 123.4):
        assert words.factor(value) == numbers.factor(value)
    for value in (-12.345, -0.04, 0.0, 0.96, 7.0):
        assert words.points(value) == numbers.points(value)
        for metric, change in itertools.product(("top1", "perplexity"), [value]):
            shown, _ = words.change(summary.Change(change, change, change), metric)
            assert shown == summary.changed_in_unit(change, metric)
    assert words.between("1", "2") == numbers.between("1", "2")


@pytest.mark.parametrize(
    ("value", "currency", "english", "japanese"),
    [
        (1_234_567, Currency.YEN, "¥1,230,000", "123万円"),
        (-500_000, Currency.YEN, "−¥500,000", "−50万円"),
        (123_456_789, Currency.YEN, "¥123,000,000", "1.23億円"),
        (9_999.6, Currency.YEN, "¥10,000", "1万円"),
        (980, Currency.YEN, "¥980", "980円"),
        (0, Currency.YEN, "¥0", "0円"),
        (0.1234, Currency.DOLLAR, "$0.123", "0.123ドル"),
        (-12_345, Currency.DOLLAR, "−$12,300", "−12,300ドル"),
    ],
)
def test_money_as_its_readers_write_it(
    value: float, currency: Currency, english: str, japanese: str
) -> None:
    assert Words("en").money(value, currency) == english
    assert Words("ja").money(value, currency) == japanese


def test_months_are_rounded_up() -> None:
    words = Words("en")
    assert words.months(0.0) == "0 months"
    assert words.months(0.7) == "1 month"
    assert words.months(3.2) == "4 months"
    assert words.months(4.0) == "4 months"
    assert words.months(None) == "never"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(SpecError, match="unknown language 'fr'"):
        Words("fr")


def test_losses_are_in_the_units_of_a_margin() -> None:
    words = Words("en")
    assert words.loss(0.0123, "top1") == "+1.2 pt"
    assert words.loss(0.0123, "perplexity") == "+1.2%"
    assert words.loss_range(-0.001, 0.02, "top1") == "−0.1 to +2.0 pt"
