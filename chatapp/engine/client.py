"""The engine as its caller sees it: load a model, generate, stop.

Owns one engine process at a time and every request on its way there. The process may die at any
moment, by a native abort or the kernel's out-of-memory killer; then whoever waits gets an
`EngineDiedError`, and the next `generate` starts a new process and loads the same model again.
Never blocks the event loop, never imports llama.cpp.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from chatapp.engine.embedding import Embed, Embedded
from chatapp.engine.process import EngineProcess
from chatapp.engine.protocol import (
    PROTOCOL_VERSION,
    AnswerNow,
    Cancel,
    Delta,
    Event,
    Failed,
    Finished,
    Generate,
    Load,
    Loaded,
    LoadOptions,
    LoadProgress,
    Measure,
    Measured,
    ModelDescription,
    PrefillProgress,
    Ready,
    end_before_start,
)
from chatapp.engine.request import Request
from chatapp.engine.scoring import Score, Scored, ScoreProgress
from chatapp.errors import EngineDiedError, EngineError, ModelError

State = Literal["stopped", "starting", "ready", "loading", "idle", "busy", "died"]
RequestEvent = PrefillProgress | Delta | Finished

_START_TIMEOUT_S = 60.0
_CANCEL_TIMEOUT_S = 10.0


class GenerateRequest:
    """One `Generate` on its way: iterate over its events once, cancel it from anywhere.

    Leaving `events` early cancels it too; the client then watches that the engine obeys.
    """

    def __init__(self, client: "EngineClient", generate: Generate) -> None:
        self._client = client
        self._request = Request("generate")
        self._generate = replace(generate, request_id=self._request.id)

    @property
    def id(self) -> str:
        """The request's id in the protocol."""
        return self._request.id

    def cancel(self) -> None:
        """Ask the engine to stop at once; what was said so far comes with `Finished`."""
        self._client.cancel(self._request)

    def answer_now(self) -> None:
        """Ask the engine to end the thought and to answer; without a thought, nothing happens."""
        self._client.answer_now(self._request)

    async def events(self) -> AsyncGenerator[RequestEvent, None]:
        """What the engine says of it, `Finished` last; raises what went wrong instead."""
        request = self._request
        try:
            if not request.cancelled:
                await self._client.ensure_loaded()
            if request.cancelled:
                request.put(end_before_start(self._generate))
            else:
                await self._client.send(request, self._generate)
            finished = False
            while not finished:
                event = await request.next_event()
                assert isinstance(event, RequestEvent)
                finished = isinstance(event, Finished)
                yield event
        finally:
            self._client.cancel(request)


class EngineClient:
    """One engine process and the model in it. Made once, started when first needed."""

    def __init__(self, *, backend: str = "llama", log_path: Path | None = None) -> None:
        self.backend = backend
        """What computes: `llama`, or `echo`, which is scripted."""
        self._log_path = log_path
        self.silent = False
        """What the engine prints now is not logged."""
        self._process: EngineProcess | None = None
        self._requests: dict[str, Request] = {}
        """Those that the present process has heard of and not ended."""
        self._ready: asyncio.Future[Ready] | None = None
        self._lock = asyncio.Lock()
        self._ending: asyncio.Future[None] | None = None
        """The end of the last process, while it takes its time."""
        self._stopping = False
        self._abandoned = False
        """The process still loads a model that nobody waits for any more."""
        self._phase: Literal["stopped", "starting", "ready", "loading", "loaded", "died"]
        self._phase = "stopped"
        self.options: LoadOptions | None = None
        """How the model was loaded last, which is how it is loaded again; None: nothing was."""
        self.model: ModelDescription | None = None
        """The model in memory; None: there is none."""
        self.last_model: ModelDescription | None = None
        """The model that `options` loaded, whether or not it still is in memory."""

    @property
    def pid(self) -> int | None:
        """Process id of the running engine."""
        running = self._process is not None and self._process.is_running
        return self._process.pid if running and self._process else None

    @property
    def state(self) -> State:
        """What the engine is doing now."""
        if self._phase != "loaded":
            return self._phase
        return "busy" if self._requests else "idle"

    @property
    def stderr_tail(self) -> str:
        """The last lines the engine printed."""
        return self._process.stderr_tail if self._process else ""

    async def start(self) -> Ready:
        """Start the process; `EngineError` when it does not answer or speaks another version."""
        self._stopping = self._abandoned = False
        await self._stop_process()
        self._phase = "starting"
        ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        self._ready = ready
        try:
            self._process = await EngineProcess.start(
                self.backend, self._log_path, self._hear, self._bury, lambda: self.silent
            )
        except OSError as error:
            self._phase = "died"
            raise EngineError(
                f"The engine cannot be started: {error.strerror or error}.",
                "Close other programs, then send the message again.",
            ) from error
        if self._stopping:  # while the system made the process
            ready.cancel()
            await self.stop()
            raise _stopped()
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
        self._phase = "ready"
        return event

    async def load(
        self, options: LoadOptions, on_progress: Callable[[LoadProgress], None] | None = None
    ) -> ModelDescription:
        """Load a model in a fresh process, which alone is sure to free what the last one held."""
        async with self._lock:
            if self.model is not None:
                await self.stop()
            return await self._load(options, on_progress)

    async def ensure_loaded(self) -> ModelDescription:
        """The loaded model; loads the last one again if the process has ended since."""
        async with self._lock:
            if self.model is not None and self.pid is not None:
                return self.model
            if self.options is None:
                raise EngineError("No model is loaded.", "Choose one with Ctrl+O or --model.")
            return await self._load(self.options)

    def request(self, generate: Generate) -> GenerateRequest:
        """A request for `generate`, which is sent when its events are first asked for."""
        return GenerateRequest(self, generate)

    async def generate(self, generate: Generate) -> AsyncGenerator[RequestEvent, None]:
        """Events of one request, `Finished` last. Leaving the loop early cancels the request."""
        events = self.request(generate).events()
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()

    async def measure(self, measure: Measure) -> Measured:
        """Tokens of a prompt, counted by the model's own tokenizer; nothing is decoded.

        Waits for the end of an answer that is being written. Raises what went wrong.
        """
        measured = await self._call("measure", measure)
        assert isinstance(measured, Measured)
        return measured

    async def embed(self, embed: Embed) -> Embedded:
        """Embeddings of texts by a model that was loaded for them. Raises what went wrong."""
        embedded = await self._call("embed", embed)
        assert isinstance(embedded, Embedded)
        return embedded

    async def score(
        self, score: Score, on_progress: Callable[[ScoreProgress], None] | None = None
    ) -> Scored:
        """How likely a text is to the model. Leaving early cancels. Raises what went wrong."""
        await self.ensure_loaded()
        request = Request("score")
        try:
            await self.send(request, replace(score, request_id=request.id))
            while not isinstance(event := await request.next_event(), Scored):
                if isinstance(event, ScoreProgress) and on_progress:
                    on_progress(event)
            return event
        finally:
            self.cancel(request)

    async def _call(self, kind: Literal["measure", "embed"], command: Measure | Embed) -> Event:
        """Send a command that is answered by one event, and wait for that."""
        await self.ensure_loaded()
        assert self._process is not None
        request = Request(kind)
        self._process.send(replace(command, request_id=request.id))
        self._requests[request.id] = request
        await self._process.drain()
        return await request.next_event()

    async def send(self, request: Request, command: Generate | Score) -> None:
        """Hand a request to the engine; from now on its events and its end belong to it."""
        assert self._process is not None
        self._process.send(command)
        if request.hurried:
            self._process.send(AnswerNow(request.id))
        self._requests[request.id] = request
        await self._process.drain()

    def cancel(self, request: Request) -> None:
        """Ask the engine to stop a request. One that the engine has not heard of never starts.

        An engine that is deaf to it, and says nothing else either for 10 s, is killed.
        """
        if request.ended or request.cancelled:
            return
        request.cancelled = True
        if request.id in self._requests and self._process is not None:
            try:
                self._process.send(Cancel(request.id))
            except EngineDiedError:
                return
            self._watch(request, self._process)

    def answer_now(self, request: Request) -> None:
        """Ask the engine to end the thought of a request, or never to begin one."""
        if request.ended or request.hurried:
            return
        request.hurried = True
        if request.id in self._requests and self._process is not None:
            with contextlib.suppress(EngineDiedError):  # whoever reads its events is told
                self._process.send(AnswerNow(request.id))

    async def unload(self) -> None:
        """Free the model and all its memory by ending the process."""
        self.options = None
        await self.stop()

    async def stop(self) -> None:
        """End the process. Safe to call twice."""
        self._stopping = True
        self.model = None
        await self._stop_process()
        self._phase = "stopped"

    async def _load(
        self, options: LoadOptions, on_progress: Callable[[LoadProgress], None] | None = None
    ) -> ModelDescription:
        if self._abandoned:
            await self.stop()
        if self.pid is None:
            await self.start()
        assert self._process is not None
        self.model = None
        self._phase = "loading"
        request = Request("load")
        try:
            self._process.send(Load(request.id, options))
            self._requests[request.id] = request
            while True:
                event = await request.next_event()
                if isinstance(event, LoadProgress) and on_progress:
                    on_progress(event)
                elif isinstance(event, Loaded):
                    self.model = self.last_model = event.model
                    self.options = options
                    self._phase = "loaded"
                    return event.model
        except asyncio.CancelledError:
            self._abandoned = True
            raise
        except EngineDiedError as error:
            raise ModelError(
                f"The engine ended while it loaded {options.path}: {error.message}", error.hint
            ) from error
        finally:
            self._requests.pop(request.id, None)
            if self._phase == "loading":
                self._phase = "ready"

    def _hear(self, event: Event) -> None:
        if isinstance(event, Ready):
            if self._ready and not self._ready.done():
                self._ready.set_result(event)
        elif isinstance(event, Failed) and not event.request_id:
            # We cannot tell which request it ends, and must not let one wait for ever.
            assert self._process is not None
            self._process.kill(f"The engine could not read a command: {event.message}")
        elif request := self._requests.get(event.request_id):
            request.put(event)
            if request.ended:
                del self._requests[request.id]

    def _bury(self, death: EngineDiedError) -> None:
        self.model = None
        self._phase = "stopped" if self._stopping else "died"
        if self._ready and not self._ready.done():
            self._ready.set_exception(death)
        requests, self._requests = self._requests, {}
        for request in requests.values():
            request.fail(death)

    def _watch(self, request: Request, process: EngineProcess) -> None:
        """Kill the engine when it says nothing at all until the request's deadline."""
        loop = asyncio.get_running_loop()
        told_at = loop.time()

        def look() -> None:
            moved_at = max(told_at, process.heard_at)
            if loop.time() - moved_at < _CANCEL_TIMEOUT_S:
                request.set_deadline(loop.call_at(moved_at + _CANCEL_TIMEOUT_S, look))
            else:
                process.kill(
                    f"The engine did not stop within {_CANCEL_TIMEOUT_S:.0f} s, and was ended."
                )

        request.set_deadline(loop.call_at(told_at + _CANCEL_TIMEOUT_S, look))

    async def _stop_process(self) -> None:
        """End the process and wait until it is gone; so does the next call if this is cancelled."""
        process, self._process = self._process, None
        if process is not None:
            self._ending = asyncio.ensure_future(process.stop())
            self._bury(_stopped())
        if self._ending is not None:
            await asyncio.shield(self._ending)
            self._ending = None


def _stopped() -> EngineDiedError:
    return EngineDiedError("The engine was stopped.", "Send the message again.")
