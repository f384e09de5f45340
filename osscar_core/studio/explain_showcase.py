"""The dense and the pruned model side by side on the same input.

The decision hidden here: how a difference is pointed at, and how a visitor is told that
pictures were picked for their differences.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

import streamlit as st

from osscar_core.figures import answers
from osscar_core.notation import in_code
from osscar_core.showcase import Continuation, Fate, Guess, Passage, Picture, Showcase
from osscar_core.studio import examples
from osscar_core.studio.desk import Desk
from osscar_core.studio.explain_layers import joined
from osscar_core.studio.frame import is_dark
from osscar_core.studio.jobs import Run
from osscar_core.studio.numbers import percent, significant, whole
from osscar_core.studio.texts import as_plain, say

_ALWAYS_TOLD = (Fate.LOST, Fate.GAINED)
_SHOWN_PIXELS = 224
_TITLE_CHARACTERS = 28
_ICONS = {True: ":green[:material/check_circle:]", False: ":red[:material/cancel:]"}


def show_showcase(store: Desk, run: Run) -> None:
    """Show one input with the answers of both models, and let the person choose another."""
    st.markdown(f"## {say('showcase.title')}")
    showcase = examples.showcase_of(store, run)
    if showcase is None or not showcase.items:
        st.markdown(f":gray[{say('showcase.none')}]")
        return
    st.markdown(_how_chosen(showcase))
    state = st.session_state
    if state.get("_showcase_of") != run.id or state.get("_showcase", 0) not in range(
        len(showcase.items)
    ):
        state["_showcase_of"], state["_showcase"] = run.id, 0
    index = st.pills(
        say("showcase.choose"),
        range(len(showcase.items)),
        key="_showcase",
        required=True,
        format_func=lambda item: f"{item + 1} · {_short(showcase.items[item])}",
    )
    item = showcase.items[index or 0]
    with st.container(border=True, key="showcase"):
        if isinstance(item, Picture):
            _show_picture(item)
        else:
            _show_passage(item)


def _how_chosen(showcase: Showcase) -> str:
    if showcase.task == "text":
        return say(
            "showcase.how.text",
            count=len(showcase.passages),
            seen=whole(showcase.seen),
            data=in_code(showcase.data),
        )
    counts = joined(
        f"{whole(showcase.fates.get(kind.value, 0))} {say(f'showcase.fate.{kind.value}')}"
        for kind in Fate
        if kind in _ALWAYS_TOLD or showcase.fates.get(kind.value)
    )
    return say(
        "showcase.how.image" if showcase.seed == 0 else "showcase.how.sample",
        seen=whole(showcase.seen),
        data=in_code(showcase.data),
        counts=counts,
    )


def _short(item: Picture | Passage) -> str:
    if isinstance(item, Picture):
        return say(f"showcase.fate.{item.fate.value}.short")
    words = " ".join(item.prompt.split())
    return as_plain(words[:_TITLE_CHARACTERS].rstrip()) + "…"


def _show_picture(picture: Picture) -> None:
    seen, before, after = st.columns([3, 5, 5], gap="medium")
    truth = class_name(picture.label, picture.name)
    with seen:
        st.image(
            f"data:{picture.media};base64,{picture.image}",  # see `check_ab`: nothing to ask for
            width=_SHOWN_PIXELS,
            alt=say("showcase.picture.alt", position=picture.position + 1, truth=truth),
        )
        st.markdown(say("showcase.truth", truth=as_plain(truth)))
    with before:
        _show_guesses("dense", picture.dense, picture.label)
    with after:
        _show_guesses("pruned", picture.pruned, picture.label)


def _show_guesses(which: str, guesses: Sequence[Guess], truth: int) -> None:
    is_right = guesses[0].label == truth
    model = say(f"showcase.model.{which}")
    verdict = say("showcase.right" if is_right else "showcase.wrong")
    st.markdown(f"**{model}** {_ICONS[is_right]} {verdict}")
    names = [(class_name(each.label, each.name), each) for each in guesses]
    told = joined(f"{name} {percent(each.probability, 1)}" for name, each in names)
    st.plotly_chart(
        answers(
            [(name, each.probability, each.label == truth) for name, each in names],
            title=say("showcase.axis"),
            dark=is_dark(),
        ),
        key=f"answers_{which}",
        config={"displayModeBar": False, "staticPlot": True},
        alt=say("showcase.answers.alt", model=model, answers=told),
    )


def class_name(label: int, name: str) -> str:
    """Return what a class is called."""
    return name or say("showcase.class", number=label)


def _show_passage(passage: Passage) -> None:
    st.markdown(f"**{say('showcase.prompt')}**")
    st.html(f'<div class="passage">{_escaped(passage.prompt.strip())}</div>')
    before, after = st.columns(2, gap="medium")
    for column, which, found, perplexity in (
        (before, "dense", passage.dense, passage.dense_perplexity),
        (after, "pruned", passage.pruned, passage.pruned_perplexity),
    ):
        with column:
            st.markdown(f"**{say(f'showcase.model.{which}')}**")
            st.html(f'<div class="passage">{continuation(found, passage.differs_at)}</div>')
            st.markdown(
                say("showcase.perplexity", value=significant(perplexity)),
                help=say("showcase.perplexity.help", count=passage.tokens),
            )
    if passage.differs_at is None:
        st.markdown(f":green[:material/check_circle:] {say('showcase.same')}")
    else:
        st.markdown(f":gray[{say('showcase.differs')}]")
    st.markdown(f"**{say('showcase.text.truth')}**")
    st.html(f'<div class="passage">{continuation(passage.truth, None)}</div>')


def continuation(found: Continuation, differs_at: int | None) -> str:
    """Return a continuation as HTML, marked from where it is not the other model's."""
    text = found.text
    at = len(text) if differs_at is None else differs_at
    start = at + len(text[at:]) - len(text[at:].lstrip())
    marked = f"<mark>{_escaped(text[start:])}</mark>" if text[start:] else ""
    end = say("showcase.end") if found.is_over else "…"
    return f"{_escaped(text[:start].lstrip())}{marked}<span>{html.escape(end)}</span>"


def _escaped(text: str) -> str:
    return html.escape(text)
