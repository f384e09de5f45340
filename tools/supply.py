"""What an installation is made of: ``python -m tools.supply licences`` or ``sbom``.

The decision hidden here: which packages count (what ``requirements.txt`` leads to in this
environment), how each says its licence, and which licences are accepted. ``licences`` writes
`LICENCES`; ``sbom`` writes a CycloneDX list to standard output, the same for the same
environment.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LICENCES = ROOT / "licences.md"
LOCK = ROOT / "requirements.lock"

ACCEPTED = {
    *("0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0"),
    *("CNRI-Python", "ISC", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Zlib"),
    "Apache-2.0 WITH LLVM-exception",
}
"""Licences under which a package may be used here unchanged. ``BSD`` is said by those that
do not say which of them."""

NVIDIA = "LicenseRef-NVIDIA-Proprietary"
"""Accepted of the libraries that torch brings for GPUs, and of nothing else."""

_OF_NVIDIA = re.compile(r"nvidia-.*|cuda-toolkit")
# What metadata says in words of its own.
_MEANT = {
    "apache": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD",
    "bsd license": "BSD",
    "2-clause bsd": "BSD-2-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "nvidia proprietary software": NVIDIA,
    "other/proprietary license": NVIDIA,
}
# A package of references only, whose metadata says nothing; it is published by NVIDIA.
_SAID_ELSEWHERE = {"cuda-toolkit": NVIDIA}
_HEADER = """\
# Licences of what is installed

What `requirements.txt` leads to on Linux with the versions of `requirements.lock`, as each
package says it. Made by `make licences`; a test holds it to what is installed. The packages of
NVIDIA come with torch for GPUs under terms of their own; nothing of them is in this repository.

| package | licence |
| --- | --- |
"""


@dataclass(frozen=True, slots=True)
class Package:
    """One installed package.

    Attributes:
        name: Its normalised name.
        version: Its version.
        licence: An SPDX expression, or what its metadata says; empty if nothing.
        needs: The normalised names of what it needs, of those that are installed.
    """

    name: str
    version: str
    licence: str
    needs: tuple[str, ...]

    @property
    def is_accepted(self) -> bool:
        """Whether it may be used here."""
        if self.licence == NVIDIA:
            return _OF_NVIDIA.fullmatch(self.name) is not None
        parts = [part.strip(" ()") for part in self.licence.split(" AND ")]
        return all(
            any(one.strip(" ()") in ACCEPTED for one in part.split(" OR ")) for part in parts
        )


def packages() -> dict[str, Package]:
    """Return all that the requirements lead to in this environment, by name."""
    waiting = _required()
    extras: dict[str, set[str]] = {}
    found: dict[str, Package] = {}
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name in extras and wanted.extras <= extras[name]:
            continue
        extras.setdefault(name, set()).update(wanted.extras)
        distribution = importlib.metadata.distribution(name)
        needs = [
            needed
            for text in distribution.requires or ()
            if _applies(needed := Requirement(text), extras[name])
        ]
        found[name] = Package(
            name,
            distribution.version.partition("+")[0],
            licence_of(name, distribution.metadata),
            tuple(sorted({canonicalize_name(needed.name) for needed in needs})),
        )
        waiting += needs
    return dict(sorted(found.items()))


def licence_of(name: str, metadata: Any) -> str:
    """Return the licence that a package's metadata names."""
    said = [metadata.get("License-Expression") or "", (metadata.get("License") or "").strip()]
    classified = metadata.get_all("Classifier") or ()
    said += [text.split("::")[-1].strip() for text in classified if text.startswith("License ::")]
    # Some put the whole text of a licence where its name belongs.
    named = [_MEANT.get(text.lower(), text) for text in said if text and "\n" not in text]
    return _SAID_ELSEWHERE.get(name) or _best(named)


def sbom() -> dict[str, Any]:
    """Return the list of components in CycloneDX's form."""
    from osscar_core import __version__

    listed = packages()
    root = f"pkg:pypi/osscar-studio@{__version__}"
    direct = [canonicalize_name(wanted.name) for wanted in _required()]
    needs = [(root, [_purl(listed[name]) for name in direct])]
    needs += [(_purl(one), [_purl(listed[name]) for name in one.needs]) for one in listed.values()]
    components = [
        {
            "type": "library",
            "bom-ref": _purl(one),
            "name": one.name,
            "version": one.version,
            "purl": _purl(one),
            "licenses": [_licence(one.licence)],
        }
        for one in listed.values()
    ]
    body = {
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": "osscar-studio",
                "version": __version__,
                "purl": root,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": sorted(set(on))} for ref, on in needs],
    }
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(body))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6"}
    return {**head, "serialNumber": f"urn:uuid:{number}", "version": 1, **body}


def main(arguments: Sequence[str]) -> int:
    """Write one of the lists; return the exit status."""
    if list(arguments) == ["sbom"]:
        sys.stdout.write(json.dumps(sbom(), indent=1) + "\n")
        return 0
    if list(arguments) != ["licences"]:
        sys.stderr.write("usage: python -m tools.supply licences | sbom\n")
        return 2
    listed = packages().values()
    refused = [one for one in listed if not one.is_accepted]
    for one in refused:
        sys.stderr.write(f"error: {one.name} has the licence '{one.licence}', not accepted here\n")
    rows = "".join(f"| {one.name} | {one.licence} |\n" for one in listed)
    LICENCES.write_text(_HEADER + rows, encoding="utf8")
    return 1 if refused else 0


def _best(named: Sequence[str]) -> str:
    """Return the word that says most: an expression as it stands, then an exact name."""
    expressions = [text for text in named[:1] if " AND " in text or " OR " in text]
    accepted = [text for text in named if text in ACCEPTED or text == NVIDIA]
    exact = [text for text in accepted if text != "BSD"]
    return next(iter([*expressions, *exact, *accepted, *named]), "")


def _applies(needed: Requirement, extras: set[str]) -> bool:
    marker = needed.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in {"", *extras})


def _required() -> list[Requirement]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf8").splitlines()
    wanted = [line.partition("#")[0].strip() for line in lines]
    return [Requirement(line) for line in wanted if line]


def _purl(package: Package) -> str:
    return f"pkg:pypi/{package.name}@{package.version}"


def _licence(text: str) -> dict[str, Any]:
    if " AND " in text or " OR " in text or " WITH " in text or text.startswith("LicenseRef-"):
        return {"expression": text}
    if text in ACCEPTED and text != "BSD":
        return {"license": {"id": text}}
    return {"license": {"name": text or "not said"}}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
