"""Cuts text into the words that search knows; index, queries and snippets all use it.

A word is folded: no case, no accents (`Naïve` is `naive`), compatibility forms made plain. In
scripts that put no spaces between words (Chinese, Japanese, Korean, Thai, ...) every character
is a word of its own, and so is every emoji, so that any piece of a sentence can be found as a
phrase. Korean does have spaces, but its endings cling to nouns. SQLite's own tokenizers cannot
do this: in 3.40 `trigram` finds nothing shorter than three characters and `unicode61` knows
only some emoji.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

MAX_WORD = 64
"""Characters of a word that count; longer ones (keys, base64) are cut."""


class Word(NamedTuple):
    """A folded word and where it stands in the text it came from."""

    text: str
    start: int
    end: int
    alone: bool
    """A character that is a word by itself; it is never the beginning of another word."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """Folded words that stand next to each other."""

    words: tuple[str, ...]
    prefix: bool
    """The last word may go on: `perf` finds `performance`."""


def compose(text: str) -> str:
    """`text` in NFC, the form in which positions are counted."""
    return unicodedata.normalize("NFC", text)


def cut_words(composed: str) -> Iterator[Word]:
    """The words of a text in NFC, in order."""
    for run in _RUN.finditer(composed):
        if run[0].isascii():
            yield Word(run[0].lower()[:MAX_WORD], run.start(), run.end(), alone=False)
        else:
            yield from _cut_run(run[0], run.start())


def join_words(text: str) -> str:
    """The words of any text, separated by spaces: what is given to the search index."""
    if text.isascii():
        return " ".join(word[:MAX_WORD] for word in _RUN.findall(text.lower()))
    return " ".join(word.text for word in cut_words(compose(text)))


_RUN = re.compile(r"(?:[0-9A-Za-z]|[^\x00-\x7f])+")

# First and last character of the blocks whose scripts are written without spaces.
_SPACELESS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Burmese
    (0x1100, 0x11FF),  # Hangul letters
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x2E80, 0x2FDF),  # Han radicals
    (0x3005, 0x3007),  # Han iteration mark, closing mark, zero
    (0x3021, 0x303C),  # Hangzhou numerals, kana repeat marks
    (0x3040, 0x31FF),  # Hiragana, Katakana, Bopomofo, Hangul letters, strokes
    (0x3400, 0x4DBF),  # Han extension A
    (0x4E00, 0x9FFF),  # Han
    (0xA000, 0xA4CF),  # Yi
    (0xA960, 0xA97F),  # Hangul letters
    (0xAA60, 0xAADF),  # Burmese extension, Tai Viet
    (0xAC00, 0xD7FF),  # Hangul syllables
    (0xF900, 0xFAFF),  # Han compatibility
    (0xFF66, 0xFFDC),  # half-width kana and Hangul
    (0x1AFF0, 0x1B16F),  # kana supplements
    (0x20000, 0x3FFFF),  # Han extensions B and later
)

_Kind = Literal["gap", "letter", "alone"]


@lru_cache(maxsize=16384)
def _classify(char: str) -> _Kind:
    category = unicodedata.category(char)
    code = ord(char)
    if 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF:
        return "gap"  # variation selectors: a heart is found with or without its colour
    if category[0] in "LMN":
        spaceless = any(first <= code <= last for first, last in _SPACELESS)
        return "alone" if spaceless else "letter"
    if category in ("So", "Sk", "Sm", "Sc", "Co", "Cn"):
        return "gap" if char.isascii() else "alone"
    return "gap"


def _cut_run(run: str, offset: int) -> Iterator[Word]:
    begin = -1
    for index, char in enumerate(run):
        kind = _classify(char)
        if kind == "letter":
            if begin < 0:
                begin = index
            continue
        if begin >= 0:
            yield from _fold_word(run[begin:index], offset + begin)
            begin = -1
        if kind == "alone":
            # NFKC, not accents off: が and か are different letters.
            folded = "".join(filter(_is_indexed, unicodedata.normalize("NFKC", char)))
            yield Word(folded or char, offset + index, offset + index + 1, alone=True)
    if begin >= 0:
        yield from _fold_word(run[begin:], offset + begin)


def _fold_word(word: str, start: int) -> Iterator[Word]:
    folded = "".join(
        char
        for char in unicodedata.normalize("NFKD", word).casefold()
        # 0, 7 and 9 are vowel signs, nukta and virama: letters in Indian scripts, not accents.
        if unicodedata.combining(char) in (0, 7, 9) and _is_indexed(char)
    )
    if folded:
        yield Word(folded[:MAX_WORD], start, start + len(word), alone=False)


def _is_indexed(char: str) -> bool:
    # To FTS5's `ascii` tokenizer every other ASCII character is a gap.
    return char.isalnum() or not char.isascii()
