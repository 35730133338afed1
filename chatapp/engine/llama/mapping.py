"""Gives back the pages of a model file that llama.cpp read once and does not need again.

llama.cpp maps the whole file, and repacks many matrices into a layout that the processor likes: of
these two copies would stay in memory. Pages are only let go of, never lost: what is needed after
all comes from the file again. Linux only; elsewhere nothing is done.
"""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

from chatapp.engine.llama.c_library import c_library

_MAPS = Path("/proc/self/maps")
_DONTNEED = 4  # MADV_DONTNEED of linux/mman.h: for a read-only mapping of a file no data is lost


def release_pages(path: Path) -> int:
    """Let go of every mapped page of `path` and of its other shards; bytes that were mapped."""
    try:
        inode = path.stat().st_ino
        lines = _MAPS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    madvise = c_library().madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    released = 0
    for line in lines:
        found = re.match(r"([0-9a-f]+)-([0-9a-f]+) r--[sp] \S+ \S+ (\d+) ", line)
        if found and (int(found.group(3)) == inode or line.lower().endswith(".gguf")):
            start, stop = int(found.group(1), 16), int(found.group(2), 16)
            if madvise(start, stop - start, _DONTNEED) == 0:
                released += stop - start
    return released
