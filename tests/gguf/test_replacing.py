"""Files appear whole or not at all, and nothing is left beside them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chatapp.gguf.replacing import replacement, write_whole


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_made_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, b"one")
    assert path.stat().st_mode & 0o777 == 0o600
    write_whole(path, b"two", mode=None)
    assert path.read_bytes() == b"two"
    umask = os.umask(0o022)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    assert names_in(tmp_path) == {"a"}


@pytest.mark.parametrize("trouble", [OSError, KeyboardInterrupt, SystemExit, MemoryError])
def test_whatever_ends_the_writing_leaves_what_was_there(
    tmp_path: Path, trouble: type[BaseException]
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"before")
    with pytest.raises(trouble), replacement(path) as part:
        part.write_bytes(b"half")
        raise trouble
    assert path.read_bytes() == b"before"
    assert names_in(tmp_path) == {"a"}


def test_a_place_that_cannot_be_written_is_an_error_and_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_whole(folder, b"x")
    with pytest.raises(OSError, match="No such file"):
        write_whole(tmp_path / "none" / "a", b"x")
    assert names_in(tmp_path) == {"a"}


def test_a_link_stays_a_link_and_a_long_name_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    path, link = tmp_path / "real" / ("n" * 255), tmp_path / "link"
    link.symlink_to(path)
    write_whole(link, b"x")
    assert link.is_symlink()
    assert path.read_bytes() == b"x"


def test_a_signal_leaves_no_temporary_file(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\nfrom chatapp.gguf.replacing import write_whole\n"
        "print('ready', flush=True)\n"
        "while True: write_whole(pathlib.Path(sys.argv[1]), b'x' * 100_000)"
    )
    for _ in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "a")],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert child.stdout is not None
        child.stdout.readline()
        while not (tmp_path / "a").exists():
            pass
        child.send_signal(signal.SIGINT)
        child.wait()
        child.stdout.close()
        assert names_in(tmp_path) == {"a"}
        assert (tmp_path / "a").stat().st_size == 100_000
        (tmp_path / "a").unlink()
