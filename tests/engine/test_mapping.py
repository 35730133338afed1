"""Pages of the model file after loading: given back to the system, and read again when needed."""

import mmap
import sys
from pathlib import Path

import pytest

from chatapp.engine.llama.mapping import release_pages

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
SIZE = 32 << 20


def _resident(path: Path) -> int:
    """Bytes of the file's mappings that are in this process's memory."""
    lines = iter(Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines())
    return sum(
        int(next(line for line in lines if line.startswith("Rss:")).split()[1]) * 1024
        for line in lines
        if line.endswith(str(path))
    )


def test_pages_are_let_go_of_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(b"\x01" * SIZE)
    with (
        path.open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
    ):
        assert sum(mapped[::4096]) == SIZE // 4096
        before = _resident(path)
        assert release_pages(path) >= SIZE
        assert before >= SIZE > 8 * _resident(path)
        assert sum(mapped[::4096]) == SIZE // 4096


def test_other_files_and_a_missing_one_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other.bin"
    other.write_bytes(b"\x01" * SIZE)
    with (
        other.open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
    ):
        assert sum(mapped[::4096]) == SIZE // 4096
        missing = tmp_path / "missing.gguf"
        assert release_pages(missing) == 0
        missing.write_bytes(b"x")
        release_pages(missing)
        assert _resident(other) >= SIZE
