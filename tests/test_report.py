"""The report: whole, escaped, self-contained, traceable, in both languages."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from decisions import (
    MADE_UP,
    ab_report,
    bare_content,
    full_content,
    measured_runs,
    savings_of,
    shift_report,
    slice_result,
    stress_report,
    worst_content,
)
from osscar_core.errors import OutputError, SpecError
from osscar_core.notation import percent
from osscar_core.phrases import LANGUAGES, Words
from osscar_core.report import (
    MeasuredRun,
    ReportContent,
    charts,
    record_id,
    report_html,
    write_report,
)
from osscar_core.report.markup import tag
from osscar_core.report.svg import Scale, nice_step, scale_of, shortened
from osscar_core.studio import numbers, summary, texts

HOSTILE = "<script>alert('x')</script>\"&<img src=x onerror=y>"
_VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """A page's tags, checked to be closed in order, and its visible text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"{name} has an attribute twice"
        self.tags.append((name, dict(attrs)))
        if name not in _VOID:
            self.open.append(name)

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def count(self, name: str) -> int:
        return sum(found == name for found, _ in self.tags)

    @property
    def text(self) -> str:
        return "".join(self.words)


@pytest.fixture(scope="module")
def content() -> ReportContent:
    return full_content()


@pytest.fixture(scope="module", params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def page(content: ReportContent, language: str) -> Page:
    return Page(report_html(content, language))


def test_it_is_one_well_formed_page(page: Page, language: str) -> None:
    assert page.tags[0] == ("html", {"lang": language})
    assert page.count("h1") == 1
    sections = [attrs.get("class") for name, attrs in page.tags if name == "section"]
    assert sections == ["page", "page", "appendix"]
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_every_reason_leads_to_its_evidence(page: Page) -> None:
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    links = [str(attrs["href"]) for name, attrs in page.tags if name == "a"]
    assert len(links) == 3
    assert {link[1:] for link in links} <= ids


def test_pictures_are_xml_with_title_and_description(content: ReportContent, language: str) -> None:
    found = re.findall(r"<svg.*?</svg>", report_html(content, language), flags=re.DOTALL)
    assert len(found) == 6
    for picture in found:
        root = ElementTree.fromstring(picture)  # noqa: S314 - our own
        names = {child.tag: child.attrib["id"] for child in root[:2]}
        assert list(names) == ["title", "desc"]
        assert root.attrib["aria-labelledby"] == " ".join(names.values())
        assert root.attrib["role"] == "img"
        assert all(child.text for child in root[:2])
        _check_inside(root)


def _check_inside(root: ElementTree.Element) -> None:
    """Every mark lies within the picture."""
    _, _, width, height = (float(part) for part in root.attrib["viewBox"].split())
    for mark in root.iter():
        for name in ("x", "x1", "x2", "cx"):
            if name in mark.attrib:
                assert 0 <= float(mark.attrib[name]) <= width + 0.1, mark.attrib
        for name in ("y", "y1", "y2", "cy"):
            if name in mark.attrib:
                assert 0 <= float(mark.attrib[name]) <= height + 0.1, mark.attrib


def test_nothing_is_asked_of_a_server(content: ReportContent, language: str) -> None:
    text = report_html(content, language)
    for forbidden in ("http:", "https:", "//www", "<script", "@import", "url(", "<link", "<img"):
        assert forbidden not in text
    assert "default-src 'none'" in text
    loaded = {key for _, attrs in Page(text).tags for key in attrs} & {"src", "srcset", "data"}
    assert loaded == set()


def test_names_from_elsewhere_can_not_become_markup(language: str) -> None:
    data = dataclasses.replace(MADE_UP, spec=HOSTILE)
    ab = dataclasses.replace(
        ab_report(slices=(slice_result(f"{HOSTILE}={HOSTILE}", 0.0, 0.01),)),
        data=data,
        protocol=HOSTILE,
        correction=HOSTILE,
    )
    shift = shift_report()
    shift = dataclasses.replace(
        shift,
        new=data,
        warnings=(HOSTILE,),
        attributes=(dataclasses.replace(shift.attributes[0], name=HOSTILE, new=HOSTILE),),
    )
    stress = stress_report()
    row = dataclasses.replace(stress.rows[0], disturbance=HOSTILE, meaning=HOSTILE)
    stress = dataclasses.replace(stress, rows=(row,))
    content = full_content()
    plan = content.run.prune.plan
    plan = dataclasses.replace(
        plan,
        spec=dataclasses.replace(plan.spec, model=HOSTILE),
        environment={HOSTILE: HOSTILE},
    )
    run = dataclasses.replace(
        content.run, id=HOSTILE, prune=dataclasses.replace(content.run.prune, plan=plan)
    )
    hostile = dataclasses.replace(content, run=run, ab=ab, shift=shift, stress=stress)
    text = report_html(hostile, language)
    page = Page(text)
    assert page.count("script") == page.count("img") == 0
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert HOSTILE in page.text
    for picture in re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL):
        ElementTree.fromstring(picture)  # noqa: S314 - our own


def test_control_characters_do_not_reach_the_page() -> None:
    assert tag("p", "a\x00\x1bb", title="\x07") == '<p title="\ufffd">a\ufffd\ufffdb</p>'


def test_every_value_is_beside_its_run(content: ReportContent, page: Page) -> None:
    text = page.text
    assert text.count("sample-5") > 5
    records = (content.ab, content.shift, content.stress, content.savings)
    for record in records:
        assert text.count(record_id(record)) >= 2
    plan = content.run.prune.plan
    for trace in (
        plan.calibration.digest[:16],
        MADE_UP.digest[:16],
        plan.source.sha256,
        plan.environment["torch"],
        "float32",
        "Intel(R) Xeon(R) Processor",
    ):
        assert str(trace) in text


def test_numbers_are_those_of_the_screen(
    content: ReportContent, page: Page, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "_source", lambda: language)
    run = content.run
    assert run.speed is not None
    assert run.pruned is not None
    assert run.change is not None
    sizes, latency = run.prune.bytes, run.speed.pruned.latency_ms
    for shown in (
        numbers.factor(run.speed.speedup),
        numbers.between(*(f"{end:.2f}" for end in run.speed.interval)),
        summary.changed_in_unit(run.change.value, run.pruned.metric),
        summary.value_of(run.pruned),
        numbers.signed_percent(sizes.pruned / sizes.dense - 1),
        numbers.change(numbers.megabytes(sizes.dense), numbers.megabytes(sizes.pruned)),
        numbers.milliseconds(latency.p95),
    ):
        assert shown in page.text, shown


def test_every_unit_slice_and_strength_has_its_row(content: ReportContent, page: Page) -> None:
    text = page.text
    assert content.ab is not None
    assert content.stress is not None
    for unit in content.run.prune.units:
        assert unit.name in text
        assert percent(1 - unit.kept / unit.groups, 1) in text
    assert all(one.name in text for one in content.ab.slices)
    rows = len(content.stress.rows) * len(content.stress.rows[0].points)
    assert text.count("made up") > rows


@pytest.mark.parametrize("model", ["demo/opt", "demo/resnet50"])
def test_what_was_not_measured_is_said(model: str, language: str) -> None:
    text = Page(report_html(bare_content(model), language)).text
    words = Words(language)
    assert text.count(words.say("report.unmeasured")) >= 6
    assert words.say("report.uncomputed") in text
    assert words.say("verdict.pilot") in text
    for part in ("ab", "savings", "shift", "stress", "tradeoff"):
        assert words.say(f"report.absent.{part}") in text


def test_losses_of_text_are_relative(language: str) -> None:
    text = Page(report_html(full_content("demo/opt", 7), language)).text
    assert Words(language).say("metric.perplexity") in text


def test_bad_news_is_told_in_full(language: str) -> None:
    content, words = worst_content(), Words(language)
    text = Page(report_html(content, language)).text
    assert words.say("verdict.dont") in text
    assert content.savings is not None
    assert len(content.savings.remarks) == 6
    for remark in content.savings.remarks:
        assert words.say(f"savings.remark.{remark}") in text
    assert words.say("savings.never") in text


def test_the_same_content_gives_the_same_bytes(content: ReportContent) -> None:
    assert report_html(content, "en") == report_html(content, "en")


def test_qualities_on_different_data_are_refused() -> None:
    run = measured_runs("demo/resnet50")[0]
    assert run.dense is not None
    other = dataclasses.replace(run.dense, data=dataclasses.replace(MADE_UP, spec="other"))
    with pytest.raises(SpecError, match="different data"):
        dataclasses.replace(run, dense=other)
    text = measured_runs("demo/opt")[0]
    with pytest.raises(SpecError, match="perplexity"):
        MeasuredRun("x", run.prune, text.dense, run.pruned)


def test_a_comparison_or_savings_of_another_run_are_refused(content: ReportContent) -> None:
    other = measured_runs("demo/resnet50")[3]
    with pytest.raises(SpecError, match="the savings rest on a speed-up of"):
        dataclasses.replace(content, savings=savings_of(other))
    with pytest.raises(SpecError, match="the comparison is of perplexity"):
        dataclasses.replace(content, ab=ab_report(metric="perplexity"))


def test_it_is_written_whole_or_the_reason_is_told(content: ReportContent, tmp_path: Path) -> None:
    out = write_report(content, "ja", tmp_path / "report.html")
    assert out.read_text(encoding="utf8") == report_html(content, "ja")
    with pytest.raises(OutputError, match="cannot write"):
        write_report(content, "en", tmp_path / "none" / "report.html")
    with pytest.raises(SpecError, match="unknown language"):
        write_report(content, "fr", out)


def test_an_axis_has_round_ticks_within_it() -> None:
    scale = Scale(0.93, 2.07, 0.0, 100.0)
    assert scale.ticks() == pytest.approx([1.0, 1.5, 2.0])
    assert scale(0.93) == 0
    assert scale(5.0) == 100
    assert nice_step(0.3) == pytest.approx(0.5)
    assert nice_step(0.0) == 1.0
    assert scale_of([], 0, 1).low < scale_of([], 0, 1).high
    assert scale_of([3.0], 0, 1)(3.0) == pytest.approx(0.5)


def test_far_points_do_not_squash_the_others(content: ReportContent) -> None:
    def point(quality: float, *, ours: bool = False) -> charts.TradePoint:
        return charts.TradePoint(
            "x", (1.0, 1.1, 1.2), (quality - 0.01, quality, quality + 0.01), is_ours=ours
        )

    near = [point(0.95), point(0.94), point(0.96, ours=True), point(0.93)]
    assert charts.far_points(near) == 0
    assert charts.far_points([*near, point(0.1)]) == 1
    assert charts.far_points([*near[:2], point(0.1, ours=True)]) == 0


def test_wide_characters_take_two_columns() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abcde…"
    assert shortened("品質の比較", 7) == "品質の…"
