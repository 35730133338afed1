"""Meta's `consolidated.NN.pth`: every matrix is split over the files, as over the GPUs it ran on.

Layers split by output rows (wq, wk, wv, w1, w3, output) are joined along the first axis, those
split by inputs (wo, w2) and the token embedding along the second, norms are the same in every file.
Source: fairscale's ColumnParallelLinear, RowParallelLinear and ParallelEmbedding.
"""

from __future__ import annotations

from collections.abc import Sequence

from convert.checkpoints.operations import concat, concat_columns
from convert.checkpoints.tensor import Tensor
from convert.errors import CheckpointError

_BY_INPUT = (".wo.weight", ".w2.weight", "tok_embeddings.weight")
_BY_OUTPUT = (".wq.weight", ".wk.weight", ".wv.weight", ".w1.weight", ".w3.weight", "output.weight")


def join_shards(shards: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The whole tensors. Raises `CheckpointError` when the shards do not hold the same names."""
    first = shards[0]
    for shard in shards[1:]:
        if shard.keys() != first.keys():
            odd = min(shard.keys() ^ first.keys())
            raise CheckpointError(f"Not every consolidated file holds {odd[:80]}.")
    if len(shards) == 1:
        return first
    return {name: _join(name, [shard[name] for shard in shards]) for name in first}


def _join(name: str, parts: Sequence[Tensor]) -> Tensor:
    if len({part.shape for part in parts}) > 1:
        raise CheckpointError(f"The consolidated files hold {name[:80]} in different shapes.")
    if len(parts[0].shape) == 2 and name.endswith(_BY_INPUT):
        return concat_columns(name, parts)
    if len(parts[0].shape) == 2 and name.endswith(_BY_OUTPUT):
        return concat(name, parts)
    return parts[0]
