"""Whether a model was trained on the text that it is evaluated at, where it can be told."""

from pathlib import Path

from chatapp.gguf.errors import GgufError
from chatapp.gguf.header import is_gguf, read_header
from chatapp.gguf.seen import KEY, Overlap, Seen, read_seen_file

_LEAST_SHARE = 0.01
"""Below this it is a line that stands anywhere, such as a licence."""


def find_overlap(model: Path, text: str) -> Overlap | None:
    """How much of `text` the model was trained on; None where the model does not say.

    Models that were trained by chatapp say it, and model files that were converted from them.
    """
    try:
        said = read_header(model).text(KEY) if is_gguf(model) else read_seen_file(model)
    except (GgufError, OSError):
        return None
    seen = Seen.parse(said) if said else None
    return seen.overlap(text) if seen else None


def warn_of(overlap: Overlap | None) -> list[str]:
    """A sentence, where the text was trained on."""
    if overlap is None or not overlap.n_compared or overlap.share < _LEAST_SHARE:
        return []
    share, n = f"{overlap.share:.0%}", overlap.n_compared
    lines = f"{n:,} lines" if n > 1 else "the one line"
    said = (
        f"The model was trained on about {share} of this text, by {lines} that could be "
        "compared: the result says how well it remembers, not how well it writes."
    )
    return [said]
