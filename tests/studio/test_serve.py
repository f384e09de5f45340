"""The server: what its answers carry, where it listens, both ways to start it, what waits."""

from __future__ import annotations

import http.client
import json
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser.harness import STREAMLIT, served
from osscar_core.studio import gate, serve
from osscar_core.studio.access import READ_ONLY, ROOTS
from osscar_core.studio.jobs import RunStore


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("serve") / "workspace") as found:
        yield found


def answer(url: str, **options):
    request = urllib.request.Request(url, **options)  # noqa: S310
    try:
        return urllib.request.urlopen(request, timeout=10)  # noqa: S310
    except urllib.error.HTTPError as error:
        return error


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "", 200),
        ("GET", "explain", 200),
        ("GET", "_stcore/health", 200),
        ("GET", "healthz", 200),
        ("GET", "_stcore/host-config", 200),
        ("GET", "static/nothing.js", 200),
        ("GET", "media/nothing.png", 404),
        ("GET", "media/..%2f..%2fstudio.db", 400),
        ("OPTIONS", "_stcore/upload_file/session/file", 204),
        ("PUT", "_stcore/upload_file/session/file", 403),
        ("DELETE", "_stcore/upload_file/session/file", 403),
    ],
)
def test_every_answer_carries_the_security_headers(
    address: str, method: str, path: str, status: int
) -> None:
    response = answer(f"{address}/{path}", method=method)
    assert response.status == status
    for name, value in gate.HEADERS.items():
        assert response.headers.get_all(name) == [value]
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("{own}", "http://{own}", 101),
        ("{own}", "http://evil.example", 403),
        ("{own}", "null", 403),
        # Another site's name that was made to lead here: its pages are of one origin with it.
        ("evil.example", "http://evil.example", 403),
    ],
)
def test_a_session_is_opened_for_pages_of_this_site_only(
    address: str, host: str, origin: str, status: int
) -> None:
    own = address.removeprefix("http://")
    connection = http.client.HTTPConnection(own, timeout=10)
    connection.putrequest("GET", "/_stcore/stream", skip_host=True)
    for name, value in {
        "Host": host.format(own=own),
        "Origin": origin.format(own=own),
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == status
    connection.close()


def test_a_page_is_not_given_out_under_a_foreign_name(address: str) -> None:
    assert answer(f"{address}/", headers={"Host": "evil.example"}).status == 421
    assert answer(f"{address}/_stcore/health", headers={"Host": "evil.example"}).status == 200


def test_health_is_told(address: str) -> None:
    response = answer(f"{address}/_stcore/health")
    assert (response.status, response.read()) == (200, b"ok")


def test_a_watcher_learns_that_the_app_can_work(address: str) -> None:
    response = answer(f"{address}/healthz")
    assert response.status == 200
    found = json.loads(response.read())
    assert found["status"] == "ok"
    assert found["checks"]["queue"] == {"status": "ok", "waiting": 0, "working": 0}
    assert answer(f"{address}/healthz/live").status == 200


def test_an_upload_without_the_token_is_refused(address: str) -> None:
    upload = f"{address}/_stcore/upload_file/session/file"
    assert answer(upload, data=b"x", method="PUT").status == 403


def test_streamlits_own_command_knows_this_machine_only_too() -> None:
    settings = tomllib.loads((serve.SCRIPT.parent / ".streamlit" / "config.toml").read_text())
    assert set(settings["server"]["allowedHosts"]) == gate.THIS_MACHINE
    assert settings["server"]["address"] == "127.0.0.1"
    assert settings["server"]["enableXsrfProtection"]


def test_a_policy_lets_nothing_in_from_elsewhere() -> None:
    sources = gate.CONTENT_POLICY.replace(";", " ").split()
    assert not [source for source in sources if "*" in source or "://" in source]


def test_streamlit_itself_starts_the_app_too(tmp_path: Path) -> None:
    with served(tmp_path / "workspace", STREAMLIT) as address:
        assert answer(f"{address}/explain").status == 200


@pytest.mark.parametrize(
    ("host", "is_own"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("pc", False)],  # noqa: S104
)
def test_only_this_machine_is_this_machine(host: str, is_own: bool) -> None:
    assert gate.is_this_machine(host) is is_own


@pytest.mark.parametrize("port", ["0", "70000", "x"])
def test_a_wrong_port_is_told(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        serve.main(["--port", port])
    assert "port" in capsys.readouterr().err


def test_nothing_is_opened_to_a_network_by_mistake(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve.sys, "argv", [])
    with pytest.raises(SystemExit):
        serve.main(["--host", "0.0.0.0"])  # noqa: S104
    assert "--trust-network" in capsys.readouterr().err


def test_what_a_server_is_told_reaches_the_app(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import streamlit as st

    started = []

    class App:
        def __init__(self, *_: object, **options: object) -> None:
            started.append(options)

        def run(self, config: dict[str, object]) -> None:
            started.append(config)

    monkeypatch.setattr(st, "App", App)
    monkeypatch.setattr(serve.sys, "argv", [])
    monkeypatch.setenv(READ_ONLY, "")
    monkeypatch.setenv(ROOTS, "/")
    monkeypatch.setattr(RunStore, "ensure_dispatched", lambda store: started.append("dispatched"))
    serve.main(
        ["--host", "0.0.0.0", "--trust-network", "--read-only", f"--root={tmp_path}"]  # noqa: S104
    )
    assert "dispatched" not in started
    assert started[-1]["server.address"] == "0.0.0.0"  # noqa: S104
    assert serve.os.environ[READ_ONLY] == "1"
    assert serve.os.environ[ROOTS] == str(tmp_path)


def test_a_root_that_is_not_there_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit):
        serve.main(["--root", str(tmp_path / "none")])
    assert "is no folder" in capsys.readouterr().err


def test_a_start_takes_up_what_waits(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken_up = []
    monkeypatch.setattr(RunStore, "ensure_dispatched", lambda store: taken_up.append(store.home))
    serve._take_up_runs()
    assert taken_up == [home]


def test_a_start_removes_what_was_kept_for_long_enough(still, samples, monkeypatch) -> None:
    asked = samples.image_request()
    samples.write_run(still.home, "20260101-000000-000001", asked, samples.result(asked, units=2))
    monkeypatch.setenv("OSSCAR_RETENTION", "1d")
    serve._take_up_runs()
    assert still.runs() == []


def test_a_workspace_that_cannot_be_used_does_not_keep_the_app_from_starting(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home.mkdir()
    (home / "studio.db").write_bytes(b"nothing of the kind" * 100)
    serve._take_up_runs()
    assert "is damaged" in caplog.text
