"""The words of a text as they are compared: stems, each under the word that stands for its like.

Chinese has no spaces: of a run of its characters every known term is a word, and of what is left
every pair of neighbours.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

from chatapp.guide.facts.topics import read_topics

_WORD = re.compile(r"[a-z0-9$][a-z0-9_.+'$-]*|[\u3400-\u9fff]+")
_HAN = re.compile(r"[\u3400-\u9fff]+")
_JOINED = re.compile(r"[_.+'-]+")


_SHORT = 4
"""Below so many letters a word is not stemmed."""
_WEAK = 0.5
"""What a word counts that is in questions of every kind, or a part of a longer one."""
_CACHED = 8192
"""Words whose reading is remembered."""
_PAIR = 0.6
"""What two Chinese characters count that are no known term."""


class Word(NamedTuple):
    """A word of a text."""

    text: str
    odds: float = 0.0
    """What it says of whether chatapp is spoken of: a logarithm, below 0 where it is everyday
    talk."""
    is_general: bool = False
    """Everybody knows it, so that it is no slip."""
    counts: float = 1.0
    """How much of a word it is: less than one where it is two characters of Chinese."""
    written: str = ""
    """As it stood there."""


_ALIKE: tuple[tuple[str, str, str], ...] = (
    (
        "ctrl control alt shift",
        r"\b(ctrl|control|alt|shift)(?: ?[+-] ?| )([a-z]|enter|tab|home|end|up|down)\b",
        r"\1+\2",
    ),
    ("control", r"\bcontrol\+", "ctrl+"),
    ("b", r"\b\d+(?:\.\d+)? ?b\b", "7b"),
    ("gb gib", r"\b\d+ ?(gb|gib)\b", r"\1"),
    ("/", r"(?<!\S)/(?!\S)", "slash"),
)
"""What is written in several ways, or with any number, as one: a text in which none of the hints
stands is left alone; else the pattern is replaced."""


def _plain(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    for hints, pattern, instead in _ALIKE:
        if any(hint in plain for hint in hints.split()):
            plain = re.sub(pattern, instead, plain)
    return plain


def read_words(text: str, *, phrases: bool = True) -> list[Word]:
    """The words that count of a text, in order; a word that stands for others in their place.

    Without `phrases` only for single ones.
    """
    plain = _plain(text)
    if phrases:
        plain = _phrases().sub(lambda found: _by_phrase()[found[0]], plain)
    found: list[Word] = []
    for match in _WORD.finditer(plain):
        found += _read_han(match[0]) if _HAN.match(match[0]) else _read_latin(match[0])
    return found


def has_phrase(text: str) -> bool:
    """Whether a phrase of several words stands in it, so that its single words are others."""
    return _phrases().search(_plain(text)) is not None


def read_every_word(text: str) -> dict[str, bool]:
    """All words of a text, and whether each is one that says nothing by itself. Of Chinese every
    pair of neighbours is one."""
    found = {word.text: False for word in read_words(text)}
    for match in _WORD.finditer(_plain(text)):
        if _HAN.match(run := match[0]):
            found |= {run[at : at + 2]: False for at in range(len(run) - 1)}
        elif (word := run.rstrip(".+'-_")) in _stop():
            found[word] = True
    return found


def has_han(text: str) -> bool:
    """Whether a text is Chinese, in part at least."""
    return bool(_HAN.search(text))


@lru_cache(_CACHED)
def _read_latin(word: str) -> tuple[Word, ...]:
    return tuple(_split_latin(word))


def _split_latin(word: str) -> Iterator[Word]:
    word = word.rstrip(".+'-_")
    if word in _stop():
        return
    if word in _table():
        yield _word(_table()[word], word)
        return
    parts = [part for part in _JOINED.split(word) if part]
    if len(parts) > 1:
        yield Word("".join(parts))
        if "+" in word:
            return
    for part in parts if len(parts) > 1 else [word]:
        if part not in _stop():
            yield _word(stand_in(part), part)


def stand_in(word: str) -> str:
    """The word or stem that stands for a single English word."""
    return _table().get(word) or _table().get(stem(word)) or stem(word)


def single_words() -> Iterator[str]:
    """Every English word that another stands for."""
    yield from _table()


def is_general(word: str) -> bool:
    """Whether everybody knows an English word, so that it is no slip."""
    return word in _general() or stem(word) in _general() or word in _stop()


def _word(known: str, written: str) -> Word:
    counts = _WEAK if known in _weak() else 1.0
    return Word(known, _general().get(written, 0.0), is_general(written), counts, written)


@lru_cache(_CACHED)
def _read_han(run: str) -> tuple[Word, ...]:
    return tuple(_split_han(run))


def _split_han(run: str) -> Iterator[Word]:
    terms = _terms()
    covered = [False] * len(run)
    for length in range(min(6, len(run)), 0, -1):
        for at in range(len(run) - length + 1):
            piece = run[at : at + length]
            if piece in terms and not (length == 1 and covered[at]):
                known = terms[piece]
                is_less = known in _weak() or any(covered[at : at + length])
                if known not in _stop():
                    yield Word(known, counts=_WEAK if is_less else 1.0)
                covered[at : at + length] = [True] * length
    for at in range(len(run) - 1):
        pair = run[at : at + 2]
        if not any(covered[at : at + 2]) and not any(one in _stop() for one in pair):
            yield Word(pair, counts=_PAIR)


def stem(word: str) -> str:
    """An English word without its usual endings; the same for all forms of one."""
    if len(word) < _SHORT or not word.isalpha():
        return word
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("s", "")):
        if word.endswith(ending) and not word.endswith(("ss", "us", "is", "thing")):
            base = word[: -len(ending)] + instead
            if len(base) < 3 or not any(vowel in base for vowel in "aeiouy"):
                return word
            if ending in ("ing", "ed") and len(base) > 3 and base[-1] == base[-2] not in "lsz":
                base = base[:-1]
            return _without_e(base)
    return _without_e(word)


def _without_e(word: str) -> str:
    return word[:-1] if word.endswith("e") and len(word) > _SHORT else word


def _read(name: str) -> str:
    return (files("chatapp.guide.retrieval") / "data" / name).read_text(encoding="utf-8")


@cache
def _general() -> dict[str, float]:
    """The words of everyday talk, with their odds."""
    lines = tomllib.loads(_read("general.toml")).items()
    return {word: float(odds) for odds, line in lines for word in line.split()}


@cache
def _groups() -> dict[str, dict[str, str]]:
    return tomllib.loads(_read("words.toml"))


@cache
def _stop() -> frozenset[str]:
    words = _groups()["stop"]
    return frozenset([*words["en"].split(), *words["zh"].split()])


@cache
def _weak() -> frozenset[str]:
    return frozenset(_split(_groups()["weak"]["words"]))


@cache
def _table() -> dict[str, str]:
    """Every single English word that another stands for."""
    found: dict[str, str] = {}
    for head, line in _groups()["en"].items():
        for one in (head, *_split(line)):
            if " " not in one:
                found.setdefault(one, head)
    for one, head in list(found.items()):
        found.setdefault(stem(one), head)
    return found


@cache
def _by_phrase() -> dict[str, str]:
    heads = _groups()["en"].items()
    return {one.rstrip("$"): head for head, line in heads for one in _split(line) if " " in one}


@cache
def _phrases() -> re.Pattern[str]:
    """Phrases of several words, the longest first."""
    lines = _groups()["en"].values()
    every = sorted({one for line in lines for one in _split(line) if " " in one}, key=_size)
    found = "|".join(re.escape(one.rstrip("$")) + _END * one.endswith("$") for one in every)
    return re.compile(rf"(?<![\w-])(?:{found})(?![\w-])")


_END = r"(?=\W*$)"


def _size(phrase: str) -> int:
    return -len(phrase)


@cache
def _terms() -> dict[str, str]:
    """Every Chinese term, with the one that stands for it."""
    found = {term: term for topic in read_topics() for term in topic.zh_find.split()}
    for head, line in _groups()["zh"].items():
        found |= {one.lower(): head for one in (head, *_split(line))}
    return found


def _split(line: str) -> list[str]:
    return [one.strip() for one in line.split(";") if one.strip()]


def form_of(text: str) -> str:
    """A text without case and marks, where it has anything else."""
    return " ".join(re.findall(r"\w+", text.lower())) or text
