"""Fetching in this process: every way the other side, or the disk, can go wrong."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from chatapp.errors import HubError
from chatapp.library import fetching
from chatapp.library.fetching import Cancelled, Fetcher, Progress, Waits, part_path
from chatapp.library.offers import HubFile
from tests.hub.conftest import NAME
from tests.hub.server import Fault, Hub

PATH = f"{NAME}/small-Q8_0.gguf"


@pytest.fixture
def file(large: bytes) -> HubFile:
    return HubFile("small-Q8_0.gguf", len(large), hashlib.sha256(large).hexdigest())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models" / "ours--small"


@pytest.fixture
def source(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> object:
    from huggingface_hub import constants

    from chatapp.library.hub import Hub as Client

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    client = Client(endpoint=hub.url)
    return client.source(client.look_into(NAME))


def _fetcher(source: object, folder: Path, waits: tuple[float, ...] = (0, 0)) -> Fetcher:
    return Fetcher(source, folder, waits=Waits(waits))  # type: ignore[arg-type]


def test_cuts_are_mended_without_a_byte_twice(
    hub: Hub, source: object, folder: Path, file: HubFile, large: bytes
) -> None:
    hub.faults = [Fault(cut_after=5_000_000), Fault(status=503), Fault(cut_after=7_000_000)]
    path = _fetcher(source, folder).fetch((file,))
    assert path.read_bytes() == large
    assert hub.starts[0] == 0
    assert hub.starts == sorted(hub.starts)
    assert hub.sent[PATH] - len(large) < 2 * fetching.BLOCK


def test_cut_again_and_again(hub: Hub, source: object, folder: Path, file: HubFile) -> None:
    hub.faults = [Fault(cut_after=3_000_000), Fault(cut_after=0, times=9)]
    with pytest.raises(HubError, match="was cut") as raised:
        _fetcher(source, folder).fetch((file,))
    assert "goes on from there" in raised.value.hint
    assert part_path(folder / file.name, file).stat().st_size > 1_000_000


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault(status=429, headers={"Retry_After": "600"}, times=9), "too many requests"),
        (Fault(status=503, times=9), "out of order"),
        (Fault(status=500, times=9), "out of order"),
        (Fault(status=404), "does not have that file any more|does not exist"),
        (Fault(status=403), "forbids access"),
        (Fault(status=416), "refused the request"),
    ],
)
def test_refusals(
    hub: Hub, source: object, folder: Path, file: HubFile, fault: Fault, sentence: str
) -> None:
    hub.faults = [fault]
    with pytest.raises(HubError, match=sentence):
        _fetcher(source, folder).fetch((file,))
    assert not folder.exists()  # nothing came, nothing is left


def test_a_login_page_costs_nothing_that_came(
    hub: Hub, source: object, folder: Path, file: HubFile, large: bytes
) -> None:
    hub.faults = [Fault(cut_after=5_000_000), Fault(page=b"<html>log in</html>", times=9)]
    with pytest.raises(HubError, match="Something else than small"):
        _fetcher(source, folder).fetch((file,))
    assert part_path(folder / file.name, file).stat().st_size >= 4 * fetching.BLOCK
    hub.faults = []
    assert _fetcher(source, folder).fetch((file,)).read_bytes() == large


def test_empty_answers_are_not_asked_for_for_ever(
    hub: Hub, source: object, folder: Path, file: HubFile
) -> None:
    hub.faults = [Fault(page=b"", times=99)]
    with pytest.raises(HubError, match="ended too early"):
        _fetcher(source, folder).fetch((file,))
    assert len([line for line in hub.requests if "small-Q8_0.gguf" in line]) < 10
    hub.faults = [Fault(page=b"", times=99)]
    asked = iter([False, False, True])
    fetcher = Fetcher(
        source,  # type: ignore[arg-type]
        folder,
        is_cancelled=lambda: next(asked, True),
        waits=Waits((0.01,) * 50),
    )
    with pytest.raises(Cancelled):
        fetcher.fetch((file,))


def test_wrong_bytes_are_thrown_away(
    hub: Hub, source: object, folder: Path, file: HubFile, large: bytes
) -> None:
    hub.repos[NAME].files[file.name] = large[:-1] + b"!"
    with pytest.raises(HubError, match="arrived damaged"):
        _fetcher(source, folder).fetch((file,))
    assert list(folder.iterdir()) == []


def test_more_bytes_than_were_said(
    hub: Hub, source: object, folder: Path, file: HubFile, large: bytes
) -> None:
    hub.repos[NAME].files[file.name] = large + b"more"
    with pytest.raises(HubError, match="Something else than"):
        _fetcher(source, folder).fetch((file,))
    assert not (folder / file.name).exists()


def test_ranges_that_are_ignored_or_wrong(
    hub: Hub, source: object, folder: Path, file: HubFile, large: bytes
) -> None:
    hub.faults = [Fault(cut_after=2_500_000), Fault(no_range=True)]
    assert _fetcher(source, folder).fetch((file,)).read_bytes() == large
    (folder / file.name).unlink()
    hub.faults = [Fault(cut_after=2_500_000), Fault(shifted=True)]
    assert _fetcher(source, folder).fetch((file,)).read_bytes() == large


def test_a_range_that_is_refused_is_begun_again(
    hub: Hub, source: object, folder: Path, file: HubFile, large: bytes
) -> None:
    hub.faults = [Fault(cut_after=2_500_000), Fault(status=416)]
    assert _fetcher(source, folder).fetch((file,)).read_bytes() == large
    assert hub.starts == [0, 0]


def test_a_part_of_an_earlier_run_whose_range_is_refused(
    hub: Hub, source: object, folder: Path, file: HubFile, large: bytes
) -> None:
    hub.faults = [Fault(cut_after=3_000_000), Fault(cut_after=0, times=9)]
    with pytest.raises(HubError, match="was cut"):
        _fetcher(source, folder).fetch((file,))
    hub.faults = [Fault(status=416)]
    assert _fetcher(source, folder).fetch((file,)).read_bytes() == large


def test_a_source_that_never_goes_on_is_given_up(
    hub: Hub, source: object, folder: Path, file: HubFile, large: bytes
) -> None:
    hub.faults = [Fault(cut_after=2_500_000), Fault(status=416)] * 9
    with pytest.raises(HubError, match="status 416"):
        _fetcher(source, folder).fetch((file,))
    hub.faults = []
    assert _fetcher(source, folder).fetch((file,)).read_bytes() == large


def test_more_bytes_in_a_range_than_are_missing(folder: Path, file: HubFile, large: bytes) -> None:
    class Longer:
        """A source that goes on with the whole file, whatever it was asked for."""

        starts: ClassVar[list[int]] = []

        @contextmanager
        def open(self, _file: HubFile, start: int) -> Iterator[tuple[int, Iterator[bytes]]]:
            self.starts.append(start)
            yield start, iter([large])

    folder.mkdir(parents=True)
    part_path(folder / file.name, file).write_bytes(large[:1000])
    assert _fetcher(Longer(), folder).fetch((file,)).read_bytes() == large
    assert Longer.starts == [1000, 0]


def test_no_model(hub: Hub, source: object, folder: Path) -> None:
    data = b"<html>please log in</html>"
    hub.repos[NAME].files["page.gguf"] = data
    file = HubFile("page.gguf", len(data), hashlib.sha256(data).hexdigest())
    with pytest.raises(HubError, match="is no model file"):
        _fetcher(source, folder).fetch((file,))
    assert list(folder.iterdir()) == []


def test_a_file_that_changed_over_there_begins_anew(
    hub: Hub, source: object, folder: Path, file: HubFile, large: bytes
) -> None:
    folder.mkdir(parents=True)
    old = part_path(folder / file.name, HubFile(file.name, 5, "0" * 64))
    old.write_bytes(b"old bytes")
    assert _fetcher(source, folder).fetch((file,)).read_bytes() == large
    assert not old.exists()


def test_another_file_of_that_name_is_not_overwritten(
    source: object, folder: Path, file: HubFile
) -> None:
    folder.mkdir(parents=True)
    (folder / file.name).write_bytes(b"mine")
    with pytest.raises(HubError, match="is another file"):
        _fetcher(source, folder).fetch((file,))
    assert (folder / file.name).read_bytes() == b"mine"


def test_too_little_room_is_said_before(source: object, hub: Hub, folder: Path) -> None:
    with pytest.raises(HubError, match="are to come"):
        _fetcher(source, folder).fetch((HubFile("big.gguf", 10**15, "0" * 64),))
    assert hub.sent == {}


def test_a_full_disk_keeps_what_came(
    hub: Hub, source: object, folder: Path, file: HubFile, large: bytes
) -> None:
    class Full:
        """The source; after 4 MB the disk is full, which here it cannot be for real."""

        @contextmanager
        def open(self, file: HubFile, start: int) -> Iterator[tuple[int, Iterator[bytes]]]:
            with source.open(file, start) as (begin, blocks):  # type: ignore[attr-defined]
                yield begin, self._some(blocks)

        @staticmethod
        def _some(blocks: Iterator[bytes]) -> Iterator[bytes]:
            for number, block in enumerate(blocks):
                if number == 4:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                yield block

    with pytest.raises(HubError, match=r"The disk is full at 4\.2 MB of 24 MB"):
        _fetcher(Full(), folder).fetch((file,))
    assert part_path(folder / file.name, file).stat().st_size == 4 * fetching.BLOCK
    assert _fetcher(source, folder).fetch((file,)).read_bytes() == large
    assert hub.starts[-1] == 4 * fetching.BLOCK


def test_stopped_and_gone_on(hub: Hub, source: object, folder: Path, file: HubFile) -> None:
    seen: list[int] = []
    fetcher = Fetcher(
        source,  # type: ignore[arg-type]
        folder,
        report=lambda progress: seen.append(progress.done),
        is_cancelled=lambda: hub.sent[PATH] > 6_000_000,
    )
    with pytest.raises(Cancelled):
        fetcher.fetch((file,))
    held = part_path(folder / file.name, file).stat().st_size
    _fetcher(source, folder).fetch((file,))
    assert hub.starts == [0, held]
    assert seen == sorted(seen)


def test_a_folder_that_cannot_be_made(source: object, tmp_path: Path, file: HubFile) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HubError, match="cannot be made"):
        _fetcher(source, tmp_path / "file" / "models").fetch((file,))


def test_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 2.0, 3.0])
    monkeypatch.setattr(fetching.time, "monotonic", lambda: next(clock))
    progress = Progress(total=1000)
    assert (progress.rate, progress.seconds_left) == (0, None)
    for _ in range(4):
        progress.add(100)
    assert progress.rate == 100
    assert progress.seconds_left == 6
