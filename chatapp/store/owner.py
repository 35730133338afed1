"""Who is writing an answer, and whether that process still runs.

A process id alone is not enough: it is given away again, in a container nearly always to the
next chatapp. The moment the process was born tells the two apart. Where neither can be seen
(another machine, another container) only the heartbeat counts.
"""

import os
import re
import socket
from pathlib import Path
from typing import NamedTuple

HEARTBEAT_TIMEOUT_S = 10.0
"""A writer that cannot be looked up and was silent for so long is taken for dead."""


class Owner(NamedTuple):
    """A process on a host."""

    pid: int
    born: str
    """In the system's own words; empty: it cannot be told."""
    host: str

    def __str__(self) -> str:
        return f"{self.pid} {self.born or '-'} {self.host}"


def identify() -> Owner:
    """This process."""
    return Owner(os.getpid(), _find_birth(os.getpid()) or "", _host())


def parse_owner(text: str) -> Owner | None:
    """Undo `str(owner)`; None if the text is nobody's."""
    match = re.fullmatch(r"(\d{1,18}) (\S+) (\S+)", text)
    if not match:
        return None
    return Owner(int(match[1]), "" if match[2] == "-" else match[2], match[3])


def is_gone(owner: Owner | None, silent_s: float) -> bool:
    """Whether the process ended. `silent_s`: seconds since its last heartbeat."""
    if owner is None:
        return True
    if owner.host == _host():
        born = _find_birth(owner.pid)
        if born is None:
            return True
        if born and owner.born:
            return born != owner.born
    return silent_s > HEARTBEAT_TIMEOUT_S


def _host() -> str:
    return "_".join(socket.gethostname().split()) or "-"


def _find_birth(pid: int) -> str | None:
    # None: there is no such process. Empty: there is one, but its birth cannot be read.
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _ask_psutil(pid)
    except OSError:
        return ""
    # The name in parentheses may hold anything; state is field 3, start time field 22.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def _ask_psutil(pid: int) -> str | None:
    # macOS and Windows have no /proc; and on Windows a signal 0 would end the process.
    import psutil

    try:
        process = psutil.Process(pid)
        is_dead = process.status() == psutil.STATUS_ZOMBIE
        return None if is_dead else f"{process.create_time():.2f}"
    except (psutil.NoSuchProcess, OverflowError):
        return None
    except psutil.Error:
        return ""
