"""Where the tool keeps what it writes on its own account, and how it replaces a file.

The decision hidden here: the workspace folder, what is taken for a path at all, what makes a
write safe to interrupt, and how a file tells that it is the one that was written. A sealed
file is a JSON object whose first field is the digest of all others, so that whoever looks for
no seal still reads it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from osscar_core.errors import DamagedError, OutputError, SpecError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""How a system says that a file cannot grow: the disk, a quota or a limit is full."""

_SEAL = re.compile(rb'\{"sha256": "([0-9a-f]{64})",')
_BEGIN = b'{"sha256"'
_UNFIT = re.compile("[\0\ud800-\udfff]")  # the end of a name, and what is not UTF-8
_PART_BYTES, _PATH_BYTES = 255, 4_000


def given_path(text: str) -> Path:
    """Return the path that a person wrote, with the home folder in the place of ``~``.

    Raises:
        SpecError: Nothing can be called so.
    """
    remedy = "Check the path"
    if _UNFIT.search(text):
        raise SpecError(f"the path '{text:.200}' holds what is not UTF-8 text", remedy)
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise SpecError(
            f"the path '{text:.200}' begins with the home of nobody here", "Write it in full"
        ) from error
    if len(text.encode()) > _PATH_BYTES or any(
        len(part.encode()) > _PART_BYTES for part in path.parts
    ):
        raise SpecError(f"the path '{text:.80}…' of {len(text):,} characters is too long", remedy)
    return path


def read_small(path: Path, most: int) -> bytes:
    """Return the content of a file from elsewhere, which may be anything.

    A pipe would be waited for without end, and a device read without one.

    Args:
        path: The file.
        most: The most bytes that it may have.

    Raises:
        OSError: There is none, it is no plain file, or it has more.
    """
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "no plain file", str(path))
        if found.st_size > most:
            raise OSError(errno.EFBIG, f"{found.st_size:,} bytes", str(path))
        return file.read(most)


def workspace() -> Path:
    """Return the folder that keeps the runs: ``$OSSCAR_HOME`` or one below the user's home."""
    given = os.environ.get("OSSCAR_HOME")
    return given_path(given) if given else Path.home() / ".local" / "share" / "osscar-studio"


def nearest(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that there is."""
    return next(one for one in (folder, *folder.absolute().parents) if one.exists())


def free_bytes(folder: Path) -> int:
    """Return the space that is left where a folder is or would be.

    Raises:
        OSError: Nothing can be written there.
    """
    place = nearest(folder)
    with tempfile.TemporaryFile(dir=place):
        return shutil.disk_usage(place).free


@dataclass(frozen=True, slots=True)
class FileDigest:
    """One file of a folder.

    Attributes:
        name: Its name in the folder, with slashes.
        bytes: Its size.
        sha256: Its digest.
    """

    name: str
    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path, folder: Path) -> Self:
        """Return the digest of a file of a folder."""
        with path.open("rb") as source:
            sha256 = hashlib.file_digest(source, "sha256").hexdigest()
        return cls(path.relative_to(folder).as_posix(), path.stat().st_size, sha256)


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's content so that a reader sees the old or the new one, never half."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        temporary.write_text(text, encoding="utf8")
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_sealed(path: Path, text: str) -> None:
    """Replace a file by a JSON object with a seal; see `write_atomically` and `read_sealed`."""
    write_atomically(path, sealed(text))


def sealed(text: str) -> str:
    """Return a JSON object of at least one field with its digest before them."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f'{{"sha256": "{digest}",{text.removeprefix("{")}'


def read_sealed(path: Path) -> bytes:
    """Return the JSON object of a file that is as it was written, without its seal.

    A file without a seal, of an earlier release or from elsewhere, is returned as it is. One
    that had a seal cannot pass for such: no record that is sealed begins with that field.

    Raises:
        OSError: There is no such file, or it cannot be read.
        DamagedError: It is not what was written.
    """
    raw = path.read_bytes()
    seal = _SEAL.match(raw)
    if seal is None:
        if raw.startswith(_BEGIN):
            raise _damaged(path)
        return raw
    text = b"{" + raw[seal.end() :]
    if hashlib.sha256(text).hexdigest().encode() != seal[1]:
        raise _damaged(path)
    return text


def _damaged(path: Path) -> DamagedError:
    return DamagedError(f"{path} is not what was written", "Make it again")


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Give a folder beside ``out`` that takes its place at the end, or vanishes.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise OutputError(f"cannot write to {out.parent}", "Choose another place") from error
    try:
        yield folder
        umask = _umask()
        folder.chmod(0o777 & ~umask)
        for path in folder.rglob("*"):  # some libraries write for the owner alone
            path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)
        if out.is_dir():
            out.rmdir()
        folder.rename(out)
    except OSError as error:
        raise OutputError(
            f"cannot write {out} ({error.strerror or error})", "Free space, or choose another place"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
