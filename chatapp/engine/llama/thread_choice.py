"""How many threads decode: fewer while other programs need the processors, all of them again later.

llama.cpp's threads wait for each other after every tensor. When one of them waits for a processor
that another program has, all wait: on two cores beside two busy programs, two threads write 5 to
20 tokens/s where one writes 35 to 45. So a thread is given back when it has no place to run,
and taken again when there is; where the system does not tell for certain, a few decodes are tried
with another number, and the faster number stays. A trial that brought nothing doubles the wait
for the next.

Decides from what it is told: reads no clock and no file.
"""

from collections import deque
from dataclasses import dataclass, replace
from math import inf
from statistics import median

from chatapp.engine.llama.processors import Room

_SHORT = 0.6
"""A thread is given back when so much of a processor is missing for it. One busy loop takes that
much from two threads on two cores; our own screen takes 0.2 to 0.4 while it draws an answer."""
_DOUBT = 0.4
"""From so much on, fewer threads are tried."""
_SPARE = 0.5
"""A thread is tried again when so much of a processor is free for it."""
_WAIT_S, _LONGEST_WAIT_S = 0.5, 60.0
_SOON_S, _LASTING_S = 3.0, 10.0
"""A thread given back so soon after it was taken doubles the wait; one that lasted, resets it."""
_SMOOTH_S = 0.2
"""Readings are averaged over about so long: a screen that is drawn takes a core for 50 ms."""
_TRIAL_DECODES, _TRIAL_S = 4, 0.25
_GAIN = 0.97
"""A trial is won with at most so much of the time per token."""
_CHUNK = 32
"""From so many tokens on, decodes of different sizes compare by their time per token."""


@dataclass(slots=True)
class _Trial:
    """Another number of threads is tried; `back` is the one before, `pace` its time per token."""

    back: int
    pace: float


class ThreadChoice:
    """The number of threads for the next decode, from how the last ones went."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.n_threads = most
        self._free = Room(0.0, most, most)
        """What is presumed before anything was read."""
        self._room: Room | None = None
        self._paces: deque[float] = deque(maxlen=2 * _TRIAL_DECODES)
        self._measured_s = 0.0
        self._kind = 0
        self._trial: _Trial | None = None
        self._changed_at = self._taken_at = -inf
        self._wait_s = _WAIT_S

    def begin(self, room: Room | None, now: float) -> None:
        """Decodes begin after a pause; `room` is what the time before them said, if anything."""
        self._forget()
        if self._trial:
            self._set(self._trial.back, now)
        if room is None:
            self._room = None
            return
        self._room = _average(self._free, room)
        if not self._give(now) and now - self._changed_at >= self._wait_s:
            self._set(self._more(), now)

    def observe(self, n_tokens: int, seconds: float, room: Room | None, now: float) -> None:
        """A decode of `n_tokens` with `n_threads` took `seconds`; `room` when it was read anew."""
        kind = min(n_tokens, _CHUNK)
        if kind != self._kind:
            self._kind = kind
            self._forget()
            if self._trial:
                self._trial.pace = inf
        self._paces.append(seconds / n_tokens)
        self._measured_s += seconds
        if room is not None:
            self._room = _average(self._room or self._free, room)
            if self._give(now):
                return
        if self._trial:
            self._judge(self._trial, now)
        elif room is not None and now - self._changed_at >= self._wait_s:
            self._try(now)

    def _give(self, now: float) -> bool:
        """Give threads back that certainly have to wait for a processor."""
        room = self._room
        if room is None or self.n_threads == 1 or room.processors > self.n_threads - _SHORT:
            return False
        if self._trial or now - self._taken_at < _SOON_S:
            self._wait_longer()
        elif now - self._taken_at > _LASTING_S:
            self._wait_s = _WAIT_S
        self._set(self._fewer(room.processors), now)
        return True

    def _try(self, now: float) -> None:
        """Begin a trial: of fewer threads when some seem to wait, of more when there is room."""
        room, n = self._room, self.n_threads
        if room is None or not self._is_known():
            return
        likely = min(room.cores, room.processors)
        wanted = self._more()
        if n > 1 and likely <= n - _DOUBT:
            wanted = self._fewer(likely)
        elif n > 1 and room.got <= n - _DOUBT:
            wanted = self._fewer(room.got)
        if wanted != n:
            trial = _Trial(n, median(self._paces))
            self._set(wanted, now)
            self._trial = trial

    def _judge(self, trial: _Trial, now: float) -> None:
        if not self._is_known():
            return
        if median(self._paces) > _GAIN * trial.pace:
            self._wait_longer()
            self._set(trial.back, now)
        else:
            self._trial = None
            self._changed_at = now
            if self.n_threads > trial.back:
                self._taken_at = now

    def _more(self) -> int:
        room = self._room
        free = min(room.processors, room.cores) if room else 0.0
        more = self.n_threads + 1 if free == inf else int(free + 1 - _SPARE)
        return min(self.most, max(self.n_threads, more))

    def _fewer(self, free: float) -> int:
        return max(1, min(self.n_threads - 1, int(free + 1 - _SHORT)))

    def _is_known(self) -> bool:
        """Whether enough was measured to compare this number of threads with another."""
        return len(self._paces) >= _TRIAL_DECODES or self._measured_s >= _TRIAL_S

    def _forget(self) -> None:
        self._paces.clear()
        self._measured_s = 0.0

    def _wait_longer(self) -> None:
        self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)

    def _set(self, n: int, now: float) -> None:
        self._trial = None
        if n == self.n_threads:
            return
        if n > self.n_threads:
            self._taken_at = now
        self.n_threads, self._changed_at = n, now
        self._forget()
        if self._room:  # what the other number of threads got says nothing about this one
            self._room = replace(self._room, got=inf)


def _average(old: Room, new: Room) -> Room:
    weight = min(1.0, new.span_s / _SMOOTH_S)

    def mix(before: float, after: float) -> float:
        return after if inf in (before, after) else before + weight * (after - before)

    return Room(
        new.span_s,
        mix(old.processors, new.processors),
        mix(old.cores, new.cores),
        mix(old.got, new.got),
    )
