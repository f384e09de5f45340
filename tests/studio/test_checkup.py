"""What a keeper is told: each fault is provoked, found, named, and comes with a remedy."""

from __future__ import annotations

import http.server
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from osscar_core.diagnosis import Check, Status
from osscar_core.records import to_json
from osscar_core.storage import sealed
from osscar_core.studio import checkup
from osscar_core.studio.access import ROOTS
from osscar_core.studio.jobs import LOCK, RunStore, State
from osscar_core.studio.processes import Process, try_lock
from reopening import forget
from studio.test_migrations import lay_database

FIRST, SECOND = "20260101-000000-000001", "20260102-000000-000002"


def found(home: Path, name: str) -> Check:
    forget()
    checks = {check.name: check for check in checkup.check_store(home)}
    return checks[name]


@pytest.fixture
def filled(still: RunStore, samples) -> RunStore:
    asked = samples.image_request()
    samples.write_run(still.home, FIRST, asked, samples.result(asked, units=2))
    return still


def test_a_sound_store_is_told_so(filled: RunStore) -> None:
    forget()
    checks = list(checkup.check_store(filled.home))
    assert {check.status for check in checks} == {Status.OK}
    assert not any(check.remedy for check in checks)


def test_looking_makes_and_changes_nothing(still: RunStore) -> None:
    assert found(still.home, "database").found.startswith("none yet")
    assert not still.home.exists()
    lay_database(still.home / "studio.db", "schema-1-last.sql")
    check = found(still.home, "database")
    assert (check.status, check.found) == (Status.WARN, "it has schema 1, and 3 is this release's")
    assert found(still.home, "database") == check


@pytest.mark.parametrize(
    ("fault", "told", "remedy"),
    [
        ("damaged", "is damaged", "put a copy of it in its place"),
        ("newer", "newer release", "Update this installation"),
        ("locked", "busy for too long", "Open in process {pid}"),
    ],
)
def test_a_database_that_cannot_be_used(
    filled: RunStore, monkeypatch: pytest.MonkeyPatch, fault: str, told: str, remedy: str
) -> None:
    file, own = filled.home / "studio.db", os.getpid()
    forget()
    plain = sqlite3.connect(file, isolation_level=None)
    if fault == "newer":
        plain.execute("UPDATE runs_version SET version_num = '99'")
    if fault == "locked":
        monkeypatch.setattr("osscar_core.studio.database._WAIT_SECONDS", 0.05)
        plain.execute("BEGIN IMMEDIATE")
        # As somebody else would see it.
        monkeypatch.setattr(checkup.os, "getpid", lambda: 0)
    if fault == "damaged":
        plain.close()
        file.write_bytes(b"nothing of the kind" * 100)
    check = found(filled.home, "database")
    plain.close()
    assert check.status is Status.FAIL
    assert told in check.found
    assert remedy.format(pid=own) in check.remedy


def test_runs_that_nobody_cares_for(still: RunStore, ask) -> None:
    still.submit(ask())
    run = still.submit(ask("two"))
    with still.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE runs SET state = 'running', pid = 999999, pid_started = 1 WHERE id = ?",
            (run.id,),
        )
    check = found(still.home, "dispatcher")
    assert check.status is Status.WARN
    assert check.found == "none, though 2 runs wait or work (1 of them have lost their process)"
    assert "Open the app" in check.remedy


def test_a_lock_in_other_hands_and_a_process_that_is_stopped(filled: RunStore) -> None:
    lock = try_lock(filled.home / LOCK)
    assert lock is not None
    check = found(filled.home, "dispatcher")
    assert (check.status, "held by something else" in check.found) == (Status.FAIL, True)
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    os.pwrite(lock, to_json(Process.of(sleeper.pid)).encode(), 0)
    assert found(filled.home, "dispatcher").found.startswith(f"process {sleeper.pid}, 0 runs")
    os.kill(sleeper.pid, signal.SIGSTOP)
    os.waitpid(sleeper.pid, os.WUNTRACED)
    check = found(filled.home, "dispatcher")
    assert (check.status, check.remedy) == (
        Status.FAIL,
        f"Let it go on: kill -CONT {sleeper.pid}",
    )
    sleeper.kill()
    sleeper.wait()
    os.close(lock)


def test_folders_and_rows_that_do_not_belong_together(filled: RunStore) -> None:
    (filled.runs_folder / SECOND).mkdir()
    (filled.runs_folder / FIRST).rename(filled.home / "aside")
    check = found(filled.home, "folders without a run")
    assert (check.status, check.found) == (Status.WARN, f"1: {SECOND}")
    check = found(filled.home, "runs without a folder")
    assert (check.status, check.found) == (Status.WARN, f"1: {FIRST}")


@pytest.mark.parametrize(
    "fault", ["result", "no result", "another number in a result", "short weights", "no header"]
)
def test_damaged_results(filled: RunStore, fault: str) -> None:
    import numpy as np

    folder = filled.runs_folder / FIRST
    (folder / "model").mkdir()
    weights = folder / "model" / "model.safetensors"
    save_file({"w": np.ones((4, 4))}, weights, metadata={"format": "pt"})
    assert found(filled.home, "results").status is Status.OK
    if fault == "result":
        (folder / "result.json").write_text('{"prune": ')
    if fault == "another number in a result":
        text = sealed((folder / "result.json").read_text())
        (folder / "result.json").write_text(text.replace('"speedup": 1.6', '"speedup": 9.6'))
    if fault == "no result":
        (folder / "result.json").unlink()
    if fault == "short weights":
        weights.write_bytes(weights.read_bytes()[:-1])
    if fault == "no header":
        weights.write_bytes(b"\xff" * 100)
    name = "result.json" if "result" in fault else "model/model.safetensors"
    check = found(filled.home, "results")
    assert check.status is Status.FAIL
    assert check.found == f"1 damaged or missing: {FIRST}/{name}"


def test_remains_of_work_that_was_cut_off(filled: RunStore) -> None:
    for place in (filled.home / ".backup-x", filled.runs_folder / FIRST / ".result.json.1.ab"):
        place.mkdir()
        os.utime(place, (0, 0))
    (filled.home / ".restore-now").mkdir()
    check = found(filled.home, "remains")
    assert check.status is Status.WARN
    assert check.found.startswith("2 of work that was cut off: .backup-x")


def test_a_disk_with_another_time(still: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(checkup.time, "time", lambda: now - 100)
    check = found(still.home, "clock")
    assert check.status is Status.WARN
    assert check.found.endswith("s ahead")


@pytest.mark.parametrize("variable", ["OSSCAR_RETENTION", "OSSCAR_QUOTA", "OSSCAR_LOG"])
def test_settings_that_cannot_be_read(
    still, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "nonsense")
    check = found(still.home, "settings")
    assert check.status is Status.FAIL
    assert "nonsense" in check.found


def test_roots_that_are_not_there_are_named(
    still, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ROOTS, os.pathsep.join([str(tmp_path), str(tmp_path / "modells")]))
    check = found(still.home, "settings")
    assert check.status is Status.WARN
    assert "modells" in check.found
    (tmp_path / "modells").mkdir()
    assert found(still.home, "settings").status is Status.OK


class Answering(http.server.BaseHTTPRequestHandler):
    body = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"<html>", Status.WARN, "another program listens there"),
        (b'{"version": "0.0.1"}', Status.WARN, "release 0.0.1 is served there"),
        (
            json.dumps({"version": checkup.__version__}).encode(),
            Status.OK,
            "the app is served there",
        ),
    ],
)
def test_a_port_in_use(body: bytes, status: Status, told: str) -> None:
    handler = type("Handler", (Answering,), {"body": body})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        check = checkup._port(server.server_port)
        server.shutdown()
    assert (check.status, check.found) == (status, told)
    assert checkup._port(server.server_port).found == "free"


WHOLE = """
[auth]
redirect_uri = "https://host/oauth2callback"
cookie_secret = "hunter2"
client_id = "me"
client_secret = "hunter2"
server_metadata_url = "https://host/x"
"""


@pytest.mark.parametrize(
    ("text", "has_authlib", "mode", "status", "told"),
    [
        ("[auth", True, 0o600, Status.FAIL, "is no TOML"),
        ("x = 1", True, 0o644, Status.OK, "has no [auth]"),
        ("[auth]\nredirect_uri = 'x'", True, 0o600, Status.FAIL, "is not complete"),
        (WHOLE, False, 0o600, Status.FAIL, "Authlib is not installed"),
        (WHOLE, True, 0o644, Status.WARN, "other users can read"),
        (WHOLE, True, 0o600, Status.OK, "configured"),
    ],
)
def test_a_sign_in(tmp_path, monkeypatch, text, has_authlib, mode, status, told) -> None:
    monkeypatch.setattr(checkup.importlib.util, "find_spec", lambda _: has_authlib or None)
    file = tmp_path / "secrets.toml"
    file.write_text(text)
    file.chmod(mode)
    (check,) = checkup._sign_in([file, tmp_path / "none"])
    assert check.status is status
    assert told in check.found
    assert "hunter2" not in f"{check.found} {check.remedy}"


def test_secrets_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "secrets.toml").mkdir()
    (check,) = checkup._sign_in([tmp_path / "secrets.toml"])
    assert (check.status, check.remedy) == (Status.FAIL, "Correct its rights")
    (check,) = checkup._sign_in([])
    assert (check.status, check.found[:14]) == (Status.OK, "not configured")


def test_the_command_line_keeps_a_store(
    filled: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from osscar_core.cli import main

    def told(*arguments: str) -> tuple[int, str]:
        code = main(["store", *arguments])
        return code, "".join(capsys.readouterr())

    file = str(tmp_path / "runs.tar")
    assert told("backup", file)[0] == 0
    code, text = told("backup", file)
    assert (code, "is there already" in text) == (2, True)
    code, text = told("restore", file, "--json", "--workspace", str(tmp_path / "new"))
    assert (code, json.loads(text)["runs"]) == (0, 1)
    assert told("restore", file)[0] == 2
    code, text = told("purge", "--older-than", "1h", "--dry-run")
    assert (code, FIRST in text, "1 runs, " in text, "would go" in text) == (0, True, True, True)
    assert filled.get(FIRST).status.state is State.FINISHED
    code, text = told("purge", "--older-than", "1h", "--json")
    assert (code, json.loads(text)["removed"]) == (0, 1)
    assert told("purge", "--older-than", "soon")[0] == 2
    assert (filled.runs(), list(filled.runs_folder.iterdir())) == ([], [])
    assert told("check")[0] == 0
    forget()
    (filled.home / "studio.db").write_bytes(b"nothing of the kind" * 100)
    code, text = told("check", "--json")
    assert (code, json.loads(text)["fit"]) == (1, False)
