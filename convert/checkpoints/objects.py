"""Objects in JSON and YAML beside the weights, read within limits.

It promises plain values: numbers beyond 64 bits become floats, text that is no Unicode is mended.
A small file can describe a huge tree (`[[],[],...` takes 30 times its size in memory), so brackets
and quotes are counted before anything is parsed.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from convert.errors import CheckpointError

MAX_OBJECT = 32 << 20  # bytes; an index of 100,000 tensors takes 10 MB
MAX_YAML = 64 << 10  # bytes; litgpt's model_config.yaml takes 2 kB, and PyYAML is slow
_MAX_BRACKETS = 500_000  # a header of 150,000 tensors has three a tensor
_MAX_QUOTES = 1_600_000  # ... and ten quotes


def load_object(path: Path) -> dict[str, Any]:
    """The JSON or YAML object in `path`. Raises `CheckpointError`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_OBJECT + 1)
        value = _parse_yaml(data) if path.suffix in {".yaml", ".yml"} else parse_json(data)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror or error}.", "Check its permissions."
        ) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path.name} is damaged: {str(error)[:120]}.", "Copy it from the original model."
        ) from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path.name} holds no object.", "Copy it from the original model.")
    return value


def parse_json(data: bytes) -> Any:
    """The value in `data`. Raises `ValueError` or `RecursionError`; a name twice is an error."""
    if len(data) > MAX_OBJECT:
        raise ValueError(f"it has more than {MAX_OBJECT >> 20} MB")
    if data.count(b"[") + data.count(b"{") > _MAX_BRACKETS or data.count(b'"') > _MAX_QUOTES:
        raise ValueError("it has too many entries")
    text = data.decode("utf-8-sig")
    return json.loads(text, parse_int=_integer, object_pairs_hook=_unique)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < 19 else float(digits)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = {mend_text(key): _mend(value) for key, value in pairs}
    if len(found) != len(pairs):
        raise ValueError("it has one name twice")
    return found


def mend_text(text: str) -> str:
    """Text that can be written as UTF-8: a lone surrogate cannot, and becomes a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _mend(value: Any) -> Any:
    if isinstance(value, list):  # of plain values: objects in it have been here already
        return [_mend(item) for item in value]
    return mend_text(value) if isinstance(value, str) else value


def _parse_yaml(data: bytes) -> Any:
    yaml: Any = import_module("yaml")  # only litgpt writes it
    if len(data) > MAX_YAML or b"&" in data:  # an alias of aliases grows without end
        raise ValueError("a model_config.yaml has no anchors and is short")
    text = data.decode("utf-8")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        # PyYAML's constructors fail so on a tag whose text does not fit it
        raise ValueError(f"a value that does not fit its tag ({type(error).__name__})") from None
    return _plain(value)


def _plain(value: Any) -> Any:
    """What JSON could hold: dates and bytes become text."""
    if isinstance(value, dict):
        return {mend_text(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else float("inf")
    return mend_text(str(value))
