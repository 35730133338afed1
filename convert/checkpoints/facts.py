"""Plain copies of what was saved beside the weights: settings, counters, a character vocabulary.

It promises dictionaries, lists, text and numbers of at most 64 bits, whatever the objects were, and
within a budget: a small pickle can describe a huge tree.
"""

from __future__ import annotations

import re
from typing import Any

from convert.checkpoints.inert import Global, Stub
from convert.checkpoints.objects import mend_text
from convert.checkpoints.tensor import UNREAD, Tensor

OPTIMIZER = re.compile(r"optim|scheduler|scaler|rng", re.IGNORECASE)
VOCABULARIES = ("stoi", "itos", "chars")

_MAX_VALUES = 2_000_000  # two maps of all of Unicode, both ways, take half of it
_MAX_KEY = 10_000  # characters
_MAX_READS = 1000  # numbers that were saved as tensors; each is a read of the file
_MAX_DEPTH = 8


class Facts:
    """One walk over what was saved."""

    def __init__(self, weights: Any = None) -> None:
        """`weights` is the part to leave out."""
        self._weights = weights
        self._values_left = _MAX_VALUES
        self._reads_left = _MAX_READS

    def walk(self, root: Any) -> dict[str, Any]:
        """What `root` holds under text keys; a vocabulary that lies deeper is also at the top."""
        found = {
            key: value
            for key, value in self._mapping(attributes(root), 0).items()
            if isinstance(key, str)
        }
        for value in [value for value in found.values() if isinstance(value, dict)]:
            for key in VOCABULARIES:
                if value.get(key):
                    found.setdefault(key, value[key])
        return found

    def _mapping(self, value: dict[Any, Any], depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, item in value.items():
            self._values_left -= 1
            if self._values_left < 0:
                break
            if item is self._weights or not (_is_index(key) or self._is_wanted(key, item)):
                continue
            plain = self._plain(item, depth + 1)
            if plain is not None or item is None:
                found[mend_text(key) if isinstance(key, str) else key] = plain
        return found

    @staticmethod
    def _is_wanted(key: Any, item: Any) -> bool:
        if not isinstance(key, str) or len(key) > _MAX_KEY:
            return False
        # one character is a word of a vocabulary, never an optimizer; a number does no harm
        return isinstance(item, str | int | float) or not OPTIMIZER.search(key)

    def _plain(self, value: Any, depth: int) -> Any:
        self._values_left -= 1
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, str):
            self._values_left -= len(value) >> 6  # one long text can be named a million times
            return mend_text(value)
        if isinstance(value, int):
            return value if -(1 << 63) <= value < 1 << 64 else None
        if isinstance(value, Tensor):
            return self._number(value)
        if isinstance(value, Global):
            return str(value)[:200]
        if depth > _MAX_DEPTH or value is self._weights:
            return None
        if isinstance(value, Stub):
            return self._object(value, depth)
        if isinstance(value, dict):
            return self._mapping(value, depth)
        if isinstance(value, list | tuple):
            return [self._plain(item, depth + 1) for item in value if self._values_left > 0]
        return None

    def _object(self, value: Stub, depth: int) -> Any:
        inside = attributes(value)
        self._values_left -= len(inside)
        if "_content" in inside or "_val" in inside:  # omegaconf's containers and their values
            return self._plain(inside.get("_content", inside.get("_val")), depth)
        if inside:
            return self._mapping(inside, depth)
        if value.elements:
            return self._plain(value.elements, depth)
        if len(value.args) == 1:  # an enum's member, a path of one part
            return self._plain(value.args[0], depth)
        return self._plain(value.args, depth) if value.args else {}

    def _number(self, value: Tensor) -> float | None:
        self._reads_left -= 1
        if value.n_weights != 1 or value.dtype in UNREAD or self._reads_left < 0:
            return None
        return float(value.float32().reshape(-1)[0])


def _is_index(key: Any) -> bool:
    return type(key) is int and abs(key) < 1 << 32


def attributes(value: Any) -> dict[Any, Any]:
    """What `value` holds by name: a dictionary's entries, an object's attributes; {} for others."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, Stub):
        return {}
    found = dict(value.entries)
    states = value.state if isinstance(value.state, tuple) else (value.state,)  # (dict, slots)
    for state in states:
        if isinstance(state, dict):
            inner = state.get("__dict__")  # pydantic keeps its fields one deeper
            found |= inner if isinstance(inner, dict) else state
    return found
