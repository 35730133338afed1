"""How the next token is chosen: every sampling parameter with its bounds, unit and help.

One field here is one parameter everywhere: the flag of `chatapp ask`, the key in the settings
file, the row stored with an answer, and the field of the engine's request. `SamplingParams` is
what somebody asked for, and None where nobody did; `Sampling` has a value for every parameter:
what was asked for, else what the model file recommends, else llama.cpp's own default. A parameter
at its neutral value costs nothing: its sampler is left out.

Every number is finite and within bounds, wherever it comes from: JSON has no infinity, and
llama.cpp computes in 32 bits.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, get_type_hints

from chatapp.errors import UsageError

BAN = -1e6
"""A logit bias of this or less bans its token; -inf is read as this."""
_MOST = 1e6
"""Bound of a number that has no other: beyond it no sampler changes anything."""
_MOST_TOKENS = 2**31 - 1
BOUNDLESS = (_MOST, _MOST_TOKENS)
"""Maxima that are not worth a word in a help text."""

SAMPLERS = (
    "penalties",
    "dry",
    "top_n_sigma",
    "top_k",
    "typ_p",
    "top_p",
    "min_p",
    "xtc",
    "temperature",
)
"""Every sampler by llama.cpp's name, in llama.cpp's order."""
_OTHER_NAMES = {"nucleus": "top_p", "temp": "temperature", "typ": "typ_p"}
_SAMPLER_OF = {
    "repeat_penalty": "penalties",
    "frequency_penalty": "penalties",
    "presence_penalty": "penalties",
    "dry_multiplier": "dry",
    "top_n_sigma": "top_n_sigma",
    "top_k": "top_k",
    "typical_p": "typ_p",
    "top_p": "top_p",
    "min_p": "min_p",
    "xtc_probability": "xtc",
    "temperature": "temperature",
    "dynatemp_range": "temperature",
}
"""What takes effect through which sampler."""
NOTHING: Mapping[str, Any] = MappingProxyType({})


def _param(
    help: str,  # noqa: A002 - the word the command line uses too
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    unit: str = "",
) -> Any:
    facts = {"help": help, "minimum": minimum, "maximum": maximum, "unit": unit}
    return field(default=None, metadata=facts)


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """What was asked for; None: nothing. The source of a parameter is llama.cpp's
    `llama-sampler.cpp`, unless it says otherwise."""

    temperature: float | None = _param(
        "Randomness; 0 always takes the likeliest token, -1 leaves it to the model file.",
        minimum=-1.0,
        maximum=100.0,
    )
    dynatemp_range: float | None = _param(
        "Dynamic temperature: vary it by up to this much with entropy; 0 is off.", minimum=0.0
    )
    dynatemp_exponent: float | None = _param(
        "Dynamic temperature: how entropy maps to temperature.", minimum=0.0
    )
    top_k: int | None = _param(
        "Sample among the k likeliest tokens; 0 is off.", minimum=0, unit="tokens"
    )
    top_p: float | None = _param(
        "Sample among the likeliest tokens that add up to p; 1 is off.", minimum=0, maximum=1
    )
    min_p: float | None = _param(
        "Drop tokens less likely than this share of the likeliest; 0 is off.", minimum=0, maximum=1
    )
    typical_p: float | None = _param(
        "Locally typical sampling (Meister et al. 2022); 1 is off.", minimum=0, maximum=1
    )
    xtc_probability: float | None = _param(
        "XTC: chance of dropping all but the least likely good token; 0 is off.",
        minimum=0,
        maximum=1,
    )
    xtc_threshold: float | None = _param(
        "XTC: tokens at least this likely count as good; above 0.5 is off.", minimum=0, maximum=1
    )
    top_n_sigma: float | None = _param(
        "Keep logits within n standard deviations of the highest; 0 is off.", minimum=0
    )
    repeat_penalty: float | None = _param(
        "Divide the logit of recent tokens by this; 1 is off.", minimum=0.01, maximum=10
    )
    repeat_last_n: int | None = _param(
        "How far back penalties look; 0 is off, -1 the whole context.", minimum=-1, unit="tokens"
    )
    frequency_penalty: float | None = _param(
        "Lower a token's logit by this for each recent use; 0 is off.", minimum=-10, maximum=10
    )
    presence_penalty: float | None = _param(
        "Lower a token's logit by this if used recently; 0 is off.", minimum=-10, maximum=10
    )
    dry_multiplier: float | None = _param(
        "DRY: strength of the penalty on repeated sequences; 0 is off.", minimum=0
    )
    dry_base: float | None = _param("DRY: growth of the penalty per repeated token.", minimum=1)
    dry_allowed_length: int | None = _param(
        "DRY: repeats up to this length are free.", minimum=0, unit="tokens"
    )
    dry_penalty_last_n: int | None = _param(
        "DRY: how far back to look; 0 is off, -1 the whole context.", minimum=-1, unit="tokens"
    )
    dry_sequence_breakers: tuple[str, ...] | None = _param(
        "DRY: a repeat does not reach across these."
    )
    no_repeat_ngram_size: int | None = _param(
        "Never say the same n tokens in a row twice (as in Hugging Face generate); 0 is off.",
        minimum=0,
        unit="tokens",
    )
    mirostat: int | None = _param(
        "Mirostat 1 or 2 steers surprise and replaces the truncations; 0 is off.",
        minimum=0,
        maximum=2,
    )
    mirostat_tau: float | None = _param("Mirostat: target surprise.", minimum=0, unit="nats")
    mirostat_eta: float | None = _param("Mirostat: learning rate.", minimum=0)
    samplers: tuple[str, ...] | None = _param(
        "Which samplers work, and in this order; several with ; between them."
    )
    logit_bias: tuple[tuple[int, float], ...] | None = _param(
        "Add BIAS to the logit of token ID; -inf bans it. Give ID=BIAS, several times if needed."
    )
    grammar: str | None = _param("A GBNF grammar the answer must follow.")
    json_schema: str | None = _param("A JSON schema the answer must follow.")
    seed: int | None = _param(
        "Same seed, same answer; -1 picks one.", minimum=-1, maximum=0xFFFFFFFE
    )
    max_tokens: int | None = _param(
        "Stop after this many tokens; -1 goes on to the end of the context.",
        minimum=-1,
        unit="tokens",
    )
    stop: tuple[str, ...] | None = _param("Stop before this text; may be given several times.")

    def __post_init__(self) -> None:
        for parameter in parameters():
            value = getattr(self, parameter.name)
            if value is not None:
                parameter.check(value)
        mend = object.__setattr__  # the one way to mend a frozen value
        if self.logit_bias is not None:
            biases = tuple((token, max(bias, BAN)) for token, bias in self.logit_bias)
            mend(self, "logit_bias", biases)
        if self.samplers is not None:
            mend(self, "samplers", _name_samplers(self.samplers))
        if self.grammar and self.json_schema:
            raise UsageError("A grammar and a JSON schema cannot be used together.")

    @property
    def given(self) -> dict[str, Any]:
        """What was asked for, by name."""
        values = {parameter.name: getattr(self, parameter.name) for parameter in parameters()}
        return {name: value for name, value in values.items() if value is not None}

    def filled(self, recommended: Mapping[str, Any] = NOTHING) -> "Sampling":
        """A value for every parameter: as it was asked for, else as `recommended` by the model
        file, else the default. A temperature below 0 asks for the model's.

        A sampler that the file's order leaves out works all the same if its parameter was asked
        for.
        """
        given = self.given
        if given.get("temperature", 0.0) < 0:
            del given["temperature"]
        values = {**recommended, **given}
        if "samplers" in recommended and "samplers" not in given:
            wanted = {_SAMPLER_OF[name] for name in given if name in _SAMPLER_OF}
            values["samplers"] = _insert_samplers(tuple(recommended["samplers"]), wanted)
        return Sampling(**values)


@dataclass(frozen=True, slots=True)
class Sampling(SamplingParams):
    """A value for every parameter. The defaults are llama.cpp's own."""

    temperature: float = 0.8
    dynatemp_range: float = 0.0
    dynatemp_exponent: float = 1.0
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    top_n_sigma: float = 0.0
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = -1
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    no_repeat_ngram_size: int = 0
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    samplers: tuple[str, ...] = SAMPLERS
    logit_bias: tuple[tuple[int, float], ...] = ()
    grammar: str = ""
    json_schema: str = ""
    seed: int = -1
    max_tokens: int = -1
    stop: tuple[str, ...] = ()


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
            raise UsageError(f"{self.name} is {value}, {self.bounds()}.")

    def bounds(self) -> str:
        """What a number must be, as the end of a sentence."""
        if self.maximum in BOUNDLESS:
            return f"it must be at least {self.minimum:g} and at most {self.maximum:,.0f}"
        return f"it must lie between {self.minimum:g} and {self.maximum:g}"


def find_sampler(name: str) -> str | None:
    """llama.cpp's name of a sampler that may be spelt in another way; None if there is none."""
    plain = name.strip().lower().replace("-", "_")
    found = {sampler.replace("_", ""): sampler for sampler in SAMPLERS} | _OTHER_NAMES
    return plain if plain in SAMPLERS else found.get(plain)


def _name_samplers(names: Iterable[str]) -> tuple[str, ...]:
    """Each once, by llama.cpp's name; `UsageError` for one that is not known."""
    found: dict[str, None] = {}
    for name in (one for text in names for one in text.split(";") if one.strip()):
        sampler = find_sampler(name)
        if sampler is None:
            raise UsageError(
                f"samplers names {name.strip()!r}, which is not known.",
                f"These are: {', '.join(SAMPLERS)}.",
            )
        found[sampler] = None
    return tuple(found)


def _insert_samplers(order: tuple[str, ...], wanted: Iterable[str]) -> tuple[str, ...]:
    """`order` with what is missing of `wanted` before all that llama.cpp has behind it."""
    found = list(order)
    for sampler in sorted(set(wanted) - set(order), key=SAMPLERS.index):
        later = SAMPLERS[SAMPLERS.index(sampler) :]
        at = next((i for i, name in enumerate(found) if name in later), len(found))
        found.insert(at, sampler)
    return tuple(found)


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
        kinds = get_type_hints(Sampling)
        defaults = {entry.name: entry.default for entry in fields(Sampling)}
        for entry in fields(SamplingParams):
            name, facts = entry.name, dict(entry.metadata)
            if facts["maximum"] is None and facts["minimum"] is not None:
                facts["maximum"] = _MOST_TOKENS if kinds[name] is int else _MOST
            _PARAMETERS.append(Parameter(name, kinds[name], defaults[name], **facts))
    yield from _PARAMETERS
