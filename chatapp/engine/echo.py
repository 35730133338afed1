"""A scripted backend: says the user's last message back, a word at a time.

For tests, demos and screenshots; it needs no model file. Token ids are code points, so that
text and tokens always agree. A line of the last user message that starts with one of these
directs it:

    /words N      answer with N numbered words
    /delay MS     wait that long before each token (default 5)
    /prefill N    pretend the prompt has N tokens, read 1024 every 50 ms
    /markdown     answer with a small document: headings, lists, a table, a fence
    /die          end the process in mid-answer, as a crash would
    /fail         fail the request
"""

import os
import time
from collections.abc import Callable, Iterator

from chatapp.engine.backend import Cancellation, Emit
from chatapp.engine.protocol import (
    Choice,
    Delta,
    Finished,
    FinishReason,
    Generate,
    LoadOptions,
    ModelDescription,
    PrefillProgress,
    Timings,
    Usage,
)
from chatapp.errors import ContextOverflowError, EngineError

N_CTX = 32_768

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
    """The scripted backend."""

    name = "echo"
    version = "1"

    def load(self, options: LoadOptions, report: Callable[[float], None]) -> ModelDescription:
        """Pretend to load anything."""
        for step in range(5):
            report(step / 4)
        return ModelDescription(
            path=options.path,
            name="echo",
            arch="echo",
            size_bytes=0,
            n_params=0,
            n_ctx=options.n_ctx or N_CTX,
            n_ctx_train=N_CTX,
            n_vocab=0x110000,
            n_layers=0,
            gpu_layers=0,
            gpu_note="The echo backend computes nothing.",
            template_hash="echo",
            fingerprint="echo",
        )

    def unload(self) -> None:
        """Nothing to free."""

    def generate(self, request: Generate, emit: Emit, cancelled: Cancellation) -> Finished:
        """Follow the directives of the last user message."""
        started = time.perf_counter()
        script = _Script(_last_user_text(request))
        if script.fails:
            raise EngineError("The echo backend was asked to fail.", "Leave out /fail.")
        n_prompt = script.prefill or sum(len(message.content) for message in request.messages)
        if n_prompt >= N_CTX:
            raise ContextOverflowError(
                f"The prompt is {n_prompt} tokens and the context holds {N_CTX}.",
                "Shorten it or start a new chat.",
            )
        _read_prompt(request, n_prompt, started, emit, cancelled)
        first = time.perf_counter()
        prefix = request.prefix_text
        seed = request.params.seed if request.params.seed >= 0 else 1
        choices = []
        for index in range(request.n):
            said = list(_say(request, script, prefix, index, emit, cancelled))
            text = prefix + "".join(said)
            limit = request.params.max_tokens
            reason: FinishReason = "length" if 0 <= limit <= sum(map(len, said)) else "stop"
            choices.append(
                Choice(
                    index=index,
                    text=text,
                    tokens=[ord(character) for character in text],
                    finish_reason="cancelled" if cancelled.is_set() else reason,
                    seed=seed + index,
                )
            )
        n_said = sum(len(choice.text) - len(prefix) for choice in choices)
        elapsed = max(time.perf_counter() - first, 1e-9)
        return Finished(
            request_id=request.request_id,
            choices=choices,
            usage=Usage(prompt_tokens=n_prompt, completion_tokens=n_said),
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
        for line in text.splitlines():
            name, _, value = line.strip().partition(" ")
            number = int(value) if value.strip().isdigit() else 0
            match name:
                case "/delay":
                    self.delay_s = number / 1000
                case "/prefill":
                    self.prefill = number
                case "/words":
                    self.answer = " ".join(f"word{i}" for i in range(1, number + 1))
                case "/markdown":
                    self.answer = _DOCUMENT
                case "/die":
                    self.dies = True
                case "/fail":
                    self.fails = True


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


def _say(
    request: Generate,
    script: _Script,
    prefix: str,
    index: int,
    emit: Emit,
    cancelled: Cancellation,
) -> Iterator[str]:
    answer = script.answer
    rest = answer[len(prefix) :] if answer.startswith(prefix) else answer
    limit = request.params.max_tokens
    if limit >= 0:
        rest = rest[:limit]
    for start in range(0, len(rest), 4):
        if cancelled.wait(script.delay_s) if script.delay_s else cancelled.is_set():
            return
        piece = rest[start : start + 4]
        emit(
            Delta(
                request_id=request.request_id,
                text=piece,
                tokens=[ord(character) for character in piece],
                index=index,
            )
        )
        yield piece
        if script.dies and start >= min(8, len(rest) - 4):
            os._exit(9)
