"""One line of a message around what was searched for, with the found words marked.

The text is cut into words by the same code that cut it for the index, so what is marked is what
matched. Only the beginning of a very long message is looked at.
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence

from chatapp.store.rows import HIT_END, HIT_START
from chatapp.store.words import Phrase, Word, compose, cut_words

_SCANNED = 200_000
_BEFORE = 40
_AFTER = 100
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")


def make_snippet(text: str, phrases: Sequence[Phrase]) -> str:
    """About 140 characters of `text` from before the first hit, hits marked.

    Where nothing is found in the part that is looked at: the beginning of the text.
    """
    text = compose(text[:_SCANNED])
    first = next(_find_hits(text, phrases), None)
    begin = max(0, first[0] - _BEFORE) if first else 0
    if begin:
        space = text.find(" ", begin, first[0] if first else begin)
        begin = space + 1 if space >= 0 else begin
    end = min(len(text), (first[1] if first else 0) + _AFTER)
    window = text[begin:end]
    pieces = []
    done = 0
    for start, stop in _find_hits(window, phrases):
        if start >= done:
            pieces += [_flatten(window[done:start]), HIT_START, _flatten(window[start:stop])]
            pieces.append(HIT_END)
            done = stop
    pieces.append(_flatten(window[done:]))
    line = "".join(pieces).strip()
    return f"{'…' if begin else ''}{line}{'…' if end < len(text) else ''}"


def _flatten(text: str) -> str:
    return _CONTROLS.sub(" ", text)


def _find_hits(text: str, phrases: Sequence[Phrase]) -> Iterator[tuple[int, int]]:
    # Start and end of every place where a phrase stands, in the order of their ends.
    last: deque[Word] = deque(maxlen=max((len(phrase.words) for phrase in phrases), default=1))
    for word in cut_words(text):
        last.append(word)
        for phrase in phrases:
            found = list(last)[-len(phrase.words) :]
            if _matches(found, phrase):
                yield found[0].start, word.end
                break


def _matches(found: Sequence[Word], phrase: Phrase) -> bool:
    if len(found) < len(phrase.words):
        return False
    *inner, last = phrase.words
    if any(word.text != wanted for word, wanted in zip(found, inner, strict=False)):
        return False
    end = found[-1].text
    return end.startswith(last) if phrase.prefix else end == last
