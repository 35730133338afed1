"""Chat templates, rendered in a process of their own that can be killed.

Promises: whatever a template does, rendering it ends with the text or with a `TemplateError` after
`SECONDS` at the latest; it takes no more than `MEMORY` bytes, and none of ours. Interrupting C code
(one huge power, one sort) takes a kill, and a kill takes a process. It is started when it is first
needed, kept, started again after a kill, and ends when its parent does, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

from chatapp.gguf.errors import TemplateError
from chatapp.gguf.processes import OWN_SESSION, resident_bytes

SECONDS = 5.0
MEMORY = 512 << 20
"""Bytes of a rendering process; one that has rendered a few MB takes 40 MB."""
MAX_TEMPLATE = 1_000_000
"""Characters; the longest in use has 60,000."""
MAX_REPLY = 64 << 20
"""Bytes of rendered text, as JSON has them."""

_MOST_LATE = 2
_LATE_SECONDS = 60.0
"""A template that was killed so often in a row is not tried for so long: whoever tries it on thirty
small chats is told after `_MOST_LATE * SECONDS`."""

_START_SECONDS = 60.0  # until Python and jinja2 are loaded, on a machine that is busy
_LOOK_SECONDS = 0.05  # between two looks at the memory: 4 GB/s may be written meanwhile
_SCRIPT = Path(__file__).with_name("rendering.py")


class TemplateProcess:
    """Renders templates. May be used from any thread; one rendering at a time."""

    def __init__(self, *, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        """Nothing is started before `start` or the first rendering."""
        self._seconds = seconds
        self._memory = memory
        self._child: _Child | None = None
        self._lock = threading.Lock()
        self._late: dict[str, list[float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin to start the process without waiting for it: 0.1 s that may pass meanwhile.

        What is wrong with that is said by the first rendering.
        """
        with self._lock, contextlib.suppress(TemplateError):
            self._running()

    def check(self, source: str) -> None:
        """Compile a template. Raises `TemplateError`."""
        self._ask(source, None)

    def find_names(self, source: str) -> frozenset[str]:
        """The names that a template reads without ever asking whether they are there.

        Raises `TemplateError`.
        """
        return frozenset(self._ask(source, None, names=True).split())

    def render(self, source: str, messages: Sequence[Mapping[str, Any]], **values: Any) -> str:
        """The text that the template `source` makes of `messages`. Raises `TemplateError`."""
        return self._ask(source, {"messages": messages, **values})

    def close(self) -> None:
        """End the process; another rendering would start one again."""
        with self._lock:
            self._drop()

    def _ask(self, source: str, values: Mapping[str, Any] | None, *, names: bool = False) -> str:
        if len(source) > MAX_TEMPLATE:
            raise TemplateError("The chat template is over a million characters long.")
        request = json.dumps(
            {"source": source, "values": values, "names": names}, ensure_ascii=False
        )
        data = request.encode("utf-8", "surrogatepass")
        with self._lock:
            self._refuse_late(source)
            was_kept = self._child is not None and self._child.is_ready
            try:
                reply = self._exchange(data)
            except (
                _EndedError
            ):  # while it was kept somebody may have killed it: a new one will tell
                if not was_kept:
                    raise
                reply = self._exchange(data)
            except _LateError:
                self._late.setdefault(source, []).append(time.monotonic())
                raise
            self._late.pop(source, None)
        if "error" in reply:
            raise TemplateError(f"The chat template {reply['error']}.")
        return reply["text"]

    def _refuse_late(self, source: str) -> None:
        late = self._late.get(source, [])
        if len(late) < _MOST_LATE:
            return
        if time.monotonic() - late[-1] < _LATE_SECONDS:
            raise _LateError(self._seconds)
        del self._late[source]

    def _exchange(self, request: bytes) -> dict[str, str]:
        try:
            child = self._running()
            child.await_start()
            return child.exchange(request, self._seconds)
        except BaseException:  # Ctrl+C too: what it would still say belongs to nobody
            self._drop()
            raise

    def _running(self) -> _Child:
        if self._child is not None and not self._child.is_alive:
            self._drop()
        if self._child is None:
            self._child = _Child(self._seconds, self._memory)
            self._finalizer = weakref.finalize(self, self._child.end)
        return self._child

    def _drop(self) -> None:
        if self._child is not None:
            self._child = None
            self._finalizer()


class _EndedError(TemplateError):
    """The process has gone."""


class _LateError(TemplateError):
    """The template took too long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The chat template ran for more than {seconds:.0f} s.")


class _Child:
    """One process, and the two pipes to it."""

    def __init__(self, seconds: float, memory: int) -> None:
        # a script whose parent was killed outlives it by a second more at most
        command = [
            sys.executable,
            "-P",
            str(_SCRIPT),
            str(memory),
            str(seconds + 1),
            str(MAX_REPLY),
        ]
        self._memory = memory
        try:
            self._process = subprocess.Popen(
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                **OWN_SESSION,  # Ctrl+C is for its parent
            )
        except OSError as error:
            raise TemplateError(
                f"No process can be started for the chat template: {error.strerror or error}."
            ) from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._frames: queue.SimpleQueue[bytes | TemplateError] = queue.SimpleQueue()
        self._hand_out(self._hear)
        self.is_ready = False

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        """Kill it and wait for its end, which is at once. The thread that hears it ends with it."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            self._stdin.close()

    def exchange(self, request: bytes, seconds: float) -> dict[str, str]:
        """The reply to a request. Raises `TemplateError`, and then the process is of no use."""
        frame = len(request).to_bytes(4, "big") + request
        self._hand_out(lambda: self._say(frame))
        return self._receive(seconds)

    def await_start(self) -> None:
        """Wait until it can be asked."""
        if not self.is_ready:
            self._receive(_START_SECONDS)
            self.is_ready = True

    def _receive(self, seconds: float) -> dict[str, str]:
        """The next frame; whoever waits for it looks at the time and the memory meanwhile."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                frame = self._frames.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                if time.monotonic() > deadline:
                    raise _LateError(seconds) from None
                if resident_bytes(self._process.pid) > self._memory:
                    mib = self._memory >> 20
                    raise TemplateError(
                        f"The chat template took more than {mib} MiB of memory."
                    ) from None
                continue
            if isinstance(frame, TemplateError):
                raise frame
            return _decode(frame)

    # Pipes cannot be waited for with a deadline on every system; a thread can wait for one without.

    @staticmethod
    def _hand_out(work: Callable[[], None]) -> None:
        threading.Thread(target=work, name="chat template", daemon=True).start()

    def _say(self, frame: bytes) -> None:
        """Send a request; what goes wrong is heard from the other pipe."""
        left = memoryview(frame)
        with contextlib.suppress(OSError, ValueError):
            while left:
                left = left[self._stdin.write(left) :]

    def _hear(self) -> None:
        """Queue every frame up to the end."""
        with contextlib.suppress(OSError, ValueError), self._stdout as pipe:
            while head := _read_all(pipe, 4):
                length = int.from_bytes(head, "big")
                if not 0 < length <= MAX_REPLY:
                    self._frames.put(_nonsense())
                    return
                self._frames.put(_read_all(pipe, length))
        self._frames.put(_EndedError("The chat template brought its process to an end."))


def _read_all(pipe: IO[bytes], count: int) -> bytes:
    """So many bytes, or fewer at the end."""
    got = bytearray()
    while len(got) < count and (data := pipe.read(min(count - len(got), 1 << 20))):
        got += data
    return bytes(got)


def _nonsense() -> TemplateError:
    return TemplateError("The chat template's process answered with nonsense.")


def _decode(data: bytes) -> dict[str, str]:
    try:
        reply = json.loads(data.decode("utf-8", "surrogatepass"))
    except ValueError:
        reply = None
    if isinstance(reply, dict) and any(
        isinstance(reply.get(key), str) for key in ("text", "error")
    ):
        return reply
    raise _nonsense()
