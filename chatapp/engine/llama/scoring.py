"""How likely a text is to a loaded model: windows of it, several at once, and their logits.

The context is one of its own, for the chat's has room for a few rows of logits alone. A window is
decoded in pieces, because a row of logits is as long as the vocabulary (a megabyte with 262,144
tokens); of each piece only the rows that are scored come out.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import llama_cpp.llama_cpp as lib
import numpy as np
from numpy.typing import NDArray

from chatapp.engine.backend import Cancellation, Emit
from chatapp.engine.llama import native
from chatapp.engine.llama.interrupt import ABORTED, Interrupt
from chatapp.engine.llama.model import LoadedModel
from chatapp.engine.llama.threads import Threads
from chatapp.engine.scoring import Score, Scored, Tally, Window, cut_windows
from chatapp.errors import EngineError, ModelError, UsageError
from chatapp.gguf.fit import N_UBATCH

_LOGITS_BYTES = 256 << 20
"""Most that the logits of one decode take."""
_AT_ONCE, _AT_ONCE_GPU = 512, 4096
"""Tokens of the windows that are read together: more make no processor faster."""
_MOST_WINDOWS = 64
_BLOCK_FLOATS = 1 << 20
"""Logits that are summed at once: 4 MiB stay in a processor's cache."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A token of a batch whose logits are wanted."""

    window: int
    target: int
    """The token that followed."""


class Scoring:
    """Scores texts with a model's weights. `close` gives the context's memory back."""

    def __init__(self, model: LoadedModel, request: Score) -> None:
        if model.weights.is_encoder_decoder:
            raise UsageError(
                "A text-to-text model says a text of another one: how likely one is alone, it "
                "cannot say.",
                "Choose a model that goes on with a text.",
            )
        self._model, self._request = model, request
        self._bos = [int(lib.llama_vocab_bos(model.vocab.handle))] * model.vocab.adds_bos
        self._tokens = [*self._bos, *model.vocab.tokenize(request.text, special=False)]
        self._windows = cut_windows(len(self._tokens), request, model.n_ctx)
        at_once = _AT_ONCE_GPU if model.is_on_gpu else _AT_ONCE
        rows = max(1, _LOGITS_BYTES // (4 * model.vocab.n_tokens))
        self._n_seqs = max(
            1, min(at_once // request.n_ctx, rows, _MOST_WINDOWS, len(self._windows))
        )
        self._n_batch = max(self._n_seqs, min(rows, at_once))
        self._context = self._make_context()
        self._batch = lib.llama_batch_init(self._n_batch, 0, 1)
        self._interrupt = Interrupt(self._context)
        adapts = model.adapts_threads
        self._threads = Threads(self._context, model.n_threads, adapts=adapts)
        self._pool = ThreadPoolExecutor(model.n_threads)

    def close(self) -> None:
        """Free llama.cpp's context in which texts are scored."""
        self._pool.shutdown()
        lib.llama_batch_free(self._batch)
        lib.llama_free(self._context)

    def run(self, emit: Emit, cancelled: Cancellation) -> Scored:
        """Score the windows in their order. What is whole when it is cancelled counts."""
        tally = Tally(self._request, self._tokens, self._windows)
        self._threads.begin(prompt=True)
        with self._interrupt.by(cancelled):
            for begin in range(0, len(self._windows), self._n_seqs):
                if not self._score(begin, tally, emit):
                    break
        return tally.finish(self._model.vocab.piece, is_cancelled=cancelled.is_set())

    def _make_context(self) -> int:
        model = self._model
        params = model.context_params()
        params.n_ctx = self._request.n_ctx * self._n_seqs
        params.n_batch = self._n_batch
        params.n_ubatch = min(N_UBATCH, self._n_batch)
        params.n_seq_max = self._n_seqs
        params.n_outputs_max = self._n_batch
        params.kv_unified = False  # windows do not look at each other
        native.forget_problems()
        context = lib.llama_init_from_model(model.weights.handle, params)
        if not context:
            reason = native.first_problem("llama.cpp gave no reason")
            raise ModelError(
                f"No context for windows of {self._request.n_ctx} tokens could be made: {reason}.",
                "Shorten them with --n-ctx.",
            )
        handle: int = context
        return handle

    def _score(self, begin: int, tally: Tally, emit: Emit) -> bool:
        """Score the windows from number `begin` on that are read together; False: cancelled."""
        windows = self._windows[begin : begin + self._n_seqs]
        if memory := lib.llama_get_memory(self._context):
            lib.llama_memory_clear(memory, True)
        width = max(1, self._n_batch // len(windows))
        for column in range(0, max(window.n_tokens for window in windows), width):
            rows, n = self._fill(windows, column, width)
            if not self._decode(n):
                return False
            if rows:
                found = self._read_logprobs([row.target for row in rows])
                for number in range(len(windows)):
                    mine = [x for x, row in zip(found, rows, strict=True) if row.window == number]
                    tally.add(begin + number, mine)
            emit(tally.add_read(n))
        return True

    def _fill(self, windows: Sequence[Window], column: int, width: int) -> tuple[list[_Row], int]:
        """Put tokens `column` on of every window into the batch: (rows of logits, tokens)."""
        batch, n = self._batch, 0
        rows: list[_Row] = []
        bos = [] if self._request.stride else self._bos
        for number, window in enumerate(windows):
            for place in range(column, min(column + width, window.n_tokens)):
                at = window.begin + place
                is_wanted = window.first <= at + 1 < window.end
                batch.token[n] = bos[0] if bos and place == 0 else self._tokens[at]
                batch.pos[n], batch.n_seq_id[n] = place, 1
                batch.seq_id[n][0], batch.logits[n] = number, is_wanted
                if is_wanted:
                    rows.append(_Row(number, self._tokens[at + 1]))
                n += 1
        batch.n_tokens = n
        return rows, n

    def _decode(self, n: int) -> bool:
        """Decode the batch; False: it was aborted."""
        if self._interrupt.is_set:
            return False
        self._threads.before()
        code = lib.llama_decode(self._context, self._batch)
        if code == ABORTED:
            return False
        if code:
            raise EngineError(f"llama.cpp failed to decode (code {code}).", "Shorten the window.")
        self._threads.after(n)
        return True

    def _read_logprobs(self, targets: list[int]) -> list[float]:
        """Log-probabilities of the tokens that followed, by the rows of the last decode."""
        n_vocab = self._model.vocab.n_tokens
        pointer = lib.llama_get_logits(self._context)
        logits = np.ctypeslib.as_array(pointer, shape=(len(targets), n_vocab))
        size = max(1, _BLOCK_FLOATS // n_vocab)

        def read_block(at: int) -> NDArray[np.float64]:
            return read_logprobs(logits[at : at + size], targets[at : at + size])

        found = self._pool.map(read_block, range(0, len(targets), size))
        logprobs = np.concatenate(list(found))
        if not np.isfinite(logprobs).all():
            raise EngineError(
                "What the model says of this text is not finite: the model file may be damaged.",
                "`chatapp diff` compares it with the one that it was made of.",
            )
        return [float(x) for x in logprobs]


def read_logprobs(logits: NDArray[np.float32], targets: Sequence[int]) -> NDArray[np.float64]:
    """Log-probability of a target in each row: shapes (rows, vocabulary), (rows,) to (rows,)."""
    most = logits.max(axis=1, keepdims=True)
    totals = np.exp(logits - most).sum(axis=1, dtype=np.float64)
    chosen = logits[np.arange(len(targets)), targets].astype(np.float64)
    return np.asarray(chosen - most[:, 0] - np.log(totals))
