"""Ctrl+C, SIGTERM and a closed terminal while a model is trained: the step ends, then it is saved.

Promises that a signal which whoever started us wants ignored (`nohup`) stays so, and that a second
one ends at once.
"""

import shlex
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows knows no hang-up


@dataclass(slots=True)
class Stop:
    """Whether training is to stop, and by which signal."""

    number: int = 0
    """Of the signal that says so; 0 while none does."""

    def leave(self) -> NoReturn:
        """Raise what ends the program as that signal does: `KeyboardInterrupt`, `SystemExit`."""
        if self.number in (0, signal.SIGINT):
            raise KeyboardInterrupt
        raise SystemExit(128 + self.number)


@contextmanager
def listen() -> Iterator[Stop]:
    """Signals in the block are noted. Only in the main thread."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    taken = [number for number, old in before.items() if old not in (signal.SIG_IGN, None)]

    def restore() -> None:
        for number in taken:
            signal.signal(number, before[number])

    def note(number: int, _frame: object) -> None:
        stop.number = number
        restore()

    for number in taken:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        restore()


def command_to_go_on(folder: Path) -> str:
    """What one types to go on with the run in `folder`."""
    return f"chatapp train resume {shlex.quote(str(folder))}"


@contextmanager
def say_when_stopped(say: Callable[[str], None]) -> Iterator[None]:
    """Around what comes before the first step: it is cut short, and a sentence says so."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        say("Stopped before a step was taken: there was nothing new to save.")
        raise
