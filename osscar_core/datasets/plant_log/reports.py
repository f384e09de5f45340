"""From what happened to what was written about it.

The decision hidden here: the kinds of document and how each is laid out. The story of an
event always runs from sign to reading, stop, cause, root and repair, and its end depends
on its beginning: a part that is not in store leads to a stopgap and an open point.
"""

from __future__ import annotations

from collections.abc import Callable

from osscar_core.datasets.plant_log.faults import FAULTS, gerund, past, plain
from osscar_core.datasets.plant_log.phrases import PROSE, TELEGRAM, TERSE
from osscar_core.datasets.plant_log.plants import QUANTITIES, UNITS, Plant, Style
from osscar_core.datasets.plant_log.scenes import Dice, Event, Shift, draw_shift

_PHRASES: dict[Style, dict[str, tuple[str, ...]]] = {
    "prose": PROSE,
    "terse": TERSE,
    "telegram": TELEGRAM,
}
_JOINT: dict[Style, str] = {"prose": " ", "terse": "\n", "telegram": " "}
_ARTICLES = ("the ", "a ", "an ")
_NUMBERS = ("none", "one", "two", "three", "four")


def write_report(dice: Dice, plant: Plant) -> str:
    """Return one document of a plant."""
    kind = dice.pick(_KINDS)
    return kind(dice, plant)


def _shift_report(dice: Dice, plant: Plant) -> str:
    shift = draw_shift(dice, plant, dice.pick((0, 1, 1, 2, 2, 3)))
    head = {
        "prose": f"Shift report of {plant.site}, {shift.shift} shift, {_date(shift)}\n"
        f"Shift leader: {shift.lead}",
        "terse": f"SHIFT LOG {_date(shift)} | {plant.site} | {shift.shift} | Lead {shift.lead}",
        "telegram": f"LOG {_date(shift)} {shift.shift.upper()} {shift.lead}",
    }[plant.style]
    body = [_story(dice, shift, event) for event in shift.events]
    closing = [_say(dice, shift, "count" if shift.events else "perfect")]
    if dice.chance(0.7):
        closing.append(_say(dice, shift, "quiet"))
    closing += [_say(dice, shift, "open", event) for event in shift.events if not event.is_repaired]
    return _joined(head, *body, _JOINT[plant.style].join(closing))


def _handover(dice: Dice, plant: Plant) -> str:
    shift = draw_shift(dice, plant, dice.pick((1, 2, 2)))
    style = plant.style
    head = {
        "prose": f"Handover, {_date(shift)}\n\nDear {shift.successor},",
        "terse": f"HANDOVER {_date(shift)} {shift.shift} -> next. From {shift.lead} to "
        f"{shift.successor}.",
        "telegram": f"H/O {_date(shift)} {shift.lead} > {shift.successor}",
    }[style]
    parts = []
    for event in shift.events:
        steps = ["notice", "find", "fix", "prove"] if event.is_repaired else [
            "notice", "read", "find", "wait", "limp", "open"
        ]  # fmt: skip
        parts.append(_told(dice, shift, event, steps))
    ends = [_say(dice, shift, "count")]
    if dice.chance(0.6):
        ends.append(_say(dice, shift, "lesson", shift.events[0]))
    tail = {
        "prose": dice.pick(
            ("Have a good shift.", "Best wishes,", "Call me if anything is unclear.")
        )
        + f"\n{shift.lead}",
        "terse": "",
        "telegram": "",
    }[style]
    return _joined(head, *parts, _JOINT[style].join(ends), tail)


def _incident(dice: Dice, plant: Plant) -> str:
    shift = draw_shift(dice, plant, 1)
    (event,) = shift.events
    style = plant.style
    number = dice.whole(100, 999)
    head = {
        "prose": f"Incident report {number}: {event.machine}, {_date(shift)}",
        "terse": f"INCIDENT {shift.day.year}-{number}  {event.machine}  {_date(shift)}",
        "telegram": f"DEV. {number} {event.machine} {_date(shift)}",
    }[style]
    titles = {
        "prose": ("What happened", "Why it happened", "What was done", "What we learn"),
        "terse": ("EVENT", "CAUSE", "ACTION TAKEN", "PREVENTION"),
        "telegram": ("EVENT", "ORIGIN", "MEASURES", "FURTHER"),
    }[style]
    done = ["fix", "store", "prove"] if event.is_repaired else ["wait", "limp", "open"]
    steps = (["notice", "read", "stop"], ["find", "root"], done, ["lesson", "count"])
    sections = [
        f"{title}\n{_told(dice, shift, event, names)}"
        for title, names in zip(titles, steps, strict=True)
    ]
    signed = f"Written by {shift.lead}." if style == "prose" else f"Signed {shift.lead}"
    return _joined(head, *sections, signed)


def _round(dice: Dice, plant: Plant) -> str:
    """Readings of several machines, all of them sound but one."""
    shift = draw_shift(dice, plant, 1)
    (event,) = shift.events
    style = plant.style
    head = {
        "prose": f"Inspection round of {_date(shift)}, walked by {event.finder}",
        "terse": f"ROUND {_date(shift)} {shift.shift} by {event.finder}",
        "telegram": f"ROUND {_date(shift)} {event.finder}",
    }[style]
    kinds = [kind for kind in plant.kinds if kind != event.fault.machine]
    lines = [_sound(dice, plant, kind) for kind in dice.several(kinds, dice.whole(3, 5))]
    quantity = QUANTITIES[event.fault.quantity]
    bad = {
        "prose": f"{event.machine}: {quantity} {event.reading}, too far from {event.usual}",
        "terse": f"{event.machine}: {quantity} {event.reading} NOT OK",
        "telegram": f"{event.machine}: {quantity} {event.reading} !!",
    }[style]
    lines.insert(dice.whole(0, len(lines)), _capital(bad))
    return _joined(head, "\n".join(lines), _story(dice, shift, event))


def _review(dice: Dice, plant: Plant) -> str:
    """What a meeting made of an event some days later."""
    shift = draw_shift(dice, plant, 1)
    (event,) = shift.events
    fault, style = event.fault, plant.style
    days, quantity = dice.whole(3, 12), QUANTITIES[event.fault.quantity]
    head = {
        "prose": f"Minutes of the maintenance meeting. Present: {shift.lead}, {event.finder}, "
        f"{event.fixer}.",
        "terse": f"WEEKLY MAINTENANCE REVIEW. Attendees: {shift.lead}, {event.finder}, "
        f"{event.fixer}",
        "telegram": f"REVIEW {event.machine}. pres. {shift.lead}, {event.finder}, {event.fixer}",
    }[style]
    recall = {
        "prose": f"{event.fixer} recalled {fault.sign} on {event.machine} on {_date(shift)}, "
        f"traced to {fault.cause}.",
        "terse": f"Topic: {event.machine}, {_date(shift)}. {_capital(fault.sign)}, traced to "
        f"{fault.cause}.",
        "telegram": _without_articles(f"case {_date(shift)}: {fault.sign}, due to {fault.cause}."),
    }[style]
    if event.is_repaired:
        outcome = {
            "prose": f"Since {gerund(fault.repair)} {days} days ago, the {quantity} has stayed at "
            f"{event.after}, so the matter is closed. It was agreed to {plain(fault.lesson)}.",
            "terse": f"{_capital(past(fault.repair))} {days} days ago, {quantity} steady at "
            f"{event.after}. CLOSED. Agreed: {plain(fault.lesson)}.",
            "telegram": _without_articles(
                f"after {gerund(fault.repair)} {days} d at {event.after}, stable. closed. "
                f"{plain(fault.lesson)}."
            ),
        }[style]
    else:
        outcome = {
            "prose": f"As the {fault.part} has not come yet, {event.fixer} only "
            f"{past(fault.stopgap)}. The {quantity} is still at {event.after}, and {fault.risk} "
            f"remains possible. {event.finder} will call the supplier.",
            "terse": f"{_capital(fault.part)} still on order. {_capital(past(fault.stopgap))} "
            f"meanwhile, {quantity} {event.after}. STAYS OPEN. Risk: {fault.risk}. "
            f"{event.finder} to chase supplier.",
            "telegram": _without_articles(
                f"{fault.part} outstanding. {past(fault.stopgap)}, {event.after}. open. risk "
                f"{fault.risk}. {event.finder} to press vendor."
            ),
        }[style]
    return _joined(head, recall, _say(dice, shift, "root", event), outcome)


_KINDS: tuple[Callable[[Dice, Plant], str], ...] = (
    _shift_report,
    _shift_report,
    _shift_report,
    _handover,
    _handover,
    _incident,
    _round,
    _review,
)


def _story(dice: Dice, shift: Shift, event: Event) -> str:
    steps = ["notice", "read", "stop", "find"]
    if dice.chance(0.75):
        steps.append("root")
    if event.is_repaired:
        steps += ["fix", "prove"]
        if dice.chance(0.5):
            steps.append("store")
    else:
        steps += ["wait", "limp"]
    if dice.chance(0.45):
        steps.append("lesson")
    return _told(dice, shift, event, steps)


def _told(dice: Dice, shift: Shift, event: Event, steps: list[str]) -> str:
    return _JOINT[shift.plant.style].join(_say(dice, shift, step, event) for step in steps)


def _say(dice: Dice, shift: Shift, step: str, event: Event | None = None) -> str:
    """Return one sentence, in the plant's words."""
    style = shift.plant.style
    words = _facts(dice, shift)
    if event is not None:
        words |= _event_facts(dice, shift, event, of_shift=step == "count")
    sentence = dice.pick(_PHRASES[style][step]).format_map(words)
    return _without_articles(sentence) if style == "telegram" else _capital(sentence)


def _facts(dice: Dice, shift: Shift) -> dict[str, str]:
    return {
        "lead": shift.lead,
        "product": shift.product,
        "planned": f"{shift.planned:,}",
        "made": f"{shift.made:,}",
        "lost": f"{shift.planned - shift.made:,}",
        "minutes": str(shift.lost_minutes),
        "units": shift.plant.units,
        "store": dice.pick(shift.plant.stores),
    }


def _event_facts(dice: Dice, shift: Shift, event: Event, *, of_shift: bool) -> dict[str, str]:
    fault, clock = event.fault, shift.plant.clock
    others = [p for p in shift.plant.people if p not in (event.finder, event.fixer)]
    left = _NUMBERS[event.in_store]
    is_are = "is" if event.in_store == 1 else "are"
    facts = {
        "machine": event.machine,
        "sign": fault.sign,
        "trace": fault.trace,
        "quantity": QUANTITIES[fault.quantity],
        "Quantity": _capital(QUANTITIES[fault.quantity]),
        "reading": event.reading,
        "usual": event.usual,
        "after": event.after,
        "cause": fault.cause,
        "root": fault.root,
        "risk": fault.risk,
        "part": fault.part,
        "Part": _capital(fault.part),
        "repaired": past(fault.repair),
        "Repaired": _capital(past(fault.repair)),
        "repairing": gerund(fault.repair),
        "repair": plain(fault.repair),
        "cured": past(fault.cure),
        "Cured": _capital(past(fault.cure)),
        "curing": gerund(fault.cure),
        "cure": plain(fault.cure),
        "stopgapped": past(fault.stopgap),
        "stopgap": plain(fault.stopgap),
        "lesson": plain(fault.lesson),
        "finder": event.finder,
        "fixer": event.fixer,
        "helper": dice.pick(others),
        "noticed": clock(event.noticed),
        "stopped": clock(event.stopped),
        "running": clock(event.running),
        "days": str(event.wait_days),
        "left": f"there {is_are} {left} left" if shift.plant.style == "prose" else f"{left} left",
    }
    if not of_shift:
        facts["minutes"] = str(event.minutes)
    return facts


def _sound(dice: Dice, plant: Plant, kind: str) -> str:
    """Return the line of a round for a machine in order."""
    fault = dice.pick([fault for fault in FAULTS if fault.machine == kind])
    unit = UNITS[plant.name][fault.quantity]
    value = unit.write(fault.normal * (0.98 + 0.04 * dice.share()))
    machine, quantity = dice.pick(plant.machines[kind]), QUANTITIES[fault.quantity]
    ok = {"prose": "in order", "terse": "OK", "telegram": "ok"}[plant.style]
    return _capital(f"{machine}: {quantity} {value}, {ok}")


def _date(shift: Shift) -> str:
    return shift.plant.date(shift.day)


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _without_articles(text: str) -> str:
    return " ".join(word for word in text.split(" ") if f"{word.lower()} " not in _ARTICLES)
