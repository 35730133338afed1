"""Files that are named on the command line: read whole, up to a bound, or refused in a sentence.

A named pipe is read to its end, so that `--tools <(jq .tools all.json)` works.
"""

import json
from pathlib import Path
from typing import Any, NoReturn

from chatapp.errors import UsageError
from chatapp.text import decode_text

MAX_BYTES = 16 << 20
"""More than any context holds; keeps `/dev/zero` from filling memory."""


def read_bytes(path: Path) -> bytes:
    """All of a file."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"{path} holds more than {MAX_BYTES >> 20} MiB.", "No model reads that.")
    return data


def read_text(path: Path) -> str:
    """The text of a file in UTF-8 or UTF-16, without the mark that it may begin with."""
    try:
        return decode_text(read_bytes(path))
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text.") from None


def read_json(path: Path) -> Any:
    """The JSON in a file; what JSON or UTF-8 cannot say (NaN, half a character) is refused."""
    text = read_text(path)
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{path} holds half a character (a lone \\uD800 to \\uDFFF), which no text may."
        ) from None
    except ValueError as error:
        raise UsageError(f"{path} is not valid JSON: {error}.") from None
    except RecursionError:
        raise UsageError(f"{path} is nested too deep: lists and objects in each other.") from None
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number that JSON has")
