"""A tokenizer as llama.cpp will see it. Every special id is explicit: defaults are a trap.

The surprising fact: when a GGUF names no end-of-text token, llama.cpp takes id 11, whatever that
is (in a character vocabulary a semicolon), and stops there. Two tokens with one text, or an empty
one, end its process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from convert.errors import VocabError

Encode = Callable[[str], list[int]]
"""A text's token ids, special tokens recognised and none put around it."""


class TokenKind(IntEnum):
    """What a token is, as in llama.cpp's `enum llama_token_type`."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Reference:
    """The original tokenizer, loaded when a proof runs."""

    name: str
    """What runs it, for the report."""
    load: Callable[[], Encode]
    """Raises `ImportError` where its library is not installed."""


@dataclass(frozen=True)
class Vocab:
    """Tokens, merges and special ids. Token texts are unique and none is empty."""

    model: str
    """`tokenizer.ggml.model`: which algorithm. gpt2 is byte-level BPE, llama SentencePiece's BPE,
    t5 its unigrams, bert WordPiece."""
    pre: str
    """`tokenizer.ggml.pre`: how text is split before the merges; "default" where nothing is."""
    tokens: tuple[str, ...]
    kinds: tuple[TokenKind, ...]
    merges: tuple[str, ...]
    special_ids: dict[str, int]
    """By role: bos, eos, eot, eom, pad, unk, sep, cls, mask. bos and eos are always there."""
    add_bos: bool
    add_eos: bool
    chat_template: str | None
    source: Path
    """The file it was read from."""
    notes: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    """One a token for SentencePiece models, else none."""
    options: Mapping[str, bool | int | bytes] = field(default_factory=dict)
    """Other keys under `tokenizer.ggml.`, such as `add_space_prefix`."""
    templates: Mapping[str, str] = field(default_factory=dict)
    """Further chat templates by name, such as `tool_use`."""
    reference: Reference | None = field(default=None, compare=False, repr=False)
    lossless: bool = True
    """Whether text comes back from its tokens as it was."""
    markers: tuple[str, ...] = ()
    """Added tokens the reference knows too, so that text with them can be compared."""
    alphabet: str = ""
    """What the vocabulary itself can write, as text the proof reads too."""
    rewrite: Callable[[str], str] | None = field(default=None, compare=False, repr=False)
    """What the original does to a text first and llama.cpp does not: text must be given to
    llama.cpp so written to be split as the original does."""
    doubts: tuple[str, ...] = ()
    """What llama.cpp is known to do otherwise, in sentences: a question to the user."""
    lacks: str = ""
    """What is said of bytes that the vocabulary lacks: a note, and a doubt if samples show it."""
    accepted: bool = False
    """Whether the user goes on all the same: differences are then counted and shown."""
    differs: Callable[[str], bool] | None = field(default=None, compare=False, repr=False)
    """Tells text that llama.cpp is known to split otherwise; a note says which, and the proof
    leaves it out."""
    appended: tuple[int, ...] = ()
    """The last tokens, where no row of the model stands for them: `fit_vocab` makes rows that are
    never chosen."""
    appended_like: int | None = None
    """The token that appended ones read like; None: the mean of all."""


def check_vocab(vocab: Vocab) -> Vocab:
    """`vocab` itself, unless llama.cpp would abort or guess. Raises `VocabError`."""
    name, size = vocab.source.name, len(vocab.tokens)
    if "" in vocab.tokens or len(set(vocab.tokens)) != size:
        text, count = Counter(vocab.tokens).most_common(1)[0]
        raise VocabError(
            f"{name} has an empty token, or one text under two ids: {text!r:.60} {count} times.",
            "llama.cpp would abort on it. Save the tokenizer again.",
        )
    if any("\0" in text for text in (*vocab.tokens, *vocab.merges)):
        raise VocabError(f"{name} has a token with a zero byte, at which llama.cpp cuts it off.")
    if len(vocab.kinds) != size or (vocab.scores and len(vocab.scores) != size):
        raise VocabError(f"{name} has another number of kinds or scores than of tokens.")
    missing = {"bos", "eos"} - vocab.special_ids.keys()
    if missing:
        raise VocabError(f"{name} leaves {min(missing)} to llama.cpp's default.")
    for role, index in vocab.special_ids.items():
        if not 0 <= index < size:
            raise VocabError(f"{name} gives {role} the id {index} of {size} tokens.")
    try:
        for text in (*vocab.tokens, *vocab.merges, vocab.chat_template or ""):
            text.encode()
    except UnicodeEncodeError:
        raise VocabError(f"{name} holds text that is not valid Unicode.") from None
    return vocab
