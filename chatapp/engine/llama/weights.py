"""The weights of one model file, as llama.cpp holds them.

Every refusal carries llama.cpp's own reason, or says what it would have ended the process over.
"""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as lib

from chatapp.engine.embedding import refuse_chat
from chatapp.engine.llama import native
from chatapp.engine.llama.placing import NoRoomError
from chatapp.errors import ModelError

_NO_VOCAB = 0  # enum llama_vocab_type


class Weights:
    """A loaded model file. `close` gives its memory back."""

    def __init__(
        self,
        path: Path,
        gpu_layers: int,
        report: Callable[[float], None],
        *,
        embeds: bool = False,
    ) -> None:
        """`gpu_layers` below 0: all. `report` takes the fraction done, 0 to 1. `embeds`: it is to
        make embeddings, not text."""
        self.handle = _load(path, gpu_layers, report)
        try:
            self.n_layers: int = lib.llama_model_n_layer(self.handle)
            most = self.n_layers + 1  # llama.cpp counts the output as one
            self.gpu_layers: int = most if gpu_layers < 0 else min(gpu_layers, most)
            self.n_ctx_train: int = lib.llama_model_n_ctx_train(self.handle)
            self.arch = self.meta("general.architecture")
            (self._check_embeds if embeds else self._check_chats)(path)
        except BaseException:  # whatever it was, the weights may not stay in memory
            self.close()
            raise

    @property
    def is_on_gpu(self) -> bool:
        """Whether all of the model is on a GPU."""
        return self.gpu_layers == self.n_layers + 1

    def meta(self, key: str) -> str:
        """A metadata value as text, empty when absent."""
        buffer = ctypes.create_string_buffer(4096)
        n = lib.llama_model_meta_val_str(self.handle, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if n >= 0 else ""

    def close(self) -> None:
        """Free them. A context made with them must be freed before."""
        lib.llama_model_free(self.handle)

    @property
    def is_encoder_decoder(self) -> bool:
        """Whether one part of it reads a text and another says one, as in T5."""
        has_decoder: bool = lib.llama_model_has_decoder(self.handle)
        return has_decoder and bool(lib.llama_model_has_encoder(self.handle))

    @property
    def looks_both_ways(self) -> bool:
        """Whether tokens see those behind them: such a model writes no text."""
        # an encoder alone: its context would have no memory
        is_encoder = not lib.llama_model_has_decoder(self.handle) or "bert" in self.arch
        return is_encoder or self.meta(f"{self.arch}.attention.causal") == "false"

    def _check_chats(self, path: Path) -> None:
        """Refuse what cannot generate text: llama.cpp would abort at the first token."""
        if reason := self._has_no_vocab():
            raise ModelError(f"{path} cannot chat: {reason}.", "Choose a text generation model.")
        if self.looks_both_ways or self.meta(f"{self.arch}.pooling_type") not in ("", "0"):
            raise refuse_chat(path)

    def _check_embeds(self, path: Path) -> None:
        reason = self._has_no_vocab()
        if self.is_encoder_decoder:
            reason = "it makes a text of a text"
        if reason:
            raise ModelError(f"{path} makes no embeddings: {reason}.", "Choose an embedding model.")

    def _has_no_vocab(self) -> str:
        kind = lib.llama_vocab_type(lib.llama_model_get_vocab(self.handle))
        return "it has no tokenizer" if kind == _NO_VOCAB else ""


def _load(path: Path, layers: int, report: Callable[[float], None]) -> int:
    params = native.model_params()
    params.n_gpu_layers = layers
    callback = _progress_callback(report)
    params.progress_callback = callback
    native.forget_problems()
    model: int | None = lib.llama_model_load_from_file(os.fsencode(path), params)
    if model is None:
        reason = native.first_problem("llama.cpp gave no reason")
        kind = NoRoomError if native.lacked_memory() else ModelError
        raise kind(f"{path} cannot be loaded: {reason}.", _hint_for(reason))
    return model


def _progress_callback(report: Callable[[float], None]) -> Any:
    def on_progress(done: float, _data: ctypes.c_void_p) -> bool:
        report(done)
        return True

    return lib.llama_progress_callback(on_progress)


def _hint_for(reason: str) -> str:
    lowered = reason.lower()
    if "unknown model architecture" in lowered:
        return "This llama.cpp does not know it; a newer llama-cpp-python may."
    if "not within the file bounds" in lowered or "truncated" in lowered or "corrupt" in lowered:
        return "The file is incomplete or damaged: copy or download it again."
    return "`chatapp models info FILE` shows what the file says of itself."
