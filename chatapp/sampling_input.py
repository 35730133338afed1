"""Values of sampling parameters as people write them: in TOML and JSON, in a line of the chat; and
as they are shown.

Promises: what is read fits its parameter, or is a `UsageError` that names the parameter, its
bounds and what was written.
"""

import json
import re
from typing import Any

from chatapp.errors import UsageError
from chatapp.sampling import BAN, BOUNDLESS, Parameter, SamplingParams, parameters
from chatapp.text import cut_text, one_line, strip_controls

TEXTS = tuple[str, ...]
BIASES = tuple[tuple[int, float], ...]
_SHOWN = 60
"""Characters of a value in a sentence."""
_MOST_DIGITS = 20
_MARKS = "\"'"
_QUOTED = re.compile(r"""\"(?:\\.|[^"\\])*\"|'(?:\\.|[^'\\])*'""", re.DOTALL)
_WORDS = re.compile(rf"(?:{_QUOTED.pattern})(?=\s|$)|\S+", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}
_CODES = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
_SPELLINGS = {"temp": "temperature", "max_new_tokens": "max_tokens", "n_predict": "max_tokens"}


def find_parameter(name: str) -> Parameter | None:
    """The parameter that is meant by `top_p`, `top-p`, `--top-p` or `Top_P`; None if none is."""
    plain = name.strip().lower().lstrip("-").replace("-", "_")
    plain = _SPELLINGS.get(plain, plain)
    return next((parameter for parameter in parameters() if parameter.name == plain), None)


def read_value(parameter: Parameter, value: Any) -> Any:
    """A value out of TOML or JSON, as `SamplingParams` holds it."""
    name = parameter.name
    if parameter.kind is float and type(value) is int and abs(value) < 2**63:
        value = float(value)
    elif parameter.kind is str and not isinstance(value, str):
        raise UsageError(f"{name} must be text in quotes, not {value!r}.")
    elif parameter.kind == TEXTS:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise UsageError(f'{name} must be a list of texts, as in ["a", "b"].')
        value = tuple(value)
    elif parameter.kind == BIASES:
        try:
            value = tuple((int(token), float(bias)) for token, bias in value.items())
        except (AttributeError, TypeError, ValueError, OverflowError):
            raise UsageError(
                f"{name} must be a table of token ids, as in {{ 50256 = -5.0 }}."
            ) from None
    parameter.check(value)
    return value


def write_given(params: SamplingParams) -> dict[str, Any]:
    """What was asked for as JSON holds it; `read_value` reads each value again."""
    given = params.given
    return {
        parameter.name: _write(parameter, given[parameter.name])
        for parameter in parameters()
        if parameter.name in given
    }


def _write(parameter: Parameter, value: Any) -> Any:
    if parameter.kind == BIASES:
        return {str(token): bias for token, bias in value}
    return list(value) if parameter.kind == TEXTS else value


def parse_value(parameter: Parameter, text: str) -> Any:
    """A value that was typed: `0.7`; texts as words, in quotes where they hold a space, with `\\n`
    for a line break; `ID=BIAS` for biases."""
    written = text.strip()
    value: Any
    if parameter.kind in (int, float):
        value = _parse_number(parameter, written)
    elif parameter.kind is str:
        value = text
    elif parameter.kind == TEXTS:
        value = tuple(_split(parameter, written))
    else:
        value = tuple(_parse_bias(one) for one in written.replace(",", " ").split())
    parameter.check(value)
    return value


def show_value(value: Any) -> str:
    """A value in one short line, which `parse_value` reads if it was not cut."""
    line = spell_value(value)
    return line if len(line) <= _SHOWN else f"{cut_text(line, _SHOWN - 1)}…"


def spell_value(value: Any) -> str:
    """A value in one line, which `parse_value` reads."""
    if value is None or value in ("", ()):
        return ""
    if isinstance(value, tuple) and isinstance(value[0], tuple):
        text = " ".join(
            f"{token}={'-inf' if bias <= BAN else f'{bias:g}'}" for token, bias in value
        )
    elif isinstance(value, tuple):
        text = " ".join(_quote(item) for item in value)
    elif isinstance(value, float):
        text = f"{value:g}"
    else:
        text = one_line(str(value))
    return strip_controls(text)  # line breaks are written as \n by now


def describe_bounds(parameter: Parameter) -> str:
    """Bounds and unit in short: `0 to 1`, `at least 0 tokens`; empty where there are none."""
    if parameter.minimum is None or parameter.maximum is None:
        return ""
    least = f"{parameter.minimum:g}"
    if parameter.maximum in BOUNDLESS:
        words = f"at least {least}"
    elif parameter.maximum == int(parameter.maximum):
        words = f"{least} to {int(parameter.maximum)}"
    else:
        words = f"{least} to {parameter.maximum:g}"
    return f"{words} {parameter.unit}".rstrip()


def _parse_number(parameter: Parameter, text: str) -> int | float:
    plain = text.replace("_", "")
    if parameter.kind is int and re.fullmatch(r"[+-]?[0-9]+", plain):
        return int(plain) if len(plain) <= _MOST_DIGITS else 10**_MOST_DIGITS
    if parameter.kind is float:
        try:
            return float(plain)
        except ValueError:
            pass
    if re.fullmatch(r"[+-]?[0-9]*,[0-9]+", plain):
        hint = f"The decimal sign is a point: {plain.replace(',', '.')}."
    else:
        hint = parameter.help
    wanted = "a whole number" if parameter.kind is int else "a number"
    raise UsageError(f"{parameter.name} takes {wanted}, not {_show(text)}.", hint)


def _split(parameter: Parameter, text: str) -> list[str]:
    if text.startswith("["):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, list) and all(isinstance(item, str) for item in found):
            return found
    texts = []
    for word in _WORDS.findall(text):
        if len(word) > 1 and word[0] in _MARKS:
            if word[-1] != word[0] or not _QUOTED.fullmatch(word):
                raise UsageError(
                    f"A quotation mark in the value of {parameter.name} has no partner.",
                    f'Texts stand side by side, as in /set {parameter.name} "one text" another.',
                )
            word = word[1:-1]
        texts.append(_ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[0]), word))
    return texts


def _quote(text: str) -> str:
    written = text.replace("\\", "\\\\")
    for char, code in _CODES.items():
        written = written.replace(char, code)
    if written and not re.search(r"^[\"'\[]|\s", written):
        return written
    return '"' + written.replace('"', '\\"') + '"'


def _parse_bias(text: str) -> tuple[int, float]:
    token, _, bias = text.partition("=")
    try:
        return int(token), float(bias)
    except ValueError:
        raise UsageError(
            f"{_show(text)} is not a token's number, `=` and a bias.",
            "As in 50256=-5, or 50256=-inf to ban it; several with a space between them.",
        ) from None


def _show(text: str) -> str:
    return repr(cut_text(one_line(text), 40))
