"""Who may do what, with whose runs, and with which files of this machine.

The decision hidden here: what a role means. Everything that a page can ask of the store goes
through `Person.check`, see `osscar_core.studio.desk`; a button that is not drawn is a courtesy,
not the lock. No Streamlit: these rules hold whoever asks.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from osscar_core.datasets.own.store import is_id
from osscar_core.datasets.spec import mix_parts, parse_data_spec
from osscar_core.errors import OsscarError, SpecError, unknown_name
from osscar_core.studio.requests import JobRequest
from osscar_core.studio.runs import LOCAL

READ_ONLY = "OSSCAR_READ_ONLY"
"""Environment variable: set to ``1``, everything can be looked at and nothing changed."""

ROOTS = "OSSCAR_ROOTS"
"""Environment variable: the folders below which files may be named, as in ``PATH``."""

_UNTRAINED = "random"


class AccessError(OsscarError):
    """Somebody asked for what their role, or this server, does not allow."""


class Role(StrEnum):
    """What somebody may do, from least to most."""

    VIEWER = "viewer"
    """Looks at examples and at what others share, and plays with what-ifs."""

    OPERATOR = "operator"
    """Does everything with runs and data of their own."""

    ADMIN = "admin"
    """Does everything with everybody's runs."""


class Act(StrEnum):
    """What can be asked of the store."""

    SEE = "see"
    START = "start"
    BRING = "bring"
    STOP = "stop"
    RESUME = "resume"
    CHANGE = "change"
    SHARE = "share"
    DELETE = "delete"
    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody at a page.

    Attributes:
        owner: Whose runs theirs are: a digest of the login, or `LOCAL`.
        role: What they may do.
        is_shown: Whether this server only shows; nobody changes anything then.
    """

    owner: str = LOCAL
    role: Role = Role.VIEWER
    is_shown: bool = False

    @property
    def may_act(self) -> bool:
        """Whether they may do more than look."""
        return self.role is not Role.VIEWER and not self.is_shown

    @property
    def sees_all(self) -> bool:
        """Whether the runs of others are theirs to look after."""
        return self.role is Role.ADMIN

    def may(self, act: Act, owner: str, *, is_shared: bool = False) -> bool:
        """Return whether they may do something with what belongs to an owner."""
        is_theirs = owner == self.owner or self.sees_all
        if act is Act.SEE:
            return is_theirs or is_shared
        return self.may_act and is_theirs

    def check(self, act: Act, owner: str | None = None) -> None:
        """Refuse what they may not do.

        Args:
            act: What is asked for.
            owner: Whose the thing is that it is done with; ``None`` if it is a new one.

        Raises:
            AccessError: They may not; the message says why.
        """
        if self.may(act, self.owner if owner is None else owner):
            return
        if self.is_shown:
            raise AccessError(
                "this server only shows, and nothing can be started or changed on it",
                "Use an installation of your own, or ask whoever runs this one",
            )
        if self.role is Role.VIEWER:
            raise AccessError(
                "your role here is viewer, which may look and change nothing",
                "Ask whoever runs this server for the role operator",
            )
        raise AccessError(
            "this run belongs to somebody else", "Ask its owner, or start one of your own"
        )


@dataclass(frozen=True, slots=True)
class RoleRule:
    """How a login tells somebody's role.

    Attributes:
        claim: The claim of the login that names roles or groups, with dots for what lies
            deeper; empty if logins name none.
        names: The role for each value of the claim; empty if its values are the roles' names.
        default: The role of somebody whose login names none.
    """

    claim: str = ""
    names: Mapping[str, Role] = field(default_factory=dict)
    default: Role = Role.OPERATOR

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> RoleRule:
        """Return the rule that the section ``[osscar]`` of the secrets describes.

        Raises:
            SpecError: A setting is unknown or of the wrong kind. Nobody gets in by mistake.
        """
        known = ("role_claim", "roles", "default_role", "session_hours")
        for name in settings:
            if name not in known:
                raise unknown_name("setting of [osscar]", name, known)
        claim, names = settings.get("role_claim", ""), settings.get("roles", {})
        if not isinstance(claim, str) or not isinstance(names, Mapping):
            raise SpecError(
                "role_claim or roles of [osscar] is of the wrong kind",
                "Write role_claim as text and [osscar.roles] as a table of values and roles",
            )
        default = settings.get("default_role", Role.VIEWER if claim else Role.OPERATOR)
        roles = {str(value): _role(name) for value, name in names.items()}
        return cls(claim, roles, _role(default))

    def role_of(self, claims: Mapping[str, Any]) -> Role:
        """Return the highest role that a login names."""
        if not self.claim:
            return self.default
        own = self.names or {role.value: role for role in Role}
        found = [own[value] for value in _values(claims, self.claim) if value in own]
        return max(found, key=list(Role).index, default=self.default)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the files lie that somebody may name.

    Attributes:
        roots: Folders; files in them may be named.
        barred: Folders inside these whose files may not.
        may_lead_out: Whether links in a folder that is named may lead elsewhere: on one's own
            machine they are one's own.
    """

    roots: tuple[str, ...] = ()
    barred: tuple[str, ...] = ()
    may_lead_out: bool = False

    def admits(self, text: str) -> bool:
        """Return whether a path may be named, wherever its links lead; nothing is opened."""
        path = _resolved(text)
        return path is not None and self._holds(path)

    def admits_data(self, text: str) -> bool:
        """Return whether the files that a data specification names may be named."""
        return all(map(self.admits, _paths_of_data(text)))

    def check(self, paths: Iterable[str]) -> None:
        """Refuse paths elsewhere, in the same words whether anything is there or not.

        Raises:
            AccessError: One may not be named.
        """
        if not all(map(self.admits, paths)):
            raise outside()

    def check_contents(self, paths: Iterable[str]) -> None:
        """Refuse paths elsewhere, and folders in which a link leads there.

        For whoever is about to read the files: between a request and its turn, anything can
        have become a link.

        Raises:
            AccessError: One may not be read.
        """
        for text in paths:
            self.check([text])
            path = _resolved(text)
            if path is not None and not self.may_lead_out and not all(map(self._holds, _led(path))):
                raise outside()

    def _holds(self, path: Path) -> bool:
        is_barred = any(
            path.is_relative_to(folder) or Path(folder).is_relative_to(path)
            for folder in self.barred
        )
        return not is_barred and any(path.is_relative_to(folder) for folder in self.roots)


EVERYWHERE = Places(("/",), may_lead_out=True)


@dataclass(frozen=True, slots=True)
class NamedFiles:
    """What a request names of this machine's files, and where that may lie.

    Attributes:
        paths: What is named.
        places: Where whoever asked may name files.
    """

    paths: tuple[str, ...]
    places: Places

    def check(self) -> None:
        """Look again, before they are read; see `Places.check_contents`."""
        self.places.check_contents(self.paths)


def outside() -> AccessError:
    """Return the error for a file that may not be named."""
    return AccessError(
        "files may be named only below the folders that this server is set up for",
        f"Move the file there, or have {ROOTS} name its folder",
    )


def roots_from(text: str) -> tuple[str, ...]:
    """Return the folders that a setting names, separated as in ``PATH``, as they are found."""
    found = (_resolved(part.strip()) for part in text.split(os.pathsep) if part.strip())
    return tuple(str(path) for path in found if path is not None)


def is_read_only(environment: Mapping[str, str]) -> bool:
    """Return whether a server only shows; whatever is not a plain no is a yes."""
    return environment.get(READ_ONLY, "").strip().lower() not in {"", "0", "no", "off", "false"}


def paths_named(request: JobRequest, listed: Sequence[str]) -> Iterator[str]:
    """Return the paths of this machine that a request names.

    Args:
        request: The request.
        listed: Models that are offered to everybody, which are names and not paths.
    """
    spec = request.spec
    if spec.model not in listed:
        yield spec.model
    if spec.weights and spec.weights != _UNTRAINED:
        yield spec.weights
    for data in data_named(request):
        yield from _paths_of_data(data)


def data_named(request: JobRequest) -> Iterator[str]:
    """Return the data that a request names, a mix in its parts."""
    reference = request.check.reference if request.check is not None else ""
    for text in (request.spec.calibration, request.spec.data or "", request.data, reference):
        if text:
            yield from parts_of(text)


def parts_of(text: str) -> Iterator[str]:
    """Return the parts of a mix; any other data as it is."""
    try:
        parts = mix_parts(parse_data_spec(text))
    except OsscarError:
        # What cannot be read is refused where it is read.
        parts = ()
    yield from (part.data for part in parts) if parts else (text,)


def _role(name: object) -> Role:
    try:
        return Role(str(name))
    except ValueError:
        raise unknown_name("role", str(name), tuple(Role)) from None


def _values(claims: Mapping[str, Any], claim: str) -> tuple[str, ...]:
    """Return what a claim holds: one text or several; one that is named as a whole comes first."""
    found: Any = claims.get(claim)
    if found is None:
        found = claims
        for step in claim.split("."):
            found = found.get(step) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return (found,)
    return tuple(map(str, found)) if isinstance(found, list | tuple) else ()


def _resolved(text: str) -> Path | None:
    """Return where a path leads; ``None`` if that is no path."""
    try:
        return Path(os.path.realpath(Path(text.strip()).expanduser()))
    except (OSError, RuntimeError, ValueError):
        return None


def _led(start: Path) -> Iterator[Path]:
    """Yield where the links in a folder lead, and those in the folders that they lead to."""
    waiting, known = [start], {start}
    while waiting:
        # Who may not look into a folder is told so by whoever reads it.
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                path = Path(os.path.realpath(entry.path) if entry.is_symlink() else entry.path)
                if entry.is_symlink():
                    yield path
                if path not in known and path.is_dir():
                    known.add(path)
                    waiting.append(path)


def _paths_of_data(text: str) -> Iterator[str]:
    for part in parts_of(text):
        prefix, _, location = part.partition(":")
        is_path = {
            "text": True,
            "images": True,
            "own": not is_id(location),
            "hf": _is_a_path(location),
        }
        if is_path.get(prefix, False):
            yield location


def _is_a_path(location: str) -> bool:
    """Return whether a name stands for something on the disk."""
    return location.startswith(("/", "~", ".")) or "\0" in location or Path(location).exists()
