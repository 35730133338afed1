"""Coming back from a stop: of Ctrl+Z's signal, of SIGSTOP, or of none (systemd continues whatever
it ends).

Textual 8.2.8 starts its threads again at every SIGCONT. Where it had not ended them before, two
read the same keys, and leaving waits for one of them for ever.
"""

import asyncio
import signal
from collections.abc import Callable
from types import FrameType

from textual.driver import Driver


def mind_continuing(driver: Driver, draw: Callable[[], object]) -> None:
    """From now on let `driver` start again only when it had suspended; `draw` if it had not."""
    if not hasattr(signal, "SIGCONT"):  # nobody is stopped on Windows
        return
    loop = asyncio.get_running_loop()
    restart = signal.getsignal(signal.SIGCONT)

    def go_on(number: int, frame: FrameType | None) -> None:
        if not getattr(driver, "_must_signal_resume", True):
            loop.call_soon_threadsafe(draw)
        elif callable(restart):
            restart(number, frame)

    if callable(restart):  # the driver of a test has no terminal and no handler
        signal.signal(signal.SIGCONT, go_on)
