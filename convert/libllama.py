"""llama.cpp, as far as the proofs need it: load a file, tokenize, compute logits.

It promises that llama.cpp prints nothing and that an error carries its own log line: the C function
only says that it failed. Positions beyond the trained context would abort the whole process, so
`logits` refuses them.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Self

import llama_cpp.llama_cpp as C  # noqa: N812  (a C library)
import numpy as np
from numpy.typing import NDArray

from chatapp.gguf.processors import count_allowed_threads
from convert.errors import ProofError

_ERROR = 4  # GGML_LOG_LEVEL_ERROR
_CONTINUED = 5  # GGML_LOG_LEVEL_CONT: the rest of the line before


class _Log:
    """llama.cpp has one log callback a process: this one keeps the last lines and prints none."""

    def __init__(self) -> None:
        self.lines: deque[tuple[int, str]] = deque(maxlen=200)
        self._heard: list[str] | None = None
        self.callback = C.llama_log_callback(self._receive)
        C.llama_backend_init()

    def take(self) -> None:
        """Receive the log from now on, whoever had it before."""
        C.llama_log_set(self.callback, ctypes.c_void_p(0))

    def _receive(self, level: int, text: bytes, _: Any) -> None:
        line = text.decode("utf-8", "replace")
        if self._heard is not None:
            self._heard.append(line)
        if level == _CONTINUED and self.lines:
            before, begun = self.lines.pop()
            self.lines.append((before, (begun + line)[:2000]))
        else:
            self.lines.append((level, line[:2000]))

    @contextmanager
    def listening(self) -> Iterator[list[str]]:
        """Collects everything that is said meanwhile, in the pieces it comes in."""
        self.lines.clear()
        self._heard = []
        try:
            yield self._heard
        finally:
            self._heard = None

    def reason(self) -> str:
        """What llama.cpp said last that explains a failure."""
        errors = [line.strip() for level, line in self.lines if level == _ERROR]
        specific = [line for line in errors if "failed to load model" not in line]
        return (specific or errors or ["no reason given"])[0].partition(": ")[2] or errors[0]


@cache
def _make_log() -> _Log:
    """One a process: it must outlive every call into llama.cpp."""
    return _Log()


def open_log() -> _Log:
    """The log, taken back from anything else in this process that has taken it meanwhile."""
    log = _make_log()
    log.take()
    return log


class ModelFile:
    """A GGUF loaded into llama.cpp on the CPU. Use as a context manager."""

    def __init__(
        self,
        path: Path,
        *,
        vocab_only: bool = False,
        weights: bool = True,
        observer: Any = None,
    ) -> None:
        """Load `path`. Without `weights` every tensor is looked up and none is read: enough for its
        vocabulary. `observer` is llama.cpp's `cb_eval`, which must outlive this object.

        Raises `ProofError` with llama.cpp's own reason.
        """
        self._observer = observer
        log = open_log()
        log.lines.clear()
        params = C.llama_model_default_params()
        params.n_gpu_layers = 0
        params.vocab_only = vocab_only
        self._has_weights = weights and not vocab_only
        if not weights:
            params.no_alloc, params.load_mode = True, C.LLAMA_LOAD_MODE_NONE
        # Weights as they lie in the file, not repacked for AMX: GCC 12's _tile_loadconfig declares
        # 8 of its 64 bytes as input, so a llama.cpp built by it crashes on batches with Q8_0.
        params.use_extra_bufts = False
        self._model = C.llama_model_load_from_file(os.fsencode(path), params)
        if not self._model:
            raise ProofError(f"llama.cpp does not load the file: {log.reason()}.")
        self._vocab = C.llama_model_get_vocab(self._model)
        self._context: Any = None
        self._n_ctx = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._context is not None:
            C.llama_free(self._context)
        C.llama_model_free(self._model)

    @property
    def n_ctx_train(self) -> int:
        """Positions the model was trained for."""
        return int(C.llama_model_n_ctx_train(self._model))

    @property
    def is_causal(self) -> bool:
        """Whether it predicts the next token; else it makes embeddings."""
        buffer = ctypes.create_string_buffer(64)
        C.llama_model_meta_val_str(self._model, b"general.architecture", buffer, len(buffer))
        key = buffer.value + b".attention.causal"
        n = C.llama_model_meta_val_str(self._model, key, buffer, len(buffer))
        return n < 0 or buffer.value != b"false"

    @property
    def has_encoder(self) -> bool:
        """Whether one part of it reads and another says, as in T5."""
        return bool(C.llama_model_has_encoder(self._model)) and bool(
            C.llama_model_has_decoder(self._model)
        )

    @property
    def adds_bos(self) -> bool:
        """Whether its texts begin with a token of their own."""
        return bool(C.llama_vocab_get_add_bos(self._vocab)) and self.special_ids["bos"] >= 0

    @property
    def n_tokens(self) -> int:
        """How many tokens the file's vocabulary has."""
        return int(C.llama_vocab_n_tokens(self._vocab))

    @property
    def special_ids(self) -> dict[str, int]:
        """Special ids by role as llama.cpp understands them; -1 where there is none."""
        return {
            "bos": C.llama_vocab_bos(self._vocab),
            "eos": C.llama_vocab_eos(self._vocab),
            "eot": C.llama_vocab_eot(self._vocab),
            "pad": C.llama_vocab_pad(self._vocab),
        }

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Token ids of `text` by the file's tokenizer."""
        data = text.encode()
        size = len(data) + 8  # a byte makes at most one token
        ids = (C.llama_token * size)()
        n = C.llama_tokenize(self._vocab, data, len(data), ids, size, add_special, parse_special)
        if n < 0:
            raise ProofError(f"llama.cpp makes {-n} tokens of {len(data)} bytes.")
        return list(ids[:n])

    def windows(
        self, text: str, n_tokens: int, size: int, *, bos: bool | None = None
    ) -> list[list[int]]:
        """The first `n_tokens` of `text`, cut into windows of `size` that all begin as the model's
        texts do: behind BOS where `bos`, by default the file's metadata, says so. It counts."""
        ids = self.tokenize(text, add_special=False, parse_special=False)
        adds = self.adds_bos if bos is None else bos
        start = [self.special_ids["bos"]] if adds else []
        step = max(1, min(size, self.n_ctx_train) - len(start))
        windows: list[list[int]] = []
        left = n_tokens
        for at in range(0, len(ids), step):
            window = (start + ids[at : at + step])[:left]
            if len(window) <= len(start):
                break
            windows.append(window)
            left -= len(window)
        return windows

    def detokenize(self, ids: Sequence[int]) -> bytes:
        """Bytes of `ids`, piece by piece: llama_detokenize would tidy spaces before full stops."""
        pieces = bytearray()
        for token in ids:
            buffer = ctypes.create_string_buffer(256)
            n = C.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, True)
            if n < 0:
                buffer = ctypes.create_string_buffer(-n)
                n = C.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, True)
            pieces += buffer.raw[:n]
        return bytes(pieces)

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Logits [len(ids), n_tokens] after each of `ids`, from an empty context.

        KV cache in F32 and no flash attention, so that differences are the file's.
        """
        n = len(ids)
        if not 0 < n <= self.n_ctx_train:
            raise ProofError(f"{n} positions asked for, {self.n_ctx_train} trained.")
        if self.has_encoder:
            return self._decode_behind(ids)
        if self._context is None or self._n_ctx < n:
            self._open_context(n)
        return self._decode(ids)

    def _decode_behind(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """The same of an encoder–decoder: its encoder has read `ids`, and its decoder begins with
        the token that it always begins with."""
        start = int(C.llama_model_decoder_start_token(self._model))
        if self._context is None or self._n_ctx < len(ids) + 1:
            self._open_context(len(ids) + 1)
        C.llama_memory_clear(C.llama_get_memory(self._context), True)
        with _batch(ids) as batch:
            if C.llama_encode(self._context, batch) != 0:
                raise ProofError(f"llama.cpp cannot run the file: {open_log().reason()}.")
        return self._decode([start, *ids])[1:]

    def _decode(self, ids: Sequence[int]) -> NDArray[np.float32]:
        C.llama_memory_clear(C.llama_get_memory(self._context), True)
        with _batch(ids) as batch:
            if C.llama_decode(self._context, batch) != 0:
                raise ProofError(f"llama.cpp cannot run the file: {open_log().reason()}.")
        n = len(ids)
        rows = C.llama_get_logits(self._context)
        return np.ctypeslib.as_array(rows, (n * self.n_tokens,)).reshape(n, -1).copy()

    def embeddings(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Last hidden states [len(ids), n_embd] of an embedding model."""
        n = len(ids)
        if not 0 < n <= self.n_ctx_train:
            raise ProofError(f"{n} positions asked for, {self.n_ctx_train} trained.")
        if self._context is None or self._n_ctx < n:
            self._open_context(n, embeddings=True)
        with _batch(ids) as batch:
            if C.llama_encode(self._context, batch) != 0:
                raise ProofError(f"llama.cpp cannot run the file: {open_log().reason()}.")
        n_embd = int(C.llama_model_n_embd(self._model))
        rows = C.llama_get_embeddings(self._context)
        return np.ctypeslib.as_array(rows, (n * n_embd,)).reshape(n, -1).copy()

    def _open_context(self, n: int, *, embeddings: bool = False) -> None:
        assert self._has_weights  # llama.cpp would end the process
        if self._context is not None:
            C.llama_free(self._context)
        params = C.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = self._n_ctx = n
        params.n_seq_max = 1
        params.embeddings = embeddings
        if embeddings:
            params.pooling_type = C.LLAMA_POOLING_TYPE_NONE
        params.n_threads = params.n_threads_batch = count_allowed_threads()
        params.type_k = params.type_v = C.GGML_TYPE_F32
        params.flash_attn_type = C.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.offload_kqv = params.op_offload = False
        if self._observer is not None:
            params.cb_eval = self._observer
        self._context = C.llama_init_from_model(self._model, params)
        if not self._context:
            raise ProofError(f"llama.cpp cannot run the file: {open_log().reason()}.")


@contextmanager
def _batch(ids: Sequence[int]) -> Iterator[Any]:
    """A batch of one sequence that asks for every output."""
    batch = C.llama_batch_init(len(ids), 0, 1)
    try:
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i] = token, i
            batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = 1, 0, 1
        yield batch
    finally:
        C.llama_batch_free(batch)
