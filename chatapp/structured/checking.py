"""Whether an answer is JSON that fits a schema, and if not, where it does not.

The only module that imports jsonschema. Numbers are read exactly: as 64-bit floats, 1.19 is no
multiple of 0.01. `format` is an annotation here, as in the standard.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from chatapp.errors import UsageError
from chatapp.structured.reading import read_schema, step

_MAX_DIGITS = 4000
"""Of a whole number; Python reads no longer ones, so they are compared as decimals."""


def find_fault(schema: str, answer: str) -> str:
    """What keeps `answer` from fitting, in words with the place; empty if nothing does.

    `schema` is the text as it was given, wrapped or not. `UsageError` if it is none.
    """
    if not answer.strip():
        return "it is empty"
    read = partial(json.loads, parse_float=_read_float, parse_int=_read_int)
    try:
        value = read(answer)
    except (ValueError, RecursionError) as error:
        return f"it is not valid JSON: {error}"
    from jsonschema.exceptions import best_match

    try:
        found = best_match(_validate(read(read_schema(schema).text), value))
    except RecursionError:
        return "it is nested too deeply to be checked"
    # Foreign code on a schema that may be odd; an answer that a remote gave is all that gets here.
    except Exception as reason:
        raise UsageError(
            f"The answer cannot be checked with the JSON schema: {reason}."
        ) from reason
    if found is None:
        return ""
    place = ""
    for key in found.absolute_path:
        place = step(place, key)
    said = re.sub(r"Decimal\('([^']*)'\)", r"\1", found.message)[:200]
    return f"at {place or '/'}: {said} ({found.validator})"


def _validate(schema: Any, value: Any) -> Iterator[Any]:
    import referencing
    from jsonschema import Draft202012Validator, validators

    kind = Draft202012Validator
    if isinstance(schema, dict) and isinstance(schema.get("$schema"), str):
        kind = validators.validator_for(schema, default=kind)
    known = kind.VALIDATORS
    kind = validators.extend(
        kind,
        {
            "pattern": partial(_tolerate, known["pattern"]),
            "patternProperties": partial(_tolerate, known["patternProperties"]),
        },
    )
    # An empty registry: nothing is fetched.
    yield from kind(schema, registry=referencing.Registry()).iter_errors(value)


def _tolerate(check: Any, validator: Any, pattern: Any, value: Any, schema: Any) -> Iterator[Any]:
    """The check, where Python reads the pattern; JavaScript's have more than Python's."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield from check(validator, pattern, value, schema) or ()
    except re.error:
        return


def _read_float(text: str) -> Decimal | int:
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent of nineteen digits
        return Decimal("Infinity")
    is_whole = (
        len(text) + abs(number.adjusted()) < _MAX_DIGITS and number == number.to_integral_value()
    )
    return int(number) if is_whole else number


def _read_int(text: str) -> int | Decimal:
    return int(text) if len(text) < _MAX_DIGITS else Decimal(text)
