"""What the what-if screen is about: model, settings, finished runs and the survey's answers.

The decision hidden here: where the slider stands when nobody has moved it, and which survey
answers when the settings are not those of one.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import streamlit as st

from osscar_core.brief import Brief
from osscar_core.guards import Guard
from osscar_core.records import Method, PruneSpec, Structure, to_json
from osscar_core.studio import chosen, examples, form
from osscar_core.studio.briefs import find_brief, is_timed_here
from osscar_core.studio.choices import ModelChoice
from osscar_core.studio.desk import Desk
from osscar_core.studio.evidence import Finished, group_of
from osscar_core.studio.form import Settings
from osscar_core.studio.guarding import GUARDS, chosen_guards
from osscar_core.studio.jobs import Run
from osscar_core.studio.orders import plain_request, point_request, prediction
from osscar_core.studio.requests import JobKind, JobRequest
from osscar_core.studio.whatif import Answers, View, is_named, look
from osscar_core.studio.wishes import Aim, Wish, wish_of

PROTECT = "protect"
"""Session key of the caps: by pattern of unit names or structure, the most that may go."""

_OPENING = Wish(Aim.REMOVED, 30.0)
SET = "_aim_that_is_set"
"""Session key: what the slider on screen sets."""

_FOLLOWED = "_followed_run"


@dataclass(frozen=True, slots=True)
class Layer:
    """A unit that may be removed from, when complete."""

    name: str
    structure: Structure
    groups: int


@dataclass(frozen=True)
class Scene:
    """Everything that the screen draws from, gathered anew at every run of the page.

    Attributes:
        store: The runs of the workspace.
        choice: The model.
        settings: What the form holds.
        runs: All runs of this person, the newest first.
        finished: Comparable runs with their results: one's own, then examples.
        brief: The survey that answers; ``None`` without one.
        is_exact: Whether it was made with the very settings of the form.
    """

    store: Desk
    choice: ModelChoice
    settings: Settings
    runs: Sequence[Run]
    finished: Sequence[Finished]
    brief: Brief | None
    is_exact: bool

    @property
    def is_bare(self) -> bool:
        """Whether nothing at all is known of the model with these settings."""
        return self.brief is None and not self.finished

    @property
    def is_ours(self) -> bool:
        """Whether the method is the product's own, of which alone estimates speak."""
        request = self.settings.request
        return request is not None and request.spec.method is Method.OSSCAR

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that may be removed from, as the survey or a run knows them."""
        if self.brief is not None:
            known = {unit.name for unit in self.brief.record.units}
            units = (unit for unit in self.brief.record.costs.units if unit.name in known)
            found = [Layer(unit.name, unit.structure, unit.groups) for unit in units]
        else:
            reports = self.finished[0].result.prune.units if self.finished else ()
            found = [Layer(unit.name, unit.structure, unit.groups) for unit in reports]
        request = self.settings.request
        # A limit of what is not removed at all would be one of an unknown unit.
        only = None if request is None else request.spec.structures
        if only is None and request is not None and request.spec.plain_loadable:
            only = self.choice.plain
        return tuple(layer for layer in found if only is None or layer.structure in only)

    @cached_property
    def caps(self) -> dict[str, float]:
        """The caps that are about this model."""
        wanted: Mapping[str, float] = st.session_state.get(PROTECT, {})
        return {
            pattern: share
            for pattern, share in sorted(wanted.items())
            if any(is_named(layer.name, layer.structure, pattern) for layer in self.layers)
        }

    @cached_property
    def guards(self) -> tuple[Guard, ...]:
        """The groups of the test data that may lose only so much."""
        request = self.settings.request
        return () if request is None else chosen_guards(request.data)

    @cached_property
    def request(self) -> JobRequest | None:
        """What would be measured, but for the goal; ``None`` while a field is empty."""
        return self.with_caps(self.caps)

    def with_caps(self, caps: Mapping[str, float]) -> JobRequest | None:
        """Return what would be measured under other caps."""
        request = self.settings.request
        if request is None:
            return None
        guards = self.guards
        spec = dataclasses.replace(
            request.spec,
            caps=tuple(caps.items()),
            guards=guards,
            data=request.data if guards else None,
        )
        return dataclasses.replace(request, spec=spec)

    @cached_property
    def answers(self) -> Answers | None:
        """What the survey says; ``None`` without one."""
        return self.answers_under(self.caps)

    def answers_under(self, caps: Mapping[str, float]) -> Answers | None:
        """Return what the survey says under other caps."""
        request = self.with_caps(caps)
        if self.brief is None or request is None:
            return None
        return _answers(
            _digest(self.brief, request, self.finished), self.brief, request.spec, self.finished
        )

    @property
    def is_timed_here(self) -> bool:
        """Whether the estimates of speed are about this machine."""
        survey = self.settings.survey
        return survey is not None and is_timed_here(survey)

    @cached_property
    def selected(self) -> Finished | None:
        """The run that the person chose, if it has a result and belongs to these settings."""
        wanted = st.session_state["run"]
        return next((item for item in self.finished if item.run.id == wanted), None)

    @cached_property
    def wish(self) -> Wish:
        """Where the slider stands."""
        state = st.session_state
        if self.selected is not None:
            wish = wish_of(self.selected)
            if wish is not None and self.can_ask(wish.aim):
                return wish
            removed = self._removed(self.selected)
            return Wish(Aim.REMOVED, removed) if removed else self._opening
        aim = Aim(state["goal"])
        if not self.can_ask(aim):
            return self._opening
        if state["val"]:
            return Wish(aim, float(state["val"]))
        opening = self._opening
        if aim in (Aim.REMOVED, opening.aim) or self.answers is None:
            return opening
        return self.answers.reworded(self.answers.at(_OPENING), aim)

    @cached_property
    def view(self) -> View | None:
        """What the screen says; ``None`` while a field is empty that every request has."""
        if self.request is None:
            return None
        return look(self.wish, self.request, self.finished, self.answers, self.selected)

    def point(self, view: View) -> JobRequest | None:
        """Return the request that measures the position of the slider."""
        if self.request is None:
            return None
        if view.answer is None:
            is_share = view.wish.aim is Aim.REMOVED and self.answers is None
            return plain_request(self.request, view.wish) if is_share else None
        estimate = prediction(view.answer)
        if not self.is_ours:
            estimate = dataclasses.replace(estimate, loss=None, low=None, high=None)
        return point_request(self.request, view.wish, view.answer.widths, estimate)

    def latest(self, request: JobRequest) -> Run | None:
        """Return the newest run of exactly this request, whatever became of it."""
        key = request.key
        return next(
            (
                run
                for run in self.runs
                if run.kind is request.kind
                and run.request.spec.model == request.spec.model
                and run.request.key == key
            ),
            None,
        )

    def finished_run(self, run: Run) -> Finished | None:
        """Return a run with its result, if it has one."""
        return next((item for item in self.finished if item.run.id == run.id), None)

    @property
    def _opening(self) -> Wish:
        """Where the slider stands at first: at the newest run of one's own, if there is one."""
        own = (item for item in self.finished if not examples.is_example(item.run))
        newest = next((wish for item in own if (wish := wish_of(item)) is not None), None)
        is_asked = newest is not None and self.can_ask(newest.aim)
        return newest if newest is not None and is_asked else _OPENING

    def can_ask(self, aim: Aim) -> bool:
        """Return whether the slider can set this."""
        return aim is Aim.REMOVED if self.answers is None else aim in self.answers.aims

    def _removed(self, item: Finished) -> float:
        if self.answers is None:
            return 0.0
        return float(round(100 * self.answers.removed(item.widths)))


def gather(store: Desk) -> Scene:
    """Return what the screen is about now."""
    choice = chosen.model(store)
    settings = form.read(choice)
    runs = store.runs()
    is_allowed = settings.survey is not None and store.may_ask(settings.survey)
    brief, is_exact = _survey_for(settings.survey if is_allowed else None)
    finished = [] if settings.request is None else _comparable(store, runs, settings.request)
    return Scene(store, choice, settings, runs, finished, brief, is_exact)


def follow(store: Desk) -> None:
    """Put the chosen run into the settings where they are of another kind; call it first."""
    state = st.session_state
    stands = (state["run"], state["m"])
    if state.get(_FOLLOWED) == stands:
        return
    is_first = _FOLLOWED not in state
    state[_FOLLOWED] = stands
    choice, run = chosen.model(store), chosen.run(store)
    if run is None or run.kind is not JobKind.PRUNE:
        return
    settings = form.read(choice)
    if settings.request is None or group_of(settings.request) != group_of(run.request):
        form.fill(run.request, choice)
    if is_first and state["run"] and run.request.spec.caps:
        state.setdefault(PROTECT, dict(run.request.spec.caps))
    if is_first and state["run"] and run.request.spec.guards:
        state.setdefault(GUARDS, {guard.name: guard.allowed for guard in run.request.spec.guards})


def move(wish: Wish) -> None:
    """Put the slider somewhere; no run stays chosen."""
    state = st.session_state
    state["goal"], state["val"], state["run"] = wish.aim.value, f"{wish.value:.10g}", ""
    state[SET] = wish.aim


def select(scene: Scene, run_id: str) -> None:
    """Make a run the one spoken about, and put the slider where it was asked for."""
    wish = next((wish_of(item) for item in scene.finished if item.run.id == run_id), None)
    if wish is not None and scene.can_ask(wish.aim):
        move(wish)
    st.session_state["run"] = run_id


def _survey_for(spec: PruneSpec | None) -> tuple[Brief | None, bool]:
    """Return the survey that answers, and whether it was made with the very settings.

    The number of calibration items changes what a survey knows only a little, so that one of
    the customary size answers for any other.
    """
    if spec is None:
        return None, False
    exact = find_brief(spec)
    if exact is not None or spec.samples is None:
        return exact, exact is not None
    return find_brief(dataclasses.replace(spec, samples=None)), False


def _comparable(store: Desk, runs: Sequence[Run], request: JobRequest) -> list[Finished]:
    wanted = group_of(request)
    own = [
        Finished(run, result)
        for run in runs
        if run.kind is JobKind.PRUNE
        and group_of(run.request) == wanted
        and (result := store.result(run)) is not None
    ]
    shipped = [item for item in examples.examples() if group_of(item.run.request) == wanted]
    return [*own, *shipped]


def _digest(brief: Brief, request: JobRequest, finished: Sequence[Finished]) -> str:
    table = brief.table
    parts = [
        to_json(dataclasses.replace(request.spec, method=Method.OSSCAR)),
        to_json(brief.record.spec),
        str(brief.record.survey_seconds),
        "" if table is None else f"{table.created} {table.dense_ms} {table.seconds}",
        *(item.run.id for item in finished),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@st.cache_resource(max_entries=32, show_spinner=False)
def _answers(
    key: str,  # noqa: ARG001 - all that the answers depend on
    _brief: Brief,
    _spec: PruneSpec,
    _finished: Sequence[Finished],
) -> Answers:
    return Answers(_brief, dataclasses.replace(_spec, method=Method.OSSCAR), _finished)
