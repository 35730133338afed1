"""Bytes of a file from somewhere else into a folder here: resumed, checked, never half there.

Promises: a file has its name only when it is whole and its sha256 is right; what was fetched is
kept over a kill, a cut and a full disk, and is not fetched again; two processes never write to one
part. A part is named after the checksum it must have, so that a file changed over there begins
anew.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from chatapp.errors import HubError
from chatapp.gguf.errors import GgufError
from chatapp.gguf.model_info import read_model_info
from chatapp.gguf.size import size_text
from chatapp.library.offers import HubFile

BLOCK = 1 << 20
"""Bytes written at once: what a kill may lose."""
_ROOM = 64 << 20  # is left free on the disk
_REPORT_S = 0.1
_RATE_S = 5.0


class Cancelled(Exception):  # noqa: N818 -- nothing failed: a person stopped it
    """The fetch was stopped; what is there is kept."""


class Interrupted(Exception):  # noqa: N818 -- becomes an error only when it repeats
    """The source failed in a way that may pass. `wait_s` is what it asked for, 0 if nothing."""

    def __init__(self, error: HubError, wait_s: float = 0) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait_s = wait_s


class RangeRefused(Exception):  # noqa: N818 -- becomes an error only when it repeats
    """The source does not go on from where the part ends. From the beginning it may give all."""

    def __init__(self, error: HubError) -> None:
        super().__init__(error.message)
        self.error = error


class Source(Protocol):
    """Where bytes come from."""

    def open(
        self, file: HubFile, start: int
    ) -> AbstractContextManager[tuple[int, Iterator[bytes]]]:
        """The first byte's offset (`start`, or 0 where ranges are unknown) and the bytes."""


@dataclass(slots=True)
class Progress:
    """How far a fetch is, in bytes; `note` says what it waits for."""

    total: int
    done: int = 0
    note: str = ""
    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, n: int) -> None:
        """`n` bytes have come."""
        self.done += n
        now = time.monotonic()
        self._seen.append((now, self.done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _RATE_S:
            self._seen.popleft()

    @property
    def rate(self) -> float:
        """Bytes a second over the last five."""
        if len(self._seen) < 2:
            return 0.0
        (start, before), (end, after) = self._seen[0], self._seen[-1]
        return (after - before) / max(end - start, 1e-3)

    @property
    def seconds_left(self) -> float | None:
        """At this rate; None while there is none."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds between attempts that brought nothing; their number is the number of attempts."""

    seconds: tuple[float, ...] = (0.5, 1, 2, 4)
    longest: float = 60
    """A source that asks for more is not waited for."""


class Fetcher:
    """Fetches the files of one model into `folder`."""

    def __init__(
        self,
        source: Source,
        folder: Path,
        *,
        report: Callable[[Progress], None] = lambda _progress: None,
        is_cancelled: Callable[[], bool] = lambda: False,
        waits: Waits | None = None,
        extra_bytes: int = 0,
    ) -> None:
        """`extra_bytes`: room on the same disk that `source` needs beside the files."""
        self._extra_bytes = extra_bytes
        self._source = source
        self._folder = folder
        self._report = report
        self._is_cancelled = is_cancelled
        self._waits = waits or Waits()
        self._reported = 0.0

    def fetch(self, files: tuple[HubFile, ...]) -> Path:
        """Every file, in turn; the path of the first. `Cancelled` when stopped."""
        targets = [self._folder / file.local_name for file in files]
        if len(set(targets)) < len(targets):
            raise HubError("Two of its files have the same name.")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HubError(f"{self._folder} cannot be made: {error.strerror}.") from error
        self._check_room(files, targets)
        progress = Progress(total=sum(file.size_bytes for file in files))
        for file, target in zip(files, targets, strict=True):
            try:
                self._fetch_one(file, target, progress)
            except OSError as error:
                raise _disk_error(error, target, progress) from error
        self._tell(progress, always=True)
        return targets[0]

    def _check_room(self, files: tuple[HubFile, ...], targets: list[Path]) -> None:
        needed = 0
        for file, target in zip(files, targets, strict=True):
            if not target.exists():
                needed += file.size_bytes - _size(part_path(target, file))
        needed += self._extra_bytes if needed > 0 else 0
        free = shutil.disk_usage(self._folder).free
        if needed + _ROOM > free:
            raise HubError(
                f"{self._folder} has {size_text(free)} free; {size_text(needed)} are to come.",
                "Free some space, take a smaller quantisation, or move the folder: CHATAPP_HOME.",
            )

    def _fetch_one(self, file: HubFile, target: Path, progress: Progress) -> None:
        before = progress.done
        if target.exists():
            self._check_present(file, target, progress)
            return
        part = part_path(target, file)
        for old in target.parent.glob(f".{_escape(target.name)}.*.part"):
            if old != part:  # of a file that has changed over there
                old.unlink(missing_ok=True)
        with part.open("a+b") as stream:
            _lock(stream, target)
            try:
                self._fill(file, part, stream, progress, before)
            finally:
                _drop_empty(part)  # while the lock is ours: nobody else writes to it
            part.replace(target)

    def _fill(
        self, file: HubFile, part: Path, stream: BinaryIO, progress: Progress, before: int
    ) -> None:
        """Fetch what is missing of `part` and check it all."""
        digest = self._digest(stream, progress)
        failures = restarts = 0
        while stream.tell() < file.size_bytes:
            if self._is_cancelled():
                raise Cancelled
            held = stream.tell()
            try:
                digest = self._read_on(file, stream, digest, progress, before)
            except Interrupted as trouble:
                failures = 0 if stream.tell() > held else failures + 1
                self._pause(trouble, failures, progress)
            except RangeRefused as refusal:
                restarts += 1
                if held == 0 or restarts > len(self._waits.seconds):
                    raise refusal.error from refusal
                digest = _begin_again(stream, progress, before)
        stream.flush()
        os.fsync(stream.fileno())
        _check(file, stream.tell(), digest.hexdigest(), part)
        try:
            read_model_info(part)
        except GgufError as error:
            part.unlink(missing_ok=True)
            raise HubError(f"{file.name} is no model file: {error.message}") from error

    def _read_on(
        self,
        file: HubFile,
        stream: BinaryIO,
        digest: hashlib._Hash,
        progress: Progress,
        before: int,
    ) -> hashlib._Hash:
        """Append what the source gives; the digest, a new one where it began at 0 again."""
        with self._source.open(file, stream.tell()) as (start, blocks):
            if start != stream.tell():
                digest = _begin_again(stream, progress, before)
            progress.note = ""
            for block in blocks:
                if self._is_cancelled():
                    raise Cancelled
                if stream.tell() + len(block) > file.size_bytes:
                    _begin_again(stream, progress, before)  # a part of what is not the file
                    error = HubError(
                        f"More bytes came than the {file.size_bytes:,} that {file.name} has.",
                        "Fetch it again; if it stays so, the repository is at fault.",
                    )
                    raise RangeRefused(error) if start else error
                stream.write(block)
                stream.flush()
                digest.update(block)
                progress.add(len(block))
                self._tell(progress)
        if stream.tell() < file.size_bytes:
            raise Interrupted(HubError(f"{file.name} ended too early.", "Try again."))
        return digest

    def _digest(self, stream: BinaryIO, progress: Progress) -> hashlib._Hash:
        """The digest of what is there already; the stream is left at its end."""
        digest = hashlib.sha256()
        stream.seek(0)
        while block := stream.read(BLOCK):
            if self._is_cancelled():
                raise Cancelled
            digest.update(block)
            progress.done += len(block)
        self._tell(progress, always=True)
        return digest

    def _check_present(self, file: HubFile, target: Path, progress: Progress) -> None:
        with target.open("rb") as stream:
            digest = self._digest(stream, progress)
        if target.stat().st_size != file.size_bytes or (
            file.sha256 and digest.hexdigest() != file.sha256
        ):
            raise HubError(
                f"{target} is there already and is another file.",
                f"Remove it first: chatapp models rm {target.parent.name}/{target.name}",
            )

    def _pause(self, trouble: Interrupted, failures: int, progress: Progress) -> None:
        waits = self._waits.seconds
        if failures > len(waits) or trouble.wait_s > self._waits.longest:
            hint = "What has come is kept: the same command goes on from there."
            raise HubError(trouble.error.message, f"{trouble.error.hint} {hint}".strip())
        seconds = max(trouble.wait_s, waits[failures - 1] if failures else waits[0] if waits else 0)
        progress.note = trouble.error.message
        self._tell(progress, always=True)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._is_cancelled():
                raise Cancelled
            time.sleep(min(left, 0.1))

    def _tell(self, progress: Progress, *, always: bool = False) -> None:
        now = time.monotonic()
        if always or now - self._reported >= _REPORT_S:
            self._reported = now
            self._report(progress)


def part_path(target: Path, file: HubFile) -> Path:
    """Where the bytes of `file` wait until they are whole."""
    return target.with_name(f".{target.name}.{file.sha256[:12] or 'unknown'}.part")


def _begin_again(stream: BinaryIO, progress: Progress, before: int) -> hashlib._Hash:
    """Give up what has come of a file; the digest of nothing."""
    stream.truncate(0)
    stream.seek(0)
    progress.done = before
    return hashlib.sha256()


def _drop_empty(part: Path) -> None:
    """A part that nothing came into, and the folder if it was made for that."""
    with contextlib.suppress(OSError):
        if part.stat().st_size == 0:
            part.unlink()
            part.parent.rmdir()


def _check(file: HubFile, size: int, digest: str, part: Path) -> None:
    if size == file.size_bytes and file.sha256 in ("", digest):
        return
    part.unlink(missing_ok=True)
    raise HubError(
        f"{file.name} arrived damaged: its sha256 is {digest[:12]}…, not {file.sha256[:12]}….",
        "It was thrown away. Fetch it again; if it stays so, something on the way changes it.",
    )


def _lock(stream: BinaryIO, target: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows refuses the second writer when the part is renamed
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise HubError(f"Another chatapp is fetching {target.name}.", "Wait for it.") from error


def _disk_error(error: OSError, target: Path, progress: Progress) -> HubError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HubError(
            f"The disk is full at {size_text(progress.done)} of {size_text(progress.total)}.",
            "What has come is kept: free some space, and the same command goes on from there.",
        )
    return HubError(f"{target} cannot be written: {error.strerror or error}.")


def _escape(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0
