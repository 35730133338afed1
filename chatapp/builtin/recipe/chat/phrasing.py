"""One sentence out of a pattern, and the same sentence as hurried people type it.

Promises: the same `Random` state gives the same text; all text stays ASCII. May not read files.
Surprising: patterns are written in lower case without a final mark, and `render` alone decides on
capitals and punctuation, because people type most of their questions without either.

A pattern holds `{a|b|}` (one of these; nesting allowed) and `<name>` (one entry of a word list,
itself a pattern).
"""

import re
from collections.abc import Mapping, Sequence
from random import Random

Words = Mapping[str, Sequence[str]]

_INNERMOST = re.compile(r"\{([^{}]*)\}")
_WORD = re.compile(r"<([a-z_]+)>")
_QUESTION = re.compile(
    r"^((and|so|ok|hi|hey|hello|please|well|oh|then|but)[,:!]? )*"
    r"(what|whats|what's|which|who|whos|who's|whose|whom|where|wheres|where's|when|why|how|hows|"
    r"can|could|do|does|did|is|are|am|was|were|will|would|should|shall|may|might|must|have|has|any)\b"
)
_FIRST_PERSON = re.compile(r"\bi(?=\b(?!\.))")
_KEY = re.compile(r"\b(ctrl|alt|shift)\+\w+|\bf[12]\b")


def expand(pattern: str, words: Words, rng: Random) -> str:
    """One expansion of `pattern`, chosen with `rng`. A word list that is not there: `KeyError`."""
    text = pattern
    while True:
        if found := _WORD.search(text):
            pick = rng.choice(words[found[1]])
        elif found := _INNERMOST.search(text):
            pick = rng.choice(found[1].split("|"))
        else:
            text = re.sub(r" +([?!.,:])", r"\1", " ".join(text.split()))
            return re.sub(r"\ba (?=[aeio][a-z]{2})(?!one)", "an ", text)
        text = text[: found.start()] + pick + text[found.end() :]


def render(text: str, rng: Random) -> str:
    """`text` as somebody types it: in full, in lower case, bare, or with a slip of the fingers."""
    manner = rng.random()
    if manner < 0.45:
        return _in_full(text)
    if manner < 0.60:
        return _in_full(text).rstrip("?.") or text
    if manner < 0.70:
        return text.lower() + ("?" if _QUESTION.match(text) else "")
    if manner < 0.93:
        return text.lower()
    if manner < 0.98:
        return _with_slip(text.lower(), rng)
    return text.upper() if len(text) < 40 else text.lower()


def _in_full(text: str) -> str:
    """`text` with a capital, `I`, and a final mark unless it has one."""
    text = _FIRST_PERSON.sub("I", text)
    text = _KEY.sub(lambda key: key[0].title(), text)
    text = text[:1].upper() + text[1:]
    if text[-1:] in "?.!:,)" or not text[-1:].isalnum():
        return text
    return text + ("?" if _QUESTION.match(text.lower()) else ".")


def _with_slip(text: str, rng: Random) -> str:
    """`text` with one letter inside a longer word dropped, doubled or swapped with the next."""
    inside = [m.start() + 1 for m in re.finditer(r"[a-z]{4,}", text)]
    if not inside:
        return text
    at = rng.choice(inside)
    a, b = text[at], text[at + 1]
    return text[:at] + rng.choice([b, a + a + b, b + a]) + text[at + 2 :]
