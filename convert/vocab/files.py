"""Reading the small files that lie beside a model, bounded and with errors that name them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from convert.errors import VocabError

MAX_BYTES = 256 << 20  # the largest tokenizer.json in use has 40 MB


def load_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The bytes of `path`. Raises `VocabError`."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise VocabError(f"{path} cannot be read: {error.strerror or error}.") from error
    if len(data) > limit:
        raise VocabError(f"{path.name} has more than {limit >> 20} MB.")
    return data


def load_text(path: Path, limit: int = MAX_BYTES) -> str:
    """The UTF-8 text in `path`. Raises `VocabError`."""
    try:
        return load_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise VocabError(f"{path.name} is not UTF-8 text.", "Save the tokenizer again.") from None


def load_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`. Raises `VocabError`."""
    try:
        value = json.loads(load_text(path))
    except (ValueError, RecursionError) as error:
        raise VocabError(
            f"{path.name} is not valid JSON: {str(error)[:120]}.", "Save the tokenizer again."
        ) from None
    if not isinstance(value, dict):
        raise VocabError(f"{path.name} holds no JSON object.", "Save the tokenizer again.")
    return value


def load_json_if_there(path: Path) -> dict[str, Any]:
    """The JSON object in `path`, {} where there is no such file. Raises `VocabError`."""
    return load_json(path) if path.is_file() else {}
