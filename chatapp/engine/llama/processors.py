"""How much of the processors other programs leave to this one.

Linux only tells by files: the affinity, and the idle time of every processor. Elsewhere the room is
unknown.
"""

import os
import platform
import time
from dataclasses import dataclass
from math import inf
from pathlib import Path

from chatapp.gguf.processors import count_cores

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
