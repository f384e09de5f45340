"""What ``/healthz`` answers: fit or not, quickly, and nothing that is not for everybody."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from typing import Any

import pytest

from osscar_core import __version__
from osscar_core.studio import health
from osscar_core.studio.health import Health, look
from osscar_core.studio.jobs import RunStore, StoreError
from reopening import forget


def ask_for(path: str, *, app: Health, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    return asyncio.run(asked(path, app=app, method=method))


async def asked(
    path: str, *, app: Health, method: str = "GET"
) -> tuple[int, dict[str, str], bytes]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {}

    await app({"type": "http", "path": path, "method": method}, receive, send)
    begun, body = sent
    headers = {name.decode(): value.decode() for name, value in begun["headers"]}
    return begun["status"], headers, body["body"]


async def beyond(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b"the app"})


def test_a_workspace_that_was_never_used_is_fit_and_stays_unmade(still: RunStore) -> None:
    found = look(still)
    assert (found["status"], found["version"]) == ("ok", __version__)
    assert found["checks"]["queue"] == {"status": "ok", "waiting": 0, "working": 0}
    assert found["checks"]["dispatcher"] == {"status": "ok", "state": "not needed"}
    assert found["checks"]["disk"]["free_bytes"] > 0
    assert not still.home.exists()


def test_what_waits_is_counted_and_gets_somebody_to_see_to_it(
    still: RunStore, ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    still.submit(ask("one"))
    still.submit(ask("two"))
    started = []
    monkeypatch.setattr(RunStore, "ensure_dispatched", lambda store: started.append(store.home))
    found = look(still)
    assert found["checks"]["queue"] == {"status": "ok", "waiting": 2, "working": 0}
    assert found["checks"]["dispatcher"] == {"status": "ok", "state": "started"}
    assert started == [still.home]


def test_what_waits_and_cannot_be_started_is_unfit(still, ask, monkeypatch, caplog) -> None:
    still.submit(ask())

    def fail(_: RunStore) -> None:
        raise StoreError(f"{still.home} cannot be written", "Mend it")

    monkeypatch.setattr(RunStore, "ensure_dispatched", fail)
    found = look(still)
    assert found["status"] == "unfit"
    assert found["checks"]["dispatcher"] == {"status": "unfit", "state": "cannot be started"}
    assert str(still.home) in caplog.text


@pytest.mark.parametrize("fault", ["damaged", "newer", "locked", "disk full", "unwritable"])
def test_what_is_unfit_is_told_without_paths(
    still: RunStore, ask, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    still.submit(ask())
    forget()
    file = still.home / "studio.db"
    plain = sqlite3.connect(file, isolation_level=None)
    if fault == "newer":
        plain.execute("UPDATE runs_version SET version_num = '99'")
    if fault == "locked":
        monkeypatch.setattr("osscar_core.studio.database._WAIT_SECONDS", 0.05)
        plain.execute("BEGIN IMMEDIATE")
    if fault == "damaged":
        plain.close()
        file.write_bytes(b"nothing of the kind" * 100)
    if fault == "disk full":
        usage = shutil.disk_usage("/")._replace(free=1000)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    if fault == "unwritable":

        def refuse(**_: object) -> None:
            raise PermissionError

        monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    found = look(still)
    plain.close()
    assert found["status"] == "unfit"
    bad = {name for name, check in found["checks"].items() if check["status"] == "unfit"}
    assert bad == {"disk" if fault in ("disk full", "unwritable") else "database"}
    assert os.sep not in json.dumps(found)


def test_answers_are_json_and_say_by_their_status() -> None:
    found = {"status": "ok", "checks": {}}
    app = Health(beyond, lambda: found)
    status, headers, body = ask_for("/healthz", app=app)
    assert (status, json.loads(body)) == (200, found)
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-store"
    status, headers, body = ask_for("/healthz", app=app, method="HEAD")
    assert (status, body, headers["content-length"]) == (200, b"", str(len(json.dumps(found))))
    assert ask_for("/healthz", app=app, method="POST")[0] == 405
    assert ask_for("/healthz", app=Health(beyond, lambda: {"status": "unfit"}))[0] == 503
    assert ask_for("/healthz2", app=app) == (418, {}, b"the app")


def test_many_who_ask_cause_one_look_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def find() -> dict[str, str]:
        looks.append(threading.current_thread())
        return {"status": "ok"}

    app = Health(beyond, find)

    async def many() -> None:
        await asyncio.gather(*(asked("/healthz", app=app) for _ in range(20)))
        await asked("/healthz", app=app)

    asyncio.run(many())
    assert len(looks) == 1
    assert looks[0] is not threading.main_thread()
    monkeypatch.setattr(health, "_HOLDS", 0.0)
    ask_for("/healthz", app=app)
    assert len(looks) == 2


def test_a_look_that_hangs_is_told_and_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_PATIENCE", 0.05)
    gate, looks = threading.Event(), []

    def find() -> dict[str, str]:
        looks.append(time.monotonic())
        gate.wait(20)
        return {"status": "ok"}

    app = Health(beyond, find)

    async def twice() -> tuple[int, int, int]:
        first, _, body = await asked("/healthz", app=app)
        assert json.loads(body)["checks"] == {"look": {"status": "unfit", "state": "slow"}}
        second, *_ = await asked("/healthz", app=app)
        live, *_ = await asked("/healthz/live", app=app)
        gate.set()
        await asyncio.wait({app._looking})
        third, *_ = await asked("/healthz", app=app)
        return first + second, live, third

    assert asyncio.run(twice()) == (1006, 200, 200)
    assert len(looks) == 1


def test_a_look_that_fails_is_unfit_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def find() -> dict[str, str]:
        raise RuntimeError("a secret place")

    status, _, body = ask_for("/healthz", app=Health(beyond, find))
    assert status == 503
    assert b"secret" not in body
    assert "a secret place" in caplog.text
