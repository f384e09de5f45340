"""What is installed is what is locked, listed and allowed; the image is built of that alone."""

from __future__ import annotations

import fnmatch
import json
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import audit, supply

ROOT = supply.ROOT


def locked() -> dict[str, list[tuple[str, int]]]:
    """Return the versions of every package in the lock, each with how many digests it has."""
    found: dict[str, list[tuple[str, int]]] = {}
    for entry in re.split(r"\n(?=\w)", supply.LOCK.read_text(encoding="utf8")):
        if match := re.match(r"([\w.-]+)==([^\s;]+)", entry):
            digests = len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry))
            found.setdefault(canonicalize_name(match[1]), []).append((match[2], digests))
    return found


@pytest.fixture(scope="module")
def installed() -> dict[str, supply.Package]:
    return supply.packages()


def test_the_lock_holds_all_that_is_required_by_its_digest() -> None:
    versions = locked()
    assert all(digests >= 1 for entries in versions.values() for _, digests in entries)
    for line in (ROOT / "requirements.txt").read_text(encoding="utf8").splitlines():
        if line and not line.startswith("#"):
            wanted = Requirement(line)
            ((version, _),) = versions[canonicalize_name(wanted.name)]
            assert wanted.specifier.contains(version), "run make lock"


def test_the_gates_run_with_what_is_locked(installed: dict[str, supply.Package]) -> None:
    versions = locked()
    other = {
        one.name: one.version
        for one in installed.values()
        if one.version not in [version for version, _ in versions.get(one.name, ())]
    }
    assert other == {}, "run make setup; after a change of requirements, make lock before"


def test_every_licence_is_accepted_and_listed(installed: dict[str, supply.Package]) -> None:
    assert [one for one in installed.values() if not one.is_accepted] == []
    rows = re.findall(r"^\| ([\w.-]+) \| (.+) \|$", supply.LICENCES.read_text("utf8"), re.M)[2:]
    listed = dict(rows)
    assert {one.name: listed.get(one.name) for one in installed.values()} == {
        one.name: one.licence for one in installed.values()
    }, "run make licences"
    assert set(listed) <= set(locked())


@pytest.mark.parametrize(
    ("name", "licence", "is_accepted"),
    [
        ("x", "MIT", True),
        ("x", "Apache-2.0 AND (MIT OR GPL-3.0-only)", True),
        ("x", "MIT AND GPL-3.0-only", False),
        ("x", "AGPL-3.0-or-later", False),
        ("x", "", False),
        ("nvidia-cublas", supply.NVIDIA, True),
        ("x", supply.NVIDIA, False),
    ],
)
def test_what_is_accepted(name: str, licence: str, is_accepted: bool) -> None:
    assert supply.Package(name, "1", licence, ()).is_accepted is is_accepted


def test_components_are_listed_once_with_what_they_need(
    installed: dict[str, supply.Package],
) -> None:
    found = supply.sbom()
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", found["serialNumber"])
    refs = [one["bom-ref"] for one in found["components"]]
    assert len(refs) == len(set(refs)) == len(installed)
    assert all(re.fullmatch(r"pkg:pypi/[a-z0-9-]+@[\w.]+", ref) for ref in refs)
    assert all(len(one["licenses"]) == 1 for one in found["components"])
    root = found["metadata"]["component"]["bom-ref"]
    needs = {one["ref"]: one["dependsOn"] for one in found["dependencies"]}
    assert set(needs) == {root, *refs}
    reached, waiting = set(), [root]
    while waiting:
        ref = waiting.pop()
        if ref not in reached:
            reached.add(ref)
            waiting += needs[ref]
    assert reached == {root, *refs}
    assert supply.sbom() == found


def _auditor(tmp_path: Path, answers: dict[str, object]) -> list[str]:
    """Return a stand-in for the tool that asks: it answers by the source that is named."""
    program = tmp_path / "audit.py"
    program.write_text(
        "import json, sys\n"
        f"answer = json.loads({json.dumps(json.dumps(answers))})[sys.argv[4]]\n"
        "sys.exit('no route to host') if answer is None else print(json.dumps(answer))\n"
    )
    return [sys.executable, str(program)]


FINE = {"name": "numpy", "version": "2.4.6", "vulns": []}
WEAK = {"name": "x", "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]}
SKIPPED = {"name": "y", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("pypi", "osv", "code", "told"),
    [
        ([FINE], None, 0, "1 packages looked up at pypi: no known weaknesses"),
        ([FINE, SKIPPED], None, 0, "1 packages looked up at pypi; 1 are not known there: no"),
        ([FINE, WEAK], None, 1, "weakness: x 1.0: CVE-1, mended in 1.1"),
        ([SKIPPED, SKIPPED], [WEAK], 1, "1 packages looked up at osv: 1 known"),
        ([SKIPPED, SKIPPED], None, 0, "NOTHING WAS AUDITED"),
        (None, None, 0, "NOTHING WAS AUDITED"),
    ],
)
def test_an_audit_claims_no_more_than_it_saw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pypi, osv, code: int, told: str
) -> None:
    answers = {"pypi": pypi and {"dependencies": pypi}, "osv": osv and {"dependencies": osv}}
    assert audit.main(_auditor(tmp_path, answers)) == code
    out = capsys.readouterr().out
    assert told in out
    assert ("no known" in out) is (pypi is not None and FINE in pypi and WEAK not in pypi)


def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [
        (word.upper(), rest.strip()) for word, _, rest in (x.strip().partition(" ") for x in lines)
    ]


def test_an_image_keeps_the_rules() -> None:
    found = instructions()
    words = [word for word, _ in found]
    bases = [rest.split()[0] for word, rest in found if word == "FROM"]
    assert all(re.search(r":\d+\.\d+\.\d+", base) for base in bases)
    assert len(set(bases)) == 1
    assert "ADD" not in words
    users = [rest for word, rest in found if word == "USER"]
    assert users
    assert users[-1] not in ("root", "0")
    assert words.index("USER") < words.index("ENTRYPOINT")
    (health,) = [rest for word, rest in found if word == "HEALTHCHECK"]
    assert "/healthz" in health
    secret = re.compile(r"password|secret|token|api_?key", re.I)
    assert not [rest for word, rest in found if word in ("ENV", "ARG") and secret.search(rest)]
    assert any("--require-hashes" in rest for word, rest in found if word == "RUN")


def test_what_an_image_copies_is_there_and_nothing_else_is_sent() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf8").split("\n")
    sent = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    copied = {
        name
        for word, rest in instructions()
        if word == "COPY" and not rest.startswith("--from")
        for name in rest.split()[:-1]
    }
    assert copied == sent
    assert all((ROOT / name).exists() for name in copied)
    assert not [name for name in sent if fnmatch.fnmatch(".streamlit/secrets.toml", name)]
    assert ".streamlit" not in sent
    for line in (ROOT / "requirements.txt").read_text(encoding="utf8").splitlines():
        assert not line.startswith("-"), "the lock is all that the image installs"
