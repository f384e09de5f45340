"""What an estimate says, in the same sentence and three numbers as a measurement.

The decision hidden here: how an estimate is kept apart from a measurement in words: the mark
of all estimates, a band instead of an interval, and no claim where the band includes nothing.
"""

from __future__ import annotations

import math

from osscar_core.explorer import WhatIf
from osscar_core.records import Task
from osscar_core.studio.numbers import (
    about,
    between,
    date,
    factor,
    milliseconds,
    percent,
    signed_percent,
    whole,
)
from osscar_core.studio.numbers import change as arrow
from osscar_core.studio.summary import (
    SAME_SIZE,
    Metric,
    changed,
    changed_in_unit,
    loss_words,
    size_metric,
    size_words,
)
from osscar_core.studio.texts import say
from osscar_core.studio.whatif import Achieved, Answers, Misses
from osscar_core.studio.wishes import Aim, Wish

_NONE = "\N{EN DASH}"
# Points or per cent below which a loss is not worth a digit.
_LEAST = 0.05


def wish_words(wish: Wish, task: Task) -> str:
    """Return a position of the slider with its unit."""
    match wish.aim:
        case Aim.SPEED:
            return factor(wish.value)
        case Aim.LOSS:
            return loss_words(wish.value, task)
        case _:
            return percent(wish.value / 100)


def as_change(loss: float, task: Task) -> float:
    """Return a loss, in the unit of the aim ``loss``, as a change of quality."""
    return -loss if task == "image" else loss / 100


def lead(wish: Wish, task: Task) -> str:
    """Return the beginning of a sentence: what the slider asks for."""
    return say(f"verdict.lead.{wish.aim.value}", value=wish_words(wish, task))


def sentence(wish: Wish, answer: WhatIf, answers: Answers) -> str:
    """Return the one sentence, from estimates."""
    return say(
        "verdict.estimate",
        lead=lead(wish, answers.task),
        speed=_speed_words(answer, answers),
        quality=_quality_words(answer, answers),
        size=size_words(answer.bytes / answers.dense_bytes),
    )


def unreachable(wish: Wish, task: Task, *, is_protected: bool, has_options: bool) -> str:
    """Return that a wish cannot be reached, and what stands in its way."""
    value = wish_words(wish, task)
    text = say(f"unreachable.{wish.aim.value}", value=value)
    if is_protected:
        text += " " + say("unreachable.protected")
    return f"{text} {say('unreachable.nearest' if has_options else 'unreachable.nothing')}"


def option_label(wish: Wish, answer: WhatIf, answers: Answers) -> str:
    """Return what a button says that goes to a wish which can be reached."""
    value = wish_words(wish, answers.task)
    loss = answers.value_of(answer, Aim.LOSS)
    return say("unreachable.option", value=value, loss=about(loss_words(loss, answers.task)))


def metrics(answer: WhatIf, answers: Answers) -> tuple[Metric, Metric, Metric]:
    """Return speed, quality and size as estimated; the size is exact."""
    return _speed(answer, answers), _quality(answer, answers), _size(answer, answers)


def unknown(task: Task, standing: str = "unknown") -> tuple[Metric, Metric, Metric]:
    """Return three numbers that nobody knows yet, or that no model has."""
    name = say("metric.name.top1" if task == "image" else "metric.name.perplexity")
    labels = (say("metric.speed"), name, say("metric.size"))
    speed, quality, size = (
        Metric(label, standing, _NONE, "", "", None, say(f"metric.{standing}.help"))
        for label in labels
    )
    return speed, quality, size


def made_how(answers: Answers, *, is_timed_here: bool) -> str:
    """Return how the estimates were made: what was measured for them, where and when."""
    record, table = answers.brief.record, answers.brief.table
    text = say("made.quality", count=answers.taught_by, items=record.calibration.count)
    if table is None:
        return f"{text} {say('made.no_speed')}"
    where = say("made.here" if is_timed_here else "made.elsewhere")
    return (
        text
        + " "
        + say(
            "made.speed",
            device=table.conditions.get("device", "?"),
            date=date(table.created) if table.created else "?",
            where=where,
        )
    )


def missed(found: Misses, task: Task) -> str:
    """Return how far off the estimates were so far; empty if nothing was estimated."""
    quality = "" if found.quality is None else loss_words(found.quality, task)
    speed = "" if found.speed is None else percent(found.speed)
    if quality and speed:
        return say("missed.both", count=found.count, quality=quality, speed=speed)
    if quality:
        return say("missed.quality", count=found.count, quality=quality)
    return say("missed.speed", count=found.count, speed=speed) if speed else ""


def achieved_words(found: Achieved, task: Task) -> str:
    """Return what was asked against what was measured, and whether that settles it."""
    aim = found.wish.aim

    def value(number: float) -> str:
        if aim is Aim.LOSS:
            return loss_words(number, task).replace("-", "\N{MINUS SIGN}")
        return factor(number) if aim is Aim.SPEED else percent(number / 100, 1)

    measured = value(found.value)
    if found.low != found.high:
        measured = say(
            "asked.interval", value=measured, interval=between(value(found.low), value(found.high))
        )
    return say(
        f"achieved.{aim.value}",
        asked=wish_words(found.wish, task),
        measured=measured,
        standing=say(f"standing.{found.standing.value}"),
    )


def cost_words(with_caps: WhatIf, without: WhatIf, answers: Answers) -> str:
    """Return what protection costs at the same position of the slider."""
    parts = []
    if with_caps.speedup is not None and without.speedup is not None:
        slower = without.speedup - with_caps.speedup
        if abs(slower) >= 0.005:
            parts.append(
                say("protect.cost.speed", value=factor(abs(slower)))
                if slower > 0
                else say("protect.gain.speed", value=factor(abs(slower)))
            )
    worse = answers.value_of(with_caps, Aim.LOSS) - answers.value_of(without, Aim.LOSS)
    if abs(worse) >= _LEAST:
        key = "protect.cost.quality" if worse > 0 else "protect.gain.quality"
        parts.append(say(key, value=loss_words(abs(worse), answers.task)))
    larger = (with_caps.bytes - without.bytes) / answers.dense_bytes
    if abs(larger) >= SAME_SIZE:
        key = "protect.cost.size" if larger > 0 else "protect.gain.size"
        parts.append(say(key, value=percent(abs(larger))))
    if not parts:
        return say("protect.free")
    return say("protect.cost", parts=" · ".join(parts))


def _speed_words(answer: WhatIf, answers: Answers) -> str:
    speedup = answer.speedup
    if speedup is None:
        return say("verdict.speed_unknown")
    if abs(math.log(speedup)) <= answers.speed_spread:
        return say("verdict.about_same")
    if speedup > 1:
        return say("verdict.faster", factor=about(factor(speedup)))
    return say("verdict.slower", factor=about(factor(1 / speedup)))


def _quality_words(answer: WhatIf, answers: Answers) -> str:
    quality = answer.quality
    if quality is None:
        return say("verdict.quality_unknown")
    is_image = answers.task == "image"
    median, high = (answers.units_lost(end) for end in (quality.median, quality.high))
    if high < _LEAST:
        least = loss_words(2 * _LEAST, answers.task)
        return say("verdict.no_points" if is_image else "verdict.no_perplexity", least=least)
    if is_image:
        return say("verdict.points_lost", value=about(f"{median:.1f}"), most=f"{high:.1f}")
    return say(
        "verdict.perplexity_up",
        value=about(signed_percent(median / 100, 1)),
        most=signed_percent(high / 100, 1),
    )


def _speed(answer: WhatIf, answers: Answers) -> Metric:
    label, table = say("metric.speed"), answers.brief.table
    if answer.speedup is None or answer.latency_ms is None or table is None:
        return Metric(label, "unknown", _NONE, "", "", None, say("made.no_speed"))
    spread = answers.speed_spread
    ends = (answer.speedup * math.exp(-spread), answer.speedup * math.exp(spread))
    return Metric(
        label=label,
        standing="estimate",
        value=about(factor(answer.speedup)),
        span=say("metric.band", interval=between(*(f"{end:.2f}" for end in ends))),
        note=arrow(milliseconds(table.dense_ms), about(milliseconds(answer.latency_ms))),
        is_good=None,
        help=say(
            "metric.speed.estimate",
            conditions=", ".join(f"{key} {value}" for key, value in table.conditions.items()),
        ),
    )


def _quality(answer: WhatIf, answers: Answers) -> Metric:
    is_image = answers.task == "image"
    metric = "top1" if is_image else "perplexity"
    label = say(f"metric.name.{metric}")
    quality = answer.quality
    if quality is None:
        return Metric(label, "unknown", _NONE, "", "", None, say("metric.quality.other"))
    lost = (answers.units_lost(end) for end in (quality.median, quality.low, quality.high))
    value, *ends = (as_change(loss, answers.task) for loss in lost)
    span = say("metric.band", interval=between(*(changed(end, metric) for end in sorted(ends))))
    if answers.units_lost(quality.high) < _LEAST:
        span = say("metric.below", least=loss_words(2 * _LEAST, answers.task))
    return Metric(
        label=label,
        standing="estimate",
        value=about(changed_in_unit(value, metric)),
        span=span,
        note="",
        is_good=None,
        help=say("metric.quality.estimate", count=answers.taught_by),
    )


def _size(answer: WhatIf, answers: Answers) -> Metric:
    words = say(
        "metric.size.exact",
        dense=whole(answers.brief.record.costs.parameters({})),
        pruned=whole(answer.parameters),
    )
    return size_metric("exact", answers.dense_bytes, answer.bytes, words)
