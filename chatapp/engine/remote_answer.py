"""One answer of a remote server while it comes: the thread that reads, and what has been read."""

from __future__ import annotations

import contextlib
import queue
import re
import socket
import threading
import time
from typing import Any

from chatapp.engine.assemble import Assembler, trim_broken
from chatapp.engine.backend import Emit
from chatapp.engine.call_pieces import CallsInPieces
from chatapp.engine.chat.detect import HERMES
from chatapp.engine.chat.format import PLAIN, Format
from chatapp.engine.chunks import Chunk, Counts, read_logprobs
from chatapp.engine.protocol import (
    Choice,
    Finished,
    FinishReason,
    Generate,
    Timings,
    TokenLogprob,
    Usage,
)
from chatapp.engine.server_events import ServerEvent
from chatapp.engine.telling import Teller
from chatapp.errors import EngineError
from chatapp.parts import Parts, Reasoning, Spoken, Text, ToolCall, grow, said_in, text_of


class Reading:
    """What a reading thread and the one that waits for it share."""

    def __init__(self) -> None:
        self.events: queue.Queue[ServerEvent | BaseException | None] = queue.Queue(maxsize=1024)
        self._given_up = threading.Event()
        self._sockets: list[socket.socket] = []

    def watch(self, event: str, info: dict[str, Any]) -> None:
        """Remember the socket (`trace` of httpcore)."""
        # the TLS socket takes the other's place, which is then no longer connected to anything
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):  # of a proxy, too
            self._sockets.append(info["return_value"].get_extra_info("socket"))
            if self._given_up.is_set():
                self.give_up()

    def put(self, event: ServerEvent | BaseException | None) -> bool:
        """Hand an event over; False when nobody waits any more."""
        while not self._given_up.is_set():
            with contextlib.suppress(queue.Full):
                self.events.put(event, timeout=0.2)
                return True
        return False

    def give_up(self) -> None:
        """Cut the connection: the server sees it, and a thread that reads from it wakes up."""
        self._given_up.set()
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class Answer:
    """One alternative of a server while it comes."""

    def __init__(self, request: Generate, index: int, seed: int | None, emit: Emit) -> None:
        self.request = request
        self.index = index
        self.seed = seed
        """None: nobody asked for one, and the server picks it."""
        self.reason: FinishReason | None = None
        self.counts = Counts()
        self.logprobs: list[TokenLogprob] = []
        self.notes: list[str] = []
        """Sentences that the user is told with the answer."""
        self.words = ""
        """The last thing a server sent that is no chunk: what it says when it breaks off."""
        self.began = False
        """The server has spoken of an answer."""
        self.n_chunks = 0
        self.first_s = 0.0
        self.last_s = 0.0
        self._emit = emit
        self._teller = Teller(request.request_id, index, request.prefix)
        self._settled: Parts = ()
        self._calls = CallsInPieces()
        self._places: list[int] = []
        """Where the calls stand in `_settled`."""
        self._sent: dict[Spoken, list[str]] = {"text": [], "reasoning": []}
        self._half: dict[Spoken, str] = {"text": "", "reasoning": ""}
        """Half of a character that a server cut in two: the first of a surrogate pair."""
        self._content = self._make_assembler()
        self._content.begin(trim_broken(request.prefix))

    @property
    def parts(self) -> Parts:
        """The parts of the answer that no further text can change."""
        parts = self._settled
        for part in self._content.parts:
            same = isinstance(part, Text | Reasoning) and parts and type(parts[-1]) is type(part)
            parts = grow(parts, _KINDS[type(part)], said_in(part)) if same else (*parts, part)
        return parts

    @property
    def text_began(self) -> bool:
        """Whether any text of the answer has come."""
        return self.n_chunks > 0

    @property
    def has_calls(self) -> bool:
        """Whether a tool was called in the answer."""
        return any(isinstance(part, ToolCall) for part in self.parts)

    def take(self, chunk: Chunk) -> None:
        """Take a chunk from the server, and emit what it brought."""
        self.began = self.began or chunk.has_choice
        self.counts = chunk.counts or self.counts
        if chunk.logprobs is not None and self.request.logprobs:
            self.logprobs += read_logprobs(chunk.logprobs)
        new = self._new_in(chunk) if chunk.is_whole and self.n_chunks else chunk.said
        for kind, text in new:
            self._say(text, kind)
        self._call(chunk)
        if new or chunk.calls:
            self.last_s = time.perf_counter()
            self.first_s = self.first_s or self.last_s
            self.n_chunks += 1
            self._tell()
        self.notes += [
            f"The server sent something of the kind {odd[:40]}, which is not shown."
            for odd in dict.fromkeys(chunk.odd)
        ]
        self._end(chunk)

    def hear(self, words: str) -> None:
        """Remember what is no chunk, unless it is a comment said as data, or null."""
        if not words.lstrip().startswith(":") and words.strip() != "null":
            self.words = words

    def conclude(self) -> None:
        """The server says that this is all."""
        self.reason = self.reason or ("tool_calls" if self.has_calls else "stop")

    def finish(self) -> None:
        """Emit what was held back: nothing more comes."""
        if self._half["text"]:
            self._say("", "text")
        self._content.finish()
        if self.reason == "stop" and self.has_calls:  # one that was written in `content`
            self.reason = "tool_calls"
        self._tell()

    def _new_in(self, chunk: Chunk) -> list[tuple[Spoken, str]]:
        """What a whole message adds to what was sent before it, which it may repeat."""
        new = []
        for kind, before in self._sent.items():
            whole = "".join(text for said, text in chunk.said if said == kind)
            new.append((kind, whole.removeprefix("".join(before))))
        return [(kind, text) for kind, text in reversed(new) if text]  # thoughts come first

    def _say(self, text: str, kind: Spoken) -> None:
        """Text of the answer; marks of a thought may stand in `content`."""
        self._sent[kind].append(text)
        whole, self._half[kind] = _join_pairs(self._half[kind] + text, is_last=not text)
        if kind == "text":
            self._content.feed(whole.encode())
        else:
            self._settle()
            self._settled = grow(self._settled, "reasoning", whole)

    def _settle(self) -> None:
        """What comes next is no more of `content`."""
        self._content.finish()
        self._settled = self.parts
        self._content = self._make_assembler()

    def _make_assembler(self) -> Assembler:
        """Reads what comes next in `content`.

        Servers that know no format of the model leave its marks there: thoughts, and calls in the
        way that most models have seen. Behind words that were said nothing begins any more, so
        what looks like the beginning of an answer is text.
        """
        return Assembler(
            Format(calls=HERMES) if self.request.tools else PLAIN,
            tools=self.request.tools,
            is_raw=self.request.prompt is not None,
            finds_known=not text_of(self._settled).strip(),
        )

    def _call(self, chunk: Chunk) -> None:
        for place, call in self._calls.take(chunk.calls, is_whole=chunk.is_whole):
            if place == len(self._places):
                self._settle()
                self._places.append(len(self._settled))
                self._settled = (*self._settled, call)
            else:
                at = self._places[place]
                self._settled = (*self._settled[:at], call, *self._settled[at + 1 :])

    def _tell(self) -> None:
        for delta in self._teller.tell(self.parts):
            self._emit(delta)

    def _end(self, chunk: Chunk) -> None:
        """Why it ended, if the chunk says so."""
        reason = chunk.finish_reason.lower()
        if reason in _FAULTS:
            raise EngineError(f"The server broke the answer off: {reason}.")
        if reason in _FILTERED:
            if not self.parts:
                raise EngineError("The server's content filter kept the answer back.")
            self.notes.append("The server's content filter ended the answer.")
        if reason in _LENGTH:
            self.reason = "length"
        elif reason:
            self.reason = "tool_calls" if self.has_calls else "stop"


_KINDS: dict[type, Spoken] = {Text: "text", Reasoning: "reasoning"}
_HIGH = re.compile("[\ud800-\udbff]")
_LENGTH = {"length", "max_tokens", "max_output_tokens", "model_length"}
_FILTERED = {"content_filter", "safety", "recitation", "prohibited_content", "blocklist"}
_FAULTS = {"error", "network_error", "abort", "insufficient_system_resource"}


def _join_pairs(text: str, *, is_last: bool) -> tuple[str, str]:
    """The text with its surrogate pairs joined and U+FFFD for half of one; and the half at its end
    that may still get the other, unless this is the last of it."""
    keep = 1 if not is_last and _HIGH.match(text[-1:]) else 0
    whole, half = text[: len(text) - keep], text[len(text) - keep :]
    return whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace"), half


def finish(request: Generate, answers: list[Answer], started: float) -> Finished:
    """How a request ended, from its alternatives. `started`: as of `time.perf_counter`."""
    n_prompt = max(answer.counts.prompt_tokens for answer in answers)
    # servers that do not count send a chunk a token
    said = [answer.counts.completion_tokens or answer.n_chunks for answer in answers]
    n_said = sum(said)
    spent = sum(answer.last_s - answer.first_s for answer in answers)
    first = next((answer.first_s for answer in answers if answer.first_s), started)
    return Finished(
        request_id=request.request_id,
        choices=[
            Choice(
                index=answer.index,
                parts=answer.parts,
                completion_tokens=n_tokens,
                logprobs=answer.logprobs,
                finish_reason=answer.reason or "stop",
                note=" ".join(answer.notes),
                seed=-1 if answer.seed is None else answer.seed,
            )
            for answer, n_tokens in zip(answers, said, strict=True)
        ],
        usage=Usage(
            prompt_tokens=n_prompt,
            reused_tokens=max(answer.counts.cached_tokens for answer in answers),
            completion_tokens=n_said,
        ),
        timings=Timings(
            time_to_first_token_s=first - started,
            decode_tokens_per_second=(n_said - len(answers)) / spent if spent > 0 else 0.0,
            total_s=time.perf_counter() - started,
        ),
        n_past=n_prompt + n_said // len(answers),
    )
