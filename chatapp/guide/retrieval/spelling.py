"""Words that were written with a slip: the known word that is nearest, by pairs of letters."""

from collections import Counter, defaultdict
from collections.abc import Iterable

_SHORTEST, _LONG = 3, 7
"""Letters; a shorter word is taken as it is, and a long one may have two slips."""
_MOST = 100
"""Words that are looked at, those with the most pairs in common."""


class Speller:
    """Knows words, and finds the one that was meant."""

    def __init__(self, words: Iterable[str]) -> None:
        self._known = {word for word in words if word.isascii() and len(word) >= 3}
        self._by_piece: dict[str, list[str]] = defaultdict(list)
        for word in self._known:
            for piece in _pieces(word):
                self._by_piece[piece].append(word)

    def mend(self, word: str) -> str:
        """The known word that differs by a slip (two in a long word); empty where there is none."""
        if len(word) < _SHORTEST or not word.isascii() or not word.isalpha():
            return ""
        shared = Counter(near for piece in _pieces(word) for near in self._by_piece[piece])
        allowed = 1 if len(word) < _LONG else 2
        best, least = "", (allowed + 1, True)
        for near, _ in shared.most_common(_MOST):
            if abs(len(near) - len(word)) <= allowed and near[0] == word[0]:
                # letters that changed places are likelier than a wrong one
                distance = (edit_distance(word, near), sorted(word) != sorted(near))
                if distance < least:
                    best, least = near, distance
        return best if least[0] <= allowed else ""


def _pieces(word: str) -> set[str]:
    padded = f" {word} "
    return {padded[i : i + 2] for i in range(len(padded) - 1)}


def edit_distance(one: str, other: str) -> int:
    """Letters put in, left out, replaced, or changed with their neighbour (Damerau's distance)."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, other_letter in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != other_letter))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == other_letter:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]
