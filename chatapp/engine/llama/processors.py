"""How many processors this process may use, and how much of them other programs leave to it.

Linux only tells by files: the affinity, the quotas of the control groups, and the idle time of
every processor. Elsewhere the room is unknown.
"""

import os
import platform
import subprocess
import time
from dataclasses import dataclass
from math import inf
from pathlib import Path

from chatapp.engine.llama.control_groups import find_groups

_SPAN_S = 0.1
"""Shortest span worth reading: idle time comes in ticks of 10 ms for each processor."""


@dataclass(frozen=True, slots=True)
class Room:
    """Where threads of ours could run, averaged over the last `span_s` seconds."""

    span_s: float
    processors: float = inf
    """Logical processors less what other programs used of them; infinite: the system does not
    say."""
    cores: float = inf
    """The same of physical cores; fewer, where two processors share a core."""
    got: float = inf
    """Processors' worth of time that our threads ran while they decoded."""


def count_threads() -> int:
    """Physical cores among those this process may run on, within its control groups' quota;
    performance cores on a Mac.

    llama.cpp's threads meet at a barrier for every tensor: two on one core only wait for each
    other, and none should be left out.
    """
    if platform.system() == "Darwin":
        answer = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "hw.perflevel0.physicalcpu"],
            capture_output=True,
            check=False,
        ).stdout.strip()
        return int(answer) if answer.isdigit() else (os.cpu_count() or 1)
    return max(1, min(count_cores(), int(min(read_quota(), 1e6))))


def count_cores() -> int:
    """Physical cores among the processors this process may run on."""
    if not hasattr(os, "sched_getaffinity"):
        import psutil

        return psutil.cpu_count(logical=False) or os.cpu_count() or 1
    cores = set()
    for cpu in os.sched_getaffinity(0):
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            cores.add(siblings.read_text().strip())
        except OSError:  # no sysfs: count every logical processor
            cores.add(str(cpu))
    return len(cores)


def read_quota(root: Path = Path("/")) -> float:
    """Processors' worth of time that the control groups allow this process; infinite: no limit."""
    return min((_read_group(group) for group in find_groups("cpu", root)), default=inf)


def _read_group(group: Path) -> float:
    """The quota of one group, by either version's files."""
    try:
        if (group / "cpu.max").exists():
            words = (group / "cpu.max").read_text().split()
        else:
            words = [(group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")]
        quota, period = int(words[0]), int(words[1])
    except (OSError, ValueError, IndexError):  # no such group, or "max": no limit
        return inf
    return quota / period if quota > 0 and period > 0 else inf


class RoomReader:
    """Reads, from one moment to another, what other programs left of the processors."""

    def __init__(self) -> None:
        self._cpus: set[int] = set()
        self._cores = 0
        self._tick_s = 0.0
        if platform.system() == "Linux" and hasattr(os, "sched_getaffinity"):
            self._cpus, self._cores = os.sched_getaffinity(0), count_cores()
            self._tick_s = 1 / os.sysconf("SC_CLK_TCK")
        self._began, self._ours, self._idle = 0.0, 0.0, 0.0

    @property
    def n_processors(self) -> int:
        """Logical processors this process may run on; 0: the system does not say."""
        return len(self._cpus)

    def start(self, now: float) -> None:
        """Begin a span of time at `now`."""
        self._began, self._ours, self._idle = now, own_seconds(), self._read_idle()

    def read(self, now: float) -> Room | None:
        """The span that ends at `now`, and begin the next; None while it is too short."""
        span = now - self._began
        if span < _SPAN_S:
            return None
        ours, idle = self._ours, self._idle
        self.start(now)
        if self._idle < 0 or idle < 0:
            return Room(span)
        busy = len(self._cpus) - (self._idle - idle) / span
        others = max(0.0, busy - (self._ours - ours) / span)
        return Room(span, len(self._cpus) - others, self._cores - others)

    def _read_idle(self) -> float:
        """Seconds that our processors were idle since the machine started; -1: unknown."""
        if not self._cpus:
            return -1.0
        ticks = n_read = 0
        try:
            with Path("/proc/stat").open("rb") as file:
                for line in file:
                    if not line.startswith(b"cpu"):
                        break
                    words = line.split()
                    if words[0][3:].isdigit() and int(words[0][3:]) in self._cpus:
                        ticks += int(words[4]) + int(words[5])  # idle, and idle with I/O to come
                        n_read += 1
        except (OSError, ValueError, IndexError):
            return -1.0
        return ticks * self._tick_s if n_read == len(self._cpus) else -1.0


def own_seconds() -> float:
    """Processor time of all threads of this process so far."""
    return time.process_time()
