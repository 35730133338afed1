"""What nobody expected: an exception in a worker, a handler, a timer or a thread that is no
`ChatAppError`. It is logged, said in one sentence, and the app lives on.

The surprising fact: Textual ends the loop of a widget whose handler raises, so that it is deaf from
then on, and then the app. `guard` catches before that loop does.
"""

import asyncio
import threading
import time
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from textual.message import Message
from textual.message_pump import MessagePump
from textual.worker import WorkerFailed

from chatapp.ui.wording import clean_line

AGAIN_S = 10.0
"""What goes wrong again within this time is not said again: a timer may fail 25 times a second."""

_LOG_LIMIT = 1024 * 1024
_MAX_WORDS = 160


class Faults:
    """Takes note of unexpected exceptions. `log` gives None when nothing may be written to disk."""

    def __init__(self, log: Callable[[], Path | None], say: Callable[[str], None]) -> None:
        self._log = log
        self._say = say
        self._last: dict[str, float] = {}
        self.seen: list[BaseException] = []
        """Every one, the oldest first; those of the same kind once in `AGAIN_S`."""

    def report(self, error: BaseException) -> None:
        """Log it and say it."""
        if isinstance(error, WorkerFailed):
            error = error.error
        kind = clean_line(f"{type(error).__name__}: {error}")
        now = time.monotonic()
        if now - self._last.get(kind, -AGAIN_S) < AGAIN_S:
            return
        self._last[kind] = now
        self.seen.append(error)
        words = kind if len(kind) <= _MAX_WORDS else f"{kind[:_MAX_WORDS]}…"
        log = self._log()
        where = f" Details are in {log}." if log and _write(log, error) else ""
        self._say(f"Something unexpected went wrong: {words}. Your draft is kept.{where}")


def _write(path: Path, error: BaseException) -> bool:
    lines = traceback.format_exception(error)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > _LOG_LIMIT:
            path.unlink()
        with path.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"{datetime.now().astimezone().isoformat()}\n{''.join(lines)}\n")
    except OSError:  # a full disk must not keep the sentence from being said
        return False
    return True


def guard(pump: MessagePump, report: Callable[[Exception], None]) -> None:
    """From now on, `report` hears what the handlers of `pump` raise, and it goes on. The message
    rises to its parent as if nothing had happened: others have to know of it too."""
    if "_dispatch_message" in vars(pump):
        return  # it is guarded already
    dispatch = pump._dispatch_message

    async def dispatch_guarded(message: Message) -> None:
        try:
            await dispatch(message)
        except Exception as error:  # noqa: BLE001 -- any handler, Textual's own too
            report(error)
            parent = pump._parent
            if message.bubble and parent and not message._stop_propagation:
                message._bubble_to(parent)

    pump._dispatch_message = dispatch_guarded  # type: ignore[method-assign]


def watch_strays(
    loop: asyncio.AbstractEventLoop, report: Callable[[BaseException], object]
) -> None:
    """Hear of what is raised where nobody waits for it: tasks, callbacks, threads. By default it
    would be printed over the screen. `ignore_strays` ends it."""

    def of_task(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG001
        error = context.get("exception")
        if isinstance(error, BaseException):
            report(error)

    def of_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not loop.is_closed():
            loop.call_soon_threadsafe(report, args.exc_value)

    loop.set_exception_handler(of_task)
    threading.excepthook = of_thread


def ignore_strays(loop: asyncio.AbstractEventLoop) -> None:
    """As Python has it."""
    loop.set_exception_handler(None)
    threading.excepthook = threading.__excepthook__
