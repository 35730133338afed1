"""Several processes that train one model: started by `torchrun`, sharded by PyTorch's FSDP.

Promises that one process alone pays nothing for it, that checkpoints are the same whether one or
many wrote them, and that a batch is what it would be with one process: each takes its rows of it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import distributed

from chatapp.errors import ChatAppError
from chatapp.train.data import Batch
from chatapp.train.language_model import LanguageModel


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which of how many processes this is."""

    rank: int = 0
    world: int = 1

    def shard(self, model: LanguageModel) -> None:
        """Spread the model's weights, in place; every process holds the same ones before."""
        if self.world == 1:
            return
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

        for block in model.blocks():
            fully_shard(block)
        fully_shard(model)
        register_fsdp_forward_method(model, "loss")  # through which all of training goes

    def take(self, batch: Batch) -> Batch:
        """This process's rows of a batch; raises `ChatAppError` when there are too few."""
        if self.world == 1:
            return batch
        rows = len(batch.tokens) // self.world
        if not rows:
            raise ChatAppError(
                f"A batch of {len(batch.tokens)} rows cannot be split over {self.world} processes.",
                "Raise batch_tokens, or start fewer.",
            )
        mine = slice(self.rank * rows, (self.rank + 1) * rows)
        return replace(batch, tokens=batch.tokens[mine], targets=batch.targets[mine])

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """The mean of a number over all processes."""
        if self.world > 1:
            value = value.detach().clone().to(_device())
            distributed.all_reduce(value)
            value /= self.world
        return value

    def any(self, flag: bool) -> bool:
        """Whether one of the processes says so."""
        if self.world == 1:
            return flag
        return bool(self.mean(torch.tensor(float(flag))).item())

    @contextmanager
    def first(self) -> Iterator[None]:
        """Process 0 does what is inside before the others."""
        if self.rank:
            distributed.barrier()
        try:
            yield
        finally:
            if self.world > 1 and not self.rank:
                distributed.barrier()


def join() -> Ranks:
    """Join the processes that `torchrun` started; alone without it."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Ranks()
    if not distributed.is_initialized():
        cuda = torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        distributed.init_process_group("nccl" if cuda else "gloo")
    return Ranks(distributed.get_rank(), world)


def leave() -> None:
    """Part from the other processes, if there are any."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def gather(state: Any) -> Any:
    """`state` with whole tensors in place of shards; every process must ask for it."""
    if isinstance(state, dict):
        return {name: gather(value) for name, value in state.items()}
    if isinstance(state, list):
        return [gather(value) for value in state]
    return state.full_tensor().cpu() if _is_shard(state) else state


def scatter(value: Any, like: torch.Tensor) -> Any:
    """A whole tensor as shards, where the weight that it belongs to is sharded."""
    if not _is_shard(like) or _is_shard(value) or value.shape != like.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)  # type: ignore[attr-defined]


def _is_shard(value: Any) -> bool:
    return hasattr(value, "full_tensor")


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
