"""A model file with a GGUF adapter on it, in llama.cpp."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import llama_cpp.llama_cpp as C  # noqa: N812  (a C library)

from convert.errors import ProofError
from convert.libllama import ModelFile, open_log


class AdaptedFile(ModelFile):
    """A GGUF with an adapter added to it. Use as a context manager."""

    def __init__(self, path: Path, adapter: Path) -> None:
        """Load both. Raises `ProofError` with llama.cpp's own reason."""
        super().__init__(path)
        open_log().lines.clear()
        # freed together with the model
        self._adapter = C.llama_adapter_lora_init(self._model, os.fsencode(adapter))
        if not self._adapter:
            self.__exit__(None, None, None)
            raise ProofError(f"llama.cpp does not load the adapter: {open_log().reason()}.")

    def _open_context(self, n: int, *, embeddings: bool = False) -> None:
        super()._open_context(n, embeddings=embeddings)
        adapters = (C.llama_adapter_lora_p_ctypes * 1)(self._adapter)
        if C.llama_set_adapters_lora(self._context, adapters, 1, (ctypes.c_float * 1)(1.0)) != 0:
            raise ProofError(f"llama.cpp does not add the adapter: {open_log().reason()}.")
