"""Embedding models: every token's last hidden state, in transformers and in llama.cpp.

Cosine 1 means the same direction; two different models of one shape measure about 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import OtherModelError
from convert.libllama import ModelFile
from convert.parity.hf import build
from convert.progress import Progress
from convert.witness import TRANSFORMERS

MIN_COSINE = 0.99  # F16 measures above 0.9999, Q8_0 above 0.999


def run_embedding(
    checkpoint: Checkpoint, file: ModelFile, texts: Sequence[str], progress: Progress
) -> dict[str, Any]:
    """The report: cosine_mean and cosine_min over tokens, and over the means of texts.

    Raises `Unavailable`, and `ProofError` when the file is another model.
    """
    network, version = build(checkpoint, "AutoModel", unused="pooler.")
    cosines: list[float] = []
    pooled: list[float] = []
    for number, text in enumerate(texts):
        ids = file.tokenize(text, add_special=True, parse_special=False)[: file.n_ctx_train]
        with torch.inference_mode():
            expected = network(torch.tensor([ids])).last_hidden_state[0].numpy()
        found = file.embeddings(ids)
        cosines += [_cosine(a, b) for a, b in zip(expected, found, strict=True)]
        pooled.append(_cosine(expected.mean(axis=0), found.mean(axis=0)))
        progress("progress", step="parity", done=number + 1, total=len(texts))
    report = {
        "status": "measured",
        "kind": "embedding",
        "against": TRANSFORMERS,
        "reference": f"transformers {version}",
        "cosine_mean": float(np.mean(cosines)),
        "cosine_min": min(cosines),
        "cosine_pooled": min(pooled),
        "texts": len(texts),
    }
    if not np.isfinite([*cosines, *pooled]).all():
        raise OtherModelError(
            "The embeddings cannot be compared: some are NaN, infinite or zero.",
            "Nothing was kept.",
        )
    mean = float(np.mean(cosines))
    if not mean > MIN_COSINE:
        raise OtherModelError(
            f"The file does not compute what the checkpoint does: cosine {mean:.4f}.",
            "Nothing was kept.",
        )
    return report


def _cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    x, y = a.astype(np.float64), b.astype(np.float64)
    return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))
