"""What a conversion leaves out, in few lines: tensors that differ in a number alone are one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def sum_up(ignored: Iterable[Sequence[str]]) -> list[str]:
    """Pairs of a tensor's name and a reason as sentences, those of all layers and heads as one."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, reason in ignored:
        groups.setdefault((re.sub(r"\d+", "N", name), reason), []).append(name)
    return [
        f"{names[0][:120]}: {reason}"
        if len(names) == 1
        else f"{len(names)} tensors {pattern[:120]}: {reason}"
        for (pattern, reason), names in groups.items()
    ]
