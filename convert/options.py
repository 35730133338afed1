"""What the user asked of one conversion, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convert.author.asked import Code
from convert.errors import UsageError

PARITY = ("auto", "off", "full")
_UNITS = {"": 1, "B": 1, "K": 1e3, "KB": 1e3, "KIB": 1 << 10, "M": 1e6, "MB": 1e6, "MIB": 1 << 20}
_UNITS |= {"G": 1e9, "GB": 1e9, "GIB": 1 << 30, "T": 1e12, "TB": 1e12, "TIB": 1 << 40}


@dataclass(frozen=True)
class Options:
    """Everything but `source` may be left out."""

    source: Path
    output: Path | None = None
    ftype: str | None = None
    """Name of a file type; None keeps the source's precision."""
    tokenizer: str | None = None
    """A folder, a file, or the name of one that ships with us."""
    arch: str | None = None
    """Name of a family, where recognition is wrong or impossible."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Laid over the checkpoint's own configuration."""
    typed: tuple[str, ...] = ()
    """Those of `settings` that somebody wrote for this model: what nobody reads is told."""
    lora: Path | None = None
    chat_template: str | None = None
    pre: str | None = None
    """llama.cpp's name of a pre-tokenizer; it is proved all the same."""
    inexact_tokenizer: bool = False
    """Go on with a tokenizer that llama.cpp runs otherwise on some texts."""
    text: Path | None = None
    """Text that a hand-written model should know, to find out how it was built."""
    imatrix: Path | None = None
    """Text to measure the importance of weights on."""
    fit: int | None = None
    """Bytes the file may take; chooses the type."""
    max_kl: float | None = None
    """Mean KL divergence (nats) the file may have; chooses the type."""
    parity: str = "auto"
    parity_text: Path | None = None
    code: Code | None = None
    """The model's own code, to compare with."""
    name: str | None = None
    license: str | None = None
    dry_run: bool = False
    force: bool = False


def parse_size(text: str) -> int:
    """`500MB`, `1.5G` or `700MiB` in bytes. Raises `UsageError`."""
    digits = text.strip().rstrip("kKmMgGtTiIbB ")
    factor = _UNITS.get(text.strip()[len(digits) :].strip().upper())
    try:
        size = float(digits) * (factor or 0)
    except ValueError:
        size = 0
    if not 0 < size < 1e16:
        raise UsageError(f"{text[:40]!r} is no size.", "For example: --fit 500MB.")
    return int(size)
