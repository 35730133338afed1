"""A model behind an OpenAI-compatible server: vLLM, SGLang, llama-server, Ollama and their kind.

Promises: text goes to the server that the remote names and nowhere else (redirects are refused);
the key is in one request header and in no event, log or error; a cancelled request is cut at once;
what came before a lost connection has been emitted. What a server cannot do is refused, not left
out in silence. Answers are input from a stranger: sizes are bounded, shapes are checked.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections.abc import Callable

import httpx2
import msgspec

from chatapp import __version__
from chatapp.engine.backend import Cancellation, Emit
from chatapp.engine.chunks import fault_in, message_in, read_chunk
from chatapp.engine.content import countable
from chatapp.engine.embedding import Embed, Embedded, normalized
from chatapp.engine.protocol import (
    Finished,
    Generate,
    LoadOptions,
    Measure,
    Measured,
    ModelDescription,
)
from chatapp.engine.remote_answer import Answer, Reading, finish
from chatapp.engine.remote_embedding import AT_ONCE, make_embedding_body, read_vectors
from chatapp.engine.remote_faults import Faults, RefusedError
from chatapp.engine.scoring import Score, Scored
from chatapp.engine.served import Served, read_models
from chatapp.engine.server_events import ServerEvent, decode_json, read_body, read_events
from chatapp.engine.wire import Body, Manner, chosen, find_refused, make_body, next_manner
from chatapp.errors import ConnectionLostError, EngineError, ModelError, UsageError
from chatapp.network import Network
from chatapp.paths import find_paths
from chatapp.remotes import PREFIX, Remote, find_remote, name_remote
from chatapp.sampling import SamplingParams

_TIMEOUT = httpx2.Timeout(600, connect=10)  # a long prompt on a slow server is silent for minutes
_LOOK_TIMEOUT = httpx2.Timeout(15, connect=10)
_TOKEN_BYTES = 4
"""English text has about four bytes a token in the vocabularies of today's models."""
_MARKS = 4
"""Tokens that templates commonly write around a message."""
_MERGED = "{} takes no system text of its own: it was put before the first message."


class RemoteBackend:
    """The backend of one remote at a time."""

    name = "remote"
    version = "1"

    def __init__(self) -> None:
        self._remote: Remote | None = None
        self._headers: dict[str, str] = {}
        self._model = ""
        self._manner = Manner()
        """How the server wants to be asked, as far as it has said so."""
        self._faults: Faults

    def load(self, options: LoadOptions, report: Callable[[float], None]) -> ModelDescription:
        """Ask the server what it serves."""
        if options.embed not in ("", "auto"):
            raise UsageError(
                "A server pools tokens as it likes.", "Leave out --pooling, or choose a model file."
            )
        started = time.perf_counter()
        self.unload()
        remote = find_remote(options.path, find_paths())
        if os.environ.get("CHATAPP_OFFLINE") and not remote.is_local:
            raise ModelError(
                f"{remote.name} is on {remote.host}, and chatapp was started with --offline.",
                "Choose a model on this machine.",
            )
        key = remote.read_key()
        self._remote = remote
        self._faults = Faults(remote, key)
        self._headers = {"User-Agent": f"chatapp/{__version__}"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        report(0.0)
        served = self._list_models()
        self._model = self._choose(served)
        report(1.0)
        return self._describe(served, options, time.perf_counter() - started)

    def unload(self) -> None:
        """Forget the server. Every request has a connection of its own, gone with it."""
        self._remote = None
        self._manner = Manner()

    def measure(self, request: Measure) -> Measured:
        """An estimate: the server has the tokenizer, and its API no way to ask for a count."""
        counts = [[_estimate(countable(part)) for part in m.parts] for m in request.messages]
        tools = _estimate(json.dumps(request.tools)) if request.tools else 0
        return Measured(
            request_id=request.request_id,
            total=sum(map(sum, counts)) + tools + _MARKS * len(counts),
            parts=counts,
            tools=tools,
            is_estimate=True,
        )

    def embed(self, request: Embed) -> Embedded:
        """Ask the server for the embeddings, a few texts at a time."""
        vectors: list[list[float]] = []
        n_tokens = 0
        for start in range(0, len(request.texts), AT_ONCE):
            texts = request.texts[start : start + AT_ONCE]
            body = self._ask_whole("/embeddings", make_embedding_body(self._model, texts))
            try:
                found, n = read_vectors(body, len(texts))
            except (ValueError, RecursionError):
                raise self._faults.not_a_server() from None
            vectors += map(normalized, found) if request.normalize else found
            n_tokens += n
        return Embedded(request_id=request.request_id, vectors=vectors, total_tokens=n_tokens)

    def score(self, _request: Score, _emit: Emit, _cancelled: Cancellation) -> Scored:
        """Refused: the API has the probabilities of what a model writes, not of a given text."""
        name = self._remote.name if self._remote else "It"
        raise UsageError(
            f"{name} is a server, which does not say how likely a text is.",
            "Choose a model on this machine.",
        )

    def _ask_whole(self, path: str, body: Body) -> bytes:
        """The server's answer to `body`, all of it at once."""
        with (
            self._faults.explained(),
            self._client(_TIMEOUT) as client,
            client.stream("POST", self._url(path), json=body) as got,
        ):
            self._faults.check_status(got)
            return read_body(got.iter_bytes())

    def generate(self, request: Generate, emit: Emit, cancelled: Cancellation) -> Finished:
        """Stream every alternative, one request after the other: few servers know `n`."""
        if self._remote is None:
            raise EngineError("No model is loaded.", "Choose one with Ctrl+O or --model.")
        _check_parameters(request.params)
        started = time.perf_counter()
        seed = chosen(request.params).get("seed")
        answers = []
        for index in range(request.n):
            answer = Answer(request, index, None if seed is None else seed + index, emit)
            self._stream(answer, cancelled)
            answers.append(answer)
            if cancelled.is_set():
                break
        return finish(request, answers, started)

    def _stream(self, answer: Answer, cancelled: Cancellation) -> None:
        """One answer. A server that refuses is asked again in another manner, as long as there is
        one in which nothing that was asked for is lost."""
        assert self._remote is not None
        manner = self._manner
        while True:
            path, body = self._make_body(answer, manner)
            try:
                self._stream_once(answer, path, body, cancelled)
            except RefusedError as error:
                other = next_manner(manner, answer.request, error.words)
                if other is None or answer.text_began:
                    raise self._explain_refusal(error, body) from None
                manner = other
            else:
                break
        if manner.merges_roles and not self._manner.merges_roles:
            answer.notes.append(_MERGED.format(self._remote.host))
        self._manner = manner

    def _make_body(self, answer: Answer, manner: Manner) -> tuple[str, Body]:
        try:
            return make_body(answer.request, self._model, manner, answer.seed)
        except msgspec.MsgspecError as error:
            raise UsageError(f"The JSON schema cannot be used: {error}.") from error

    def _explain_refusal(self, error: RefusedError, body: Body) -> UsageError:
        """The refusal, by the name of what is refused if that can be found."""
        assert self._remote is not None
        name, flag = find_refused(body, error.words, error.parameter)
        if not name:
            return error
        return UsageError(
            f"{self._remote.host} does not take {name}: {error.words}",
            f"Leave out {flag}, or its line in the settings." if flag else "",
        )

    def _stream_once(self, answer: Answer, path: str, body: Body, cancelled: Cancellation) -> None:
        reading = Reading()
        threading.Thread(
            target=self._read, args=(reading, path, body), name="remote", daemon=True
        ).start()
        is_refused = False
        try:
            self._follow(reading, answer, cancelled)
        except RefusedError:  # it may be asked again, for the same answer
            is_refused = not answer.text_began
            raise
        finally:
            reading.give_up()
            if not is_refused:
                answer.finish()
        self._check_end(answer)

    def _follow(self, reading: Reading, answer: Answer, cancelled: Cancellation) -> None:
        """Take what comes until that is all, or the answer is cancelled."""
        while not cancelled.is_set():
            try:
                event = reading.events.get(timeout=0.05)
            except queue.Empty:
                continue
            if event is None:
                return
            if isinstance(event, BaseException):
                raise event
            self._take(answer, event)
        answer.reason = "cancelled"

    def _read(self, reading: Reading, path: str, body: Body) -> None:
        """The server's events into the queue; runs in a thread, because reading can hang."""
        end: BaseException | None = None
        try:
            with (
                self._faults.explained(),
                self._client(_TIMEOUT) as client,
                client.stream(
                    "POST", self._url(path), json=body, extensions={"trace": reading.watch}
                ) as got,
            ):
                self._faults.check_status(got)
                for event in read_events(got.iter_bytes()):
                    if not reading.put(event):
                        return
                    if event.is_end:
                        break
        except BaseException as error:  # noqa: BLE001 -- raised again in the main thread
            end = error
        reading.put(end)

    def _take(self, answer: Answer, event: ServerEvent) -> None:
        """What one event says. `EngineError` if it is a fault, or nothing that can be read."""
        if event.is_end:
            answer.conclude()
            return
        try:
            value = decode_json(event.data)
        except ValueError:
            if event.is_error:
                raise self._faults.said(event.data) from None
            if event.data.lstrip().startswith(("{", "<")):  # text is lost with it
                if event.is_unfinished:
                    return
                raise self._faults.not_a_server() from None
            answer.hear(event.data)
            return
        fault = message_in(value) if event.is_error and value else fault_in(value)
        if fault:
            raise self._faults.said(fault)
        if not isinstance(value, dict):
            answer.hear(event.data)
            return
        try:
            chunk = read_chunk(value)
        except (ValueError, RecursionError):
            raise self._faults.not_a_server() from None
        answer.take(chunk)
        if event.is_body and answer.began:
            answer.conclude()

    def _check_end(self, answer: Answer) -> None:
        """Whether the server ended the answer, or only stopped."""
        broken_off = answer.reason is None
        if answer.words and (broken_off or not answer.began) and answer.reason != "cancelled":
            raise self._faults.said(answer.words)
        if not broken_off:
            return
        if not answer.began:
            raise self._faults.not_a_server()
        raise ConnectionLostError(
            "The server stopped in the middle of the answer.", "The next message tries again."
        )

    def _list_models(self) -> list[Served]:
        with (
            self._faults.explained(),
            self._client(_LOOK_TIMEOUT) as client,
            client.stream("GET", self._url("/models")) as got,
        ):
            self._faults.check_status(got)
            body = read_body(got.iter_bytes())
        try:
            return read_models(body)
        except ValueError:
            raise self._faults.not_a_server() from None

    def _choose(self, served: list[Served]) -> str:
        assert self._remote is not None
        names = [model.id for model in served]
        wanted = self._remote.model
        if wanted and (wanted in names or not names):
            return wanted
        if not wanted and len(names) == 1:
            return names[0]
        add = f"chatapp models add-remote {self._remote.name} {self._remote.url} --model NAME"
        if not names:
            raise ModelError(
                f"{self._remote.host} says of no model that it serves it.",
                f"If it has one, name it: {add}",
            )
        what = f"does not serve {wanted}" if wanted else "serves several models"
        raise ModelError(f"{self._remote.host} {what}. It has: {', '.join(names[:8])}.", add)

    def _describe(
        self, served: list[Served], options: LoadOptions, load_s: float
    ) -> ModelDescription:
        assert self._remote is not None
        facts = next((model for model in served if model.id == self._model), Served(self._model))
        return ModelDescription(
            path=f"{PREFIX}{self._remote.name}",
            name=name_remote(self._remote.name, self._model),
            arch="remote",
            size_bytes=0,
            n_params=0,
            n_ctx=facts.n_ctx or options.n_ctx,
            n_ctx_train=facts.n_ctx_train,
            n_vocab=0,
            n_layers=0,
            gpu_layers=0,
            fingerprint=f"{self._remote.url} {self._model}",
            load_s=load_s,
            host=self._remote.host,
            pooling="server" if options.embed else "",
        )

    def _client(self, timeout: httpx2.Timeout) -> httpx2.Client:
        """No proxy gets to see what goes to this machine itself."""
        assert self._remote is not None
        way = Network(use_proxies=not self._remote.is_local)
        return httpx2.Client(headers=self._headers, timeout=timeout, transport=way)

    def _url(self, path: str) -> str:
        assert self._remote is not None
        return f"{self._remote.url}{path}"


def _estimate(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // _TOKEN_BYTES)


def _check_parameters(params: SamplingParams) -> None:
    if params.no_repeat_ngram_size:
        raise UsageError(
            "Servers do not know no_repeat_ngram_size.", "Set it to 0, or use a local model."
        )
