"""The engine as its caller sees it: start it, load a model, generate, stop it.

Owns one child process (`chatapp.engine.worker`) and everything known about it. The child may die
at any moment, by a native abort or the kernel's out-of-memory killer; then whoever waits gets an
`EngineDiedError`, and the next `generate` starts a new process and loads the same model again.
Never blocks the event loop, never imports llama.cpp.
"""

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from chatapp.engine.protocol import (
    MAX_LINE_BYTES,
    PROTOCOL_VERSION,
    Cancel,
    Choice,
    Command,
    Delta,
    Event,
    Failed,
    Finished,
    Generate,
    Load,
    Loaded,
    LoadOptions,
    LoadProgress,
    ModelDescription,
    PrefillProgress,
    Ready,
    Shutdown,
    Timings,
    Usage,
)
from chatapp.errors import (
    ChatAppError,
    ConnectionLostError,
    ContextOverflowError,
    EngineDiedError,
    EngineError,
    ModelError,
    TemplateError,
    UsageError,
)
from chatapp.launcher import launch_command

State = Literal["stopped", "starting", "ready", "loading", "idle", "busy", "died"]

_FAILURES: Mapping[str, type[ChatAppError]] = {
    "model": ModelError,
    "template": TemplateError,
    "overflow": ContextOverflowError,
    "usage": UsageError,
    "lost": ConnectionLostError,
    "engine": EngineError,
}
_START_TIMEOUT_S = 60.0
_CANCEL_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 1.0
_TAIL_BYTES = 16_384
_LOG_LIMIT_BYTES = 4 * 1024 * 1024


class EngineClient:
    """One engine process and the model in it. Made once, started when first needed."""

    def __init__(self, *, backend: str = "llama", log_path: Path | None = None) -> None:
        self._backend = backend
        self._log_path = log_path
        self._encoder = msgspec.json.Encoder()
        self._decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._waiting: dict[str, asyncio.Queue[Event | EngineDiedError]] = {}
        self._open: set[str] = set()
        self._cancelled: set[str] = set()
        self._ready: asyncio.Future[Ready] | None = None
        self._tail = b""
        self._counter = 0
        self._options: LoadOptions | None = None
        self._lock = asyncio.Lock()
        self._stopping = False
        self._abandoned = False
        """The process still loads a model that nobody waits for any more."""
        self.model: ModelDescription | None = None
        self.state: State = "stopped"

    @property
    def pid(self) -> int | None:
        """Process id of the running engine."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    @property
    def stderr_tail(self) -> str:
        """The last lines the engine printed."""
        return self._tail.decode("utf-8", "replace")

    async def start(self) -> Ready:
        """Start the process; `EngineError` when it does not answer or speaks another version."""
        await self._reap()
        self._stopping = self._abandoned = False
        self._tail = b""
        self.state = "starting"
        ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        self._ready = ready
        self._process = await asyncio.create_subprocess_exec(
            *worker_command(self._backend),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=MAX_LINE_BYTES,
            start_new_session=True,  # a Ctrl+C in the terminal is for the UI alone
        )
        self._tasks = [
            asyncio.create_task(self._read_events(self._process)),
            asyncio.create_task(self._drain_stderr(self._process)),
        ]
        try:
            event = await asyncio.wait_for(ready, _START_TIMEOUT_S)
        except TimeoutError:
            await self.stop()
            raise EngineError(
                f"The engine did not start within {_START_TIMEOUT_S:.0f} s.",
                "`chatapp doctor` tries it alone and shows what it prints.",
            ) from None
        if event.protocol_version != PROTOCOL_VERSION:
            await self.stop()
            raise EngineError(
                f"The engine speaks protocol {event.protocol_version}, this is {PROTOCOL_VERSION}.",
                "Two versions of chatapp are mixed; install it again.",
            )
        self.state = "ready"
        return event

    async def load(
        self, options: LoadOptions, on_progress: Callable[[float], None] | None = None
    ) -> ModelDescription:
        """Load a model in a fresh process, which alone is sure to free what the last one held."""
        async with self._lock:
            if self.model is not None:
                await self.stop()
            return await self._load(options, on_progress)

    async def _load(
        self, options: LoadOptions, on_progress: Callable[[float], None] | None = None
    ) -> ModelDescription:
        if self._abandoned:
            await self.stop()
        if self.pid is None:
            await self.start()
        self.model = None
        self.state = "loading"
        request_id = self._next_id("load")
        events = self._expect(request_id)
        try:
            await self._send(Load(request_id, options))
            while True:
                event = await events.get()
                if isinstance(event, LoadProgress) and on_progress:
                    on_progress(event.fraction)
                elif isinstance(event, Loaded):
                    self.model = event.model
                    self._options = options
                    self.state = "idle"
                    return event.model
                else:
                    self._raise_if_failed(event)
        except asyncio.CancelledError:
            self._abandoned = True
            raise
        except EngineDiedError as error:
            raise ModelError(
                f"The engine ended while it loaded {options.path}: {error.message}", error.hint
            ) from error
        finally:
            self._waiting.pop(request_id, None)
            if self.state == "loading":
                self.state = "ready"

    async def generate(
        self, request: Generate
    ) -> AsyncGenerator[PrefillProgress | Delta | Finished, None]:
        """Events of one request, `Finished` last. Leaving the loop early cancels the request."""
        self._open.add(request.request_id)
        finished = False
        try:
            await self.ensure_loaded()
            events = self._expect(request.request_id)
            if request.request_id in self._cancelled:
                finished = True
                yield cancelled_before_start(request)
                return
            self.state = "busy"
            await self._send(request)
            while not finished:
                event = await events.get()
                if isinstance(event, (PrefillProgress, Delta, Finished)):
                    finished = isinstance(event, Finished)
                    yield event
                else:
                    finished = isinstance(event, Failed)
                    self._raise_if_failed(event)
        finally:
            if not finished:
                self.cancel(request.request_id)
            self._waiting.pop(request.request_id, None)
            self._cancelled.discard(request.request_id)
            self._open.discard(request.request_id)
            if self.state == "busy":
                self.state = "idle"

    def cancel(self, request_id: str) -> None:
        """Ask the engine to stop at once; an engine that does not within 10 s is killed."""
        if request_id not in self._open or request_id in self._cancelled:
            return
        self._cancelled.add(request_id)
        if self.pid is not None and self._process and self._process.stdin:
            self._process.stdin.write(self._encoder.encode(Cancel(request_id)) + b"\n")
            loop = asyncio.get_running_loop()
            loop.call_later(_CANCEL_TIMEOUT_S, self._kill_if_deaf, request_id, self.pid)

    async def unload(self) -> None:
        """Free the model and all its memory by ending the process."""
        self._options = None
        await self.stop()

    async def stop(self) -> None:
        """End the process: ask, wait, terminate, wait, kill, wait. Safe to call twice."""
        self._stopping = True
        self.model = None
        process = self._process
        if process is not None and process.returncode is None:
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
        await self._reap()
        self.state = "stopped"

    async def ensure_loaded(self) -> ModelDescription:
        """The loaded model; loads the last one again if the process has ended since."""
        async with self._lock:
            return await self._revive()

    async def _revive(self) -> ModelDescription:
        if self.model is not None and self.pid is not None:
            return self.model
        if self._options is None:
            raise EngineError("No model is loaded.", "Choose one with Ctrl+O or --model.")
        return await self._load(self._options)

    async def _read_events(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            try:
                event = self._decoder.decode(line)
            except msgspec.MsgspecError:
                process.kill()
                break
            if isinstance(event, Ready):
                if self._ready and not self._ready.done():
                    self._ready.set_result(event)
            elif queue := self._waiting.get(event.request_id):
                queue.put_nowait(event)
        await process.wait()
        await self._announce_death(process)

    async def _announce_death(self, process: asyncio.subprocess.Process) -> None:
        await asyncio.sleep(0.02)  # lets the last words on stderr arrive
        self.model = None
        self.state = "stopped" if self._stopping else "died"
        error = _death_of(process.returncode or 0, self.stderr_tail)
        if self._ready and not self._ready.done():
            self._ready.set_exception(error)
        for queue in self._waiting.values():
            queue.put_nowait(error)

    async def _drain_stderr(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        log = open_log(self._log_path)
        try:
            while chunk := await process.stderr.read(65_536):
                self._tail = (self._tail + chunk)[-_TAIL_BYTES:]
                if log is not None:
                    try:
                        log.write(chunk)
                    except OSError:  # a full disk must not stop the draining
                        log.close()
                        log = None
        finally:
            if log is not None:
                log.close()

    async def _send(self, command: Command) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(self._encoder.encode(command) + b"\n")
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass  # the reader is about to announce the death to whoever waits

    def _expect(self, request_id: str) -> asyncio.Queue[Event | EngineDiedError]:
        queue: asyncio.Queue[Event | EngineDiedError] = asyncio.Queue()
        self._waiting[request_id] = queue
        return queue

    def _next_id(self, kind: str) -> str:
        self._counter += 1
        return f"{kind}-{self._counter}"

    @staticmethod
    def _raise_if_failed(event: Event | EngineDiedError) -> None:
        if isinstance(event, EngineDiedError):
            raise event
        if isinstance(event, Failed):
            raise _FAILURES[event.kind](event.message, event.hint)

    def _kill_if_deaf(self, request_id: str, pid: int) -> None:
        if request_id in self._waiting and self.pid == pid and self._process:
            self._process.kill()

    async def _reap(self) -> None:
        tasks, self._tasks = self._tasks, []
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_TIMEOUT_S)
        for task in tasks:
            task.cancel()
        self._process = None


def cancelled_before_start(request: Generate) -> Finished:
    """What a request that was cancelled while the model loaded ends with."""
    choice = Choice(
        text=request.prefix_text, tokens=request.prefix_tokens, finish_reason="cancelled"
    )
    return Finished(
        request_id=request.request_id, choices=[choice], usage=Usage(), timings=Timings()
    )


def worker_command(*arguments: str) -> list[str]:
    """How a worker is started: with this very chatapp, wherever that is."""
    return launch_command("chatapp.engine.worker", *arguments)


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


def _death_of(returncode: int, tail: str) -> EngineDiedError:
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    last = lines[-1][:300] if lines else "it printed nothing"
    if returncode == -signal.SIGKILL:
        return EngineDiedError(
            "The engine was killed.",
            "If nobody did it by hand, memory ran out: choose a smaller model or context. "
            "The next message starts the engine again.",
        )
    how = f"exit code {returncode}"
    if returncode < 0:
        how = signal.Signals(-returncode).name
    return EngineDiedError(
        f"The engine ended by itself ({how}): {last}.".replace("..", "."),
        "The next message starts it again.",
    )
