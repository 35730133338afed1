"""Brings a model's rows and a tokenizer's tokens to one number, and says what was done.

llama.cpp wants exactly as many rows as tokens. Rows without a token are padding: a few are cut, of
many nobody knows what they are, so they stay as UNUSED tokens. A token without a row (the end of
text that a vocabulary of characters lacks) gets one that is never the likeliest: the mean of all
rows, whose logit is the mean of all logits and so below the highest for every text; with a norm
that has a bias it lies a further 100 lower. Tokens for the bytes of characters that a vocabulary
lacks get the unknown token's row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from convert.architectures.model import OUTPUT, TOKEN_EMBEDDING, Model
from convert.architectures.output_bias import add_constants
from convert.checkpoints.operations import concat, cut, gather
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError, VocabError
from convert.vocab.vocabulary import TokenKind, Vocab

_NEVER = -100.0  # a logit: its probability is below 1e-40 beside any other
# Embeddings are rounded up to multiples of 64 to 512; more rows than that were meant for something.
_MOST_PADDING = 1024
_BY_TOKEN = (TOKEN_EMBEDDING, OUTPUT, "output.bias", "per_layer_token_embd.weight")
_TYPES = "token_types.weight"


def fit_vocab(model: Model, vocab: Vocab) -> tuple[Model, Vocab, tuple[str, ...]]:
    """`model` and `vocab` with one row for each token, and notes.

    Raises `VocabError` when the tokenizer has more tokens than the model has rows.
    """
    n_tokens = len(vocab.tokens) - len(vocab.appended)
    n_rows = model.n_vocab
    if n_tokens > n_rows:
        raise VocabError(
            f"The tokenizer has {n_tokens} tokens and the model {n_rows} rows.",
            "This tokenizer does not belong to this checkpoint.",
        )
    vocab = _count_token_types(model, vocab)
    notes: tuple[str, ...] = ()
    if n_tokens < n_rows:
        model, vocab, notes = _fit_padding(model, vocab, n_tokens)
    if vocab.appended:
        model, more = append_rows(model, len(vocab.appended), vocab.appended_like)
        notes += more
    return model, vocab, notes


def _fit_padding(model: Model, vocab: Vocab, n_tokens: int) -> tuple[Model, Vocab, tuple[str, ...]]:
    n_rows = model.n_vocab
    surplus = n_rows - n_tokens
    said = f"The model has {n_rows} vocabulary rows and the tokenizer {n_tokens} tokens"
    if surplus <= _MOST_PADDING or vocab.appended:
        note = f"{said}: {surplus} padding rows are cut."
        return cut_vocab(model, n_tokens), vocab, (note,)
    pads = [f"[PAD{index}]" for index in range(n_tokens, n_rows)]
    if not set(pads).isdisjoint(vocab.tokens):
        pads = [f"<{pad}>" for pad in pads]
    vocab = replace(
        vocab,
        tokens=(*vocab.tokens, *pads),
        kinds=(*vocab.kinds, *[TokenKind.UNUSED] * surplus),
        scores=(*vocab.scores, *[0.0] * surplus) if vocab.scores else (),
    )
    note = f"{said}, which is more than padding: is it the right tokenizer? All rows are kept."
    return model, vocab, (note,)


def _count_token_types(model: Model, vocab: Vocab) -> Vocab:
    rows = next((t.shape[0] for t in model.tensors if t.name == _TYPES), None)
    if rows is None:
        return vocab
    return replace(vocab, options={**vocab.options, "token_type_count": rows})


def cut_vocab(model: Model, n_tokens: int) -> Model:
    """`model` with the first `n_tokens` rows of its vocabulary.

    Exact for the tokens that stay: a padding row only ever took probability away from them.
    """
    return _map_rows(model, lambda tensor: cut(tensor, 0, n_tokens))


def append_rows(
    model: Model, count: int = 1, like: int | None = None
) -> tuple[Model, tuple[str, ...]]:
    """`model` with `count` more rows that are never the likeliest, and a note where they are only
    that. They are copies of the row `like`, or the mean of all rows.
    """
    n_tokens = model.n_vocab
    longer = _map_rows(model, lambda tensor: _with_rows(tensor, count, like))

    def constants(start: int, stop: int) -> NDArray[np.float64]:
        return np.where(np.arange(start, stop) >= n_tokens, _NEVER, 0.0)

    if any(tensor.name == "output_norm.bias" for tensor in model.tensors):
        try:
            return add_constants(longer, constants), ()
        except ArchitectureError:
            pass
    if like is not None:
        note = (
            f"The {count} added tokens' logits are that of token {like}, as the last norm has no "
            "bias to push them lower; llama.cpp is told to suppress them, but a sampler that "
            "ignores that may draw one."
        )
        return longer, (note,)
    note = (
        "The added end token's logit is the mean of all others, as the last norm has no bias to "
        "push it lower: it is never the likeliest, and llama.cpp is told to suppress it, but a "
        f"sampler that ignores that may draw it, at most once in {n_tokens + 1} tokens."
    )
    return longer, (note,)


def _with_rows(tensor: Tensor, count: int, like: int | None) -> Tensor:
    rows = gather(tensor, [like] * count) if like is not None else _means(tensor, count)
    return replace(concat(tensor.name, [tensor, rows]), dtype=tensor.dtype, origin=tensor.origin)


def _means(tensor: Tensor, count: int) -> Tensor:
    @cache
    def mean() -> NDArray[np.float32]:
        total = sum(rows.sum(axis=0, dtype=np.float64) for rows in tensor.blocks())
        row: NDArray[np.float32] = np.asarray(total / tensor.n_rows, np.float32)
        return row.reshape(1, -1)

    def read(start: int, stop: int) -> NDArray[np.float32]:
        return np.repeat(mean(), stop - start, axis=0)

    first = gather(tensor, [0] * count, key="mean")
    return replace(first, read=read, identity=(*first.identity, "mean"))


def _map_rows(model: Model, change: Callable[[Tensor], Tensor]) -> Model:
    tensors = tuple(
        change(tensor) if tensor.name in _BY_TOKEN else tensor for tensor in model.tensors
    )
    changed = replace(model, tensors=tensors)
    if "vocab_size" in model.hparams:
        return replace(changed, hparams=model.hparams | {"vocab_size": changed.n_vocab})
    return changed
