"""How likely a text is to a model in PyTorch: windows of one length are rows of one batch."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import signature
from itertools import groupby
from math import isfinite
from typing import Any

import torch

from chatapp.engine.backend import Cancellation, Emit
from chatapp.engine.pytorch.generation import Stopped
from chatapp.engine.pytorch.weights import TorchWeights
from chatapp.engine.scoring import Score, Scored, Tally, Window, cut_windows
from chatapp.errors import EngineError, UsageError

_LOGITS_BYTES = 512 << 20
"""Most that the logits of one batch take in float32; one window takes what it must."""
_AT_ONCE, _AT_ONCE_GPU = 512, 16_384
"""Tokens of the windows that are read together."""


def score_text(
    weights: TorchWeights, n_ctx: int, request: Score, emit: Emit, cancelled: Cancellation
) -> Scored:
    """Score the windows of a text in their order. Raises `UsageError` where that cannot be."""
    if weights.is_encoder_decoder:
        raise UsageError(
            "A text-to-text model says a text of another one: how likely one is alone, it cannot "
            "say.",
            "Choose a model that goes on with a text.",
        )
    tokens = weights.vocab.tokenize(request.text, special=False, add_special=True)
    weights.vocab.check_prompt(tokens)
    windows = cut_windows(len(tokens), request, n_ctx)
    bos = [] if request.stride else weights.vocab.head
    tally = Tally(request, tokens, windows)

    def look() -> None:
        if cancelled.is_set():
            raise Stopped

    try:
        with weights.before_each_block(look), torch.inference_mode():
            for begin, batch in _divide(weights, windows):
                look()
                rows = [[*bos, *tokens[w.begin + len(bos) : w.end]] for w in batch]
                found = _read_logprobs(weights, rows, [w.first - w.begin for w in batch])
                for number, logprobs in enumerate(found):
                    tally.add(begin + number, logprobs)
                emit(tally.add_read(sum(map(len, rows))))
    except Stopped:
        pass
    except torch.OutOfMemoryError as error:
        raise EngineError(
            f"The memory does not hold windows of {request.n_ctx} tokens.",
            "Shorten them with --n-ctx, or use the CPU: --gpu-layers 0",
        ) from error
    return tally.finish(weights.vocab.piece, is_cancelled=cancelled.is_set())


def _divide(weights: TorchWeights, windows: list[Window]) -> Iterator[tuple[int, list[Window]]]:
    """(number of the first, windows of one length that are read together)."""
    at_once = _AT_ONCE if weights.device.type == "cpu" else _AT_ONCE_GPU
    at_once = min(at_once, _LOGITS_BYTES // (4 * weights.vocab.n_tokens))
    begin = 0
    for n, same in groupby(windows, key=lambda window: window.n_tokens):
        alike = list(same)
        size = max(1, at_once // n)
        for at in range(0, len(alike), size):
            yield begin, alike[at : at + size]
            begin += len(alike[at : at + size])


def _read_logprobs(
    weights: TorchWeights, rows: list[list[int]], firsts: list[int]
) -> list[list[float]]:
    """Log-probabilities of the tokens of each row from its first scored one on."""
    ids = torch.tensor(rows, device=weights.device)
    more: dict[str, Any] = {"attention_mask": torch.ones_like(ids)} if weights.takes_mask else {}
    known = signature(weights.model.forward).parameters
    n_kept = ids.shape[1] - min(firsts) + 1
    if "logits_to_keep" in known:
        more["logits_to_keep"] = n_kept
    if "use_cache" in known:
        more["use_cache"] = False
    logits = weights.model(input_ids=ids, **more).logits[:, -n_kept:-1].float()
    chosen = logits.gather(2, ids[:, 1 - n_kept :, None])[..., 0]
    found = (chosen - logits.logsumexp(2)).double().tolist()
    made = [one[first - min(firsts) :] for one, first in zip(found, firsts, strict=True)]
    if not all(isfinite(logprob) for one in made for logprob in one):
        raise EngineError(
            "What the model says of this text is not finite: its weights may be damaged.",
            "Load it in float32, or save it again.",
        )
    return made
