"""A finished run as one file that another installation can take in.

The decision hidden here: what is believed of a file from elsewhere. It is a zip of JSON
with a manifest; nothing in it is run, unpickled or written under a name of its own. Every
member is bounded before it is read, checked against its digest and rebuilt as a record.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from osscar_core import __version__
from osscar_core.datasets.own.limits import LIMITS
from osscar_core.datasets.own.pictures import picture_ending
from osscar_core.records import from_json, to_json
from osscar_core.showcase import Showcase
from osscar_core.studio.database import StoreError
from osscar_core.studio.requests import JobKind, JobRequest, RunResult

FORMAT = 1
MAX_BYTES = 32 * 2**20
"""Most that a bundle may take."""

_MANIFEST = "bundle.json"
_REQUEST, _RESULT, _SHOWCASE = "request.json", "result.json", "showcase.json"
_NEEDED = {_MANIFEST, _REQUEST, _RESULT}
_MEMBER_BYTES = 64 * 2**20
# JSON of repeated names shrinks well, but not beyond this.
_RATIO = 200
_RATIO_FREE = 2**20
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DIGITS = 20
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
_PICTURES = {"image/jpeg": "jpg", "image/png": "png"}
_THUMBNAIL = dataclasses.replace(LIMITS, pixels=2**20)
_MAX_NAME, _MAX_NOTE = 200, 10_000


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle says about itself.

    Attributes:
        format: Version of the layout.
        sha256: Digest of every other member, by its name.
        created: When the run was asked for, in seconds since the epoch.
        seconds: What the run took.
        name: What its owner called it.
        note: What its owner wrote about it.
        release: The release that packed it.
    """

    format: int
    sha256: dict[str, str] = field(default_factory=dict)
    created: float = 0.0
    seconds: float = 0.0
    name: str = ""
    note: str = ""
    release: str = __version__


@dataclass(frozen=True, slots=True)
class Bundle:
    """One finished run.

    Attributes:
        manifest: What the bundle says about itself.
        request: What was asked for.
        result: What was found.
        showcase: Examples of what both models answer, if there are any.
    """

    manifest: Manifest
    request: JobRequest
    result: RunResult
    showcase: Showcase | None = None

    @property
    def digest(self) -> str:
        """What tells this run from any other."""
        return hashlib.sha256("".join(sorted(_members(self).values())).encode()).hexdigest()


def pack(bundle: Bundle) -> bytes:
    """Return a bundle as a file."""
    members = _members(bundle)
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in members.items()}
    manifest = dataclasses.replace(bundle.manifest, format=FORMAT, sha256=digests)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        # With one date for all, one run is one file, byte for byte.
        for name, text in {_MANIFEST: to_json(manifest, indent=1), **members}.items():
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)
    return data.getvalue()


def unpack(data: bytes) -> Bundle:
    """Read a bundle from elsewhere.

    Raises:
        StoreError: It is no bundle, is damaged, too large, or of a newer release.
        SpecError: A member does not describe what it should.
    """
    if len(data) > MAX_BYTES:
        _refuse(f"it takes {len(data):,} bytes, more than {MAX_BYTES:,}")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _read(archive)
    # ValueError: a member lies before the beginning of the file.
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, ValueError) as error:
        raise _refusal(f"it is no readable zip file ({error})") from error
    manifest = _manifest(members.pop(_MANIFEST))
    if set(manifest.sha256) != set(members):
        _refuse("its manifest names other files than it holds")
    for name, raw in members.items():
        if hashlib.sha256(raw).hexdigest() != manifest.sha256[name]:
            _refuse(f"the checksum of {name} is wrong; it was damaged or changed on the way")
    texts = {name: _strict(name, raw) for name, raw in members.items()}
    request = from_json(JobRequest, texts[_REQUEST])
    result = pathless(from_json(RunResult, texts[_RESULT]))
    _check_match(request, result)
    _check_measured(result)
    showcase = None
    if _SHOWCASE in texts:
        showcase = from_json(Showcase, texts[_SHOWCASE])
        _check_pictures(showcase)
    return Bundle(manifest, request, result, showcase)


def _members(bundle: Bundle) -> dict[str, str]:
    members = {
        _REQUEST: to_json(bundle.request, indent=1),
        _RESULT: to_json(pathless(bundle.result), indent=1),
    }
    if bundle.showcase is not None:
        members[_SHOWCASE] = to_json(bundle.showcase)
    return members


def pathless(result: RunResult) -> RunResult:
    """Return a result without the place of its model, which did not come along."""
    return dataclasses.replace(result, prune=dataclasses.replace(result.prune, out=None))


def _read(archive: zipfile.ZipFile) -> dict[str, bytes]:
    """Return the members, each once, by exactly the names there may be."""
    listed = archive.infolist()
    names = [info.filename for info in listed]
    if len(set(names)) != len(names) or not _NEEDED <= set(names) <= _NEEDED | {_SHOWCASE}:
        shown = ", ".join(repr(name) for name in sorted(set(names))[:5])
        _refuse(f"it does not hold what a run's file holds but {shown or 'nothing'}")
    return {info.filename: _member(archive, info) for info in listed}


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    name = info.filename
    if info.flag_bits & 1 or info.compress_type not in _PLAIN:
        _refuse(f"{name} is encrypted or packed in an uncommon way")
    most = min(_MEMBER_BYTES, max(_RATIO_FREE, _RATIO * info.compress_size))
    # What the directory says of the size is the sender's word; what is read is counted.
    with archive.open(info) as member:
        raw = member.read(most + 1)
    if len(raw) > most:
        _refuse(f"{name} unpacks to more than {most:,} bytes")
    return raw


def _manifest(raw: bytes) -> Manifest:
    text = _strict(_MANIFEST, raw)
    found = json.loads(text)
    version = found.get("format") if isinstance(found, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise StoreError(
            f"the file has format version {version}, and this release reads {FORMAT}",
            "Update this installation, then import it again",
        )
    manifest = from_json(Manifest, text)
    if manifest.format != FORMAT:
        _refuse(f"its format version is {manifest.format}")
    return dataclasses.replace(
        manifest, name=manifest.name[:_MAX_NAME], note=manifest.note[:_MAX_NOTE]
    )


def _strict(name: str, raw: bytes) -> str:
    """Return a member as text, once it is known to be JSON with finite numbers."""

    def refuse(number: str) -> NoReturn:
        _refuse(f"{name} holds {number:.40}, which is no number that counts or measures")

    def check_float(number: str) -> float:
        return float(number) if math.isfinite(float(number)) else refuse(number)

    def check_int(number: str) -> int:
        return int(number) if len(number) <= _DIGITS else refuse(number)

    try:
        text = raw.decode("utf8")
        json.loads(text, parse_constant=refuse, parse_float=check_float, parse_int=check_int)
    except (ValueError, RecursionError) as error:
        raise _refusal(f"{name} is not valid JSON ({error})") from error
    return text


def _check_match(request: JobRequest, result: RunResult) -> None:
    """Refuse a result that does not answer its request."""
    asked: Mapping[str, object] = {
        "kind": request.kind,
        "model": request.spec.model,
        "method": request.spec.method,
        "sparsity": request.spec.sparsity,
        "goal": request.spec.goal,
    }
    spec = result.prune.plan.spec
    found: Mapping[str, object] = {"kind": JobKind.PRUNE} | {
        name: getattr(spec, name) for name in asked if name != "kind"
    }
    for name, value in asked.items():
        if found[name] != value:
            _refuse(f"its result is of {name} {found[name]}, and its request asks for {value}")


def _check_measured(result: RunResult) -> None:
    """Refuse quantities that no measurement gives, and that nothing can be divided by."""
    report = result.prune
    sizes = (report.parameters, report.bytes, report.flops)
    times = (result.dense_speed.latency_ms, result.pruned_speed.latency_ms)
    quantities = {
        "a size": min(min(size.dense, size.pruned) for size in sizes),
        "a latency": min(time.median for time in times),
        "the speed-up": min(result.speedup, *result.speedup_interval),
        "the groups of a unit": min((unit.kept for unit in report.units), default=0),
        "a number of test items": min(result.dense.count, result.pruned.count),
    }
    for name, value in quantities.items():
        if value <= 0:
            _refuse(f"{name} is {value}")


def _check_pictures(showcase: Showcase) -> None:
    """Refuse what calls itself a picture and is something else."""
    for picture in showcase.pictures:
        try:
            ending = picture_ending(base64.b64decode(picture.image, validate=True), _THUMBNAIL)
        except ValueError:  # also of what is a picture of no kind, or damaged, or too large
            ending = ""
        if ending != _PICTURES[picture.media]:
            _refuse(f"picture {picture.position} is no {picture.media}")


def _refusal(reason: str) -> StoreError:
    return StoreError(
        f"this file cannot be imported: {reason}", "Export the run again where it was computed"
    )


def _refuse(reason: str) -> NoReturn:
    raise _refusal(reason)
