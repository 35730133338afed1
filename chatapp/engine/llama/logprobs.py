"""Log-probabilities of one sampled token and of the likeliest ones, from a row of logits.

They are the model's own: before penalties, truncation and temperature, as OpenAI's API and
llama-server have them. One pass over the vocabulary, and only when they are asked for.
"""

import llama_cpp.llama_cpp as lib
import numpy as np
from numpy.typing import NDArray

from chatapp.engine.llama.vocab import Vocab
from chatapp.engine.protocol import LikelyToken, TokenLogprob

_NEVER = -9999.0
"""What a probability of zero is written as; JSON has no infinity. OpenAI's API writes the same."""


def copy_logits(context: int, row: int, n_vocab: int) -> NDArray[np.float32]:
    """Row `row` of the last decode, shape (n_vocab,); samplers may change the original."""
    pointer = lib.llama_get_logits_ith(context, row)
    return np.ctypeslib.as_array(pointer, shape=(n_vocab,)).copy()


def describe_token(
    logits: NDArray[np.float32], token: int, n_top: int, vocab: Vocab
) -> TokenLogprob:
    """`token`'s log-probability, and the `n_top` likeliest tokens, the likeliest first."""
    logits -= logits.max()
    logits -= np.log(np.exp(logits).sum(dtype=np.float64))
    np.nan_to_num(logits, copy=False, nan=_NEVER, neginf=_NEVER)
    n_top = min(n_top, len(logits))
    top = np.argpartition(-logits, n_top - 1)[:n_top]
    likely = [
        LikelyToken(_spell(vocab, int(one)), round(float(logits[one]), 6))
        for one in top[np.argsort(-logits[top], kind="stable")]
    ]
    return TokenLogprob(
        token=_spell(vocab, token), logprob=round(float(logits[token]), 6), top=likely
    )


def _spell(vocab: Vocab, token: int) -> str:
    """Its text; a piece of a character becomes U+FFFD, a control token its name."""
    return vocab.piece(token).decode("utf-8", "replace") or vocab.spell(token)
