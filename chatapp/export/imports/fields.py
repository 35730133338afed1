"""Reads values of any shape without trust: what has the wrong type is as good as absent.

Times are seconds since 1970; 0 stands for one that is missing or makes no sense.
"""

import base64
import binascii
import json
import math
import re
from datetime import UTC, datetime
from typing import Any

from chatapp.export.reading import MAX_TIME
from chatapp.parts import Image

MAX_IMAGE = 32 << 20
"""Bytes of the largest image that is taken."""

_DATA_URL = re.compile(r"data:image/[\w.+-]+(?:;[\w=.-]+)*;base64,", re.ASCII)
_MAGIC = (
    (b"\x89PNG\r\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)


def text(value: object, *keys: str) -> str:
    """The first of the keys that holds a text with something in it; empty: none does."""
    if isinstance(value, dict):
        for key in keys:
            found = value.get(key)
            if isinstance(found, str) and found:
                return found
    return ""


def name(value: object, *keys: str) -> str:
    """The first of the keys that holds an id, a text or a whole number; empty: none does."""
    if isinstance(value, dict):
        for key in keys:
            found = value.get(key)
            if isinstance(found, str) and found:
                return found
            if type(found) is int:
                return str(found)
    return ""


def entry(value: object, *keys: str) -> dict[str, Any]:
    """The object that one finds by following the keys; empty where the way ends."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def entries(value: object, key: str) -> list[dict[str, Any]]:
    """The objects in the list under `key`; an object with ids for keys counts as a list."""
    found = value.get(key) if isinstance(value, dict) else None
    if isinstance(found, dict):
        found = list(found.values())
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def flag(value: object, key: str) -> bool:
    """Whether the key holds `true`."""
    return isinstance(value, dict) and value.get(key) is True


def texts(value: object, key: str) -> tuple[str, ...]:
    """The texts in the list under `key`."""
    found = value.get(key) if isinstance(value, dict) else None
    return tuple(item for item in found if isinstance(item, str)) if isinstance(found, list) else ()


def seconds(value: object, *keys: str) -> float:
    """A time in seconds, milliseconds or microseconds, or as ISO 8601 (without a zone: UTC)."""
    if isinstance(value, dict):
        return next((found for key in keys if (found := seconds(value.get(key)))), 0.0)
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
            zoned = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
            value = zoned.timestamp()
        except (ValueError, OverflowError):
            return 0.0
    if type(value) not in (int, float) or not 0 < value < 1e18:  # type: ignore[operator]
        return 0.0
    number = float(value)  # type: ignore[arg-type]
    while number > MAX_TIME / 2:  # the year 5984 in seconds, 1974 in milliseconds
        number /= 1000
    return number if math.isfinite(number) else 0.0


def as_json(value: object) -> str:
    """Arguments of a call as a model writes them; a text is taken for JSON already."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps({} if value is None else value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return "{}"


def from_json(value: str) -> Any:
    """What a text says in JSON; None where it is none."""
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def image_from_bytes(data: bytes, name: str = "") -> Image | None:
    """An image of a known kind and a size within `MAX_IMAGE`; None: it is none."""
    if len(data) > MAX_IMAGE:
        return None
    kind = next((kind for magic, kind in _MAGIC if data.startswith(magic)), "")
    if not kind and data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        kind = "image/webp"
    return Image(data, kind, name) if kind else None


def image_from_text(value: str, name: str = "") -> Image | None:
    """An image out of a `data:` address or out of bare base64; None: it is none."""
    head = _DATA_URL.match(value)
    if (head is None and value.startswith(("http:", "https:", "data:", "/"))) or not value:
        return None
    if len(value) > MAX_IMAGE * 4 // 3 + 200:
        return None
    try:
        data = base64.b64decode(value[head.end() :] if head else value, validate=True)
    except (ValueError, binascii.Error):
        return None
    return image_from_bytes(data, name)
