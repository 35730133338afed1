"""Where chats are looked for: a file, a folder with all below it, a ZIP, standard input.

Links inside a folder are not followed, and nothing but plain files is opened there.
"""

import io
import os
import stat
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from chatapp.errors import UsageError
from chatapp.export.imports.archive import MAGIC as ZIP
from chatapp.export.imports.archive import Archive
from chatapp.export.imports.documents import MAX_TEXT, looks_like_json
from chatapp.export.imports.fields import MAX_IMAGE
from chatapp.store.foreign import MAGIC as SQLITE

_CHUNK = 1 << 20
_HEAD = 64
_SHORTEST = 6  # letters of an id by which a file is found


@dataclass(frozen=True, slots=True)
class Found:
    """A file that may hold chats."""

    name: str
    """What it is called, with its place in the folder or the ZIP."""
    base: str
    """Its own name."""
    head: bytes
    """Its first bytes."""
    read: Callable[[], bytes]
    """All of it. Raises `UsageError` for one that is too large or cannot be read."""
    path: Path | None
    """Where it lies on the disk; None: in a ZIP or a pipe."""
    made_at: float
    assets: "Assets"
    alone: bool = False
    """It was named itself: what is wrong with it is an error."""

    @property
    def is_database(self) -> bool:
        """Whether it begins as a SQLite database does."""
        return self.head.startswith(SQLITE)

    @property
    def is_json(self) -> bool:
        """Whether it begins as JSON does."""
        return looks_like_json(self.head)


@dataclass(slots=True)
class Assets:
    """The other files of an export, found by how their names begin."""

    _readers: dict[str, Callable[[], bytes]] = field(default_factory=dict)
    _names: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    """The names of those that are part of a chat now."""

    def add(self, name: str, read: Callable[[], bytes]) -> None:
        """One more file; of two with one name the first counts."""
        self._readers.setdefault(name.rpartition("/")[2], read)
        self._names = []

    def find(self, beginning: str) -> tuple[str, bytes] | None:
        """Name and bytes of the file whose name is or begins with this id; None: there is none."""
        if len(beginning) < _SHORTEST:
            return None
        if not self._names:
            self._names = sorted(self._readers)
        for name in self._names[bisect_left(self._names, beginning) :]:
            if not name.startswith(beginning):
                break
            if name == beginning or not name[len(beginning)].isalnum():
                try:
                    data = self._readers[name]()
                except UsageError:
                    return None
                self.used.add(name)
                return name, data
        return None


def as_part(sentence: str) -> str:
    """A sentence that begins with `It`, to stand behind the name of a file."""
    return f"i{sentence[1:]}" if sentence.startswith("It ") else sentence


def find_files(path: Path, stack: ExitStack) -> Iterator[Found]:
    """The files at a path: one, those in a ZIP, those in a folder. `-` is standard input.

    What is opened is closed with `stack`. Raises `UsageError` for a path that cannot be read; for
    a ZIP inside a folder that cannot be unpacked it is one more file of no known kind.
    """
    if str(path) == "-":
        data = _read_all(sys.stdin.buffer.read, "standard input", MAX_TEXT)
        yield from _open_bytes("standard input", data, stack)
        return
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            yield from _walk(path, stack)
        elif stat.S_ISFIFO(mode):
            with path.open("rb") as file:
                data = _read_all(file.read, str(path), MAX_TEXT)
            yield from _open_bytes(str(path), data, stack)
        elif stat.S_ISREG(mode):
            yield from _open_named(path, stack)
        else:
            raise UsageError(f"{path} is neither a file nor a folder.")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from None


def _open_named(path: Path, stack: ExitStack) -> Iterator[Found]:
    try:
        for found in _open_file(path, str(path), Assets(), stack):
            yield replace(found, alone=found.path == path)
    except UsageError as error:  # a ZIP that cannot be unpacked
        raise UsageError(f"{path}: {as_part(error.message)}", error.hint) from None


def _walk(folder: Path, stack: ExitStack) -> Iterator[Found]:
    assets = Assets()
    files: list[Path] = []
    for place, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        for name in sorted(names):
            file = Path(place, name)
            try:
                plain = stat.S_ISREG(file.lstat().st_mode)
            except OSError:
                continue
            if plain:
                files.append(file)
                assets.add(name, _reader(file, MAX_IMAGE))
    for file in files:
        label = str(file.relative_to(folder))
        try:
            yield from _open_file(file, label, assets, stack)
        except (UsageError, OSError):
            yield Found(label, file.name, b"", lambda: b"", None, 0.0, assets)


def _open_file(file: Path, label: str, assets: Assets, stack: ExitStack) -> Iterator[Found]:
    with file.open("rb") as opened:
        head = opened.read(_HEAD)
    if head.startswith(ZIP):
        archive = Archive(stack.enter_context(file.open("rb")))
        yield from _open_archive(archive, label, file.stat().st_mtime, stack)
    else:
        read = _reader(file, MAX_TEXT)
        yield Found(label, file.name, head, read, file, file.stat().st_mtime, assets)


def _open_bytes(label: str, data: bytes, stack: ExitStack) -> Iterator[Found]:
    if data.startswith(ZIP):
        yield from _open_archive(Archive(io.BytesIO(data)), label, time.time(), stack)
        return
    path = _keep(data, stack) if data.startswith(SQLITE) else None
    yield Found(label, label, data[:_HEAD], lambda: data, path, time.time(), Assets(), alone=True)


def _open_archive(
    archive: Archive, label: str, made_at: float, stack: ExitStack
) -> Iterator[Found]:
    stack.callback(archive.close)
    assets = Assets()
    for name in archive.names:
        assets.add(name, partial(archive.read, name, MAX_IMAGE))
    for name in archive.names:
        head = archive.head(name)
        path = None
        if head.startswith(SQLITE):
            path = _keep(archive.read(name, MAX_TEXT), stack)
        yield Found(
            f"{name} in {label}",
            name.rpartition("/")[2],
            head,
            partial(archive.read, name, MAX_TEXT),
            path,
            made_at,
            assets,
        )


def _keep(data: bytes, stack: ExitStack) -> Path:
    """The bytes as a file that only we can read, until the import is over."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    (folder / "copy.db").write_bytes(data)
    return folder / "copy.db"


def _reader(file: Path, limit: int) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with file.open("rb") as opened:
                # All at once: pieces and the whole would be in memory side by side.
                if os.fstat(opened.fileno()).st_size > limit:
                    raise _too_large(str(file), limit)
                return opened.read()
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror or error}.") from None

    return read


def _read_all(read: Callable[[int], bytes], label: str, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while chunk := read(_CHUNK):
        size += len(chunk)
        if size > limit:
            raise _too_large(label, limit)
        pieces.append(chunk)
    return b"".join(pieces)


def _too_large(label: str, limit: int) -> UsageError:
    return UsageError(
        f"{label} is larger than {limit >> 20} MiB.", "Import its parts one after the other."
    )
