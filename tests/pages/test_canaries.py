"""Secrets are planted where secrets are kept, and looked for in everything that comes out."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import io
import logging
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osscar_core.studio import decide_take, runcard, take_cards
from osscar_core.studio.database import VARIABLE
from osscar_core.studio.health import PATH, Health

RUN = "20260101-000000-000000"
ISSUER, SUBJECT = "https://canary-issuer.example", "canary-subject-4411"
OWNER = "user-" + hashlib.sha256("\n".join((ISSUER, SUBJECT)).encode()).hexdigest()[:16]
SECRETS = {
    "HF_TOKEN": "hf_canaryTokenOfTheHub",
    "HUGGING_FACE_HUB_TOKEN": "hf_canaryTokenOfBefore",
    "AWS_SECRET_ACCESS_KEY": "canary-secret-of-a-cloud",
}
PERSON = {
    "is_logged_in": True,
    "iss": ISSUER,
    "sub": SUBJECT,
    "email": "canary-mail@example.com",
    "name": "Canary Name",
    "iat": time.time(),
}
LOGIN = {
    "auth": {"client_secret": "canary-client-secret", "cookie_secret": "canary-cookie-secret"},
    "osscar": {"default_role": "operator"},
}
# What is nobody's business, whoever asks; a person's own name may greet them on the page.
PRIVATE = (
    *SECRETS.values(),
    *("canary-client-secret", "canary-cookie-secret", "canary-subject", "canary-issuer"),
)
MAIL, PLACE = "canary-mail", "canary-place"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / PLACE / "workspace"
    for name, value in {**SECRETS, "OSSCAR_HOME": str(folder)}.items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.fixture
def pruned(home: Path, samples) -> str:
    """A finished run of somebody, as a worker leaves it: with the place of its model."""
    asked = samples.image_request(0.5)
    found = samples.result(asked)
    model = home / "runs" / RUN / "model"
    found = dataclasses.replace(found, prune=dataclasses.replace(found.prune, out=str(model)))
    samples.write_run(home, RUN, asked, found, owner=OWNER)
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"weights")
    return RUN


def found_in(content: bytes, canaries: tuple[str, ...]) -> list[str]:
    """Return which canaries are in a file, or in a file inside it."""
    texts = [content]
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            texts += [archive.read(name) for name in archive.namelist()]
            texts += ["\n".join(archive.namelist()).encode()]
    return [each for each in canaries if any(each.encode() in text for text in texts)]


def test_nothing_private_leaves_with_what_is_taken_away(
    pruned: str, open_page, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: dict[str, Callable[[], str | bytes]] = {}

    def on_runs(name: str, _run: object, data: Callable[[], str | bytes], *_: str) -> None:
        taken[name] = data

    def on_decide(_label: str, data: Callable[[], bytes], name: str, *_: str, **__: bool) -> None:
        taken[name] = data

    monkeypatch.setattr(runcard, "_download", on_runs)
    for module in (decide_take, take_cards):
        monkeypatch.setattr(module, "show_download", on_decide)
    for page in ("runs", "decide"):
        assert not open_page(page, run=pruned, user=PERSON, secrets=LOGIN).exception
    assert len(taken) == 4 + 5
    leaks = {}
    for name, data in taken.items():
        content = data()
        raw = content if isinstance(content, bytes) else content.encode()
        leaks[name] = found_in(raw, (*PRIVATE, MAIL, PLACE, OWNER))
    assert leaks == {name: [] for name in taken}


@pytest.mark.parametrize("page", ["", "explain", "check", "decide", "runs"])
def test_nothing_private_is_on_a_page_or_in_the_log(
    pruned: str,
    open_page,
    caplog: pytest.LogCaptureFixture,
    page: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    at = open_page(page, run=pruned, user=PERSON, secrets=LOGIN)
    assert not at.exception
    drawn = str(at._tree).encode()
    assert found_in(drawn, (*PRIVATE, PLACE)) == []
    assert found_in(caplog.text.encode(), (*PRIVATE, MAIL, "Canary Name")) == []
    query = str(dict(at.query_params))
    assert found_in(query.encode(), (*PRIVATE, MAIL, PLACE, OWNER)) == []
    if page == "decide":
        reports = at.session_state["_decide_reports"].values()
        assert len(reports) == 2
        for report in reports:
            assert found_in(report, (*PRIVATE, MAIL, PLACE, OWNER)) == []


ADDRESSES = [
    "postgresql+canarydriver://canary-user:canary-word@127.0.0.1:1/runs",
    "nodatabase://canary-user:canary-word@127.0.0.1:1/runs",
    "postgresql+canarydriver://127.0.0.1:1/runs?user=x&password=canary-word",
    "canary-word without any form",
]


@pytest.mark.parametrize("address", ["", *ADDRESSES])
def test_who_asks_for_the_state_of_the_server_learns_nothing_private(
    pruned: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    if address:
        monkeypatch.setenv(VARIABLE, address)
    caplog.set_level(logging.DEBUG)
    begun, body = asyncio.run(answer_of(Health(pages)))
    assert begun["status"] == (503 if address else 200)
    told = str(begun["headers"]).encode() + body["body"]
    assert found_in(told, (*PRIVATE, MAIL, PLACE, OWNER, "canary-word")) == []
    assert found_in(caplog.text.encode(), ("canary-word",)) == []


async def answer_of(app: Health) -> list[Any]:
    """Return what is answered to whoever asks for the state."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "http", "path": PATH, "method": "GET"}, pages, send)
    return sent


async def pages(*_: Any) -> None:
    raise AssertionError("the pages were asked")


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_password_of_a_database_is_told_to_nobody(
    home: Path,
    open_page,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    address: str,
) -> None:
    monkeypatch.setenv(VARIABLE, address)
    caplog.set_level(logging.DEBUG)
    at = open_page("runs")
    (card,) = at.error
    assert found_in(card.value.encode() + caplog.text.encode(), ("canary-word",)) == []
