"""The engine's process as a thing that takes commands and gives events, and that may die.

Knows pipes, lines, signals and the log; knows nothing of models and requests. Whatever ends the
process, `on_end` hears it once, with a sentence that says why; after `stop` nobody hears anything.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Self

import msgspec

from chatapp.engine.protocol import MAX_LINE_BYTES, Command, Event, Shutdown
from chatapp.errors import EngineDiedError, UsageError
from chatapp.gguf.processes import OWN_SESSION
from chatapp.launcher import launch_command

_STOP_TIMEOUT_S = 1.0
_TAIL_BYTES = 16_384
_LOG_LIMIT_BYTES = 4 * 1024 * 1024
_SPIN_COUNT = "3000"
"""How long a thread of llama.cpp's looks for the others before it sleeps, in turns of 16 ns on a
Xeon. With 100 or 1,000, quiet decode loses 60 % or 2 %; with libgomp's 300,000, a prompt beside two
busy programs is read at 20 to 50 tokens/s instead of 150 (135M parameters on two cores)."""
_SIGKILL = 9  # signal.SIGKILL, which Windows lacks
_NEXT = "The next message starts it again."


class EngineProcess:
    """One child process. Made by `start`, used up when it has ended."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        log_path: Path | None,
        on_event: Callable[[Event], None],
        on_end: Callable[[EngineDiedError], None],
        is_silent: Callable[[], bool],
    ) -> None:
        self._process = process
        self._on_event = on_event
        self._on_end = on_end
        self._is_silent = is_silent
        self._encoder = msgspec.json.Encoder()
        self._decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
        self._tail = b""
        self._fault = ""
        """Why we ended it, if we did."""
        self._death: EngineDiedError | None = None
        self._is_heard = True
        self.heard_at = asyncio.get_running_loop().time()
        """When the engine last said anything, in the event loop's time."""
        self._tasks = [
            asyncio.create_task(self._read_events()),
            asyncio.create_task(self._drain_stderr(log_path)),
        ]

    @classmethod
    async def start(
        cls,
        backend: str,
        log_path: Path | None,
        on_event: Callable[[Event], None],
        on_end: Callable[[EngineDiedError], None],
        is_silent: Callable[[], bool],
    ) -> Self:
        """Start a worker. Raises `OSError` when the system has no process to give."""
        process = await asyncio.create_subprocess_exec(
            *worker_command(backend),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=MAX_LINE_BYTES,
            env=worker_environment(),
            **OWN_SESSION,  # a Ctrl+C in the terminal is for the UI alone
        )
        return cls(process, log_path, on_event, on_end, is_silent)

    @property
    def pid(self) -> int:
        """The number of the engine's process."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    @property
    def stderr_tail(self) -> str:
        """The last lines that the engine printed on stderr."""
        return self._tail.decode("utf-8", "replace")

    def send(self, command: Command) -> None:
        """Hand a command over, without waiting.

        Raises `UsageError` for one that is longer than the protocol's lines may be, and
        `EngineDiedError` if nobody is there to read it.
        """
        line = self._encoder.encode(command) + b"\n"
        if len(line) > MAX_LINE_BYTES:
            raise UsageError(
                f"This message is {len(line) >> 20} MiB with all before it; the engine takes "
                f"{MAX_LINE_BYTES >> 20} MiB at most.",
                "Shorten it, or start a new chat.",
            )
        if self._death is not None:
            raise self._death
        assert self._process.stdin is not None
        # Written to a process that has just died: the reader is about to say so to everybody.
        self._process.stdin.write(line)

    async def drain(self) -> None:
        """Wait until the engine has taken what was sent, or is gone."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await self._process.stdin.drain()

    def kill(self, why: str) -> None:
        """End it at once; `why` is what everybody who waits for it is told."""
        self._fault = self._fault or why
        if self.is_running:
            self._process.kill()

    async def stop(self) -> None:
        """End it: ask, wait, terminate, wait, kill, wait. Safe to call twice."""
        self._is_heard = False
        process = self._process
        if self.is_running:
            if process.stdin and not process.stdin.is_closing():
                process.stdin.write(self._encoder.encode(Shutdown()) + b"\n")
                process.stdin.close()
            for escalate in (process.terminate, process.kill):
                try:
                    await asyncio.wait_for(process.wait(), _STOP_TIMEOUT_S)
                    break
                except TimeoutError:
                    escalate()
            await process.wait()
        await asyncio.wait(self._tasks, timeout=_STOP_TIMEOUT_S)
        for task in self._tasks:
            task.cancel()

    async def _read_events(self) -> None:
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                event = self._decoder.decode(line)
                self.heard_at = asyncio.get_running_loop().time()
                if self._is_heard:
                    self._on_event(event)
        except ValueError as error:  # msgspec's too; from the stream: the line is too long
            what = "what is no event"
            if not isinstance(error, msgspec.MsgspecError):
                what = f"a line of more than {MAX_LINE_BYTES >> 20} MiB"
            self.kill(f"The engine said {what}, and was ended.")
        await self._process.wait()
        await asyncio.sleep(0.02)  # lets the last words on stderr arrive
        self._death = self._describe_death()
        if self._is_heard:
            self._on_end(self._death)

    async def _drain_stderr(self, log_path: Path | None) -> None:
        assert self._process.stderr is not None
        log = open_log(log_path)
        try:
            while chunk := await self._process.stderr.read(65_536):
                self._tail = (self._tail + chunk)[-_TAIL_BYTES:]
                if log is not None and not self._is_silent():
                    try:
                        log.write(chunk)
                    except OSError:  # a full disk must not stop the draining
                        log.close()
                        log = None
        finally:
            if log is not None:
                log.close()

    def _describe_death(self) -> EngineDiedError:
        if self._fault:
            return EngineDiedError(self._fault, _NEXT)
        returncode = self._process.returncode or 0
        lines = [line.strip() for line in self.stderr_tail.splitlines() if line.strip()]
        last = lines[-1][:300] if lines else "it printed nothing"
        if returncode == -_SIGKILL:
            return EngineDiedError(
                "The engine was killed.",
                "If nobody did it by hand, memory ran out: choose a smaller model or context. "
                "The next message starts the engine again.",
            )
        how = f"exit code {returncode}"
        if returncode < 0:
            how = signal.Signals(-returncode).name
        sentence = f"The engine ended by itself ({how}): {last}.".replace("..", ".")
        return EngineDiedError(sentence, _NEXT)


def worker_command(*arguments: str) -> list[str]:
    """How a worker is started: with this very chatapp, wherever that is."""
    return launch_command("chatapp.engine.worker", *arguments)


def worker_environment() -> dict[str, str]:
    """The worker's environment: ours, and how long llama.cpp's threads look for each other."""
    spin = {} if "OMP_WAIT_POLICY" in os.environ else {"GOMP_SPINCOUNT": _SPIN_COUNT}
    return spin | os.environ


def open_log(path: Path | None) -> BinaryIO | None:
    """The engine log, appended to and begun anew at 4 MiB; None when it cannot be written."""
    if path is None:
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        keep = path.exists() and path.stat().st_size < _LOG_LIMIT_BYTES
        return path.open("ab" if keep else "wb", buffering=0)
    except OSError:  # no log is better than no chat
        return None
