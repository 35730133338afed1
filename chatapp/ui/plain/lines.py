"""The lines that a user writes, one after the other.

They are read in a thread, and the next is read when the one before has been done: an editor or a
pager that a line opens has the terminal to itself.
"""

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable

_BLOCK = '"""'
"""Between two lines of these stands one text of several lines."""


class Lines:
    """What comes from stdin."""

    def __init__(self, block_begins: Callable[[], object]) -> None:
        """`block_begins` is called when a text of several lines begins."""
        self._block_begins = block_begins
        self._wanted = threading.Semaphore(0)
        self._read_lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._block: list[str] | None = None
        self._thread: threading.Thread | None = None

    async def next(self) -> str | None:
        """The next line, or text of several lines; None at the end."""
        if self._thread is None:
            loop = asyncio.get_running_loop()
            self._thread = threading.Thread(
                target=self._read, args=(loop,), name="lines", daemon=True
            )
            self._thread.start()
        self._wanted.release()
        return await self._read_lines.get()

    def give_up_block(self) -> str | None:
        """Forget a text of several lines that was begun; what is there of it, None: none was."""
        block, self._block = self._block, None
        return None if block is None else "\n".join(block)

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            while True:
                self._wanted.acquire()
                line = self._read_one(loop)
                loop.call_soon_threadsafe(self._read_lines.put_nowait, line)

    def _read_one(self, loop: asyncio.AbstractEventLoop) -> str | None:
        while raw := sys.stdin.readline():
            line = raw.rstrip("\r\n")
            block = self._block
            if line.strip() == _BLOCK:
                if block is None:
                    self._block = []
                    loop.call_soon_threadsafe(self._block_begins)
                    continue
                self._block = None
                return "\n".join(block)
            if block is None:
                return line
            block.append(line)
        return None
