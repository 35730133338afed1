"""Finds texts that stand for tokens: whole ones anywhere in a text, halves of them at its edges."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

OPEN, CLOSE = "\ue010", "\ue011"
"""Around a number, a placeholder of the guard's; one that somebody else wrote is none."""
_FRAGMENT = 2
"""Characters of the shortest half of a spelling: templates complete one with `>`, not with more."""


class Spellings:
    """Finds these texts; made once for a vocabulary and a template."""

    def __init__(self, texts: Iterable[str]) -> None:
        spelled = set(filter(None, texts))
        self._whole = re.compile("|".join(_alternatives({*spelled, OPEN})))
        cuts = [(text[:cut], text[cut:]) for text in spelled for cut in range(1, len(text))]
        self._heads = frozenset(head for head, _ in cuts if _is_fragment(head))
        self._tails = frozenset(tail for _, tail in cuts if _is_fragment(tail))
        self._longest = max(map(len, spelled), default=0)

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Where each one begins and ends: a whole one anywhere, the half of one at an edge."""
        found = [one.span() for one in self._whole.finditer(text)]
        begin, end = len(text) - len(text.lstrip()), len(text.rstrip())
        sizes = range(min(self._longest, end - begin), _FRAGMENT - 1, -1)
        tail = next((n for n in sizes if text[begin : begin + n] in self._tails), 0)
        if tail and not (found and found[0][0] < begin + tail):
            found.insert(0, (begin, begin + tail))
        head = next((n for n in sizes if text[end - n : end] in self._heads), 0)
        if head and not (found and found[-1][1] > end - head):
            found.append((end - head, end))
        yield from found


def _is_fragment(text: str) -> bool:
    return len(text) >= _FRAGMENT and not text.isalnum()


def _alternatives(spelled: Iterable[str]) -> Iterator[str]:
    """Patterns for these texts, the longest first; those that begin alike share a branch, so that
    a long text is not compared with each of a thousand."""
    groups = defaultdict(list)
    for text in sorted(spelled, key=len, reverse=True):
        groups[text[:2]].append(text[2:])
    for head in sorted(groups, key=len, reverse=True):
        yield f"{re.escape(head)}(?:{'|'.join(map(re.escape, groups[head]))})"
