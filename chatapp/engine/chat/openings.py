"""Ways in which thoughts are known to begin, whatever the model's own way is."""

from __future__ import annotations

import re

_TAGS = ("think", "thinking", "thought", "thoughts", "reasoning", "seed:think", "mm:think")
KNOWN = re.compile(
    rf"\s*(?:<(?P<tag>{'|'.join(_TAGS)})(?:\s[^<>]{{0,80}})?>|\[(?P<bracket>THINK)\]"
    r"|<\|channel>(?P<channel>thought))",
    re.IGNORECASE,
)
"""Ways in which thoughts are known to begin, for an answer that begins with one."""
_KNOWN_STARTS = (*(f"<{tag}>" for tag in _TAGS), "[think]", "<|channel>thought", "<|channel|>")
_ATTRIBUTES = re.compile(rf"<(?:{'|'.join(_TAGS)})\s[^<>]{{0,80}}", re.IGNORECASE)


MOST = 120
"""Characters within which a known beginning ends."""


def may_be_known(text: str) -> bool:
    """Whether a text, with more behind it, may begin with a known mark or a harmony header."""
    begun = text.lstrip().lower()
    if any(start.startswith(begun) for start in _KNOWN_STARTS):
        return True
    return _ATTRIBUTES.fullmatch(begun) is not None
