"""What the processes write: two forms, what a line is about, and no secret in either."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from osscar_core.studio import logs
from osscar_core.studio.jobs import RunStore


def record(message: str, *given: object, **about: object) -> logging.LogRecord:
    made = logging.LogRecord("osscar_core.x", logging.WARNING, "x.py", 1, message, given, None)
    for name, value in about.items():
        setattr(made, name, value)
    return made


def test_a_line_for_machines_says_what_it_is_about() -> None:
    made = record(
        "a %s\nof two lines, 日本語 \u2028", "message", run="20260101-000000-000000", owner=""
    )
    made.created = 1764491400.25
    line = logs.JsonLines("server").format(made)
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2025-11-30T08:30:00.250Z",
        "level": "WARNING",
        "logger": "osscar_core.x",
        "message": "a message\nof two lines, 日本語 \u2028",
        "process": "server",
        "pid": made.process,
        "run": "20260101-000000-000000",
    }


def test_a_line_for_people_is_one_line_whatever_was_in_it() -> None:
    made = record("name\n2026-01-01 00:00:00 ERROR forged\x1b[31m\r", run="R")
    line = logs.PlainLines().format(made)
    assert line.endswith(r" WARNING [R] name\n2026-01-01 00:00:00 ERROR forged\x1b[31m\r")


@pytest.mark.parametrize("form", [logs.PlainLines(), logs.JsonLines("worker")])
def test_a_traceback_is_kept_and_masked(form: logging.Formatter) -> None:
    made = record("failed")
    try:
        raise ValueError("postgresql://me:hunter2@host/name")
    except ValueError:
        made.exc_info = sys.exc_info()
    line = form.format(made)
    assert "ValueError: postgresql://me:***@host/name" in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("said", "written"),
    [
        (
            "at postgresql+psycopg://me:hunter2@host/name",
            "at postgresql+psycopg://me:***@host/name",
        ),
        ("at postgresql://me@host/name", "at postgresql://me@host/name"),
        ("see https://host:8501/a@b", "see https://host:8501/a@b"),
        ("client_secret = 'hunter2', x", "client_secret = '***', x"),
        ('{"cookie_secret": "hunter2"}', '{"cookie_secret": "***"}'),
        ("password=hunter2&user=me", "password=***&user=me"),
        ("Authorization: Bearer hunter2.x-y", "Authorization: ***"),
        ("got Bearer hunter2.x-y", "got Bearer ***"),
        ("HF_TOKEN=hf_abcdefghijklmnopqrst", "HF_TOKEN=***"),
        ("a hf_abcdefghijklmnopqrst here", "a hf_*** here"),
        ("512 tokens: 3 windows", "512 tokens: 3 windows"),
        ("the token limit is 5", "the token limit is 5"),
    ],
)
def test_secrets_are_masked(said: str, written: str) -> None:
    assert logs.masked(said) == written


PROGRAM = """
import logging, sys, warnings
from osscar_core.studio import logs
logs.set_up("worker", run="20260101-000000-000000")
logging.getLogger("some.library").info("loaded %s", "it")
logging.getLogger("some.library").error("other", extra={"run": "another", "error_id": "0a1b"})
own = logging.StreamHandler(); logging.getLogger("own").propagate = False
logging.getLogger("own").addHandler(own)
logging.getLogger("own").warning("a handler of its own")
print("printed", end=""); print(", and ended")
warnings.warn("warned")
raise ValueError("client_secret=hunter2")
"""


def lines_of(form: str) -> list[str]:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env={"OSSCAR_LOG": form, "PYTHONPATH": ":".join(sys.path)},
    )
    assert ended.returncode == 1
    assert "hunter2" not in ended.stdout + ended.stderr
    return (ended.stdout + ended.stderr).splitlines()


def test_all_that_a_process_prints_is_json_if_asked() -> None:
    lines = [json.loads(line) for line in lines_of("json")]
    said = [(line["level"], line["logger"], line["message"].splitlines()[0]) for line in lines]
    assert said[:5] == [
        ("INFO", "some.library", "loaded it"),
        ("ERROR", "some.library", "other"),
        ("INFO", "stderr", "a handler of its own"),
        ("INFO", "stdout", "printed, and ended"),
        ("INFO", "stderr", "<string>:11: UserWarning: warned"),
    ]
    assert said[-1] == ("CRITICAL", "osscar_core.studio.logs", "the process ends")
    assert "ValueError: client_secret=***" in lines[-1]["traceback"]
    assert {line["process"] for line in lines} == {"worker"}
    assert [line["run"][:8] for line in lines] == [
        "20260101",
        "another",
        *["20260101"] * (len(lines) - 2),
    ]
    assert lines[1]["error_id"] == "0a1b"


def test_a_form_that_there_is_not_is_told_and_does_not_keep_a_process_from_working() -> None:
    lines = lines_of("xml")
    assert any("unknown OSSCAR_LOG 'xml'" in line for line in lines)
    assert any(line.endswith("INFO [20260101-000000-000000] loaded it") for line in lines)


def test_what_is_shown_of_a_log_is_for_people_in_either_form() -> None:
    line = logs.JsonLines("worker").format(record("it failed"))
    shown = logs.readable(f'plain\n{line}\n{{"time" broken\n')
    first, second, third = shown.splitlines()
    assert (first, third) == ("plain", '{"time" broken')
    assert second.endswith("Z WARNING it failed")


def test_a_run_is_followed_through_all_processes(store: RunStore, ask, monkeypatch, caplog) -> None:
    monkeypatch.setenv(logs.VARIABLE, "json")
    caplog.set_level(logging.INFO)
    from dispatched import wait_for

    run = store.submit(ask(), "user-0123456789abcdef")
    wait_for(lambda: not store.get(run.id).status.state.is_live)
    (asked,) = [r for r in caplog.records if "asked for" in r.getMessage()]
    assert (asked.run, asked.owner) == (run.id, "user-0123456789abcdef")
    dispatcher = read(store.home / "dispatcher.log")
    worker = read(run.folder / "log.txt")
    assert {line["process"] for line in dispatcher} == {"dispatcher"}
    assert "its turn on cpu" in [
        line["message"] for line in dispatcher if line.get("run") == run.id
    ]
    assert {(line["process"], line["run"]) for line in worker} == {("worker", run.id)}
    assert "mode quick" in [line["message"] for line in worker]
    assert worker[-1]["message"].startswith("finished after ")
    assert "INFO mode quick" in store.log(run)
    assert "INFO mode quick" in store.get(run.id).log_tail


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf8").splitlines()]
