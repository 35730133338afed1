"""How the next token is chosen, in steps of transformers' `generate`.

The processors stand in the order of `samplers` and mean what llama.cpp's mean: where transformers
has one that does, it is taken. What neither has is refused by its name. A token is drawn here and
not by `generate`, so that every alternative has its own seed, as with llama.cpp.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import torch
from transformers import (
    LogitsProcessor,
    MinPLogitsWarper,
    NoRepeatNGramLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from chatapp.engine.pytorch.vocab import TorchVocab
from chatapp.errors import UsageError
from chatapp.sampling import BAN, Sampling

_COLDEST = 1e-6
"""A temperature below takes the likeliest token."""


def refuse_unknown(params: Sampling) -> None:
    """Raise `UsageError` for what is asked for and cannot be done here."""
    asked = {
        "--grammar": params.grammar,
        "--schema": params.json_schema,
        "--dry-multiplier": params.dry_multiplier,
        "--xtc-probability": params.xtc_probability,
        "--top-n-sigma": params.top_n_sigma,
        "--dynatemp-range": params.dynatemp_range,
        "--mirostat": params.mirostat,
    }
    for flag, value in asked.items():
        if value:
            refuse(flag)


def refuse(flag: str) -> NoReturn:
    """Raise the `UsageError` on something that llama.cpp alone can do."""
    raise UsageError(
        f"{flag} is for models that run in llama.cpp; this one runs in PyTorch, not converted.",
        "Leave it out, in the settings too. `chatapp convert` says whether the model can run in "
        "llama.cpp.",
    )


def make_processors(params: Sampling, vocab: TorchVocab) -> Iterator[LogitsProcessor]:
    """What changes the scores before a token is drawn, one after the other."""
    yield _Bias(params, vocab)
    if params.no_repeat_ngram_size:
        yield _NGrams(params.no_repeat_ngram_size, vocab)
    for name in params.samplers:
        if processor := _make_processor(name, params):
            yield processor


def _make_processor(name: str, params: Sampling) -> Any:
    """None for a sampler that would change nothing."""
    is_greedy = params.temperature < _COLDEST
    penalties = (params.repeat_penalty, params.frequency_penalty, params.presence_penalty)
    made: Any = None
    if name == "penalties":
        if params.repeat_last_n and penalties != (1.0, 0.0, 0.0):
            made = _Penalties(params.repeat_last_n, *penalties)
    elif is_greedy:  # the likeliest token needs no truncation
        pass
    elif name == "top_k" and params.top_k:
        made = TopKLogitsWarper(params.top_k)
    elif name == "typ_p" and 0 < params.typical_p < 1:
        made = TypicalLogitsWarper(params.typical_p)
    elif name == "top_p" and params.top_p < 1:
        made = TopPLogitsWarper(params.top_p)
    elif name == "min_p" and params.min_p:
        made = MinPLogitsWarper(params.min_p)
    elif name == "temperature":
        made = TemperatureLogitsWarper(float(params.temperature))
    return made


class _Bias(LogitsProcessor):
    """Adds what was asked for; rows that the tokenizer has no token for are never said."""

    def __init__(self, params: Sampling, vocab: TorchVocab) -> None:
        for token, _ in params.logit_bias:
            if not 0 <= token < vocab.n_tokens:
                raise UsageError(
                    f"logit_bias names token {token}; this model has 0 to {vocab.n_tokens - 1}."
                )
        self._biases = [(t, -torch.inf if b <= BAN else b) for t, b in params.logit_bias]
        self._n_tokens = vocab.n_tokens

    def __call__(self, _input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores[:, self._n_tokens :] = -torch.inf
        for token, bias in self._biases:
            scores[:, token] += bias
        return scores


class _NGrams(LogitsProcessor):
    """transformers' own, but a turn may end as the last one did."""

    def __init__(self, size: int, vocab: TorchVocab) -> None:
        self._inner = NoRepeatNGramLogitsProcessor(size)
        self._ends = [token for token in vocab.ends if token < vocab.n_tokens]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        before = scores[:, self._ends].clone()
        scores = self._inner(input_ids, scores)
        scores[:, self._ends] = before
        return scores


class _Penalties(LogitsProcessor):
    """llama.cpp's three penalties on the tokens of the last `last_n`, prompt included."""

    def __init__(self, last_n: int, repeat: float, frequency: float, presence: float) -> None:
        self._last_n, self._repeat = last_n, repeat
        self._frequency, self._presence = frequency, presence

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        recent = input_ids[:, -self._last_n :] if self._last_n > 0 else input_ids
        counts = torch.zeros_like(scores)
        counts.scatter_add_(1, recent, torch.ones_like(recent, dtype=scores.dtype))
        repeated = torch.where(scores > 0, scores / self._repeat, scores * self._repeat)
        scores = torch.where(counts > 0, repeated - self._presence, scores)
        return scores - counts * self._frequency


class Draw(LogitsProcessor):
    """The last step: what is drawn, or forced, is the only token that is left of a row."""

    def __init__(self, params: Sampling, seeds: list[int], device: torch.device) -> None:
        """A row of the scores for each of `seeds`."""
        self._is_greedy = params.temperature < _COLDEST
        self._generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        self.forced: list[list[int]] = [[] for _ in seeds]
        """Tokens of each row that come next, whatever the model would say."""
        self.dead: set[int] = set()
        """Rows in which every token is banned."""

    def __call__(self, _input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        for row, generator in enumerate(self._generators):
            token = self._choose(row, scores[row], generator)
            if token is not None:
                scores[row] = -torch.inf
                scores[row, token] = 0.0
        return scores

    def _choose(self, row: int, scores: torch.Tensor, generator: torch.Generator) -> int | None:
        """None: the likeliest, which `generate` takes by itself."""
        if forced := self.forced[row]:
            return forced.pop(0)
        if bool(torch.isneginf(scores).all()):
            self.dead.add(row)
            return 0
        if self._is_greedy:
            return None
        return int(torch.multinomial(torch.softmax(scores, -1), 1, generator=generator))
