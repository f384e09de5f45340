"""The what-if screen: verdict, slider, three numbers, figure, and what can be done about them.

The decision hidden here: what is drawn anew when the slider moves (one fragment, so that
nothing else flashes), and what is offered in which situation.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import streamlit as st

from osscar_core.driver import gpu_name
from osscar_core.studio import actions, form, guarding, outlook, protect, results, summary
from osscar_core.studio.cards import failure
from osscar_core.studio.choices import as_sentence
from osscar_core.studio.evidence import Finished, compared
from osscar_core.studio.examples import is_example
from osscar_core.studio.frame import is_dark, save_link
from osscar_core.studio.identity import desk
from osscar_core.studio.numbers import date
from osscar_core.studio.scene import SET, Scene, follow, gather, move, select
from osscar_core.studio.sharing import show_copy_link
from osscar_core.studio.texts import as_plain, say
from osscar_core.studio.tradeview import figure, takeaway
from osscar_core.studio.whatif import View, misses
from osscar_core.studio.wishes import Aim, Scale, Wish

_FIGURE = "tradeoff"
_DRAWN_FOR = "_drawn_for"


def show() -> None:
    """Draw the page below its frame."""
    store = desk()
    follow(store)
    scene = gather(store)
    st.session_state[_DRAWN_FOR] = _around(scene)
    _screen()
    is_wrong = bool(scene.settings.problems) and st.session_state.get(form.TRIED, False)
    with st.expander(
        say("form.advanced"),
        icon=":material/settings:",
        expanded=is_wrong or scene.settings.request is None or _asks_weights(scene),
    ):
        form.show(scene.choice, scene.settings, has_weights=_asks_weights(scene))
        actions.show_survey_note(scene)
    if scene.finished:
        results.show_table(scene.finished)


@st.fragment
def _screen() -> None:
    """Draw what changes with the slider; an error in it is not the page's to catch."""
    try:
        scene = gather(desk())
        if _around(scene) != st.session_state[_DRAWN_FOR]:
            st.rerun()
        _draw(scene)
    # A fragment that runs by itself is outside the boundary of its page.
    except Exception as error:  # noqa: BLE001
        failure(error)
    save_link()


def _around(scene: Scene) -> tuple[object, ...]:
    """Return what decides about the rest of the page, which a fragment does not draw."""
    return st.session_state["run"], scene.is_bare


def _asks_weights(scene: Scene) -> bool:
    """Return whether a weights file is asked for before anything else."""
    return scene.choice.needs_weights and scene.is_bare


def _draw(scene: Scene) -> None:
    view = scene.view
    st.session_state[SET] = scene.wish.aim
    with st.container(horizontal=True, key="explorehead", vertical_alignment="center", gap="small"):
        st.title(say("page.explore"), anchor=False, width="stretch")
        _machine()
        show_copy_link(scene.wish)
    if view is None:
        _needs(scene)
        return
    _verdict(scene, view)
    _controls(scene, view)
    with st.container(key="numbers"):
        results.show_metrics(_metrics(scene, view))
    with st.container(key="figure", gap="xsmall"):
        _figure(scene, view)
    actions.show_actions(scene, view)
    _notes(scene, view)
    _comparison(scene, view)


def _machine() -> None:
    gpu = gpu_name()
    words = say("badge.gpu", name=as_plain(gpu)) if gpu else say("badge.cpu")
    st.badge(words, icon=":material/memory:", color="green" if gpu else "gray")


def _origin(shown: Finished) -> str:
    """Return which run speaks, as a badge; an example says where and when it was measured."""
    if not is_example(shown.run):
        return f":green-badge[:material/science: {say('badge.run', id=shown.run.id)}]"
    label = say(
        "example.label",
        device=as_plain(shown.result.pruned_speed.conditions.get("device", "?")),
        date=date(shown.result.prune.plan.created),
    )
    return f":blue-badge[:material/inventory_2: {label}]"


def _verdict(scene: Scene, view: View) -> None:
    """Say in one sentence what stands where the slider is."""
    with st.container(key="verdict", gap="xsmall"):
        st.markdown(_sentence(scene, view))
        if view.is_unreachable:
            _options(scene, view)
        else:
            with st.container(key="evidence"):
                _evidence(scene, view)


def _sentence(scene: Scene, view: View) -> str:
    task, answers = scene.choice.task, scene.answers
    if view.shown is not None:
        return summary.verdict(view.shown.result)
    if answers is None:
        return say("verdict.no_survey", lead=outlook.lead(view.wish, task))
    if view.answer is None:
        return outlook.unreachable(
            view.wish,
            task,
            is_protected=bool(scene.caps) and answers.unprotected(view.wish) is not None,
            has_options=bool(view.options),
        )
    answer = view.answer
    if not scene.is_ours:
        answer = dataclasses.replace(answer, quality=None)
    return outlook.sentence(view.wish, answer, answers)


def _options(scene: Scene, view: View) -> None:
    answers = scene.answers
    if answers is None or not view.options:
        return
    with st.container(horizontal=True, gap="small"):
        for index, option in enumerate(view.options):
            st.button(
                outlook.option_label(option.wish, option.answer, answers),
                key=f"option_{index}",
                icon=":material/near_me:",
                on_click=move,
                args=(option.wish,),
            )


def _evidence(scene: Scene, view: View) -> None:
    """Say which run this is, what was asked against what was measured, and that caps held."""
    shown = view.shown
    if shown is None:
        if view.answer is not None:
            words = f":orange-badge[{say('metric.is.estimate')}] &nbsp; {say('verdict.measure')}"
            if scene.caps:
                words += f" &nbsp; :material/shield: {protect.cost(scene, scene.caps)}"
            st.markdown(words)
        return
    lines = [_origin(shown)]
    if view.achieved is not None:
        lines.append(outlook.achieved_words(view.achieved, scene.choice.task))
    if shown.spec.caps:
        lines.append(protect.proof(dict(shown.spec.caps), shown.result.prune.units))
    if shown.result.prune.guards is not None:
        lines.append(guarding.proof(shown.result.prune.guards))
    if shown.spec.goal is None and scene.answers is not None:
        lines.append(say("verdict.equal_shares"))
    if summary.is_untrained(shown.result):
        lines.append(say("verdict.untrained"))
    st.markdown(
        " &nbsp; ".join(lines),
        help=_about_example(shown) if is_example(shown.run) else None,
    )


def _about_example(shown: Finished) -> str:
    return f"{say('example.run', id=shown.run.id)} {say('example.help')}"


def _controls(scene: Scene, view: View) -> None:
    """Show what the slider sets, the slider, and the one button that matters."""
    aims = [Aim.REMOVED] if scene.answers is None else list(scene.answers.aims)
    with st.container(key="setting"):
        kind, slider, action = st.columns([9, 10, 7], vertical_alignment="bottom", gap="medium")
    with kind:
        if st.session_state.get("w_goal") != view.wish.aim:
            st.session_state["w_goal"] = view.wish.aim
        st.segmented_control(
            say("goal.label"),
            aims,
            key="w_goal",
            format_func=lambda aim: say(f"goal.{aim.value}"),
            on_change=_aim_chosen,
            required=True,
            width="stretch" if len(aims) > 1 else "content",
            help=say("goal.help"),
        )
    with slider:
        _slider(scene, view.wish)
    with action:
        actions.show_primary(scene, view)


def _slider(scene: Scene, wish: Wish) -> None:
    aim, answers = wish.aim, scene.answers
    scale = Scale(1.0, 95.0, 1.0) if answers is None else answers.scale(aim)
    scale = scale.holding(wish.value)
    key = f"w_{aim.value}"
    # A value that is assigned goes back to the browser and would undo a faster key press.
    if st.session_state.get(key) != wish.value:
        st.session_state[key] = wish.value
    st.slider(
        say(f"goal.{aim.value}.label"),
        scale.low,
        scale.high,
        step=scale.step,
        key=key,
        format=_format(scene, aim),
        on_change=_moved,
        args=(aim,),
        help=say(f"goal.{aim.value}.help"),
    )


def _format(scene: Scene, aim: Aim) -> str:
    if aim is Aim.LOSS:
        return say("goal.loss.format") if scene.choice.task == "image" else "%.1f%%"
    if aim is Aim.SPEED:
        return say("goal.speed.format")
    return "%d%%"


def _moved(aim: Aim) -> None:
    # A browser that has not heard yet of another slider still reports the one before.
    if st.session_state[SET] is aim:
        move(Wish(aim, float(st.session_state[f"w_{aim.value}"])))


def _aim_chosen() -> None:
    """Describe the same model in another unit, so that nothing jumps."""
    aim = Aim(st.session_state["w_goal"])
    scene = gather(desk())
    view, answers = scene.view, scene.answers
    if answers is None or view is None:
        return
    answer = view.answer or (view.options[0].answer if view.options else None)
    if answer is not None:
        move(answers.reworded(answer, aim))


def _metrics(scene: Scene, view: View) -> tuple[summary.Metric, ...]:
    if view.shown is not None:
        return summary.metrics(view.shown.result)
    if view.answer is None or scene.answers is None:
        return outlook.unknown(
            scene.choice.task, "unreachable" if view.is_unreachable else "unknown"
        )
    answer = view.answer
    if not scene.is_ours:
        answer = dataclasses.replace(answer, quality=None)
    return outlook.metrics(answer, scene.answers)


def _axis(scene: Scene) -> Literal["latency", "size"]:
    is_timed = scene.answers is None or scene.answers.dense_ms is not None or scene.finished
    return "size" if st.session_state["x"] == "size" or not is_timed else "latency"


def _figure(scene: Scene, view: View) -> None:
    if scene.is_bare:
        _needs(scene)
        return
    by = _axis(scene)
    drawn = view
    if not scene.is_ours and view.shown is None:
        drawn = dataclasses.replace(view, answer=None)
    chart, legend = figure(drawn, scene.finished, scene.answers, by, dark=is_dark())
    st.html(legend)
    st.plotly_chart(
        chart,
        key=_FIGURE,
        on_select=_clicked,
        selection_mode="points",
        config={"displayModeBar": False},
        alt=takeaway(drawn, scene.finished, scene.answers, by),
    )


def _clicked() -> None:
    """Make the run of the mark the one spoken about; a chart forgets its selection."""
    selected = st.session_state[_FIGURE].get("selection", {}).get("points", [])
    for point in selected:
        run_id = (point.get("customdata") or ["", ""])[1]
        if run_id:
            select(gather(desk()), run_id)


def _notes(scene: Scene, view: View) -> None:
    """Say what the numbers rest on, and how far estimates were off so far."""
    lines = []
    if view.shown is not None:
        speed = view.shown.result.pruned_speed
        lines.append(
            say(
                "note.measured",
                latency=summary.latency_words(speed),
                conditions=as_plain(summary.conditions_in_words(speed)),
            )
        )
    if scene.answers is not None:
        lines.append(as_plain(outlook.made_how(scene.answers, is_timed_here=scene.is_timed_here)))
        found = misses(scene.finished)
        if found is not None:
            lines.append(outlook.missed(found, scene.choice.task))
    if len({is_example(item.run) for item in scene.finished}) == 2:
        lines.append(say("note.examples"))
    if lines:
        with st.container(key="notes"):
            st.markdown(f":gray[{' '.join(lines)}]")


def _comparison(scene: Scene, view: View) -> None:
    widths = view.shown.widths if view.shown is not None else None
    if widths is None and view.answer is not None:
        widths = view.answer.widths
    rivals = () if widths is None else compared(scene.finished, widths)
    if rivals:
        results.show_rivals(rivals)


def _needs(scene: Scene) -> None:
    """Say what is missing before anything can be known of this model."""
    choice = scene.choice
    with st.container(border=True, key="needs"):
        if choice.state != "ready":
            words = f"**{say(f'state.{choice.state}')}** · {say(f'state.{choice.state}.todo')}"
            st.markdown(words, help=as_plain(as_sentence(choice.hint)) if choice.hint else None)
        if _asks_weights(scene):
            form.show_weights(choice, scene.settings)
        if scene.settings.request is None:
            st.markdown(f":material/info: {say('form.data.empty')}")
        st.markdown(say("empty.body"))
