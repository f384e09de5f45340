"""The server: what its answers carry, where it listens, both ways to start it, what waits."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser.harness import STREAMLIT, served
from osscar_core.studio import serve
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


@pytest.mark.parametrize("path", ["_stcore/health", "", "explain", "static/nothing.js", "healthz"])
def test_every_answer_carries_the_security_headers(address: str, path: str) -> None:
    headers = answer(f"{address}/{path}").headers
    for name, value in serve.HEADERS.items():
        assert headers.get_all(name) == [value]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


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


def test_a_policy_lets_nothing_in_from_elsewhere() -> None:
    sources = serve.CONTENT_POLICY.replace(";", " ").split()
    assert not [source for source in sources if "*" in source or "://" in source]


def test_streamlit_itself_starts_the_app_too(tmp_path: Path) -> None:
    with served(tmp_path / "workspace", STREAMLIT) as address:
        assert answer(f"{address}/explain").status == 200


@pytest.mark.parametrize(
    ("host", "is_own"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("pc", False)],  # noqa: S104
)
def test_only_this_machine_is_this_machine(host: str, is_own: bool) -> None:
    assert serve._is_this_machine(host) is is_own


@pytest.mark.parametrize("port", ["0", "70000", "x"])
def test_a_wrong_port_is_told(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        serve.main(["--port", port])
    assert "port" in capsys.readouterr().err


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
