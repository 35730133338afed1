"""How the next token is chosen: every sampling parameter with its bounds, unit and help.

One field here is one parameter everywhere: the flag of `chatapp ask`, the key in the settings
file, the row stored with an answer, and the field of the engine's request. The defaults are
llama.cpp's own. A parameter at its neutral value costs nothing: its sampler is left out.

Every number is finite and within bounds, wherever it comes from: JSON has no infinity, and
llama.cpp computes in 32 bits.
"""

import math
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, get_type_hints

from chatapp.errors import UsageError

BAN = -1e6
"""A logit bias of this or less bans its token; -inf is read as this."""
_MOST = 1e6
"""Bound of a number that has no other: beyond it no sampler changes anything."""
_MOST_TOKENS = 2**31 - 1
BOUNDLESS = (_MOST, _MOST_TOKENS)
"""Maxima that are not worth a word in a help text."""


def _param(
    default: Any,
    help: str,  # noqa: A002 - the word the command line uses too
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    unit: str = "",
) -> Any:
    if maximum is None and minimum is not None:
        maximum = _MOST_TOKENS if isinstance(default, int) else _MOST
    facts = {"help": help, "minimum": minimum, "maximum": maximum, "unit": unit}
    return field(default=default, metadata=facts)


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """One way to sample. Unless said otherwise, the source is llama.cpp's `llama-sampler.cpp`."""

    temperature: float = _param(
        -1.0,
        "Randomness; 0 always takes the likeliest token, -1 leaves it to the model file, "
        "or 0.8 where that says nothing.",
        minimum=-1.0,
        maximum=100.0,
    )
    dynatemp_range: float = _param(
        0.0, "Dynamic temperature: vary it by up to this much with entropy; 0 is off.", minimum=0.0
    )
    dynatemp_exponent: float = _param(
        1.0, "Dynamic temperature: how entropy maps to temperature.", minimum=0.0
    )
    top_k: int = _param(
        40, "Sample among the k likeliest tokens; 0 is off.", minimum=0, unit="tokens"
    )
    top_p: float = _param(
        0.95, "Sample among the likeliest tokens that add up to p; 1 is off.", minimum=0, maximum=1
    )
    min_p: float = _param(
        0.05,
        "Drop tokens less likely than this share of the likeliest; 0 is off.",
        minimum=0,
        maximum=1,
    )
    typical_p: float = _param(
        1.0, "Locally typical sampling (Meister et al. 2022); 1 is off.", minimum=0, maximum=1
    )
    xtc_probability: float = _param(
        0.0,
        "XTC: chance of dropping all but the least likely good token; 0 is off.",
        minimum=0,
        maximum=1,
    )
    xtc_threshold: float = _param(
        0.1,
        "XTC: tokens at least this likely count as good; above 0.5 is off.",
        minimum=0,
        maximum=1,
    )
    top_n_sigma: float = _param(
        0.0, "Keep logits within n standard deviations of the highest; 0 is off.", minimum=0
    )
    repeat_penalty: float = _param(
        1.0, "Divide the logit of recent tokens by this; 1 is off.", minimum=0.01, maximum=10
    )
    repeat_last_n: int = _param(
        64,
        "How far back penalties look; 0 is off, -1 the whole context.",
        minimum=-1,
        unit="tokens",
    )
    frequency_penalty: float = _param(
        0.0,
        "Lower a token's logit by this for each recent use; 0 is off.",
        minimum=-10,
        maximum=10,
    )
    presence_penalty: float = _param(
        0.0, "Lower a token's logit by this if used recently; 0 is off.", minimum=-10, maximum=10
    )
    dry_multiplier: float = _param(
        0.0, "DRY: strength of the penalty on repeated sequences; 0 is off.", minimum=0
    )
    dry_base: float = _param(1.75, "DRY: growth of the penalty per repeated token.", minimum=1)
    dry_allowed_length: int = _param(
        2, "DRY: repeats up to this length are free.", minimum=0, unit="tokens"
    )
    dry_penalty_last_n: int = _param(
        -1, "DRY: how far back to look; 0 is off, -1 the whole context.", minimum=-1, unit="tokens"
    )
    dry_sequence_breakers: tuple[str, ...] = _param(
        ("\n", ":", '"', "*"), "DRY: a repeat does not reach across these."
    )
    no_repeat_ngram_size: int = _param(
        0,
        "Never say the same n tokens in a row twice (as in Hugging Face generate); 0 is off.",
        minimum=0,
        unit="tokens",
    )
    mirostat: int = _param(
        0,
        "Mirostat 1 or 2 steers surprise and replaces the truncations; 0 is off.",
        minimum=0,
        maximum=2,
    )
    mirostat_tau: float = _param(5.0, "Mirostat: target surprise.", minimum=0, unit="nats")
    mirostat_eta: float = _param(0.1, "Mirostat: learning rate.", minimum=0)
    logit_bias: tuple[tuple[int, float], ...] = _param(
        (),
        "Add BIAS to the logit of token ID; -inf bans it. Give ID=BIAS, several times if needed.",
    )
    grammar: str = _param("", "A GBNF grammar the answer must follow.")
    json_schema: str = _param("", "A JSON schema the answer must follow.")
    seed: int = _param(-1, "Same seed, same answer; -1 picks one.", minimum=-1, maximum=0xFFFFFFFE)
    max_tokens: int = _param(
        -1,
        "Stop after this many tokens; -1 goes on to the end of the context.",
        minimum=-1,
        unit="tokens",
    )
    stop: tuple[str, ...] = _param((), "Stop before this text; may be given several times.")

    def __post_init__(self) -> None:
        for parameter in parameters():
            parameter.check(getattr(self, parameter.name))
        biases = tuple((token, max(bias, BAN)) for token, bias in self.logit_bias)
        object.__setattr__(self, "logit_bias", biases)  # the one way to mend a frozen value
        if self.grammar and self.json_schema:
            raise UsageError("A grammar and a JSON schema cannot be used together.")


@dataclass(frozen=True, slots=True)
class Parameter:
    """What one field of `SamplingParams` promises."""

    name: str
    kind: Any
    """`int`, `float`, `str`, `tuple[str, ...]` or `tuple[tuple[int, float], ...]`."""
    default: Any
    help: str
    minimum: float | None
    maximum: float | None
    unit: str

    def check(self, value: Any) -> None:
        """Raise `UsageError` when `value` is of another kind, out of bounds, or not a number."""
        if self.kind == tuple[tuple[int, float], ...]:
            _check_biases(value)
        if self.kind not in (int, float):
            return
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise UsageError(f"{self.name} takes a number, not {value!r}.")
        if self.kind is int and not isinstance(value, int):
            raise UsageError(f"{self.name} takes a whole number, not {value!r}.")
        assert self.minimum is not None
        assert self.maximum is not None
        if not self.minimum <= value <= self.maximum:
            raise UsageError(f"{self.name} is {value}, {self._bounds()}.")

    def _bounds(self) -> str:
        if self.maximum in BOUNDLESS:
            return f"it must be at least {self.minimum:g} and at most {self.maximum:,.0f}"
        return f"it must lie between {self.minimum:g} and {self.maximum:g}"


def _check_biases(biases: tuple[tuple[int, float], ...]) -> None:
    for token, bias in biases:
        if not 0 <= token <= _MOST_TOKENS:
            raise UsageError(f"logit_bias names token {token}; no model has one of that number.")
        if math.isnan(bias) or bias > -BAN:
            raise UsageError(
                f"logit_bias of token {token} is {bias}, it must be at most {-BAN:,.0f}.",
                "-inf bans a token; to make one certain, 100 is enough.",
            )


_PARAMETERS: list[Parameter] = []


def parameters() -> Iterator[Parameter]:
    """Every sampling parameter in the order it is declared."""
    if not _PARAMETERS:
        hints = get_type_hints(SamplingParams)
        _PARAMETERS.extend(
            Parameter(
                name=entry.name, kind=hints[entry.name], default=entry.default, **entry.metadata
            )
            for entry in fields(SamplingParams)
            if entry.default is not MISSING
        )
    yield from _PARAMETERS
