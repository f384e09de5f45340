"""A store of results that many machines reach under one address.

The decision hidden here: what makes a result in the store whole. A text is there or it is
not. A folder is there once its list of files is, which is written last and names the digest
of each; what does not agree with it was never finished, or is damaged, and is not used.
The address is a folder, or any URL that fsspec knows: ``file://``, ``s3://`` and others.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osscar_core.errors import DataError, MissingDependencyError, OutputError, SpecError
from osscar_core.records import from_json, to_json
from osscar_core.storage import FileDigest

_LIST = ".files.json"


@dataclass(frozen=True, slots=True)
class _Folder:
    """The files of a folder in the store."""

    files: tuple[FileDigest, ...]


class Artifacts:
    """Texts and folders by name, below one address.

    Args:
        address: A folder, or a URL.

    Raises:
        SpecError: The address is of no kind that is known here.
        MissingDependencyError: What its kind needs is not installed.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._system, self._root = _opened(address)

    def put_text(self, name: str, text: str) -> None:
        """Store a text, in place of the one there was."""
        with _in_words("write", self._place(name)):
            self._write(self._place(name), text.encode())

    def text(self, name: str) -> str | None:
        """Return a text; ``None`` if there is none of that name."""
        self._system.invalidate_cache()  # another machine may have written it since
        with _in_words("read", self._place(name)):
            try:
                return bytes(self._system.cat_file(self._place(name))).decode()
            except FileNotFoundError:
                return None

    def put_folder(self, name: str, folder: Path) -> None:
        """Store a folder with all its files."""
        files = tuple(
            FileDigest.of(path, folder) for path in sorted(folder.rglob("*")) if path.is_file()
        )
        with _in_words("write", self._place(name)):
            for file in files:
                place = self._place(f"{name}/{file.name}")
                self._system.makedirs(place.rpartition("/")[0], exist_ok=True)
                self._system.put_file(str(folder / file.name), place)
            self._write(self._place(name + _LIST), to_json(_Folder(files)).encode())

    def get_folder(self, name: str, folder: Path) -> None:
        """Copy a stored folder to a new place.

        Raises:
            DataError: There is none of that name that is whole.
        """
        listed = self.text(name + _LIST)
        if listed is None:
            raise DataError(
                f"{self._place(name)} is not in the store, or not whole",
                "Check that all machines reach the store under this address",
            )
        try:
            folder.mkdir(parents=True)
            for file in from_json(_Folder, listed).files:
                target = folder / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                with _in_words("read", self._place(name)):
                    self._system.get_file(self._place(f"{name}/{file.name}"), str(target))
                if FileDigest.of(target, folder) != file:
                    raise DataError(
                        f"{file.name} of {self._place(name)} is damaged", "Run it again"
                    )
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def remove(self, name: str) -> None:
        """Remove what is stored under a name, if anything; what does not go stays."""
        for place in (self._place(name + _LIST), self._place(name)):
            with contextlib.suppress(OSError):
                self._system.rm(place, recursive=True)

    def _write(self, place: str, content: bytes) -> None:
        self._system.makedirs(place.rpartition("/")[0], exist_ok=True)
        if not self._is_local:
            self._system.pipe_file(place, content)  # object stores show the whole or nothing
            return
        folder, _, last = place.rpartition("/")
        passing = f"{folder}/.{last}.{secrets.token_hex(4)}"
        self._system.pipe_file(passing, content)
        Path(passing).replace(place)

    @property
    def _is_local(self) -> bool:
        protocol = self._system.protocol
        return "file" in ((protocol,) if isinstance(protocol, str) else protocol)

    def _place(self, name: str) -> str:
        return f"{self._root}/{name}"


def _opened(address: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        # Directories are looked at anew: others write there.
        system, root = url_to_fs(address, use_listings_cache=False)
    except ValueError as error:
        raise SpecError(
            f"the artifact store '{address}' cannot be opened ({error})",
            "Name a folder, or a URL such as file:///shared/results or s3://bucket/results",
        ) from error
    except ImportError as error:
        raise MissingDependencyError(
            f"the artifact store '{address}' needs a package that is missing ({error})",
            "Install it, or name a folder that all machines share",
        ) from error
    return system, root.rstrip("/")


@contextlib.contextmanager
def _in_words(what: str, place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot {what} {place} in the artifact store ({error.strerror or error})",
            "Check that this machine reaches the store and has the right to",
        ) from error
