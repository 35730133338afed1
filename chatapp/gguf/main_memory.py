"""Main memory that this process may use: the machine's, or less where a control group limits it.

Linux tells by files; elsewhere the total is all that is known. Swap is not counted: a model that is
swapped is of no use.
"""

from __future__ import annotations

import os
from pathlib import Path

from chatapp.gguf.control_groups import find_groups


def memory_bytes(root: Path = Path("/")) -> tuple[int, int]:
    """(available, total) bytes, 0 where the system does not say."""
    available, total = _read_machine(root)
    for group in find_groups("memory", root):
        limit = _read_number(group, "memory.max", "memory.limit_in_bytes")
        if limit is None or (total and limit >= total):
            continue
        used = _read_number(group, "memory.current", "memory.usage_in_bytes") or 0
        free = limit - max(0, used - _read_file_pages(group))
        available, total = min(available, max(1, free)), min(total or limit, limit)
    return available, total


def _read_machine(root: Path) -> tuple[int, int]:
    try:
        text = (root / "proc/meminfo").read_text()
        rows = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        available, total = (int(rows[name].split()[0]) for name in ("MemAvailable", "MemTotal"))
        return available * 1024, total * 1024
    except (OSError, KeyError, ValueError):
        pass
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0, 0
    except AttributeError:  # Windows
        import psutil

        memory = psutil.virtual_memory()
        return memory.available, memory.total
    return total, total


def _read_number(group: Path, *names: str) -> int | None:
    """The number in the first of the files that is there; None for none, or for `max`."""
    for name in names:
        try:
            return int((group / name).read_text())
        except (OSError, ValueError):
            continue
    return None


def _read_file_pages(group: Path) -> int:
    """Bytes of files in the group's memory, which the system gives up when it needs room: the
    model file is among them as soon as it is read."""
    try:
        rows = dict(
            line.split() for line in (group / "memory.stat").read_text().strip().splitlines()
        )
        # version 1 counts the groups below under names of their own
        prefix = "total_" if "total_inactive_file" in rows else ""
        return int(rows[f"{prefix}inactive_file"]) + int(rows[f"{prefix}active_file"])
    except (OSError, ValueError, KeyError):
        return 0
