"""The parts of which every card of *Take home* is made, and how what is not there is ordered.

The decision hidden here: the order of what a card says, which checksum stands for it, and what
is offered before there is anything to download. Large files are packed on disk at the first
download, never while a page is drawn.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import streamlit as st

from osscar_core.studio.actions import roughly
from osscar_core.studio.check_found import Subject
from osscar_core.studio.frame import watch
from osscar_core.studio.jobs import Run, State
from osscar_core.studio.numbers import about, megabytes
from osscar_core.studio.orders import expected_seconds
from osscar_core.studio.requests import JobRequest
from osscar_core.studio.results import show_outcome
from osscar_core.studio.runcard import attempt
from osscar_core.studio.takehome import MOST_BYTES
from osscar_core.studio.texts import say

_SHORT = 12


@dataclass(frozen=True, slots=True)
class Sum:
    """A checksum to hold a file against.

    Attributes:
        name: The file, with the folder that it unpacks to.
        sha256: Its digest.
    """

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker makes of a model when it is asked to.

    Attributes:
        key: What the card and its button are called inside the page.
        texts: Middle of the keys of its sentences, such as ``order.TEXTS.make``.
        request: What is asked for.
        name: What it is called, in sentences that say it.
        richer: The same with more to it, where there is such a thing; see `show_order`.
    """

    key: str
    texts: str
    request: JobRequest
    name: str = ""
    richer: JobRequest | None = None

    def say(self, part: str) -> str:
        """Return one of its sentences."""
        return say(f"order.{self.texts}.{part}", name=self.name)

    def among(self, runs: Sequence[Run]) -> list[Run]:
        """Return the runs that make this, in the order of ``runs``."""
        asked = self.request
        return [
            run
            for run in runs
            if (run.kind, run.request.writes) == (asked.kind, asked.writes)
            and (check := run.request.check) is not None
            and asked.check is not None
            and check.run == asked.check.run
        ]


def show_head(title: str, what: str, icon: str) -> None:
    """Show what a card is about."""
    st.markdown(f"#### :material/{icon}: {title}")
    st.markdown(what)


def show_facts(size: str, found: Sum | None) -> None:
    """Show size and checksum in one line."""
    parts = [size]
    if found is not None:
        name = PurePosixPath(found.name).name
        parts.append(say("decide.sum", name=name, sha256=f"{found.sha256[:_SHORT]}…"))
    st.markdown(" · ".join(parts), help=f"`{found.sha256}`" if found is not None else None)


def show_checked(text: str) -> None:
    """Show what was verified."""
    st.markdown(f":green[:material/verified:] {text}")


def show_info(text: str) -> None:
    """Show what a reader should know."""
    st.markdown(f":material/info: {text}")


def show_download(
    label: str,
    data: Callable[[], bytes],
    file_name: str,
    mime: str,
    key: str,
    *,
    is_first: bool = False,
) -> None:
    """Show a button that hands a file to the browser."""
    st.download_button(
        label,
        data=data,
        file_name=file_name,
        mime=mime,
        key=key,
        on_click="ignore",
        icon=":material/download:",
        type="primary" if is_first else "secondary",
    )


def show_folder(
    label: str,
    size: int,
    folder: Path,
    name: str,
    run: Run,
    pack: Callable[[], Path],
    *,
    is_first: bool = False,
) -> None:
    """Offer a folder as a zip, or say where it lies if it is too large for a browser.

    Args:
        label: What the button says.
        size: Bytes of the folder.
        folder: The folder.
        name: What it holds, in the name of the zip.
        run: The run that it is of.
        pack: Makes the zip.
        is_first: Whether this is what most people want.
    """
    if size > MOST_BYTES:
        st.markdown(f":material/folder: {say('decide.too_large', size=megabytes(MOST_BYTES))}")
        st.code(str(folder), language=None)
        return
    show_download(
        label,
        functools.partial(_read, pack),
        f"osscar-{name}-{run.id}.zip",
        "application/zip",
        f"take_{name}_{run.id}",
        is_first=is_first,
    )


def _read(pack: Callable[[], Path]) -> bytes:
    return pack().read_bytes()


def show_order(
    subject: Subject,
    order: Order,
    runs: Sequence[Run],
    made: Callable[[Run], Callable[[], Sequence[Sum]] | None],
) -> Sequence[Sum]:
    """Show what a worker made, how far it is, or offer to make it.

    Args:
        subject: The model.
        order: What is to be made.
        runs: All runs of the reader, the newest first.
        made: Returns what shows the outcome of a run; ``None`` if it has none.

    What is richer is offered beside the plain one, and still after that was made.
    """
    own = order.among(runs)
    live = next((run for run in own if run.status.state.is_live), None)
    if live is not None:
        watch(live.id, "here")
        return ()
    done = next(((run, show) for run in own if (show := made(run)) is not None), None)
    failed = own[0] if own and own[0].status.state is not State.FINISHED else None
    if done is not None:
        sums = done[1]()
        if failed is not None:
            show_outcome(failed)
        if order.richer is not None and not done[0].request.int8 and subject.has_model:
            _show_button(subject, order, order.richer, runs, "again")
        return sums
    if not subject.has_model:
        show_info(order.say("none"))
        return ()
    if own and failed is None:
        # Asking again gives the run that there is.
        st.warning(order.say("damaged"), icon=":material/broken_image:")
        return ()
    if failed is not None:
        show_outcome(failed)
    with st.container(horizontal=True, gap="small", key=f"order_{order.key}"):
        _show_button(subject, order, order.request, runs, "make")
        if order.richer is not None:
            _show_button(subject, order, order.richer, runs, "richer")
    return ()


def _show_button(
    subject: Subject, order: Order, request: JobRequest, runs: Sequence[Run], part: str
) -> None:
    """Offer to make something, with the time that it will take where that is known."""
    seconds = expected_seconds(request, runs)
    label = order.say(part)
    is_plain = part == "make"
    st.button(
        f"{label} ({about(roughly(seconds))})" if seconds else label,
        key=f"take_make_{order.key}" if is_plain else f"take_richer_{order.key}",
        icon=":material/play_arrow:",
        on_click=attempt,
        args=(functools.partial(_submit, subject, request),),
        help=None if is_plain else order.say("help"),
    )


def _submit(subject: Subject, request: JobRequest) -> None:
    subject.store.submit(request)
