"""Meta's `consolidated.NN.pth`: every matrix is split over the files, as over the GPUs it ran on.

Layers split by output rows (wq, wk, wv, w1, w3, output) are joined along the first axis, those
split by inputs (wo, w2) along the second, norms are the same in every file. The token embedding was
split along the second axis up to Llama 2 and along the first since: the norms, which are whole,
tell how wide it is. Source: fairscale's ColumnParallelLinear, RowParallelLinear, ParallelEmbedding
and VocabParallelEmbedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from convert.checkpoints.operations import concat, concat_columns
from convert.checkpoints.tensor import Tensor
from convert.errors import CheckpointError

_EMBEDDING, _NORM = "tok_embeddings.weight", "norm.weight"
_BY_INPUT = (".wo.weight", ".w2.weight")
_BY_OUTPUT = (".wq.weight", ".wk.weight", ".wv.weight", ".w1.weight", ".w3.weight", "output.weight")
_BIAS_BY_OUTPUT = (".wq.bias", ".wk.bias", ".wv.bias", ".w1.bias", ".w3.bias", "output.bias")
_WHOLE = ("norm.weight", "rope.freqs", "wo.bias", "w2.bias")
_HINT = "Copy all consolidated files of one model again."


def join_shards(shards: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The whole tensors. Raises `CheckpointError` when the shards do not fit one another."""
    first = shards[0]
    for shard in shards[1:]:
        if shard.keys() != first.keys():
            odd = min(shard.keys() ^ first.keys())
            raise CheckpointError(f"Not every consolidated file holds {odd[:80]!r}.", _HINT)
    width = first[_NORM].n_weights if _NORM in first else 0
    if len(shards) == 1:
        _check_embedding(first, width)
        return first
    return {name: _join(name, [shard[name] for shard in shards], width) for name in first}


def check_numbers(files: Sequence[Path]) -> None:
    """Raise `CheckpointError` unless `files`, in order, are consolidated.00, .01 and so on."""
    for number, path in enumerate(files):
        if path.name != f"consolidated.{number:02}.pth":
            raise CheckpointError(
                f"consolidated.{number:02}.pth is missing, and {path.name} is there.", _HINT
            )


def _check_embedding(shard: dict[str, Tensor], width: int) -> None:
    embedding = shard.get(_EMBEDDING)
    if embedding is not None and width and embedding.shape[1:] != (width,):
        raise CheckpointError(
            f"The only consolidated file holds an embedding of shape {embedding.shape}, a part of "
            f"one of width {width:,}.",
            "Copy all consolidated files of the model.",
        )


def _join(name: str, parts: Sequence[Tensor], width: int) -> Tensor:
    shape = parts[0].shape
    if len({(part.shape, part.dtype) for part in parts}) > 1:
        raise CheckpointError(
            f"The consolidated files hold {name[:80]!r} in different shapes.", _HINT
        )
    by_input = name.endswith(_BY_INPUT) or (name.endswith(_EMBEDDING) and shape[1:] != (width,))
    if len(shape) == 2 and by_input:
        if name.endswith(_EMBEDDING) and shape[1] * len(parts) != width:
            raise CheckpointError(
                f"{len(parts)} embeddings of width {shape[1]:,} do not make one of {width:,}.",
                "Is a consolidated file missing?",
            )
        return concat_columns(name, parts)
    if len(shape) == 2 and name.endswith((*_BY_OUTPUT, _EMBEDDING)):
        return concat(name, parts)
    if len(shape) == 1 and name.endswith(_BIAS_BY_OUTPUT):
        return concat(name, parts)
    if name.endswith(_WHOLE):
        return parts[0]
    raise CheckpointError(
        f"It is not known how {name[:80]!r} is split over the consolidated files.",
        "Convert the model in Hugging Face's form.",
    )
