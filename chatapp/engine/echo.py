"""A scripted backend: says the user's last message back, a word at a time.

For tests, demos and screenshots; it needs no model file. Token ids are the bytes of UTF-8, so
that a limit or a stop can cut a character in two, as with a real vocabulary. A line of the last
user message that starts with one of these directs it:

    /words N      answer with N numbered words
    /delay MS     wait that long before each token (default 5)
    /prefill N    pretend the prompt has N tokens, read 1024 every 50 ms
    /markdown     answer with a small document: headings, lists, a table, a fence
    /think TEXT   think TEXT before the answer; a number: so many numbered words
    /die          end the process in mid-answer, as a crash would
    /fail         fail the request
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from math import log

from chatapp.engine.assemble import Assembler, trim_broken
from chatapp.engine.backend import Cancellation, Emit
from chatapp.engine.content import countable
from chatapp.engine.embedding import Embed, Embedded, normalized
from chatapp.engine.protocol import (
    Choice,
    Finished,
    FinishReason,
    Generate,
    LoadOptions,
    Measure,
    Measured,
    ModelDescription,
    PrefillProgress,
    Timings,
    Usage,
)
from chatapp.engine.scoring import Score, Scored, Tally, cut_windows
from chatapp.engine.telling import Teller
from chatapp.errors import ContextOverflowError, EngineError
from chatapp.parts import text_of

N_CTX = 32_768
_OPEN, _CLOSE = "<think>", "</think>"

_DOCUMENT = """# A heading

Some prose with **bold**, *emphasis* and `code`.

- one
- two
  - nested

1. first
2. second

| name | value |
|------|-------|
| a    | 1     |
| b    | 2     |

```python
def answer() -> int:
    return 42
```

> A quotation, and 北京 with an emoji 🎉.
"""


class EchoBackend:
    """The backend that answers by a script, without a model."""

    name = "echo"
    version = "1"

    def __init__(self) -> None:
        self._n_ctx = N_CTX
        self._is_bounded = False
        """A context was asked for: answers end where it does. Without, scripts may be longer."""

    def load(self, options: LoadOptions, report: Callable[[float], None]) -> ModelDescription:
        """Pretend to load whatever is named."""
        self._n_ctx, self._is_bounded = options.n_ctx or N_CTX, bool(options.n_ctx)
        for step in range(5):
            report(step / 4)
        return ModelDescription(
            path=options.path,
            name="echo",
            arch="echo",
            size_bytes=0,
            n_params=0,
            n_ctx=self._n_ctx,
            n_ctx_train=N_CTX,
            n_vocab=256,
            n_layers=0,
            gpu_layers=0,
            gpu_note="The echo backend computes nothing.",
            template_hash="echo",
            fingerprint=options.path,
            pooling="mean" if options.embed else "",
        )

    def unload(self) -> None:
        """End the model, of which nothing has to be freed."""

    def measure(self, request: Measure) -> Measured:
        """A character is a token here, and nothing stands between the messages."""
        counts = [[len(countable(part)) for part in m.parts] for m in request.messages]
        return Measured(request_id=request.request_id, total=sum(map(sum, counts)), parts=counts)

    def embed(self, request: Embed) -> Embedded:
        """How often each kind of byte stands in a text: 16 numbers."""
        texts = [text.encode("utf-8", "replace") for text in request.texts]
        counts = [
            [float(sum(b % 16 == kind for b in text)) for kind in range(16)] for text in texts
        ]
        return Embedded(
            request_id=request.request_id,
            vectors=[normalized(count) for count in counts] if request.normalize else counts,
            tokens=[len(text) for text in texts],
            total_tokens=sum(map(len, texts)),
            cut=[0] * len(texts),
        )

    def score(self, request: Score, emit: Emit, cancelled: Cancellation) -> Scored:
        """A byte is a token, and every byte as likely as any other: a perplexity of 256."""
        tokens = list(request.text.encode("utf-8", "replace"))
        windows = cut_windows(len(tokens), request, self._n_ctx)
        tally = Tally(request, tokens, windows)
        for number, window in enumerate(windows):
            if cancelled.is_set():
                break
            tally.add(number, [-log(256)] * window.n_scored)
            emit(tally.add_read(window.n_tokens))
        return tally.finish(lambda byte: bytes([byte]), is_cancelled=cancelled.is_set())

    def generate(self, request: Generate, emit: Emit, cancelled: Cancellation) -> Finished:
        """Follow the directives of the last user message."""
        started = time.perf_counter()
        script = _Script(_last_user_text(request))
        if script.fails:
            raise EngineError("The echo backend was asked to fail.", "Leave out /fail.")
        n_prompt = script.prefill or _count(request)
        if n_prompt >= self._n_ctx:
            raise ContextOverflowError(
                f"The prompt is {n_prompt} tokens and the context holds {self._n_ctx}.",
                "Shorten it or start a new chat.",
            )
        _read_prompt(request, n_prompt, started, emit, cancelled)
        first = time.perf_counter()
        asked = request.params.filled().seed
        seed = asked if asked >= 0 else 1
        room = self._n_ctx - n_prompt if self._is_bounded else sys.maxsize
        speakers = [_Speaker(request, index) for index in range(request.n)]
        saying = [speaker.say(script, room, emit, cancelled) for speaker in speakers]
        while saying:  # a piece of each in turn, as a batch would
            saying = [one for one in saying if next(one, None) is not None]
        n_said = sum(speaker.n_said for speaker in speakers)
        elapsed = max(time.perf_counter() - first, 1e-9)
        return Finished(
            request_id=request.request_id,
            choices=[speaker.choice(seed) for speaker in speakers],
            usage=Usage(
                prompt_tokens=n_prompt,
                completion_tokens=n_said,
                reasoning_tokens=sum(speaker.n_thought for speaker in speakers),
            ),
            timings=Timings(
                time_to_first_token_s=first - started,
                prefill_tokens_per_second=n_prompt / max(first - started, 1e-9),
                decode_tokens_per_second=n_said / elapsed,
                total_s=time.perf_counter() - started,
            ),
            n_past=n_prompt + n_said,
        )


class _Script:
    """The directives found in a message."""

    def __init__(self, text: str) -> None:
        self.delay_s = 0.005
        self.prefill = 0
        self.dies = self.fails = False
        self.answer = text
        self.thought = ""
        for line in text.splitlines():
            name, _, value = line.strip().partition(" ")
            digits = value.strip()
            number = int(digits) if digits.isdecimal() and len(digits) < 9 else 0
            match name:
                case "/delay":
                    self.delay_s = number / 1000
                case "/prefill":
                    self.prefill = number
                case "/words":
                    self.answer = _numbered("word", number)
                case "/think":
                    self.thought = _numbered("thought", number) if number else value
                case "/markdown":
                    self.answer = _DOCUMENT
                case "/die":
                    self.dies = True
                case "/fail":
                    self.fails = True


def _numbered(word: str, number: int) -> str:
    return " ".join(f"{word}{i}" for i in range(1, number + 1))


def _count(request: Generate) -> int:
    """Tokens of the prompt: characters, and bytes of the prefix."""
    said = sum(len(countable(part)) for message in request.messages for part in message.parts)
    return said + (len(request.prefix_tokens) or len(text_of(request.prefix).encode()))


def _last_user_text(request: Generate) -> str:
    if request.prompt is not None:
        return request.prompt
    spoken = [message.content for message in request.messages if message.role == "user"]
    return spoken[-1] if spoken else ""


def _read_prompt(
    request: Generate, total: int, started: float, emit: Emit, cancelled: Cancellation
) -> None:
    for done in range(0, total, 1024):
        if cancelled.is_set():
            return
        if done:
            cancelled.wait(0.05)
        emit(
            PrefillProgress(
                request_id=request.request_id,
                done=min(done + 1024, total),
                total=total,
                reused=0,
                elapsed_s=time.perf_counter() - started,
            )
        )


class _Speaker:
    """Says one alternative, four bytes at a time."""

    def __init__(self, request: Generate, index: int) -> None:
        self._request = request
        self._index = index
        self._assembler = Assembler(
            stop=request.params.filled().stop,
            tools=request.tools,
            is_raw=request.prompt is not None,
        )
        self._tokens, known = self._begin()
        self._begun = len(self._tokens)
        self._teller = Teller(request.request_id, index, request.prefix, known)
        self._reason: FinishReason = "stop"
        self.n_thought = 0
        """Tokens of the thought and its marks."""

    @property
    def n_said(self) -> int:
        """How many tokens were said beyond the prefix."""
        return len(self._tokens) - self._begun

    def say(
        self, script: "_Script", room: int, emit: Emit, cancelled: Cancellation
    ) -> Iterator[int]:
        """Say the answer, from where the prefix ends, in at most `room` tokens; gives how many
        tokens it has said, after each piece."""
        answer = self._write(script).encode()
        begun = bytes(self._tokens)
        rest = answer[len(begun) :] if answer.startswith(begun) else answer
        limit = self._request.params.filled().max_tokens
        limit = min(limit, room) if limit >= 0 else room
        if limit <= len(rest):
            rest, self._reason = rest[:limit], "length"
        start = 0
        while start < len(rest):
            stopped = cancelled.wait(script.delay_s) if script.delay_s else cancelled.is_set()
            if stopped:
                self._reason = "cancelled"
                break
            if cancelled.answer_now.is_set() and start > len(_OPEN):
                start = max(start, rest.find(f"\n{_CLOSE}".encode()))
            for token in rest[start : start + 4]:
                self._tokens.append(token)
                self.n_thought += bool(script.thought) and not text_of(self._assembler.parts)
                self._assembler.feed(bytes([token]))
                if self._assembler.stopped:
                    self._reason = "stop"
                    break
            self._tell(emit)
            if self._assembler.stopped:
                break
            if script.dies and start >= min(8, len(rest) - 4):
                os._exit(9)
            start += 4
            yield self.n_said
        if cancelled.is_set() and not self._assembler.stopped:
            self._reason = "cancelled"
        self._assembler.finish()
        self._tell(emit)

    def _write(self, script: "_Script") -> str:
        if not script.thought or self._request.think == "off":
            return script.answer
        return f"{_OPEN}\n{script.thought}\n{_CLOSE}\n\n{script.answer}"

    def choice(self, seed: int) -> Choice:
        """How the alternative ended."""
        return Choice(
            index=self._index,
            parts=self._assembler.parts,
            tokens=self._tokens,
            completion_tokens=self.n_said,
            finish_reason=self._reason,
            seed=seed + self._index,
        )

    def _begin(self) -> tuple[list[int], int]:
        """The tokens of the prefix, and how many of them the client has."""
        prefix, tokens = self._request.prefix, self._request.prefix_tokens
        if tokens and self._assembler.begin_with_tokens(prefix, [(bytes(tokens), False)]):
            return list(tokens), len(tokens)
        known = trim_broken(prefix)
        self._assembler.begin(known)
        return list(text_of(known).encode()), 0

    def _tell(self, emit: Emit) -> None:
        for delta in self._teller.tell(self._assembler.parts, self._tokens):
            emit(delta)
