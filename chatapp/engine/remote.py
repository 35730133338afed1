"""A model behind an OpenAI-compatible server: vLLM, SGLang, llama-server, Ollama and their kind.

Promises: text goes to the server that the remote names and nowhere else (redirects are refused);
the key is in one request header and in no event, log or error; a cancelled request is cut at once;
what came before a lost connection has been emitted. What a server cannot do is refused, not left
out in silence. Answers are input from a stranger: sizes are bounded, shapes are checked.
"""

from __future__ import annotations

import contextlib
import os
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import msgspec

from chatapp import __version__
from chatapp.engine.backend import Cancellation, Emit
from chatapp.engine.protocol import (
    Finished,
    Generate,
    LoadOptions,
    ModelDescription,
)
from chatapp.engine.remote_answer import Answer, Reading, finish
from chatapp.engine.wire import (
    Chunk,
    Models,
    Served,
    can_do_without,
    make_body,
    message_in,
    message_of,
    read_body,
    split_events,
)
from chatapp.errors import (
    ConnectionLostError,
    ContextOverflowError,
    EngineError,
    ModelError,
    UsageError,
)
from chatapp.network import Network
from chatapp.paths import find_paths
from chatapp.remotes import PREFIX, Remote, find_remote
from chatapp.sampling import SamplingParams

_TIMEOUT = httpx2.Timeout(600, connect=10)  # a long prompt on a slow server is silent for minutes
_LOOK_TIMEOUT = httpx2.Timeout(15, connect=10)
_REFUSALS = (400, 422)


class RemoteBackend:
    """The backend of one remote at a time."""

    name = "remote"
    version = "1"

    def __init__(self) -> None:
        self._remote: Remote | None = None
        self._headers: dict[str, str] = {}
        self._model = ""
        self._key = ""
        self._plain = False
        """The server refuses parameters that OpenAI does not have."""

    def load(self, options: LoadOptions, report: Callable[[float], None]) -> ModelDescription:
        """Ask the server what it serves."""
        started = time.perf_counter()
        self.unload()
        remote = find_remote(options.path, find_paths())
        if os.environ.get("CHATAPP_OFFLINE") and not remote.is_local:
            raise ModelError(
                f"{remote.name} is on {remote.host}, and chatapp was started with --offline.",
                "Choose a model on this machine.",
            )
        self._remote = remote
        self._key = remote.read_key()
        self._headers = {"User-Agent": f"chatapp/{__version__}"}
        if self._key:
            self._headers["Authorization"] = f"Bearer {self._key}"
        report(0.0)
        served = self._list_models()
        self._model = self._choose(served)
        report(1.0)
        return self._describe(served, options, time.perf_counter() - started)

    def unload(self) -> None:
        """Forget the server. Every request has a connection of its own, gone with it."""
        self._remote = None
        self._plain = False

    def generate(self, request: Generate, emit: Emit, cancelled: Cancellation) -> Finished:
        """Stream every alternative, one request after the other: few servers know `n`."""
        if self._remote is None:
            raise EngineError("No model is loaded.", "Choose one with Ctrl+O or --model.")
        _check_parameters(request.params)
        started = time.perf_counter()
        asked = request.params.filled().seed
        seed = asked if asked >= 0 else random.getrandbits(31)
        answers = []
        for index in range(request.n):
            answer = Answer(request, index, seed + index, emit)
            self._stream(answer, cancelled)
            answers.append(answer)
            if cancelled.is_set():
                break
        return finish(request, answers, started)

    def _stream(self, answer: Answer, cancelled: Cancellation) -> None:
        """One answer. A server that refuses it is asked again without the parameters that OpenAI
        does not have, if none of them was asked for."""
        try:
            self._stream_once(answer, cancelled)
        except _RefusedError as error:
            if self._plain or answer.text_began or not can_do_without(answer.request):
                raise
            self._plain = True
            try:
                self._stream_once(answer, cancelled)
            except _RefusedError:
                self._plain = False
                raise error from None

    def _stream_once(self, answer: Answer, cancelled: Cancellation) -> None:
        reading = Reading()
        try:
            path, body = make_body(answer.request, self._model, answer.seed, plain=self._plain)
        except msgspec.MsgspecError as error:
            raise UsageError(f"The JSON schema cannot be used: {error}.") from error
        threading.Thread(
            target=self._read, args=(answer, reading, path, body), name="remote", daemon=True
        ).start()
        try:
            while not cancelled.is_set():
                try:
                    line = reading.lines.get(timeout=0.05)
                except queue.Empty:
                    continue
                if line is None:
                    break
                if isinstance(line, BaseException):
                    raise line
                answer.take(self._decode(line))
            else:
                answer.reason = "cancelled"
        finally:
            reading.give_up()
        if answer.reason is None:  # neither a reason nor [DONE]
            raise ConnectionLostError(
                "The server stopped in the middle of the answer.", "The next message tries again."
            )

    def _read(self, answer: Answer, reading: Reading, path: str, body: dict[str, Any]) -> None:
        """The server's lines into the queue; runs in a thread, because reading can hang."""
        end: BaseException | None = None
        try:
            with (
                self._explained(),
                self._client(_TIMEOUT) as client,
                client.stream(
                    "POST", self._url(path), json=body, extensions={"trace": reading.watch}
                ) as got,
            ):
                self._check_status(got)
                for line in split_events(got.iter_bytes()):
                    if line == b"[DONE]":
                        answer.reason = answer.reason or "stop"
                        break
                    if not reading.put(line):
                        return
        except BaseException as error:  # noqa: BLE001 -- raised again in the main thread
            end = error
        reading.put(end)

    def _list_models(self) -> list[Served]:
        with (
            self._explained(),
            self._client(_LOOK_TIMEOUT) as client,
            client.stream("GET", self._url("/models")) as got,
        ):
            body = read_body(got.iter_bytes())
            if got.status_code != httpx2.codes.OK:
                raise self._refusal(got, body)
        try:
            return msgspec.json.decode(body, type=Models).data
        except msgspec.MsgspecError:
            raise self._not_a_server() from None

    def _choose(self, served: list[Served]) -> str:
        assert self._remote is not None
        names = [model.id for model in served]
        wanted = self._remote.model
        if wanted and (wanted in names or not names):
            return wanted
        if not wanted and len(names) == 1:
            return names[0]
        what = f"does not serve {wanted}" if wanted else "serves several models"
        raise ModelError(
            f"{self._remote.host} {what}. It has: {', '.join(names[:8]) or 'nothing'}.",
            f"chatapp models add-remote {self._remote.name} {self._remote.url} --model NAME",
        )

    def _describe(
        self, served: list[Served], options: LoadOptions, load_s: float
    ) -> ModelDescription:
        assert self._remote is not None
        facts = next((model for model in served if model.id == self._model), Served(self._model))
        meta = facts.meta or {}
        trained, holds = (
            value if isinstance(value := meta.get(key), int) else 0
            for key in ("n_ctx_train", "n_ctx")
        )
        n_ctx = facts.max_model_len or holds  # unknown is 0: no meter rather than a wrong one
        return ModelDescription(
            path=f"{PREFIX}{self._remote.name}",
            name=f"{self._remote.name}: {self._model.rpartition('/')[2]}",
            arch="remote",
            size_bytes=0,
            n_params=0,
            n_ctx=n_ctx or options.n_ctx,
            n_ctx_train=trained or n_ctx,
            n_vocab=0,
            n_layers=0,
            gpu_layers=0,
            fingerprint=f"{self._remote.url} {self._model}",
            load_s=load_s,
            host=self._remote.host,
        )

    def _client(self, timeout: httpx2.Timeout) -> httpx2.Client:
        """No proxy gets to see what goes to this machine itself."""
        assert self._remote is not None
        way = Network(use_proxies=not self._remote.is_local)
        return httpx2.Client(headers=self._headers, timeout=timeout, transport=way)

    def _check_status(self, got: httpx2.Response) -> None:
        if got.status_code != httpx2.codes.OK:
            raise self._refusal(got)

    def _url(self, path: str) -> str:
        assert self._remote is not None
        return f"{self._remote.url}{path}"

    def _decode(self, line: bytes) -> Chunk:
        try:
            chunk = msgspec.json.decode(line, type=Chunk)
        except msgspec.MsgspecError:
            raise self._not_a_server() from None
        if chunk.error:
            raise EngineError(f"The server says: {self._clean(message_in(chunk.error))}")
        return chunk

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        assert self._remote is not None
        host = self._remote.host
        try:
            yield
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
            raise ConnectionLostError(
                f"{host} cannot be reached: {self._clean(str(error)) or 'no answer'}.",
                "Is the server running? The next message tries again.",
            ) from None
        except httpx2.TimeoutException:
            raise ConnectionLostError(f"{host} has stopped answering.", "Try again.") from None
        except (httpx2.HTTPError, httpx2.InvalidURL):
            raise ConnectionLostError(
                f"The connection to {host} was lost.", "The next message tries again."
            ) from None

    def _refusal(self, got: httpx2.Response, body: bytes | None = None) -> EngineError | UsageError:
        assert self._remote is not None
        status = got.status_code
        body = read_body(got.iter_bytes()) if body is None else body
        said = self._clean(message_of(body))
        if status in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
            what = "does not accept the key" if self._key else "wants a key"
            return EngineError(
                f"{self._remote.host} {what}.",
                f"Put it into {self._remote.variable}, or into the keyring: "
                f"chatapp models add-remote {self._remote.name} {self._remote.url} --keyring",
            )
        if got.is_redirect:
            return EngineError(
                f"{self._remote.host} sends us elsewhere, which is not followed.",
                "Give the address it really has with `chatapp models add-remote`.",
            )
        if status == httpx2.codes.NOT_FOUND:
            return EngineError(
                f"{self._remote.url} is not the address of an OpenAI-compatible server.",
                "It usually ends in /v1.",
            )
        if "context" in said.lower() and ("length" in said.lower() or "exceed" in said.lower()):
            return _OverflowError(f"The server says: {said}", "Shorten it or start a new chat.")
        if status in _REFUSALS:
            return _RefusedError(f"The server refused the request: {said}")
        if status == httpx2.codes.TOO_MANY_REQUESTS:
            return EngineError(f"{self._remote.host} is busy: {said}", "Try again later.")
        return EngineError(f"{self._remote.host} answered with status {status}: {said}")

    def _not_a_server(self) -> EngineError:
        assert self._remote is not None
        return EngineError(
            f"{self._remote.host} does not answer as an OpenAI-compatible server does.",
            "Check the address: it usually ends in /v1.",
        )

    def _clean(self, text: str) -> str:
        """A stranger's words in one short line, without the key if they repeat it."""
        text = text.replace(self._key, "…") if self._key else text
        line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return line if len(line) <= 300 else line[:299] + "…"


class _RefusedError(UsageError):
    """The server does not take the request as it is."""


class _OverflowError(ContextOverflowError, EngineError):
    """The server's context is too short."""


def _check_parameters(params: SamplingParams) -> None:
    if params.no_repeat_ngram_size:
        raise UsageError(
            "Servers do not know no_repeat_ngram_size.", "Set it to 0, or use a local model."
        )
