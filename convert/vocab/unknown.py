"""Characters that a vocabulary lacks: what the original makes of them, and what llama.cpp does.

llama.cpp's model "llama" writes such a character as the tokens of its bytes, and ends its process
where there are none. So they are appended: tokens that read like the unknown one and that no model
ever chooses.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from convert.samples import TOKENIZER_TEXTS
from convert.vocab.vocabulary import TokenKind, Vocab

BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
_SPACE = "\u2581"
_BYTEWISE = (
    "Characters that the vocabulary lacks are one unknown token each, or one a run; llama.cpp "
    "writes one for each byte of them. Tokens are added for that, which the model never chooses."
)


def append_bytes(vocab: Vocab) -> Vocab:
    """`vocab`, of the model "llama", with a token for each byte that has none."""
    texts = set(vocab.tokens)
    missing = [text for text in BYTES if text not in texts]
    unknown = vocab.special_ids.get("unk")
    if unknown is None and TokenKind.UNKNOWN in vocab.kinds:
        unknown = vocab.kinds.index(TokenKind.UNKNOWN)
    start = len(vocab.tokens)
    appended = tuple(range(start, start + len(missing)))
    known = {character for text in vocab.tokens for character in text}
    longer = replace(
        vocab,
        tokens=(*vocab.tokens, *missing),
        kinds=(*vocab.kinds, *[TokenKind.BYTE] * len(missing)),
        scores=(*vocab.scores, *[0.0] * len(missing)),
        appended=(*vocab.appended, *appended),
        appended_like=unknown,
        lossless=False,
    )
    return doubt_unknown(longer, known, _BYTEWISE)


def doubt_unknown(vocab: Vocab, known: Collection[str], doubt: str) -> Vocab:
    """`vocab`, in doubt where text has characters beyond `known`; spaces count as U+2581."""
    letters = frozenset(known) | ({" "} if _SPACE in known else frozenset())
    rewrite = vocab.rewrite

    def differs(text: str) -> bool:
        return not letters.issuperset(text if rewrite is None else rewrite(text))

    samples = sorted({c for text in TOKENIZER_TEXTS for c in text if c in letters})
    return replace(vocab, doubts=(*vocab.doubts, doubt), differs=differs, alphabet="".join(samples))
