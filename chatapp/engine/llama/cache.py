"""What the context's memory holds, and the decoding of tokens into it.

Sequence 0 is the conversation; others exist only while alternatives are decoded. The token list
kept here is the truth about sequence 0: it is cut before the C side is, so a failure in between
costs a recomputation, never a wrong prefix.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import llama_cpp.llama_cpp as lib
import numpy as np

from chatapp.engine.backend import Cancellation
from chatapp.engine.llama.interrupt import ABORTED, Interrupt
from chatapp.engine.llama.model import LoadedModel
from chatapp.engine.llama.threads import Threads
from chatapp.errors import EngineError

_CHUNK_S = 1.0
_GPU_CHUNK_S = 0.15  # cannot be interrupted: a stop waits for it
# At depth 4,096 on 2 cores, 32 tokens at a time are read at 69 tokens/s, 64 at 172, 128 at 206.
_MIN_CHUNK, _FIRST_CHUNK = 64, 128


class Cancelled(Exception):  # noqa: N818 - not an error
    """The request was cancelled while tokens were decoded."""


class TokenCache:
    """Sequence 0 of a model's context, and batches into it."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self.tokens: list[int] = []
        """Tokens of sequence 0 whose keys and values are in memory."""
        self._size: int = max(model.n_batch, model.n_parallel)
        self._chunk = min(_FIRST_CHUNK, self._size)
        """Tokens of the next piece of a prompt, by the speed of the last."""
        self._batch = lib.llama_batch_init(self._size, 0, 1)
        for row in range(self._size):
            self._batch.seq_id[row][0] = 0
        # a GPU reads 50,000 tokens a second: filling the batch one by one would hold it up
        self._rows = {
            name: np.ctypeslib.as_array(getattr(self._batch, name), shape=(self._size,))
            for name in ("token", "pos", "n_seq_id", "logits")
        }
        self.threads = Threads(model.context, model.n_threads, adapts=model.adapts_threads)
        self._interrupt = Interrupt(model.context)

    def abortable(self, cancelled: Cancellation) -> AbstractContextManager[None]:
        """Within this, setting `cancelled` aborts a decode that is running."""
        return self._interrupt.by(cancelled)

    def close(self) -> None:
        """Free the cache's batch of tokens."""
        lib.llama_batch_free(self._batch)

    def keep_prefix(self, prompt: list[int]) -> int:
        """Drop what differs from `prompt`; at least its last token stays to be decoded, for its
        logits. Returns how many tokens are reused."""
        same = 0
        for ours, theirs in zip(self.tokens, prompt[:-1], strict=False):
            if ours != theirs:
                break
            same += 1
        self.cut(same)
        return len(self.tokens)

    def cut(self, n: int) -> None:
        """Keep the first `n` tokens. Memory that cannot be cut (recurrent models) is cleared."""
        self.tokens = self.tokens[:n]
        memory = self._model.memory
        for sequence in range(1, self._model.n_parallel):
            lib.llama_memory_seq_rm(memory, sequence, -1, -1)
        if not lib.llama_memory_seq_rm(memory, 0, n, -1):
            self.tokens = []
            lib.llama_memory_clear(memory, False)

    def encode(self, source: list[int]) -> None:
        """Let the encoder read `source`, for every alternative. What was decoded goes: it rests on
        what the encoder had read. Raises `Cancelled`."""
        self.cut(0)
        n, n_seqs = len(source), self._model.n_parallel
        batch = lib.llama_batch_init(n, 0, n_seqs)
        try:
            for row, token in enumerate(source):
                batch.token[row], batch.pos[row] = token, row
                batch.n_seq_id[row], batch.logits[row] = n_seqs, True
                for sequence in range(n_seqs):
                    batch.seq_id[row][sequence] = sequence
            batch.n_tokens = n
            self.threads.begin(prompt=True)
            self._compute(lib.llama_encode, batch, n)
        finally:
            lib.llama_batch_free(batch)

    def prefill(self, prompt: list[int], progress: Callable[[int], None]) -> None:
        """Decode the rest of `prompt` in chunks of about a second each, less on a GPU.

        Afterwards row -1 holds the logits of the last token. Raises `Cancelled`.
        """
        self.threads.begin(prompt=True)
        while (start := len(self.tokens)) < len(prompt):
            piece = prompt[start : start + self._chunk]
            self._fill(piece, start, wants_logits=start + len(piece) == len(prompt))
            began = time.perf_counter()
            self._decode(len(piece), start)
            self.tokens += piece
            progress(len(self.tokens))
            if len(piece) == self._chunk:  # a short rest says little about the speed
                self._chunk = self._choose_chunk(len(piece) / (time.perf_counter() - began + 1e-6))

    def _choose_chunk(self, tokens_per_s: float) -> int:
        n = int(tokens_per_s * (_GPU_CHUNK_S if self._model.is_on_gpu else _CHUNK_S))
        whole = self._model.n_ubatch if n > self._model.n_ubatch else _MIN_CHUNK
        return min(self._size, max(_MIN_CHUNK, n // whole * whole))

    def fork(self, n: int) -> None:
        """Give sequences 1 to n-1 the content of sequence 0 (cells are shared, not copied)."""
        for sequence in range(1, n):
            lib.llama_memory_seq_cp(self._model.memory, 0, sequence, -1, -1)
        self.threads.begin(prompt=False)

    def step(self, tokens: dict[int, int], positions: dict[int, int]) -> None:
        """Decode one more token of each sequence (sequence: token, sequence: position); logits
        rows follow the order of `tokens`."""
        for row, (sequence, token) in enumerate(tokens.items()):
            self._put(row, token, positions[sequence], sequence)
        self._decode(len(tokens), len(self.tokens))
        if 0 in tokens:
            self.tokens.append(tokens[0])

    def _fill(self, tokens: list[int], start: int, *, wants_logits: bool) -> None:
        """`tokens` of sequence 0 from position `start`; logits of the last one, if at all."""
        n = len(tokens)
        self._rows["token"][:n] = tokens
        self._rows["pos"][:n] = np.arange(start, start + n)
        self._rows["n_seq_id"][:n] = 1
        self._rows["logits"][:n] = 0
        self._rows["logits"][n - 1] = wants_logits
        for row in range(min(n, self._model.n_parallel)):  # others were never another sequence's
            self._batch.seq_id[row][0] = 0

    def _put(self, row: int, token: int, position: int, sequence: int) -> None:
        batch = self._batch
        batch.token[row] = token
        batch.pos[row] = position
        batch.n_seq_id[row] = 1
        batch.seq_id[row][0] = sequence
        batch.logits[row] = True

    def _decode(self, n: int, start: int) -> None:
        self._batch.n_tokens = n
        try:
            self._compute(lib.llama_decode, self._batch, n)
        except (Cancelled, EngineError):
            self.cut(start)
            raise

    def _compute(self, how: Callable[[int, Any], int], batch: Any, n: int) -> None:
        """`how` is llama.cpp's decode or encode, of `n` tokens."""
        if self._interrupt.is_set:
            raise Cancelled
        self.threads.before()
        code = how(self._model.context, batch)
        if code == 0:
            self.threads.after(n)
            return
        if code == ABORTED:
            raise Cancelled
        if code == 1:
            raise EngineError(
                "The context has no room for these tokens.",
                "Ask for fewer alternatives, or a longer context with --n-ctx.",
            )
        raise EngineError(f"llama.cpp failed to decode (code {code}).", "Send it again.")
