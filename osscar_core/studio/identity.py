"""Whose session this is, and what they may do.

The decision hidden here: how a person is told from another without keeping who they are, and
where a role comes from. Without a login configured, everyone who can open the address is the
same local person, who is the admin of their own machine.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.secrets import secrets_singleton

from osscar_core.catalogue import assets_folder
from osscar_core.errors import MissingDependencyError, OsscarError, SpecError
from osscar_core.storage import workspace
from osscar_core.studio.access import (
    ROOTS,
    AccessError,
    Person,
    Places,
    Role,
    RoleRule,
    is_read_only,
    roots_from,
)
from osscar_core.studio.desk import Desk
from osscar_core.studio.gate import is_this_machine
from osscar_core.studio.jobs import RunStore
from osscar_core.studio.runs import LOCAL
from osscar_core.studio.texts import say

SESSION_HOURS = 12.0
"""For so long a login counts; a role that was taken away is gone after that at the latest."""

_SECTION = "osscar"
_PACKAGES = {"Authlib": ("authlib",), "httpx": ("httpx", "httpx2")}
"""What a login needs, each with the modules of which one has to be there."""
_SOURCE = Path(__file__).resolve().parents[2]
# Where a login page notes what was asked for. It stays in the tab, and is of this site only.
_WANTED = "osscar-wanted"


def owner() -> str:
    """Return whose runs these are: a digest of the login, stable and free of names.

    Raises:
        OsscarError: The login does not say who somebody is.
    """
    claims = _claims()
    if not is_login_asked():
        return LOCAL
    if not claims.get("is_logged_in"):
        raise AccessError("nobody is logged in any more", "Reload the page and log in")
    subject = claims.get("sub") or claims.get("email")
    if not subject:
        raise OsscarError(
            "the login names neither a subject nor an email address",
            "Ask whoever runs this server to request the scopes openid and email",
        )
    digest = hashlib.sha256(f"{claims.get('iss', '')}\n{subject}".encode()).hexdigest()
    return f"user-{digest[:16]}"


def person() -> Person:
    """Return who this is and what they may do.

    Raises:
        OsscarError: The login does not say who somebody is, or the roles are set up wrongly.
    """
    is_shown = is_read_only(os.environ)
    if not is_login_asked():
        # Where a whole network is one person, that is not the one who looks after everybody's.
        return Person(role=Role.ADMIN if is_local() else Role.OPERATOR, is_shown=is_shown)
    if _has_lapsed(_claims()):
        raise AccessError("nobody is logged in any more", "Reload the page and log in")
    rule = RoleRule.of({name: _plain(value) for name, value in _settings().items()})
    return Person(owner(), rule.role_of(_claims()), is_shown=is_shown)


def places() -> Places:
    """Return where the files lie that this person may name.

    On one's own machine that is one's home, the workspace, what comes with the project and the
    folder that the server was started in. With a login, or for other machines, nothing may be
    named but what the server is set up for, and never the workspace, which is of everybody.
    """
    given = os.environ.get(ROOTS, "")
    if is_own_machine():
        usual = (workspace(), assets_folder(), Path.home(), Path.cwd())
        found = (Path(os.path.realpath(path)) for path in usual)
        own = tuple(str(path) for path in found if path != path.parent)
        return Places(roots_from(given) or own, may_lead_out=True)
    if not person().may_act:
        return Places()
    barred = (workspace(), _SOURCE / ".streamlit")
    return Places(roots_from(given), tuple(map(os.path.realpath, barred)))


def desk() -> Desk:
    """Return the runs of the workspace as the person of this session may use them."""
    return Desk(RunStore(), person(), places())


def is_login_asked() -> bool:
    """Return whether this server asks for a login, whether or not somebody has logged in."""
    return _claims().get("is_logged_in") is not None


def is_own_machine() -> bool:
    """Return whether this is somebody's own machine, whose folders they know."""
    return not is_login_asked() and is_local()


def is_local() -> bool:
    """Return whether only this machine can open the app, as far as its address tells."""
    return is_this_machine(str(st.get_option("server.address") or ""))


def needs_login() -> bool:
    """Return whether a login is configured and nobody is logged in, or not any more.

    Raises:
        OsscarError: There is a file of secrets that cannot be read. It may ask for a login,
            so nobody gets past it.
    """
    claims = _claims()
    logged_in = claims.get("is_logged_in")
    if logged_in is None:
        _check_secrets()
        return False
    if not logged_in:
        return True
    if _has_lapsed(claims):
        return True
    person()
    return False


def show_login() -> None:
    """Show the only thing that a stranger gets to see.

    Raises:
        MissingDependencyError: What a login needs is not installed.
    """
    missing = missing_packages()
    if missing:
        raise MissingDependencyError(
            f"a login is configured, and what it needs is not installed: {', '.join(missing)}",
            "Run: pip install -r requirements.txt",
        )
    _run_script(f"sessionStorage.setItem('{_WANTED}', location.pathname + location.search);")
    _, middle, _ = st.columns([1, 2, 1])
    with middle, st.container(border=True, key="login"):
        st.markdown(f"## {say('app.name')}")
        st.markdown(say("login.body"))
        for provider in _providers():
            label = say("login.with", provider=provider) if provider else say("login.go")
            if st.button(label, key=f"login_{provider}", type="primary", width="stretch"):
                st.login(provider or None)


def show_logout() -> None:
    """Offer a way out to somebody who is logged in, and lead them where they wanted to go."""
    claims = _claims()
    if not claims.get("is_logged_in"):
        return
    # A provider leads back to the front page, whatever page was asked for before.
    _run_script(
        f"""(() => {{
          const wanted = sessionStorage.getItem('{_WANTED}');
          sessionStorage.removeItem('{_WANTED}');
          if (!wanted) return;
          const there = new URL(wanted, location.origin);
          if (there.origin === location.origin && there.href !== location.href)
            location.replace(there.href);
        }})();"""
    )
    name = str(claims.get("name") or claims.get("email") or "")
    if st.button(say("login.out"), icon=":material/logout:", help=name, width="stretch"):
        st.logout()
        # From here on the session is nobody's, and has nothing more to show.
        st.stop()


def missing_packages() -> list[str]:
    """Return what a login needs and is not installed."""
    return [
        name
        for name, modules in _PACKAGES.items()
        if not any(importlib.util.find_spec(module) for module in modules)
    ]


def _claims() -> Mapping[str, Any]:
    """Return what the login says; nothing outside the app, where there is no session."""
    if get_script_run_ctx(suppress_warning=True) is None:
        if st.runtime.exists():
            raise AccessError("this part of the page belongs to no session", "Reload the page")
        return {}
    return st.user.to_dict()


def _check_secrets() -> None:
    """Refuse secrets that may ask for a login and do not get through to Streamlit."""
    if not _has_secrets():
        return
    try:
        is_begun = "auth" in st.secrets
    except StreamlitSecretNotFoundError as error:
        raise OsscarError(
            "the secrets of this server cannot be read",
            "Correct .streamlit/secrets.toml and start the server again",
        ) from error
    if is_begun:
        raise OsscarError(
            "the section [auth] of the secrets is empty or cannot be used",
            "Fill it in or remove it from .streamlit/secrets.toml, and start the server again",
        )


def _has_secrets() -> bool:
    is_given = st.secrets is not secrets_singleton
    return is_given or any(Path(path).exists() for path in st.get_option("secrets.files"))


def _settings() -> Mapping[str, Any]:
    if not _has_secrets():
        return {}
    found = st.secrets.get(_SECTION, {})
    if not isinstance(found, Mapping):
        raise SpecError("osscar in the secrets is no section", "Write it as [osscar]")
    return found


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _has_lapsed(claims: Mapping[str, Any]) -> bool:
    """Return whether somebody logged in too long ago; a login without a time counts."""
    hours = _settings().get("session_hours", SESSION_HOURS)
    if isinstance(hours, bool) or not isinstance(hours, int | float) or hours <= 0:
        raise SpecError(f"session_hours of [osscar] is {hours!r}", "Give a number of hours above 0")
    issued = claims.get("iat")
    return isinstance(issued, int | float) and time.time() - issued > hours * 3600


def _providers() -> list[str]:
    """Return the names of the providers to choose from; one without a name if there is one."""
    configured = st.secrets["auth"]
    named = [str(name) for name, value in configured.items() if isinstance(value, Mapping)]
    return named or [""]


def _run_script(script: str) -> None:
    st.html(f"<script>{script}</script>", unsafe_allow_javascript=True)
