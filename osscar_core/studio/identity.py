"""Whose session this is.

The decision hidden here: how a person is told from another without keeping who they are.
Without a login configured, everyone who can open the address is the same local person.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from osscar_core.errors import OsscarError
from osscar_core.studio.runs import LOCAL
from osscar_core.studio.texts import say


def owner() -> str:
    """Return whose runs these are: a digest of the login, stable and free of names.

    Raises:
        OsscarError: The login does not say who somebody is.
    """
    person = st.user.to_dict()
    if not person.get("is_logged_in"):
        return LOCAL
    subject = person.get("sub") or person.get("email")
    if not subject:
        raise OsscarError(
            "the login names neither a subject nor an email address",
            "Ask whoever runs this server to request the scopes openid and email",
        )
    digest = hashlib.sha256(f"{person.get('iss', '')}\n{subject}".encode()).hexdigest()
    return f"user-{digest[:16]}"


def needs_login() -> bool:
    """Return whether a login is configured and nobody is logged in.

    Raises:
        OsscarError: There is a file of secrets that cannot be read. It may ask for a login,
            so nobody gets past it.
    """
    logged_in = st.user.to_dict().get("is_logged_in")
    if logged_in is None and any(Path(path).exists() for path in st.get_option("secrets.files")):
        try:
            len(st.secrets)
        except StreamlitSecretNotFoundError as error:
            raise OsscarError(
                "the secrets of this server cannot be read",
                "Correct .streamlit/secrets.toml and start the server again",
            ) from error
    return logged_in is False


def show_login() -> None:
    """Show the only thing that a stranger gets to see."""
    _, middle, _ = st.columns([1, 2, 1])
    with middle, st.container(border=True, key="login"):
        st.markdown(f"## {say('app.name')}")
        st.markdown(say("login.body"))
        for provider in _providers():
            label = say("login.with", provider=provider) if provider else say("login.go")
            if st.button(label, key=f"login_{provider}", type="primary", width="stretch"):
                st.login(provider or None)


def show_logout() -> None:
    """Offer a way out to somebody who is logged in."""
    person = st.user.to_dict()
    if person.get("is_logged_in"):
        name = str(person.get("name") or person.get("email") or "")
        if st.button(say("login.out"), icon=":material/logout:", help=name, width="stretch"):
            st.logout()


def _providers() -> list[str]:
    """Return the names of the providers to choose from; one without a name if there is one."""
    configured = st.secrets["auth"]
    named = [str(name) for name, value in configured.items() if isinstance(value, Mapping)]
    return named or [""]
