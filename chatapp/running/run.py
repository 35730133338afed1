"""One run of a piece of code: a folder of its own, little environment, and an end that is certain.

Not a sandbox: the code may do what the user may, which is why one is asked each time. What it has
not: a keyboard, our variables (keys and passwords among them), the user's home as `HOME`, more
time and output than the limits.
"""

import asyncio
import codecs
import contextlib
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from chatapp.errors import ChatAppError
from chatapp.running import keeper
from chatapp.running.programs import Program
from chatapp.text import ControlFilter

MAX_OUTPUT = 65_536
"""Bytes of output; a program that writes more is ended."""

LIMIT_S = 10.0
"""Seconds that a program may run, if the settings do not say otherwise."""

_LAST_OUTPUT_S = 1.0
"""How long the pipe is read when the keeper has ended."""

_GRACE_S = keeper.PATIENCE_S + 2.0
"""How long the keeper may take when it is told to end everything; then somebody halted it."""

_LOOK_S = 0.02
"""How often it is looked whether the keeper has ended: on Python 3.11 `Process.wait` waits for
everybody who holds the pipe, too."""

_KEPT = ("PATH", "LANG", "LANGUAGE", "TZ", "SYSTEMROOT", "COMSPEC", "PATHEXT")
"""Variables of ours that the code sees, and those that begin with `LC_`."""


class End(Enum):
    """Why a run ended."""

    ITSELF = auto()
    TIME = auto()
    OUTPUT = auto()
    STOPPED = auto()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    end: End
    status: int
    """What the program left with; 128 and more: ended by a signal."""
    seconds: float


class CodeRun:
    """A piece of code and the folder it runs in, which goes with `close`."""

    def __init__(self, program: Program, code: str, *, limit_s: float = LIMIT_S) -> None:
        self.program = program
        self.code = code
        self.limit_s = limit_s
        self.output = ""
        """What it has written so far, without control characters."""
        try:
            self._folder = tempfile.TemporaryDirectory(
                prefix="chatapp-run-", ignore_cleanup_errors=True
            )
        except OSError as error:
            raise ChatAppError(
                f"There is no folder to run the code in: {error.strerror}.",
                "Make room in the folder for temporary files, or name another in TMPDIR.",
            ) from error
        self.folder = Path(self._folder.name)
        self._process: asyncio.subprocess.Process | None = None
        self._end = End.ITSELF
        self._deadline = math.inf

    async def run(self, tell: Callable[[], object] = lambda: None) -> Outcome:
        """Run it to its end, whatever that is; `tell` is called when there is more output."""
        begun = time.monotonic()
        try:
            source = self.folder / self.program.file
            source.write_text(self.code, encoding="utf-8", errors="replace", newline="\n")
            self._process = await self._keep(*self.program.command)
        except OSError as error:
            raise ChatAppError(f"The code cannot be run: {error.strerror}.") from error
        clock = asyncio.get_running_loop().call_later(self.limit_s, self._stop, End.TIME)
        reading = asyncio.create_task(self._read(self._process, tell))
        try:
            status = await self._wait(self._process)
            if status < 0:  # the keeper itself was ended, and what it kept may go on
                await self._wait(await self._keep())
                status = 128 - status
            await asyncio.wait({reading}, timeout=_LAST_OUTPUT_S)
        finally:
            clock.cancel()
            reading.cancel()
            self._stop(End.STOPPED)  # nothing but the end of this work can leave it running
        return Outcome(self._end, status, time.monotonic() - begun)

    async def _keep(self, *command: str) -> asyncio.subprocess.Process:
        """A keeper for a command; without one, it ends what is left of this run."""
        plain = ["-S"] if sys.platform == "linux" else []  # elsewhere it needs psutil
        return await asyncio.create_subprocess_exec(
            *[sys.executable, "-I", *plain, keeper.__file__, str(self.folder), *command],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self.folder,
            env=cut_environment(os.environ, self.folder),
            start_new_session=True,
        )

    async def _wait(self, process: asyncio.subprocess.Process) -> int:
        """The exit status of a keeper. One that does not end when it is told to is killed."""
        while process.returncode is None:
            if time.monotonic() > self._deadline:
                self._deadline = math.inf
                process.kill()
            await asyncio.sleep(_LOOK_S)
        return process.returncode

    def stop(self) -> None:
        """End it and all that it started."""
        self._stop(End.STOPPED)

    def close(self) -> None:
        """End it, and remove its folder."""
        self.stop()
        self._folder.cleanup()

    @property
    def left(self) -> list[str]:
        """Files that the code has written beside itself."""
        with contextlib.suppress(OSError):
            names = sorted(path.name for path in self.folder.iterdir())
            return [name for name in names if name != self.program.file]
        return []

    def _stop(self, end: End) -> None:
        process = self._process
        if process is None or process.returncode is not None or process.stdin is None:
            return
        if not process.stdin.is_closing():
            self._end = end
            self._deadline = time.monotonic() + _GRACE_S
            process.stdin.close()  # the keeper ends everything

    async def _read(self, process: asyncio.subprocess.Process, tell: Callable[[], object]) -> None:
        assert process.stdout is not None
        clean, decoder = ControlFilter(), codecs.getincrementaldecoder("utf-8")("replace")
        size = 0
        while data := await process.stdout.read(8_192):
            taken = data[: max(MAX_OUTPUT - size, 0)]
            size += len(data)
            if taken:
                self.output += clean.feed(decoder.decode(taken))
                tell()
            if size > MAX_OUTPUT:
                self._stop(End.OUTPUT)


def cut_environment(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """What the code sees of our environment."""
    kept = {
        name: value
        for name, value in environ.items()
        if name.upper() in _KEPT or name.startswith("LC_")
    }
    home = str(folder)
    return kept | {
        "HOME": home,
        "USERPROFILE": home,
        "TMPDIR": home,
        "TEMP": home,
        "TMP": home,
        "TERM": "dumb",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
