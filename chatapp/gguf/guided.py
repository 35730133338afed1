"""Whether a model file says that it answers from facts about chatapp, read from its header."""

from pathlib import Path

from chatapp.gguf.errors import GgufError
from chatapp.gguf.header import read_header

GUIDE = "chatapp.guide"
"""True in the file of a model that was trained so; the facts are put before every question."""


def wants_guide(path: Path) -> bool:
    """What the file says; False for what is no model file, or cannot be read."""
    if path.suffix != ".gguf":
        return False
    try:
        return read_header(path).values.get(GUIDE) is True
    except (GgufError, OSError):
        return False
