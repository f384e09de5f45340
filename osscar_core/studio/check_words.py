"""What checks found, in words and rows.

The decision hidden here: how a loss is told. A loss above zero is worse; accuracy is told
in points, perplexity in per cent. What a group or a month means for the person is decided
by printed rules only.
"""

from __future__ import annotations

from collections.abc import Sequence

from osscar_core.checks.records import (
    FEWEST_ITEMS,
    ABReport,
    Conclusion,
    ExtraLoss,
    Light,
    Metric,
    ShiftReport,
    SliceResult,
    StressReport,
)
from osscar_core.figures import ForestRow
from osscar_core.figures.checks import Action, Verdict
from osscar_core.studio.numbers import between, percent, significant, whole
from osscar_core.studio.requests import CheckResult
from osscar_core.studio.texts import as_plain, say

ICONS = {
    Light.GREEN: ":green[:material/check_circle:]",
    Light.AMBER: ":orange[:material/warning:]",
    Light.RED: ":red[:material/error:]",
}
MARKS = {
    Conclusion.CONFIRMED: ":green[:material/check_circle:]",
    Conclusion.NOT_PROVEN: ":orange[:material/help:]",
    Conclusion.LOSS_FOUND: ":red[:material/cancel:]",
    None: ":gray[:material/hourglass_empty:]",
}
ACTION_ICONS: dict[Action, str] = {
    "none": ":green[:material/check_circle:]",
    "watch": ":orange[:material/visibility:]",
    "recheck": ":red[:material/error:]",
}
_SMALL_P = 0.001


def loss(value: float, metric: Metric, digits: int = 1) -> str:
    """Return a loss in its unit."""
    number = percent(value, digits)
    if float(f"{100 * value:.{digits}f}") == 0:
        number = percent(0.0, digits)
    return say("unit.points", value=number.removesuffix("%")) if metric == "top1" else number


def quality(value: float, metric: Metric) -> str:
    """Return the quality of a model in its unit."""
    return percent(value, 1) if metric == "top1" else significant(value)


def chance(p_value: float) -> str:
    """Return a p-value."""
    return f"< {_SMALL_P}" if p_value < _SMALL_P else f"= {p_value:.3f}"


def margin_text(value: float, metric: Metric) -> str:
    """Return a margin with no more digits than it has."""
    digits = 0 if abs(100 * value - round(100 * value)) < 1e-9 else 2
    return loss(value, metric, digits)


def verdict(report: ABReport) -> str:
    """Return what a comparison says of its margin, in one sentence."""
    overall = report.overall
    if overall.conclusion is None:
        return say("check.ab.small", count=overall.count, fewest=FEWEST_ITEMS)
    margin = margin_text(report.margin, report.metric)
    return say(f"check.ab.{overall.conclusion.value}", margin=margin)


def numbers_of(report: ABReport) -> str:
    """Return the numbers behind the verdict."""
    overall, metric = report.overall, report.metric
    return say(
        f"check.ab.numbers.{metric}",
        loss=loss(overall.loss, metric),
        low=loss(overall.low, metric),
        high=loss(overall.high, metric),
        level=percent(report.level),
        count=overall.count,
        dense=quality(overall.dense, metric),
        pruned=quality(overall.pruned, metric),
    )


def difference(report: ABReport) -> str:
    """Return whether the two models differ at all."""
    key = "check.ab.different" if report.is_different else "check.ab.same"
    changed = say(
        f"check.ab.changed.{report.metric}", lost=whole(report.lost), gained=whole(report.gained)
    )
    return f"{say(key, p=chance(report.overall.p_value))} {changed}"


def needed(found: SliceResult) -> str:
    """Return how many more items would decide; empty where that says nothing."""
    if found.conclusion is not Conclusion.NOT_PROVEN:
        return ""
    if found.needed is None:
        return say("check.ab.needed.none")
    return say("check.ab.needed", count=round_up(found.needed))


def round_up(count: int) -> int:
    """Return a count with two digits that say something, rounded up."""
    step = int(10 ** max(0, len(str(count)) - 2))
    return -(-count // step) * step


def group_name(found: SliceResult) -> str:
    """Return what a group is called."""
    return found.name or say("check.ab.all")


def forest_rows(report: ABReport, most: int) -> list[ForestRow]:
    """Return all items and the worst groups, for the figure."""
    rows = []
    for found in (report.overall, *report.slices[:most]):
        told = say(
            "check.ab.told",
            group=as_text(group_name(found)),
            loss=loss(found.loss, report.metric),
            low=loss(found.low, report.metric),
            high=loss(found.high, report.metric),
            count=found.count,
        )
        label = f"{as_text(group_name(found))}\nn = {whole(found.count)}"
        if found.is_small:
            label += f" · {say('check.verdict.small')}"
        rows.append(
            ForestRow(
                label, 100 * found.loss, 100 * found.low, 100 * found.high, state_of(found), told
            )
        )
    return rows


def state_of(found: SliceResult) -> Verdict:
    """Return how a group is drawn."""
    match found.conclusion:
        case Conclusion.CONFIRMED:
            return "confirmed"
        case Conclusion.LOSS_FOUND:
            return "loss-found"
        case Conclusion.NOT_PROVEN:
            return "not-proven"
        case None:
            return "small"


def slice_rows(report: ABReport) -> dict[str, list[str | int]]:
    """Return all items and all groups as a table, by column."""
    found = (report.overall, *report.slices)
    metric = report.metric
    return {
        say("check.column.group"): [group_name(each) for each in found],
        say("check.column.count"): [each.count for each in found],
        say("check.column.verdict"): [say(f"check.verdict.{state_of(each)}") for each in found],
        say("check.column.loss"): [loss(each.loss, metric) for each in found],
        say("check.column.low"): [loss(each.low, metric) for each in found],
        say("check.column.high"): [loss(each.high, metric) for each in found],
        say(f"check.column.dense.{metric}"): [quality(each.dense, metric) for each in found],
        say(f"check.column.pruned.{metric}"): [quality(each.pruned, metric) for each in found],
        say("check.column.p"): [chance(each.p_value).removeprefix("= ") for each in found],
        say("check.column.needed"): [
            whole(round_up(each.needed)) if each.needed else "" for each in found
        ],
    }


def traffic_light(report: ShiftReport) -> str:
    """Return how far new data lies from the reference, in one sentence."""
    light = say(f"check.light.{report.light.value}")
    return say("check.shift.light", light=light, text=say(f"check.shift.{report.light.value}"))


def distance_text(report: ShiftReport) -> str:
    """Return the distance against its threshold."""
    return say(
        "check.shift.distance",
        distance=significant(report.distance),
        threshold=significant(report.threshold),
        times=significant(ratio(report), 2),
        rate=percent(report.alarm_rate),
        p=chance(report.p_value),
    )


def ratio(report: ShiftReport) -> float:
    """Return the distance in thresholds."""
    return report.distance / report.threshold if report.threshold > 0 else 0.0


def unseen(report: ShiftReport) -> list[str]:
    """Return in words which values the reference does not have, by attribute."""
    return [
        say(
            "check.shift.unseen",
            name=as_plain(attribute(each.name)),
            values=as_plain(", ".join(each.unseen)),
        )
        for each in report.attributes
        if each.unseen
    ]


def other_warnings(report: ShiftReport) -> list[str]:
    """Return the library's warnings but those that `unseen` tells."""
    told = tuple(f"{each.name} unseen in the reference" for each in report.attributes)
    return [text for text in report.warnings if not text.startswith(told)]


def attribute_rows(report: ShiftReport, most: int) -> dict[str, list[str]]:
    """Return what differs most as a table, by column."""
    found = report.attributes[:most]
    return {
        say("check.column.attribute"): [attribute(each.name) for each in found],
        say("check.column.light"): [say(f"check.light.{each.light.value}") for each in found],
        say("check.column.distance"): [significant(each.distance, 2) for each in found],
        say("check.column.threshold"): [significant(each.threshold, 2) for each in found],
        say("check.column.reference"): [each.reference for each in found],
        say("check.column.new"): [each.new for each in found],
    }


# As the measure of shift calls what it looks at besides the columns of the data.
_ATTRIBUTES = {
    **{name: name for name in ("brightness", "contrast", "sharpness", "noise")},
    **{name: name for name in ("length", "digits", "capitals", "unreadable")},
    "beyond ASCII": "foreign",
    "class": "true",
    "predicted class": "predicted",
}


def attribute(name: str) -> str:
    """Return what a property of the items is called, as plain text; a column as it is."""
    return say(f"check.attribute.{_ATTRIBUTES[name]}") if name in _ATTRIBUTES else name


def extra_verdict(extra: ExtraLoss | None) -> str:
    """Return whether the shift costs the pruned model more than the dense one."""
    if extra is None:
        return say("check.extra.none")
    if extra.is_found:
        return say("check.extra.found", extra=loss(extra.extra, extra.metric))
    return say("check.extra.not_found" if extra.high > 0 else "check.extra.less")


def extra_icon(extra: ExtraLoss | None) -> str:
    """Return the mark of that answer; what is not shown is neither good nor bad."""
    if extra is not None and extra.is_found:
        return ":red[:material/cancel:]"
    if extra is not None and extra.high <= 0:
        return ":green[:material/check_circle:]"
    return ":gray[:material/help:]"


def extra_numbers(extra: ExtraLoss) -> str:
    """Return the numbers behind that."""
    metric = extra.metric
    return say(
        "check.extra.numbers",
        reference=loss(extra.reference_loss, metric),
        new=loss(extra.new_loss, metric),
        extra=loss(extra.extra, metric),
        low=loss(extra.low, metric),
        high=loss(extra.high, metric),
    )


def extra_amount(extra: ExtraLoss | None) -> str:
    """Return the extra loss with its interval, for a table."""
    if extra is None:
        return ""
    low, high = (loss(bound, extra.metric) for bound in (extra.low, extra.high))
    return f"{loss(extra.extra, extra.metric)} ({between(low, high)})"


def extra_rows(extra: ExtraLoss) -> dict[str, list[str]]:
    """Return the quality of both models on both sets of data, by column."""
    metric = extra.metric
    return {
        say(f"check.extra.quality.{metric}"): [
            say("check.extra.on.reference"),
            say("check.extra.on.new"),
        ],
        say("check.model.dense"): [
            quality(extra.dense_reference, metric),
            quality(extra.dense_new, metric),
        ],
        say("check.model.pruned"): [
            quality(extra.pruned_reference, metric),
            quality(extra.pruned_new, metric),
        ],
        say("check.column.loss"): [
            loss(extra.reference_loss, metric),
            loss(extra.new_loss, metric),
        ],
    }


def action_of(report: ShiftReport) -> Action:
    """Return what a month's check asks for, by the rule that the page prints."""
    if report.light is Light.RED or (report.extra is not None and report.extra.is_found):
        return "recheck"
    return "watch" if report.light is Light.AMBER else "none"


def stress_verdict(report: StressReport) -> str:
    """Return which disturbance costs the pruned model most beyond the dense one."""
    found = [row for row in report.rows if row.low > 0]
    if not found:
        return say("check.stress.none")
    worst = max(found, key=lambda row: row.extra)
    return say(
        "check.stress.worst",
        disturbance=disturbance(worst.disturbance),
        extra=loss(worst.extra, report.metric),
        low=loss(worst.low, report.metric),
        high=loss(worst.high, report.metric),
    )


_DISTURBANCES = (
    *("dark", "blur", "noise", "rotation", "compression"),
    *("typos", "truncation", "case"),
)


def disturbance(name: str) -> str:
    """Return what a disturbance is called, as plain text."""
    return say(f"check.disturbance.{name}") if name in _DISTURBANCES else name


def one_line(result: CheckResult) -> str:
    """Return what a check found, in one line."""
    if result.ab is not None:
        overall = result.ab.overall
        return f"{MARKS[overall.conclusion]} {verdict(result.ab)} {numbers_of(result.ab)}"
    if result.shift is not None:
        return (
            f"{ICONS[result.shift.light]} {traffic_light(result.shift)} "
            f"{extra_verdict(result.shift.extra)}"
        )
    if result.stress is not None:
        return stress_verdict(result.stress)
    return say("check.damaged")


def in_a_word(result: CheckResult) -> str:
    """Return what a check found in a word or two, for a list."""
    if result.ab is not None:
        return say(f"check.verdict.{state_of(result.ab.overall)}")
    if result.shift is not None:
        return say(f"check.light.{result.shift.light.value}")
    return ""


def data_name(spec: str) -> str:
    """Return what data is called in a list."""
    return spec.removeprefix("own:")


def listed_margins(reports: Sequence[ABReport]) -> str:
    """Return the margins that were tried on the same data, if more than one."""
    margins = sorted({report.margin for report in reports})
    if len(margins) < 2:
        return ""
    told = ", ".join(margin_text(margin, reports[0].metric) for margin in margins)
    return say("check.ab.margins", margins=told, count=len(margins))


def as_text(text: str) -> str:
    """Return text from elsewhere so that a figure shows it as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;")
