"""The trade-off figure of the what-if screen: from a view and its runs to marks and words.

The decision hidden here: on whose clock a mark stands. Every run timed its pruned model in
turns with the dense one, and only that ratio means something on another day: a busy machine
slows both. So every mark stands at one dense latency, divided by its own speed-up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from osscar_core.explorer import WhatIf
from osscar_core.figures import (
    CurvePoint,
    Limit,
    TradePoint,
    TradeWords,
    YourPoint,
    tradeoff,
    tradeoff_legend,
)
from osscar_core.records import EvaluationReport, Latency, Method
from osscar_core.studio.evidence import Finished
from osscar_core.studio.examples import is_example
from osscar_core.studio.numbers import about, between, factor, megabytes, milliseconds
from osscar_core.studio.outlook import as_change, wish_words
from osscar_core.studio.summary import asked, changed_in_unit, method_name, value_of
from osscar_core.studio.texts import say
from osscar_core.studio.whatif import Answers, View
from osscar_core.studio.wishes import Aim, Wish, wish_of

Axis = Literal["latency", "size"]


def figure(
    view: View, finished: Sequence[Finished], answers: Answers | None, by: Axis, *, dark: bool
) -> tuple[Any, str]:
    """Return the figure of a view, and its legend as HTML.

    Args:
        view: The position of the slider.
        finished: Comparable runs.
        answers: What the survey says; ``None`` where there is none.
        by: The horizontal axis.
        dark: Whether the page is dark.
    """
    ruler = _Ruler(finished, answers)
    line = () if answers is None else answers.curve(view.wish.aim)
    points = [*ruler.dense(), *ruler.points(finished)]
    words = _words(ruler, by)
    curve = [ruler.estimate(answer) for answer in line]
    yours = ruler.yours(view)
    best = "" if view.best is None else view.best.run.id
    drawn = tradeoff(
        points,
        metric=ruler.metric,
        by=by,
        words=words,
        names=_series_name,
        curve=curve,
        yours=yours,
        best=best,
        limit=ruler.limit(view.wish, by),
        dark=dark,
    )
    told = tradeoff_legend(
        points,
        words=words,
        names=_series_name,
        curve=curve,
        yours=yours,
        best=best,
        dark=dark,
    )
    return drawn, told


def takeaway(view: View, finished: Sequence[Finished], answers: Answers | None, by: Axis) -> str:
    """Return what the figure says, in words, for those who cannot see it."""
    ruler = _Ruler(finished, answers)
    parts = [say("figure.alt", axis=say(f"figure.by.{by}"), count=len(finished))]
    mark = ruler.yours(view)
    if mark is not None:
        parts.append(mark.hover.replace("<br>", ", ").replace("<b>", "").replace("</b>", ""))
    if view.best is not None:
        parts.append(say("figure.alt.best", name=asked(view.best.spec), id=view.best.run.id))
    return " ".join(parts)


class _Ruler:
    """Places models on the axes of one figure."""

    def __init__(self, finished: Sequence[Finished], answers: Answers | None) -> None:
        self._results = [item.result for item in finished]
        self._answers = answers
        first = next(iter(self._results), None)
        self._dense: EvaluationReport | None = None if first is None else first.dense
        self._dense_ms = None if answers is None else answers.dense_ms
        if self._dense_ms is None and first is not None:
            self._dense_ms = first.dense_speed.latency_ms.median

    @property
    def metric(self) -> Literal["top1", "perplexity", "lost"]:
        return "lost" if self._dense is None else self._dense.metric

    @property
    def task(self) -> Literal["text", "image"]:
        if self._answers is not None:
            return self._answers.task
        return "image" if self.metric == "top1" else "text"

    def dense(self) -> list[TradePoint]:
        """Return the dense model's mark, where its quality was measured."""
        if not self._results or self._dense is None:
            return []
        speed, size = self._results[0].dense_speed.latency_ms, self._results[0].prune.bytes.dense
        ms = self._dense_ms
        return [
            TradePoint(
                label=say("table.dense"),
                series="dense",
                quality=self._height(self._dense.value),
                interval=self._heights(self._dense.interval),
                latency=ms,
                latency_interval=None if ms is None else (ms, ms),
                megabytes=size / 1e6,
                hover=_hover(f"<b>{say('table.dense')}</b>", self._dense, speed),
                run_id="",
            )
        ]

    def points(self, finished: Sequence[Finished]) -> list[TradePoint]:
        """Return the marks of measured models; what was measured twice is labelled once."""
        found, labels = [], set[str]()
        for item in finished:
            label = self._label(item)
            found.append(self.point(item, "" if label in labels else label))
            labels.add(label)
        return found

    def _label(self, item: Finished) -> str:
        """Return a few letters for a model by the product's own method; none for the others."""
        wish = wish_of(item)
        if wish is None or item.spec.method is not Method.OSSCAR:
            return ""
        words = wish_words(wish, self.task)
        return f"≤{words}" if wish.aim in (Aim.LOSS, Aim.SIZE) else words

    def point(self, item: Finished, label: str = "") -> TradePoint:
        """Return a measured model's mark."""
        result, spec = item.result, item.spec
        low, high = result.speedup_interval
        ms = self._dense_ms or result.dense_speed.latency_ms.median
        origin = say("figure.example") if is_example(item.run) else say("figure.own")
        title = f"<b>{method_name(spec.method)}, {asked(spec)}</b><br>{origin} · {item.run.id}"
        ratio = f"{factor(result.speedup)} ({between(factor(low), factor(high))})"
        size = megabytes(result.prune.bytes.pruned)
        return TradePoint(
            label=label,
            series=spec.method.value,
            quality=self._height(result.pruned.value),
            interval=self._heights(result.pruned.interval),
            latency=ms / result.speedup,
            latency_interval=(ms / high, ms / low),
            megabytes=result.prune.bytes.pruned / 1e6,
            hover="<br>".join(
                (_hover(title, result.pruned, result.pruned_speed.latency_ms), ratio, size)
            ),
            run_id=item.run.id,
            is_own=not is_example(item.run),
        )

    def estimate(self, answer: WhatIf) -> CurvePoint:
        """Return a point of the line."""
        quality = answer.quality
        median, low, high = (
            (0.0, 0.0, 0.0) if quality is None else (quality.median, quality.low, quality.high)
        )
        return CurvePoint(
            latency=self._latency(answer.speedup),
            megabytes=answer.bytes / 1e6,
            quality=self._expected(median),
            band=(self._expected(low), self._expected(high)),
        )

    def yours(self, view: View) -> YourPoint | None:
        """Return the mark where the slider stands: measured if it was, else as estimated."""
        if view.shown is not None:
            point = self.point(view.shown)
            return YourPoint(point.latency, point.megabytes, point.quality, point.hover, True)
        answer, answers = view.answer, self._answers
        if answer is None or answers is None or answer.quality is None:
            return None
        metric = "top1" if answers.task == "image" else "perplexity"
        change = as_change(answers.value_of(answer, Aim.LOSS), answers.task)
        lines = [
            f"<b>{say('figure.yours')}: {wish_words(view.wish, answers.task)}</b>",
            say("metric.is.estimate"),
            f"{say(f'metric.name.{metric}')} {about(changed_in_unit(change, metric))}",
        ]
        if answer.speedup is not None:
            lines.append(about(factor(answer.speedup)))
        lines.append(megabytes(answer.bytes))
        return YourPoint(
            self._latency(answer.speedup),
            answer.bytes / 1e6,
            self._expected(answer.quality.median),
            "<br>".join(lines),
            False,
        )

    def limit(self, wish: Wish, by: Axis) -> Limit | None:
        """Return what was asked for as a line in the figure, where its axis is shown."""
        words = wish_words(wish, self.task)
        label = say("figure.limit", value=words)
        match wish.aim:
            case Aim.SPEED if by == "latency" and self._dense_ms is not None:
                return Limit("latency", self._dense_ms / wish.value, label)
            case Aim.SIZE if by == "size" and self._dense_megabytes is not None:
                return Limit("size", wish.value / 100 * self._dense_megabytes, label)
            case Aim.LOSS:
                loss = wish.value / 100
                lost = loss if self.task == "image" else math.log1p(loss)
                return Limit("quality", self._expected(lost), label)
            case _:
                return None

    @property
    def _dense_megabytes(self) -> float | None:
        if self._answers is not None:
            return self._answers.dense_bytes / 1e6
        return self._results[0].prune.bytes.dense / 1e6 if self._results else None

    def _latency(self, speedup: float | None) -> float | None:
        return None if speedup is None or self._dense_ms is None else self._dense_ms / speedup

    def _expected(self, loss: float) -> float:
        """Return the height of a model that is expected to lose so much."""
        dense = self._dense
        if dense is None:
            return 0.0 if self._answers is None else self._answers.units_lost(loss)
        if dense.metric == "top1":
            return self._height(dense.value - loss)
        return self._height(dense.value * math.exp(loss))

    def _height(self, value: float) -> float:
        return 100 * value if self.metric == "top1" else value

    def _heights(self, ends: tuple[float, float]) -> tuple[float, float]:
        return self._height(ends[0]), self._height(ends[1])


def _words(ruler: _Ruler, by: Axis) -> TradeWords:
    lost = "figure.lost.points" if ruler.task == "image" else "figure.lost.percent"
    return TradeWords(
        across=say(f"figure.across.{by}"),
        upward=say(lost if ruler.metric == "lost" else f"figure.upward.{ruler.metric}"),
        estimate=say("figure.estimate"),
        band=say("figure.band"),
        yours=say("figure.yours"),
        best=say("figure.best"),
        outside=lambda count: say("figure.outside", count=count),
    )


def _series_name(series: str) -> str:
    return say("table.dense") if series == "dense" else method_name(Method(series))


def _hover(title: str, quality: EvaluationReport, latency: Latency) -> str:
    ends = between(*(value_of(quality, bound) for bound in quality.interval))
    return (
        f"{title}<br>{say(f'metric.name.{quality.metric}')} {value_of(quality)} ({ends})"
        f"<br>{milliseconds(latency.median)}, p95 {milliseconds(latency.p95)}, "
        f"n = {latency.repeats}"
    )
