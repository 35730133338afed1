"""A model that makes embeddings, and its context.

A text is read in one piece, for tokens look ahead as well as back. So the context is as long as
what it has to hold, and grows with the first text that is longer: buffers for the longest text that
the model takes would be gigabytes, of which most texts need a hundredth.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import llama_cpp.llama_cpp as lib
import numpy as np
from msgspec.structs import replace

from chatapp.engine.chat.manner import Manner
from chatapp.engine.embedding import Embed, Embedded, Pooling, normalized
from chatapp.engine.llama import native
from chatapp.engine.llama.description import describe
from chatapp.engine.llama.model_file import check_file
from chatapp.engine.llama.placing import NoRoomError, place, plan_ways
from chatapp.engine.llama.remembered import Way
from chatapp.engine.llama.threads import Threads
from chatapp.engine.llama.vocab import Vocab
from chatapp.engine.llama.weights import Weights
from chatapp.engine.protocol import LoadOptions, ModelDescription
from chatapp.errors import EngineError, ModelError, UsageError
from chatapp.gguf.fit import DEFAULT_N_CTX
from chatapp.gguf.processors import count_threads
from chatapp.paths import read_path

_FIRST_CTX = 512
_MOST_TEXTS = 64
"""Texts in one batch; llama.cpp takes 256 sequences."""
_TYPES = {"mean": 1, "cls": 2, "last": 3}  # enum llama_pooling_type
_RANK = 4
_FLASH_OFF, _FLASH_AUTO = 0, -1  # enum llama_flash_attn_type


@dataclass(frozen=True, slots=True)
class _Read:
    """The tokens of one text."""

    tokens: list[int]
    cut: int
    """Tokens that were left out."""


class EmbeddingModel:
    """An embedding model in memory. `close` gives that back."""

    def __init__(self, options: LoadOptions, report: Callable[[float], None]) -> None:
        started = time.perf_counter()
        path = read_path(options.path)
        size = check_file(path)
        planned = plan_ways(path, options)
        self._options = options
        self._context = self._room = 0
        place(path, options, planned, lambda way: self._open(path, way, report))
        self.description: ModelDescription = replace(
            describe(self, path, size, time.perf_counter() - started, planned),
            pooling=self.pooling,
        )

    def _open(self, path: Path, way: Way, report: Callable[[float], None]) -> None:
        """Weights and a first context as `way` has them; `ModelError`, and nothing held, if not."""
        self.notices: list[str] = []
        self.kv_type = "f16"
        self.weights = Weights(path, way.gpu_layers, report, embeds=True)
        try:
            self.vocab = Vocab(self.weights.handle)
            self._frame = self.vocab.tokenize("", special=False, add_special=True)
            self.manner = Manner(self.vocab)  # nobody speaks to it
            self.pooling = self._choose_pooling(path)
            self.n_ctx = self._choose_n_ctx(way.n_ctx)
            self._make_context(_FIRST_CTX)
        except BaseException:  # whatever it was, the weights may not stay in memory
            self.weights.close()
            raise

    def close(self) -> None:
        """Free the context and the weights."""
        self._free_context()
        self.weights.close()

    def embed(self, request: Embed) -> Embedded:
        """A vector for every text of the request, in its order."""
        read = [self._tokenize(text) for text in request.texts]
        vectors: list[list[float]] = []
        for batch in self._divide(read):
            vectors += self._decode([one.tokens for one in batch])
        if request.normalize:
            vectors = [normalized(vector) for vector in vectors]
        return Embedded(
            request_id=request.request_id,
            vectors=vectors,
            tokens=[len(one.tokens) for one in read],
            total_tokens=sum(len(one.tokens) for one in read),
            cut=[one.cut for one in read],
        )

    def _choose_pooling(self, path: Path) -> Pooling:
        said = self.weights.meta(f"{self.weights.arch}.pooling_type")
        if said == str(_RANK):
            raise ModelError(
                f"{path.name} makes no embeddings: it ranks pairs of texts.",
                "Choose an embedding model; rerankers are not run.",
            )
        asked = self._options.embed
        if asked in _TYPES:
            return asked
        if known := [name for name in get_args(Pooling) if str(_TYPES.get(name)) == said]:
            chosen: Pooling = known[0]
            return chosen
        if not self.weights.looks_both_ways:
            raise ModelError(
                f"{path.name} writes text; it was not made for embeddings.",
                "Choose an embedding model, or say how its tokens become one vector: "
                "--pooling last or --pooling mean.",
            )
        self.notices.append("The file does not say how tokens become one vector: it is their mean.")
        return "mean"

    def _choose_n_ctx(self, planned: int) -> int:
        trained = self.weights.n_ctx_train or DEFAULT_N_CTX
        wanted = self._options.n_ctx
        if wanted > trained:
            self.notices.append(
                f"Texts are read up to {trained} tokens, not {wanted}: the model was trained for "
                "no more."
            )
        return min(trained, wanted or planned or DEFAULT_N_CTX)

    def _make_context(self, n: int) -> None:
        """A context that takes `n` tokens at once."""
        self._free_context()
        n = -(-n // _MOST_TEXTS) * _MOST_TEXTS  # else llama.cpp's mean of so many texts aborts
        options = self._options
        params = lib.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = n
        params.n_seq_max = _MOST_TEXTS
        params.kv_unified = True  # else every text would have a part of the context alone
        params.embeddings = True
        params.pooling_type = _TYPES[self.pooling]
        n_threads = options.n_threads or count_threads()
        params.n_threads = params.n_threads_batch = n_threads
        params.flash_attn_type = _FLASH_AUTO if options.flash_attn else _FLASH_OFF
        native.forget_problems()
        self._context = lib.llama_init_from_model(self.weights.handle, params) or 0
        if not self._context:
            reason = native.first_problem("llama.cpp gave no reason")
            raise NoRoomError(
                f"No context of {n} tokens could be made: {reason}.",
                "Texts are read up to fewer tokens with --n-ctx 512.",
            )
        self._room = n
        adapts = options.adapt_threads and not self.weights.is_on_gpu
        self._threads = Threads(self._context, n_threads, adapts=adapts)

    def _free_context(self) -> None:
        if self._context:
            lib.llama_free(self._context)
        self._context = self._room = 0

    def _tokenize(self, text: str) -> _Read:
        """The text's tokens; of a text that is too long the first, and the mark at the end."""
        tokens = self.vocab.tokenize(text, special=False, add_special=True)
        if tokens == self._frame:
            raise UsageError(
                f"There is nothing to embed: the model reads nothing in the text {text[:40]!r}."
            )
        cut = len(tokens) - self.n_ctx
        if cut <= 0:
            return _Read(tokens, 0)
        ends = tokens[-1:] if self.vocab.is_control(tokens[-1]) else []
        return _Read(tokens[: self.n_ctx - len(ends)] + ends, cut)

    def _divide(self, read: Sequence[_Read]) -> Iterator[list[_Read]]:
        """Batches in order, each of what fits a first context, or of one text that is longer."""
        batch: list[_Read] = []
        n = 0
        for one in read:
            if batch and (n + len(one.tokens) > _FIRST_CTX or len(batch) == _MOST_TEXTS):
                yield batch
                batch, n = [], 0
            batch.append(one)
            n += len(one.tokens)
        if batch:
            yield batch

    def _decode(self, texts: list[list[int]]) -> list[list[float]]:
        n = sum(map(len, texts))
        if n > self._room:  # one text that is longer; or the last one's context had no room
            self._make_context(max(_FIRST_CTX, min(self.n_ctx, 1 << (n - 1).bit_length())))
        batch = lib.llama_batch_init(n, 0, 1)
        try:
            self._fill(batch, texts)
            if memory := lib.llama_get_memory(self._context):
                lib.llama_memory_clear(memory, False)
            self._threads.begin(prompt=True)
            self._threads.before()
            code = lib.llama_decode(self._context, batch)
            self._threads.after(n)
        finally:
            lib.llama_batch_free(batch)
        if code:
            raise EngineError(f"llama.cpp failed to compute embeddings (code {code}).")
        return [self._read_vector(sequence) for sequence in range(len(texts))]

    @staticmethod
    def _fill(batch: Any, texts: list[list[int]]) -> None:
        row = 0
        for sequence, tokens in enumerate(texts):
            for position, token in enumerate(tokens):
                batch.token[row], batch.pos[row] = token, position
                batch.n_seq_id[row], batch.seq_id[row][0] = 1, sequence
                batch.logits[row] = True
                row += 1
        batch.n_tokens = row

    def _read_vector(self, sequence: int) -> list[float]:
        n_embd = lib.llama_model_n_embd_out(self.weights.handle)
        row = lib.llama_get_embeddings_seq(self._context, sequence)
        if not row:
            raise EngineError("llama.cpp made no embedding of a text.")
        vector: list[float] = np.ctypeslib.as_array(row, (n_embd,)).tolist()
        if not np.isfinite(vector).all():
            raise EngineError(
                "The embedding of a text is not finite: the model file may be damaged.",
                "Convert or download it again.",
            )
        return vector
