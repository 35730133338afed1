"""One answer of a remote server while it comes: the thread that reads, and what has been read."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from typing import Any

from chatapp.engine.assemble import trim_broken
from chatapp.engine.backend import Emit
from chatapp.engine.protocol import (
    Choice,
    Finished,
    FinishReason,
    Generate,
    Timings,
    TokenLogprob,
    Usage,
)
from chatapp.engine.telling import Teller
from chatapp.engine.wire import Chunk, Counts, Said, read_logprobs
from chatapp.parts import Spoken, grow


class Reading:
    """What a reading thread and the one that waits for it share."""

    def __init__(self) -> None:
        self.lines: queue.Queue[bytes | BaseException | None] = queue.Queue(maxsize=1024)
        self._given_up = threading.Event()
        self._sockets: list[socket.socket] = []

    def watch(self, event: str, info: dict[str, Any]) -> None:
        """Remember the socket (`trace` of httpcore)."""
        # the TLS socket takes the other's place, which is then no longer connected to anything
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):  # of a proxy, too
            self._sockets.append(info["return_value"].get_extra_info("socket"))
            if self._given_up.is_set():
                self.give_up()

    def put(self, line: bytes | BaseException | None) -> bool:
        """Hand a line over; False when nobody waits any more."""
        while not self._given_up.is_set():
            with contextlib.suppress(queue.Full):
                self.lines.put(line, timeout=0.2)
                return True
        return False

    def give_up(self) -> None:
        """Cut the connection: the server sees it, and a thread that reads from it wakes up."""
        self._given_up.set()
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class Answer:
    """One alternative while it comes."""

    def __init__(self, request: Generate, index: int, seed: int, emit: Emit) -> None:
        self.request = request
        self.index = index
        self.seed = seed
        self.parts = trim_broken(request.prefix)
        self.reason: FinishReason | None = None
        self.counts = Counts()
        self.logprobs: list[TokenLogprob] = []
        self.n_chunks = 0
        self.first_s = 0.0
        self.last_s = 0.0
        self._emit = emit
        self._teller = Teller(request.request_id, index, request.prefix)

    @property
    def text_began(self) -> bool:
        """Whether any text has come."""
        return self.n_chunks > 0

    def take(self, chunk: Chunk) -> None:
        """Emit what a chunk brought."""
        if chunk.usage is not None:
            self.counts = chunk.usage
        for choice in chunk.choices[:1]:
            said = choice.delta or Said()
            self._say(said.reasoning_content or said.reasoning or "", "reasoning")
            self._say(said.content or choice.text or "", "text")
            if choice.logprobs is not None and self.request.logprobs:
                self.logprobs += read_logprobs(choice.logprobs)
            if choice.finish_reason:
                self.reason = "length" if choice.finish_reason == "length" else "stop"

    def _say(self, text: str, kind: Spoken) -> None:
        if not text:
            return
        self.last_s = time.perf_counter()
        self.first_s = self.first_s or self.last_s
        self.n_chunks += 1
        self.parts = grow(self.parts, kind, text)
        for delta in self._teller.tell(self.parts):
            self._emit(delta)


def finish(request: Generate, answers: list[Answer], started: float) -> Finished:
    """How a request ended, from its alternatives. `started`: as of `time.perf_counter`."""
    n_prompt = max(answer.counts.prompt_tokens for answer in answers)
    # servers that do not count send a chunk a token
    n_said = sum(answer.counts.completion_tokens or answer.n_chunks for answer in answers)
    details = [answer.counts.prompt_tokens_details for answer in answers]
    spent = sum(answer.last_s - answer.first_s for answer in answers)
    first = next((answer.first_s for answer in answers if answer.first_s), started)
    return Finished(
        request_id=request.request_id,
        choices=[
            Choice(
                index=answer.index,
                parts=answer.parts,
                logprobs=answer.logprobs,
                finish_reason=answer.reason or "stop",
                seed=answer.seed,
            )
            for answer in answers
        ],
        usage=Usage(
            prompt_tokens=n_prompt,
            reused_tokens=max((one.cached_tokens or 0 for one in details if one), default=0),
            completion_tokens=n_said,
        ),
        timings=Timings(
            time_to_first_token_s=first - started,
            decode_tokens_per_second=(n_said - len(answers)) / spent if spent > 0 else 0.0,
            total_s=time.perf_counter() - started,
        ),
        n_past=n_prompt + n_said // len(answers),
    )
