"""Roles, folders and what a request names: the rules, without a page."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from osscar_core.errors import SpecError
from osscar_core.records import PruneSpec
from osscar_core.studio import access
from osscar_core.studio.access import AccessError, Act, Person, Places, Role, RoleRule
from osscar_core.studio.requests import CheckKind, CheckRequest, JobKind, JobRequest


@pytest.mark.parametrize("act", Act)
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("is_shown", [False, True])
def test_what_a_role_may_do_with_its_own_and_with_others(
    act: Act, role: Role, is_shown: bool
) -> None:
    person = Person("me", role, is_shown=is_shown)
    may_act = role is not Role.VIEWER and not is_shown
    assert person.may(act, "me") == (act is Act.SEE or may_act)
    is_admin = role is Role.ADMIN
    assert person.may(act, "you") == (is_admin and (act is Act.SEE or may_act))
    assert person.may(act, "you", is_shared=True) == (act is Act.SEE or (is_admin and may_act))


@pytest.mark.parametrize(
    ("settings", "claims", "role"),
    [
        ({}, {}, Role.OPERATOR),
        ({}, {"role": "admin"}, Role.OPERATOR),
        ({"default_role": "viewer"}, {}, Role.VIEWER),
        ({"role_claim": "role"}, {}, Role.VIEWER),
        ({"role_claim": "role"}, {"role": "admin"}, Role.ADMIN),
        ({"role_claim": "role"}, {"role": "Admin"}, Role.VIEWER),
        ({"role_claim": "role"}, {"role": ["viewer", "operator", 7]}, Role.OPERATOR),
        ({"role_claim": "role"}, {"role": {"admin": True}}, Role.VIEWER),
        ({"role_claim": "role", "default_role": "operator"}, {"role": "x"}, Role.OPERATOR),
        ({"role_claim": "groups", "roles": {"g1": "admin"}}, {"groups": ["g1"]}, Role.ADMIN),
        # Once values are named, a group of a telling name gives nothing.
        ({"role_claim": "groups", "roles": {"g1": "operator"}}, {"groups": "admin"}, Role.VIEWER),
        ({"role_claim": "access.roles"}, {"access": {"roles": ["operator"]}}, Role.OPERATOR),
        ({"role_claim": "access.roles"}, {"access": "admin"}, Role.VIEWER),
        ({"role_claim": "https://a.b/role"}, {"https://a.b/role": "admin"}, Role.ADMIN),
    ],
)
def test_a_role_comes_from_a_claim(
    settings: dict[str, object], claims: dict[str, object], role: Role
) -> None:
    assert RoleRule.of(settings).role_of(claims) is role


@pytest.mark.parametrize(
    "settings",
    [
        {"role_claim": 7},
        {"role_claim": "role", "roles": ["admin"]},
        {"role_claim": "role", "roles": {"g1": "root"}},
        {"default_role": "everything"},
        {"role_clam": "role"},
    ],
)
def test_roles_that_are_set_up_wrongly_let_nobody_in(settings: dict[str, object]) -> None:
    with pytest.raises(SpecError):
        RoleRule.of(settings)


@pytest.mark.parametrize(
    ("value", "is_shown"),
    [("", False), ("0", False), ("no", False), ("False", False), ("1", True), ("yes", True)],
)
def test_a_server_only_shows_when_told_to(value: str, is_shown: bool) -> None:
    assert access.is_read_only({access.READ_ONLY: value}) is is_shown
    assert not access.is_read_only({})


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A root, a workspace in it, something beside it, and links out of it and into it."""
    for folder in ("root/models", "root/workspace/data", "beside"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "root" / "out").symlink_to(tmp_path / "beside")
    (tmp_path / "root" / "inner").symlink_to(tmp_path / "root" / "models")
    (tmp_path / "root" / "to-workspace").symlink_to(tmp_path / "root" / "workspace")
    (tmp_path / "beside" / "in").symlink_to(tmp_path / "root")
    (tmp_path / "root" / "loop").symlink_to(tmp_path / "root" / "loop")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "is_admitted"),
    [
        ("root/models", True),
        ("root/models/not-there", True),
        ("root/inner/file", True),
        ("beside/in/models", True),
        ("beside", False),
        ("beside/not-there", False),
        ("root/out/file", False),
        ("root/models/../../beside", False),
        ("root/out/../root/models", True),
        ("root-other", False),
        ("root", False),  # the workspace would be read with it
        ("root/workspace", False),
        ("root/workspace/data/x", False),
        ("root/to-workspace/data", False),
        ("root/\0", False),
        ("", False),
    ],
)
def test_files_are_named_below_roots_wherever_links_lead(
    tree: Path, path: str, is_admitted: bool
) -> None:
    places = Places((str(tree / "root"),), (str(tree / "root" / "workspace"),))
    assert places.admits(str(tree / path)) is is_admitted
    for prefix in ("text:", "images:", "own:", "hf:", "mix:2*demo:factory+1*images:"):
        assert places.admits_data(f"{prefix}{tree / path}") is is_admitted


@pytest.mark.parametrize(
    ("link", "target", "is_read"),
    [
        ("root/models/weights", "root/inner-weights", True),
        ("root/models/weights", "beside/weights", False),
        ("root/models/weights", "not-there", False),
        ("root/models/deep/er/weights", "beside/weights", False),
        ("root/models/deep", "root/other", False),  # a link in there leads out
        ("root/models/deep", "root/models", True),
        ("root/models/deep", "root/workspace/data", False),
        ("root/models/deep", "root", False),
    ],
)
def test_what_is_read_leads_nowhere_else(tree: Path, link: str, target: str, is_read: bool) -> None:
    (tree / "root" / "other").mkdir()
    (tree / "root" / "other" / "x").symlink_to("/etc/hostname")
    (tree / link).parent.mkdir(parents=True, exist_ok=True)
    (tree / link).symlink_to(tree / target)
    places = Places((str(tree / "root"),), (str(tree / "root" / "workspace"),))
    named = str(tree / "root" / "inner")
    places.check([named])
    if is_read:
        places.check_contents([named])
    else:
        with pytest.raises(AccessError, match="only below the folders"):
            places.check_contents([named])
    # On one's own machine links lead where their owner wants.
    dataclasses.replace(places, may_lead_out=True).check_contents([named])


@pytest.mark.parametrize("text", ["~nobody-of-that-name/x", "/etc/passwd", "~/../..", ".", "a/b"])
def test_nothing_may_be_named_without_a_root(text: str) -> None:
    assert not Places().admits(text)


@pytest.mark.parametrize(
    "data", ["demo:factory", "hf:wikitext2", "own:0123456789abcdef", "", "nonsense", "mix:?"]
)
def test_what_is_no_file_needs_no_root(data: str) -> None:
    assert Places().admits_data(data)


def test_roots_are_written_as_a_path_is(tree: Path) -> None:
    text = os.pathsep.join([str(tree / "beside" / "in"), "", f" {tree / 'beside'} "])
    assert access.roots_from(text) == (str(tree / "root"), str(tree / "beside"))


def test_every_field_of_a_request_that_names_a_file_is_looked_at() -> None:
    spec = PruneSpec("/m", "mix:1*text:/c1+1*text:/c2", 0.5, weights="/w", data="text:/d")
    request = JobRequest(
        spec,
        "images:/e",
        kind=JobKind.CHECK,
        check=CheckRequest(CheckKind.SHIFT, "run", reference="own:/r"),
    )
    wanted = ["/m", "/w", "/c1", "/c2", "/d", "/e", "/r"]
    assert list(access.paths_named(request, listed=())) == wanted
    assert list(access.paths_named(request, listed=("/m",))) == wanted[1:]
    plain = JobRequest(dataclasses.replace(spec, weights="random", data=None), "demo:factory")
    assert list(access.paths_named(plain, listed=("/m",))) == ["/c1", "/c2"]
