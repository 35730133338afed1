"""Characters by id in whatever form a training script saved them.

It promises the order that was saved, whatever it is called: `stoi` or `char2idx`, `itos` or a list,
the pair of both, one dictionary either way round, or an object with any of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from convert.checkpoints.facts import attributes
from convert.errors import VocabError

# What ids by character, characters by id, and either are called.
_TO_ID = (
    *("stoi", "char_to_idx", "char_to_ix", "char_to_id", "char_to_int", "char_to_index"),
    *("char2idx", "char2id", "char2int", "char2index", "c2i", "ctoi", "token_to_id", "token2id"),
    *("str_to_int", "encoder", "word2idx"),
)
_FROM_ID = (
    *("itos", "idx_to_char", "ix_to_char", "id_to_char", "int_to_char", "index_to_char"),
    *("idx2char", "id2char", "int2char", "index2char", "i2c", "itoc", "id_to_token", "id2token"),
    *("int_to_str", "decoder", "idx2word"),
)
_EITHER = ("chars", "characters", "alphabet", "vocab", "vocabulary", "symbols", "tokens")
_INNER = ("tokenizer", "meta", "vocab", "vocabulary", "config", "data", "dataset", "encoder")
_MOST = 200_000  # all of Unicode that is assigned has 155,000
_DEPTH = 3


def find_ids(saved: Any, depth: int = 0) -> dict[str, int] | None:
    """Ids by character in `saved`; None where none are there.

    A text is an alphabet only under a name that says so, or alone: else it is any setting.
    """
    if isinstance(saved, list | tuple | str):
        return _from_listed(saved)
    inside = attributes(saved)
    found = _from_named(inside) or _from_mapping(inside)
    if found is None and depth < _DEPTH:
        inner = (inside.get(key) for key in _INNER)
        deeper = (find_ids(value, depth + 1) for value in inner if not isinstance(value, str))
        found = next(filter(None, deeper), None)
    return found


def read_text_ids(path: Path, n_rows: int) -> dict[str, int]:
    """The characters of the training text in `path`, numbered as `sorted(set(text))` does.

    Raises `VocabError` unless there are as many as the model has rows.
    """
    seen: set[str] = set()
    try:
        with path.open(encoding="utf-8", newline="") as file:
            while chunk := file.read(1 << 20):
                seen.update(chunk)
    except OSError as error:
        raise VocabError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError:
        raise VocabError(
            f"{path.name} is not UTF-8 text.", "Give the text it was trained on."
        ) from None
    # Python reads a line's end as \n in text files, whatever it was
    read = (seen - {"\r"}) | {"\n"} if "\r" in seen else seen
    for characters in (read, seen):
        if len(characters) == n_rows:
            return {character: index for index, character in enumerate(sorted(characters))}
    raise VocabError(
        f"{path.name} has {len(read)} different characters and the model {n_rows} rows.",
        "It is not the text that the model was trained on, or not all of it; or its code adds "
        "tokens: give what it saved its characters in.",
    )


def _from_named(inside: Mapping[Any, Any]) -> dict[str, int] | None:
    for name in (*_TO_ID, *_FROM_ID, *_EITHER):
        value = inside.get(name)
        if isinstance(value, str) and name not in _EITHER:
            continue
        found = _from_mapping(value) if isinstance(value, Mapping) else _from_listed(value)
        if found:
            return found
    return None


def _from_listed(value: Any) -> dict[str, int] | None:
    """Characters in order, or a tuple such as (stoi, itos) that holds them somewhere."""
    if not isinstance(value, list | tuple | str) or not 0 < len(value) <= _MOST:
        return None
    if all(isinstance(item, str) for item in value):
        return _numbered(value)
    if len(value) <= 4:
        return next(filter(None, map(_from_part, value)), None)
    return None


def _from_part(value: Any) -> dict[str, int] | None:
    return (
        _from_listed(value) if isinstance(value, list | str) else _from_mapping(attributes(value))
    )


def _numbered(characters: Sequence[str]) -> dict[str, int] | None:
    ids = {character: index for index, character in enumerate(characters)}
    return ids if len(ids) == len(characters) and _are_characters(ids) else None


def _are_characters(texts: Iterable[str]) -> bool:
    """Whether at least half are single characters: others may be markers, or it is words."""
    lengths = [len(text) for text in texts]
    return lengths.count(1) * 2 >= len(lengths)


def _from_mapping(value: Mapping[Any, Any]) -> dict[str, int] | None:
    """Ids by character, or characters by id; JSON writes the latter as text."""
    if not 0 < len(value) <= _MOST:
        return None
    if all(isinstance(key, str) for key in value) and all(map(_is_id, value.values())):
        return dict(value) if _are_characters(value) else None
    if not all(isinstance(text, str) for text in value.values()):
        return None
    numbers = {int(key): text for key, text in value.items() if _is_number(key)}
    if len(numbers) != len(value) or not all(map(_is_id, numbers)):
        return None
    ids = {text: index for index, text in sorted(numbers.items())}
    return ids if len(ids) == len(numbers) and _are_characters(ids) else None


def _is_number(key: Any) -> bool:
    return type(key) is int or (isinstance(key, str) and key.isascii() and key.isdecimal())


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MOST
