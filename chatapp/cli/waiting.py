"""Work that may hang in the network, beside a main thread that stays free for Ctrl+C."""

import threading
from collections.abc import Callable
from typing import TypeVar

_GRACE_S = 2.0

T = TypeVar("T")


def run_beside(work: Callable[[], T], cancel: threading.Event | None = None) -> T:
    """What `work` returns or raises. On Ctrl+C `cancel` is set, and `work` has two seconds to
    put things in order; a resolver that hangs cannot be interrupted and is left behind.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    ended = (
        threading.Event()
    )  # Python 3.11's `join` takes a thread for ended once it is interrupted

    def call() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 -- raised again by the caller's thread
            errors.append(error)
        finally:
            ended.set()

    threading.Thread(target=call, daemon=True).start()
    try:
        while not ended.wait(0.05):
            pass
    except KeyboardInterrupt:
        if cancel is not None:
            cancel.set()
            ended.wait(_GRACE_S)
        raise
    if errors:
        raise errors[0]
    return results[0]
