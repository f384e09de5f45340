"""Selected runs side by side, as the page shows them.

The decision hidden here: how a comparison reads: one sentence, then only the rows that
differ, then many runs as lines. What may be compared at all is in `comparison`.
"""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import streamlit as st

from osscar_core.figures import ParallelAxis, ParallelLine, parallel
from osscar_core.goals import Goal
from osscar_core.records import Method, PruneSpec
from osscar_core.studio import comparison, examples
from osscar_core.studio.choices import shown_name
from osscar_core.studio.comparison import Compared, Gap
from osscar_core.studio.desk import Desk
from osscar_core.studio.evidence import difference
from osscar_core.studio.frame import is_dark
from osscar_core.studio.jobs import Run
from osscar_core.studio.numbers import (
    between,
    counted,
    factor,
    megabytes,
    milliseconds,
    percent,
    signed,
    signed_percent,
    whole,
)
from osscar_core.studio.requests import JobKind, RunResult
from osscar_core.studio.runcard import goal_value
from osscar_core.studio.runtable import STAR, removed_share
from osscar_core.studio.summary import asked, kind_name, method_name, value_of
from osscar_core.studio.texts import say

MOST_IN_COLUMNS = 6
"""More runs than this are rows of the table, and lines of a figure."""

_ABSENT = "\N{EN DASH}"
_NAMED_APART = 3
# Leaves room for a value beside it on a phone.
_HEAD_WIDTH = 190


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the comparison.

    Attributes:
        label: What it is, with its unit.
        cells: What each run says.
        dense: What the model before pruning says; empty where that means nothing.
        best: Which runs are best, all that cannot be told apart included.
        is_setting: Whether it was chosen, not measured.
    """

    label: str
    cells: tuple[str, ...]
    dense: str = ""
    best: frozenset[int] = frozenset()
    is_setting: bool = False

    @property
    def differs(self) -> bool:
        """Whether not all runs say the same."""
        return len(set(self.cells)) > 1


def show_comparison(store: Desk, runs: Sequence[Run]) -> None:
    """Show selected runs side by side."""
    items = [Compared(run, examples.result_of(store, run)) for run in runs]
    st.subheader(say("compare.title", count=len(items)), anchor=False)
    with st.container(key="verdict"):
        st.markdown("  \n".join(headline(items)))
    lines = [*result_lines(items), *setting_lines(items)]
    with st.container(
        horizontal=True, vertical_alignment="center", key="comparetools", gap="medium"
    ):
        shows_all = st.toggle(
            say("compare.all"), key="compare_all", persist_state="session", width="stretch"
        )
        st.download_button(
            say("compare.csv"),
            data=lambda: comparison.as_csv(items),
            file_name="osscar-runs.csv",
            mime="text/csv",
            key="compare_csv",
            on_click="ignore",
            icon=":material/download:",
        )
    shown = [line for line in lines if shows_all or line.differs]
    if shown:
        _show_table(items, shown)
    else:
        st.markdown(say("compare.same"))
    if len(items) > MOST_IN_COLUMNS:
        _show_lines(items)


def headline(items: Sequence[Compared]) -> list[str]:
    """Return in sentences what differs, and whether the difference can be told."""
    names = comparison.differing([item.settings for item in items])
    labels = list(dict.fromkeys(_setting_label(name) for name in names if name != "release"))
    if not labels:
        sentences = [say("compare.alike")]
    elif len(labels) <= _NAMED_APART:
        sentences = [say("compare.differ", settings=listed(labels))]
    else:
        few = listed(labels[:_NAMED_APART])
        sentences = [say("compare.differ.more", settings=few, count=len(labels) - _NAMED_APART)]
    results = comparison.with_results(items)
    if len(results) < len(items):
        sentences.append(say("compare.unfinished", count=len(items) - len(results)))
    if len(results) < 2:
        return sentences
    if not comparison.is_same_model(results):
        return [*sentences, say("compare.other_model")]
    letters = [letter(index) for index, item in enumerate(items) if item.result is not None]
    if comparison.is_same_test(results):
        sentences.append(_quality_words(results, letters))
    else:
        sentences.append(say("compare.other_test"))
    if comparison.is_same_timing(results):
        sentences.append(_speed_words(results, letters))
    else:
        sentences.append(say("compare.other_timing"))
    return sentences


def result_lines(items: Sequence[Compared]) -> list[Line]:
    """Return what was measured, where that can be compared; nothing across models."""
    results = comparison.with_results(items)
    if not results or not comparison.is_same_model(results):
        return []
    is_same_test = comparison.is_same_test(results)
    is_same_timing = comparison.is_same_timing(results)
    first = results[0]
    best = comparison.best_quality(results)
    quality = (
        comparison.tied(results, best, comparison.quality_gap) if is_same_test else frozenset()
    )
    fastest = comparison.best_speed(results)
    # Where none is measurably faster than the model before pruning, none is the fastest.
    speed = (
        comparison.tied(results, fastest, comparison.speed_gap)
        if is_same_timing and results[fastest].speedup_interval[0] > 1
        else frozenset()
    )
    metric = say(f"metric.name.{first.pruned.metric}")
    dense = value_of(first.dense) if is_same_test else ""

    def line(
        label: str,
        write: Callable[[RunResult], str],
        dense: str = "",
        among: frozenset[int] = frozenset(),
    ) -> Line:
        return _line(items, label, write, dense, among if len(results) > 1 else frozenset())

    return [
        line(say("compare.asked_met"), _goal_words, ""),
        line(say("compare.removed"), lambda r: percent(removed_share(r), 1), percent(0, 1)),
        line(say("compare.quality", metric=metric), _quality_cell, dense, quality),
        line(say("compare.change"), _change_cell, "", quality),
        line(
            say("compare.speedup"),
            lambda r: _with_interval(factor(r.speedup), *map(factor, r.speedup_interval)),
            factor(1),
            speed,
        ),
        line(
            say("compare.latency"),
            lambda r: (
                f"{milliseconds(r.dense_speed.latency_ms.median)} → "
                f"{milliseconds(r.pruned_speed.latency_ms.median)}"
            ),
        ),
        line(
            say("compare.size"),
            lambda r: megabytes(r.prune.bytes.pruned),
            megabytes(first.prune.bytes.dense),
            comparison.smallest([r.prune.bytes.pruned for r in results]),
        ),
        line(
            say("compare.parameters"),
            lambda r: counted(r.prune.parameters.pruned),
            counted(first.prune.parameters.dense),
            comparison.smallest([r.prune.parameters.pruned for r in results]),
        ),
        line(
            say("compare.flops"),
            lambda r: counted(r.prune.flops.pruned),
            counted(first.prune.flops.dense),
            comparison.smallest([r.prune.flops.pruned for r in results]),
        ),
        line(say("compare.device"), lambda r: r.pruned_speed.conditions.get("device", _ABSENT)),
        line(say("compare.timings"), lambda r: whole(r.pruned_speed.latency_ms.repeats)),
        line(say("compare.items"), lambda r: whole(r.pruned.count)),
    ]


def setting_lines(items: Sequence[Compared]) -> list[Line]:
    """Return what was chosen; what every run was asked for in one row."""
    settings = [item.settings for item in items]
    lines = [
        Line(
            say("compare.set.goal"),
            tuple(_asked_words(item.run) for item in items),
            is_setting=True,
        )
    ]
    names = dict.fromkeys(name for row in settings for name in row)
    lines += [
        Line(
            _setting_label(name),
            tuple(written(name, row.get(name)) for row in settings),
            is_setting=True,
        )
        for name in names
        if name not in ("goal", "sparsity")
    ]
    return lines


def written(name: str, value: object) -> str:
    """Return the value of a setting for people."""
    if value is None or value == ():
        return say("compare.automatic") if value is None else say("compare.no")
    if isinstance(value, bool):
        return say("compare.yes" if value else "compare.no")
    if isinstance(value, Goal):
        return asked(PruneSpec("model", "demo:any", goal=value))
    if isinstance(value, Method):
        return method_name(value)
    if name == "model":
        return shown_name(str(value))
    if isinstance(value, StrEnum) and name in ("target", "intercept"):
        return say(f"{name}.{value.value}")
    if name == "structures" and isinstance(value, tuple):
        return ", ".join(say(f"structure.{part}") for part in value)
    if name == "caps" and isinstance(value, tuple):
        return ", ".join(f"{pattern} {percent(share)}" for pattern, share in value)
    if name == "guards" and isinstance(value, tuple):
        return ", ".join(f"{guard.name} {percent(guard.allowed, 1)}" for guard in value)
    if isinstance(value, int) and name != "seed":
        return whole(value)
    return str(value)


def listed(words: Sequence[str], most: int = 8) -> str:
    """Return words as a list in a sentence, cut short where it would be long."""
    shown = [*words[:most], *(["…"] if len(words) > most else [])]
    return functools.reduce(lambda one, two: say("compare.and", before=one, after=two), shown)


def letter(index: int) -> str:
    """Return what a run is called in a comparison: A, B, ..., Z, AA, AB, ..."""
    text = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def _line(
    items: Sequence[Compared],
    label: str,
    write: Callable[[RunResult], str],
    dense: str,
    among: frozenset[int],
) -> Line:
    """Return a row of results; runs without one have a dash."""
    where = [index for index, item in enumerate(items) if item.result is not None]
    cells = tuple(_ABSENT if item.result is None else write(item.result) for item in items)
    return Line(label, cells, dense, frozenset(where[index] for index in among))


def _show_table(items: Sequence[Compared], lines: Sequence[Line]) -> None:
    heads = [_head(index, items) for index in range(len(items))]
    has_dense = any(line.dense for line in lines)
    marked = [
        tuple(
            f"{STAR} {cell}" if index in line.best and line.differs else cell
            for index, cell in enumerate(line.cells)
        )
        for line in lines
    ]
    if len(items) <= MOST_IN_COLUMNS:
        head = say("compare.row")
        rows: list[dict[str, str]] = []
        for line, cells in zip(lines, marked, strict=True):
            row = {head: line.label}
            if has_dense:
                row[say("table.dense")] = line.dense or _ABSENT
            rows.append(row | dict(zip(heads, cells, strict=True)))
    else:
        head = say("compare.run")
        rows = []
        if has_dense:
            rows.append({head: say("table.dense")} | {x.label: x.dense or _ABSENT for x in lines})
        for index, name in enumerate(heads):
            rows.append(
                {head: name}
                | {x.label: cells[index] for x, cells in zip(lines, marked, strict=True)}
            )
    st.dataframe(
        rows,
        hide_index=True,
        column_config={head: st.column_config.Column(pinned=True, width=_HEAD_WIDTH)},
        key="compare_table",
        alt=say("compare.alt", count=len(items)),
        height="content" if len(rows) <= 20 else 460,
    )
    if any(line.best and line.differs for line in lines):
        st.markdown(f":gray[{say('compare.best', mark=STAR)}]")


def _show_lines(items: Sequence[Compared]) -> None:
    results = comparison.with_results(items)
    if (
        len(results) <= MOST_IN_COLUMNS
        or not comparison.is_same_model(results)
        or not comparison.is_same_test(results)
    ):
        st.markdown(say("compare.no_lines"))
        return
    is_accuracy = results[0].pruned.metric == "top1"
    metric = say(f"metric.name.{results[0].pruned.metric}")
    axes = [
        ParallelAxis(
            say("compare.axis.removed"),
            tuple(100 * removed_share(result) for result in results),
            is_flipped=False,
            write=lambda value: f"{value:.0f}",
        ),
        ParallelAxis(
            say("compare.axis.accuracy" if is_accuracy else "compare.axis.perplexity"),
            tuple((100 if is_accuracy else 1) * result.pruned.value for result in results),
            is_flipped=not is_accuracy,
            write=lambda value: f"{value:.1f}",
        ),
        ParallelAxis(
            say("compare.axis.speedup"),
            tuple(result.speedup for result in results),
            is_flipped=False,
            write=lambda value: f"{value:.2f}",
        ),
        ParallelAxis(
            say("compare.axis.size"),
            tuple(result.prune.bytes.pruned / 1e6 for result in results),
            is_flipped=True,
            write=lambda value: f"{value:.3g}",
        ),
    ]
    drawn = [
        ParallelLine(item.result.prune.plan.spec.method.value, _hover(index, items), item.run.id)
        for index, item in enumerate(items)
        if item.result is not None
    ]
    st.markdown(f"#### {say('compare.lines')}")
    st.plotly_chart(
        parallel(axes, drawn, names=lambda series: method_name(Method(series)), dark=is_dark()),
        key="compare_lines",
        config={"displayModeBar": False},
        alt=say("compare.lines.alt", count=len(drawn), metric=metric),
    )


def _hover(index: int, items: Sequence[Compared]) -> str:
    result = items[index].result
    if result is None:
        return ""
    return "<br>".join(
        (
            f"<b>{html.escape(_head(index, items))}</b>",
            say("asked.removed", value=percent(removed_share(result), 1)),
            f"{say(f'metric.name.{result.pruned.metric}')} {_quality_cell(result)}",
            _with_interval(factor(result.speedup), *map(factor, result.speedup_interval)),
            megabytes(result.prune.bytes.pruned),
        )
    )


def _head(index: int, items: Sequence[Compared]) -> str:
    """Return what a run is called: its letter, and its name or what was asked of it."""
    run = items[index].run
    spec = run.request.spec
    name = run.name or f"{_asked_words(run)} · {method_name(spec.method)}"
    if len({item.run.request.spec.model for item in items}) > 1 and not run.name:
        name = f"{shown_name(spec.model)} · {name}"
    mark = f" · {say('control.run.example')}" if examples.is_example(run) else ""
    return f"{letter(index)} · {name}{mark}"


def _asked_words(run: Run) -> str:
    if run.kind is not JobKind.PRUNE:
        return kind_name(run.request)
    return asked(run.request.spec)


def _setting_label(name: str) -> str:
    return say(f"compare.set.{'goal' if name == 'sparsity' else name}")


def _goal_words(result: RunResult) -> str:
    reached = result.asked or result.prune.goal
    if reached is None:
        return _ABSENT
    value = goal_value(reached, reached.achieved)
    return say("compare.met" if reached.is_met else "compare.missed", value=value)


def _quality_cell(result: RunResult) -> str:
    report = result.pruned
    low, high = report.interval
    return _with_interval(value_of(report), value_of(report, low), value_of(report, high))


def _change_cell(result: RunResult) -> str:
    change, low, high = difference(result.dense, result.pruned)
    return _with_interval(*(_quality_change(result, value) for value in (change, low, high)))


def _quality_change(result: RunResult, value: float) -> str:
    return signed(value) if result.pruned.metric == "top1" else signed_percent(value, 1)


def _with_interval(value: str, low: str, high: str) -> str:
    return f"{value} ({between(low, high)})"


def _quality_words(results: Sequence[RunResult], letters: Sequence[str]) -> str:
    """Say which has the best quality, against the nearest of the others."""
    best = comparison.best_quality(results)
    others = [index for index in range(len(results)) if index != best]
    gaps = {index: comparison.quality_gap(results[best], results[index]) for index in others}
    nearest = min(others, key=lambda index: abs(gaps[index].value))
    gap = gaps[nearest]
    words = _gap_words(results[best], gap)
    if len(results) == 2:
        key = "compare.quality.measurable" if gap.is_measurable else "compare.quality.not"
        return say(key, best=letters[best], other=letters[nearest], **words)
    unclear = [letters[index] for index in others if not gaps[index].is_measurable]
    if not unclear:
        return say("compare.quality.best", best=letters[best], other=letters[nearest], **words)
    if len(unclear) == len(others):
        return say("compare.quality.none", best=letters[best], count=len(results))
    return say(
        "compare.quality.tied",
        best=letters[best],
        unclear=listed(unclear),
        count=len(others) - len(unclear),
    )


def _gap_words(best: RunResult, gap: Gap) -> dict[str, str]:
    """Return a gap as it reads: how far the other is off, and the interval of that."""
    low, high = _quality_change(best, gap.low), _quality_change(best, gap.high)
    value = _quality_change(best, gap.value)
    if best.pruned.metric == "top1":
        value = say("unit.points", value=value)
    return {"gap": value, "interval": between(low, high)}


def _speed_words(results: Sequence[RunResult], letters: Sequence[str]) -> str:
    best = comparison.best_speed(results)
    if results[best].speedup_interval[0] <= 1:
        return say("compare.speed.none_faster")
    tied = comparison.tied(results, best, comparison.speed_gap)
    if len(tied) == len(results):
        return say("compare.speed.not")
    if len(tied) > 1:
        named = [letters[index] for index in sorted(tied)]
        return say(
            "compare.speed.tied",
            best=listed(named),
        )
    others = [index for index in range(len(results)) if index != best]
    next_best = max(others, key=lambda index: results[index].speedup)
    gap = comparison.speed_gap(results[next_best], results[best])
    return say(
        "compare.speed.best",
        best=letters[best],
        other=letters[next_best],
        factor=factor(gap.value),
        interval=between(factor(gap.low), factor(gap.high)),
    )
