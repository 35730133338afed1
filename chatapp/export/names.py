"""Names (`uid`) for what has none of its own: the same for the same thing, in every import."""

import hashlib

from chatapp.parts import Parts, Reasoning, Text, ToolCall, ToolResult


def make_uid(*names: str) -> str:
    """32 hexadecimal digits that stand for these names."""
    joined = "\0".join(names).encode("utf-8", "surrogatepass")
    return hashlib.sha256(joined).hexdigest()[:32]


def gist(parts: Parts) -> str:
    """What is said in parts, to make a name of. Files and images are left out: whether they are
    found depends on what lies beside an export."""
    pieces: list[str] = []
    for part in parts:
        if isinstance(part, ToolCall):
            pieces += [part.name, part.arguments]
        elif isinstance(part, ToolResult):
            pieces.append(gist(part.parts))
        elif isinstance(part, Text | Reasoning):
            pieces += [type(part).__name__, part.text]
    return make_uid(*pieces)
