"""The engine process: `python -m chatapp.engine.worker`.

Promises: commands on stdin, events on the stdout it was started with, nothing else there. C code
prints, so file descriptor 1 is taken for the protocol and points at stderr before any backend is
imported. A reader thread receives commands, so `Cancel` works while the main thread computes.
When stdin ends (the UI is gone, however it went) the process ends too, even in the middle of C
code: nothing here needs saving.
"""

import json
import os
import queue
import re
import signal
import sys
import threading
from typing import BinaryIO

import msgspec

from chatapp.engine.backend import Backend, Cancellation
from chatapp.engine.embedding import Embed
from chatapp.engine.protocol import (
    MAX_LINE_BYTES,
    PROTOCOL_VERSION,
    AnswerNow,
    Cancel,
    Command,
    Event,
    Failed,
    FailureKind,
    Generate,
    Load,
    Loaded,
    LoadProgress,
    Measure,
    Ready,
    Shutdown,
    end_before_start,
)
from chatapp.engine.routing import load_model
from chatapp.engine.scoring import Score
from chatapp.errors import (
    ChatAppError,
    ConnectionLostError,
    ContextOverflowError,
    EngineError,
    ModelError,
    TemplateError,
    UsageError,
)

_Long = Generate | Score
"""What can be cancelled."""
_Served = Load | Measure | Embed | _Long
"""What has its turn, one after the other."""
_REQUEST_ID = re.compile(rb'"request_id":\s*"([\w-]{1,64})"')
_HEAD_BYTES = 256
"""Where a command says which request it is: before anything that people wrote."""


class Worker:
    """Reads commands, runs them one after the other on a backend, writes events."""

    def __init__(self, backend: Backend, commands: BinaryIO, events_fd: int) -> None:
        self._backend = backend
        self._local = backend.name
        self._commands = commands
        self._events_fd = events_fd
        self._encoder = msgspec.json.Encoder()
        self._write_lock = threading.Lock()
        self._queue: queue.SimpleQueue[_Served | Shutdown] = queue.SimpleQueue()
        self._requests_lock = threading.Lock()
        self._waiting: dict[str, _Long] = {}
        """Requests that have not had their turn."""
        self._cancellations: dict[str, Cancellation] = {}
        """Of the requests that wait and of the one that runs."""

    def run(self) -> None:
        """Serve until `Shutdown` or the end of stdin."""
        self._emit(
            Ready(
                protocol_version=PROTOCOL_VERSION,
                backend=self._backend.name,
                backend_version=self._backend.version,
                pid=os.getpid(),
            )
        )
        threading.Thread(target=self._receive, name="commands", daemon=True).start()
        while True:
            command = self._queue.get()
            if isinstance(command, Shutdown):
                self._backend.unload()
                return
            self._serve(command)

    def _receive(self) -> None:
        decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
        while line := self._commands.readline(MAX_LINE_BYTES + 1):
            if len(line) > MAX_LINE_BYTES:
                self._refuse(line, f"it is longer than {MAX_LINE_BYTES >> 20} MiB")
                while line and not line.endswith(b"\n"):
                    line = self._commands.readline(MAX_LINE_BYTES)
                continue
            try:
                command = decoder.decode(line)
            except (msgspec.MsgspecError, ChatAppError, RecursionError) as error:
                self._refuse(line, str(error))
                continue
            if isinstance(command, Cancel):
                self._cancel(command.request_id)
                continue
            if isinstance(command, AnswerNow):
                self._hurry(command.request_id)
                continue
            if isinstance(command, _Long):
                with self._requests_lock:
                    self._waiting[command.request_id] = command
                    self._cancellations[command.request_id] = Cancellation()
            self._queue.put(command)
        os._exit(0)

    def _cancel(self, request_id: str) -> None:
        """Stop a request that runs; end one that waits, whatever the one before it is doing."""
        with self._requests_lock:
            waiting = self._waiting.pop(request_id, None)
            cancelled = self._cancellations.get(request_id)
            if waiting is not None:
                del self._cancellations[request_id]
        if waiting is not None:
            self._emit(end_before_start(waiting))
        elif cancelled is not None:
            cancelled.set()

    def _hurry(self, request_id: str) -> None:
        """End the thought of a request that runs, or will have its turn."""
        with self._requests_lock:
            cancelled = self._cancellations.get(request_id)
        if cancelled is not None:
            cancelled.answer_now.set()

    def _refuse(self, line: bytes, reason: str) -> None:
        """Say of a command that cannot be read that its request is over."""
        name = _REQUEST_ID.search(line, 0, _HEAD_BYTES)
        request_id = name[1].decode() if name else ""
        self._emit(
            Failed(
                request_id=request_id,
                kind="usage",
                message=f"The engine cannot read what it was asked: {reason}.",
            )
        )

    def _serve(self, command: _Served) -> None:
        try:
            match command:
                case Load():
                    self._load(command)
                case Generate() | Score():
                    self._work(command)
                case Measure():
                    self._emit(self._backend.measure(command))
                case Embed():
                    self._emit(self._backend.embed(command))
        except ChatAppError as error:
            self._emit(
                Failed(
                    request_id=command.request_id,
                    kind=_kind_of(error),
                    message=error.message,
                    hint=error.hint,
                )
            )
        # The process boundary: any other fault must reach the user as one sentence, and its
        # traceback the log, instead of a dead engine.
        except Exception as error:  # noqa: BLE001
            sys.excepthook(type(error), error, error.__traceback__)
            self._emit(
                Failed(
                    request_id=command.request_id,
                    kind="engine",
                    message=f"The engine failed: {type(error).__name__}: {error}.",
                    hint="The engine log has the details; `chatapp doctor` says where it is.",
                )
            )

    def _load(self, command: Load) -> None:
        def report(fraction: float, doing: str = "loading") -> None:
            self._emit(LoadProgress(command.request_id, fraction, doing))

        model = load_model(command.options, self._local, self._switch, report)
        self._emit(Loaded(command.request_id, model))

    def _switch(self, name: str) -> Backend:
        """Make the backend `name` the one that answers."""
        if self._backend.name != name:
            self._backend.unload()
            self._backend = make_backend(name)
        return self._backend

    def _work(self, command: _Long) -> None:
        with self._requests_lock:
            if self._waiting.pop(command.request_id, None) is None:
                return  # it was cancelled while it waited, and has ended
            cancelled = self._cancellations[command.request_id]
        try:
            ended = (
                self._backend.score(command, self._emit, cancelled)
                if isinstance(command, Score)
                else self._backend.generate(command, self._emit, cancelled)
            )
        finally:
            with self._requests_lock:
                del self._cancellations[command.request_id]
        self._emit(ended)

    def _emit(self, event: Event) -> None:
        encoded = self._encoder.encode(event) + b"\n"
        if len(encoded) > MAX_LINE_BYTES and not isinstance(event, Ready):
            encoded = self._encoder.encode(_too_long(event.request_id)) + b"\n"
        line = memoryview(encoded)
        with self._write_lock:
            while line:
                try:
                    written = os.write(self._events_fd, line)
                except BrokenPipeError:
                    os._exit(0)
                line = line[written:]


def _too_long(request_id: str) -> Failed:
    return Failed(
        request_id=request_id,
        kind="engine",
        message=f"The engine has more to say than fits a line of {MAX_LINE_BYTES >> 20} MiB.",
        hint="Ask for fewer log-probabilities, fewer embeddings or a shorter answer.",
    )


def _kind_of(error: ChatAppError) -> FailureKind:
    match error:
        case TemplateError():
            return "template"
        case ModelError():
            return "model"
        case ContextOverflowError():
            return "overflow"
        case UsageError():
            return "usage"
        case ConnectionLostError():
            return "lost"
        case _:
            return "engine"


def make_backend(name: str) -> Backend:
    """`llama`, `remote`, `echo` or `torch`. Raises `EngineError` where PyTorch is missing."""
    if name == "remote":
        from chatapp.engine.remote import RemoteBackend

        return RemoteBackend()
    if name == "echo":
        from chatapp.engine.echo import EchoBackend

        return EchoBackend()
    if name == "torch":
        return _make_torch()
    from chatapp.engine.llama.backend import LlamaBackend

    return LlamaBackend()


def _make_torch() -> Backend:
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported: nothing is fetched
    try:
        from chatapp.engine.pytorch.backend import TorchBackend
    except ImportError as error:
        raise EngineError(
            f"It would run in PyTorch, which is not installed: {error}.",
            "pip install '.[torch]' (in the folder of chatapp's sources)",
        ) from error
    return TorchBackend()


def main() -> None:
    """Run the worker, or print what `--describe` finds as one JSON object."""
    events_fd = os.dup(1)
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the UI's to handle
    name = sys.argv[1] if len(sys.argv) > 1 else "llama"
    if name == "--describe":
        if hasattr(os, "nice"):  # not on Windows
            os.nice(10)  # whoever looks around does it beside an engine that may be answering
        from chatapp.engine.llama.devices import describe

        os.write(events_fd, json.dumps(describe()).encode() + b"\n")
        return
    Worker(make_backend(name), sys.stdin.buffer, events_fd).run()
    # The reader thread holds the lock of stdin, for which a normal exit waits, then aborts.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
