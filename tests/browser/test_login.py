"""Logging in with a real provider: two people, a deep link, what each may see, the way out."""

from __future__ import annotations

import hashlib
import re
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import Page, expect

from browser.harness import QUIET, Server
from browser.provider import CLIENT, SECRET, Provider, provided

pytestmark = pytest.mark.browser

RUN = "20260101-000000-000000"
COOKIE_SECRET = "cookie-secret-canary-9f31"  # noqa: S105
PEOPLE = {
    "Ann": {"sub": "canary-sub-ann", "email": "canary-ann@example.com", "name": "Ann A."},
    "Bob": {"sub": "canary-sub-bob", "email": "canary-bob@example.com", "name": "Bob B."},
}
TALKATIVE = """
import logging
logging.basicConfig(level=logging.DEBUG)
from osscar_core.studio.serve import main
main(["--port={port}"])
"""
ROLES = {"Ann": ["staff", "pruners"], "Bob": ["staff"]}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    people = {name: {**claims, "groups": ROLES[name]} for name, claims in PEOPLE.items()}
    with provided(people) as found:
        yield found


@pytest.fixture(scope="module")
def server(
    provider: Provider, samples, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("login")
    (folder / ".streamlit").mkdir()
    (folder / ".streamlit" / "secrets.toml").write_text(
        f"""
[auth]
redirect_uri = "http://127.0.0.1:{{port}}/oauth2callback"
cookie_secret = "{COOKIE_SECRET}"
client_id = "{CLIENT}"
client_secret = "{SECRET}"
server_metadata_url = "{provider.address}/.well-known/openid-configuration"

[osscar]
role_claim = "groups"

[osscar.roles]
staff = "viewer"
pruners = "operator"
"""
    )
    subject = "\n".join((provider.address, PEOPLE["Ann"]["sub"]))
    ann = f"user-{hashlib.sha256(subject.encode()).hexdigest()[:16]}"
    asked = samples.image_request(0.5)
    samples.write_run(folder / "workspace", RUN, asked, samples.result(asked), owner=ann)
    found = Server(
        folder / "workspace",
        command=("-c", TALKATIVE),
        environment={"HOME": str(folder)},
    )
    found.start()
    yield found
    found.stop()


def log_in(page: Page, name: str) -> None:
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name=name).click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    page.wait_for_selector(QUIET)


def status(address: str, **options) -> int:
    request = urllib.request.Request(address, **options)  # noqa: S310
    try:
        return urllib.request.urlopen(request, timeout=10).status  # noqa: S310
    except urllib.error.HTTPError as error:
        return error.code


def test_two_people_log_in_see_what_is_theirs_and_leave(
    chromium, server: Server, provider: Provider
) -> None:
    link = f"{server.address}/explain?run={RUN}"
    first, second = chromium.new_context(locale="en"), chromium.new_context(locale="en")
    ann, bob = first.new_page(), second.new_page()

    # A stranger sees the way in, and afterwards what the link was about.
    ann.goto(link)
    expect(ann.get_by_role("button", name="Log in")).to_be_visible()
    expect(ann.get_by_role("link", name="Runs")).to_have_count(0)
    log_in(ann, "Ann")
    expect(ann).to_have_url(re.compile(f"/explain\\?.*run={RUN}"))
    expect(ann.get_by_text("What was removed", exact=False).first).to_be_visible()
    expect(ann.get_by_text(RUN).first).to_be_visible()
    assert provider.refused == []

    # The cookie is out of reach of scripts and of other sites.
    cookies = {cookie["name"]: cookie for cookie in first.cookies()}
    login = cookies["_streamlit_user"]
    assert (login["httpOnly"], login["sameSite"]) == (True, "Lax")
    assert not any("canary" in cookie["value"] for cookie in first.cookies())

    # What pages hand out needs the login as well.
    for path in ("media/0000.json", "_stcore/metrics"):
        assert status(f"{server.address}/{path}") == 403
    put = f"{server.address}/_stcore/upload_file/session/file"
    assert status(put, data=b"x", method="PUT") == 403
    assert first.request.get(f"{server.address}/media/0000.json").status == 404

    # Somebody else's run is like one that does not exist, until it is shown.
    bob.goto(link)
    log_in(bob, "Bob")
    expect(bob.get_by_text("What was removed", exact=False).first).to_be_visible()
    expect(bob.get_by_text("example-").first).to_be_visible()
    expect(bob.get_by_text(RUN)).to_have_count(0)
    bob.goto(f"{server.address}/")
    bob.wait_for_selector(QUIET)
    expect(bob.get_by_role("slider").first).to_be_visible()
    expect(bob.get_by_role("button", name=re.compile("Measure"))).to_have_count(0)
    ann.goto(f"{server.address}/runs?run={RUN}")
    ann.get_by_role("button", name="Show to everybody").click()
    expect(ann.get_by_role("button", name="Stop showing")).to_be_visible()
    bob.goto(f"{server.address}/runs?run={RUN}")
    bob.wait_for_selector(QUIET)
    expect(bob.get_by_text("everybody here can see it")).to_be_visible()
    for name in ("Delete", "Download", "Stop showing", "Run again"):
        expect(bob.get_by_role("button", name=name, exact=True)).to_have_count(0)
    expect(bob.get_by_text("Import a run")).to_have_count(0)

    # The way out leads past the provider, and nothing is left in the tab.
    ann.get_by_role("button", name="Log out").click()
    expect(ann.get_by_role("button", name="Log in")).to_be_visible()
    assert "_streamlit_user" not in {cookie["name"] for cookie in first.cookies()}
    ann.goto(link)
    expect(ann.get_by_role("button", name="Log in")).to_be_visible()
    expect(ann.get_by_text(RUN)).to_have_count(0)
    first.close()
    second.close()


def test_nothing_of_a_login_is_in_the_log(server: Server) -> None:
    """It runs after the visit above, with a log that tells everything."""
    log = (server.home.parent / "server.log").read_text()
    assert "DEBUG:" in log
    assert [each for each in (COOKIE_SECRET, SECRET, "canary-") if each in log] == []
