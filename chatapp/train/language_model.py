"""What the shapes of a model share: from token ids to a loss.

`LanguageModel` is all that the loop knows of a model; `TiedModel` is what our own shapes share.
"""

from abc import ABC, abstractmethod
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

IGNORED = -100
"""Targets with this value carry no loss."""


class Shape(Protocol):
    """What fixes the shape of a model's weights."""

    @property
    def n_layer(self) -> int: ...
    @property
    def n_head(self) -> int: ...
    @property
    def n_embd(self) -> int: ...
    @property
    def block_size(self) -> int: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def dropout(self) -> float: ...
    def as_dict(self) -> dict[str, Any]:
        """Plain values, as a checkpoint's `model_args` keeps them."""


class LanguageModel(nn.Module, ABC):
    """What is trained: token ids and targets in, a loss out."""

    args: Shape

    @abstractmethod
    def loss(self, tokens: Tensor, targets: Tensor, offset: int = 0, masked: bool = True) -> Tensor:
        """Mean cross-entropy in nats over the targets that are not `IGNORED`; where `masked` is
        false none is ignored. `tokens` and `targets` are int64 `[batch, time]`."""

    @abstractmethod
    def next_logits(self, tokens: Tensor) -> Tensor:
        """Logits `[batch, vocab_size]` of what follows int64 `tokens` `[batch, time]`."""

    @abstractmethod
    def blocks(self) -> nn.ModuleList:
        """The layers of the model, first to last."""

    def count_parameters(self) -> int:
        """Numbers in it, the tied embedding counted once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def count_trained(self) -> int:
        """Those of them that training changes."""
        return sum(one.numel() for one in self.parameters() if one.requires_grad)

    def kept_state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps: all weights, or where some are frozen those that are not."""
        state: dict[str, Tensor] = self.state_dict()
        weights = dict(self.named_parameters(remove_duplicate=False))
        if all(one.requires_grad for one in weights.values()):
            return state
        return {name: state[name] for name, one in weights.items() if one.requires_grad}


class TiedModel(LanguageModel):
    """A shape of our own: token ids in, logits of the next token out.

    A subclass only says how token ids become a residual stream. The output matrix is the embedding
    itself, so it appears in the `state_dict` under both names but is counted and trained once.
    """

    lm_head: nn.Linear

    def forward(self, tokens: Tensor, offset: int = 0) -> Tensor:
        """Logits `[batch, time, vocab_size]` of int64 `tokens` `[batch, time]`.

        `offset` is the position of the first token: training on short windows at shifting
        offsets is how every row of a position table gets its share.
        """
        return self.lm_head(self.hidden(tokens, offset))  # type: ignore[no-any-return]

    @abstractmethod
    def hidden(self, tokens: Tensor, offset: int = 0) -> Tensor:
        """The residual stream after the last norm, `[batch, time, n_embd]`."""

    def next_logits(self, tokens: Tensor) -> Tensor:
        """Logits `[batch, vocab_size]` of what follows int64 `tokens` `[batch, time]`."""
        return self.lm_head(self.hidden(tokens)[:, -1])  # type: ignore[no-any-return]

    def loss(self, tokens: Tensor, targets: Tensor, offset: int = 0, masked: bool = True) -> Tensor:
        """Mean cross-entropy in nats over the targets that are not `IGNORED`.

        Only rows that carry loss go through the output matrix: with a loss mask over prompts
        that saves most of the largest multiplication. Where `masked` is false none is ignored.
        """
        rows = self.hidden(tokens, offset).reshape(-1, self.args.n_embd)
        targets = targets.reshape(-1)
        if masked:
            wanted = targets != IGNORED
            if not bool(wanted.all()):
                rows, targets = rows[wanted], targets[wanted]
        return functional.cross_entropy(self.lm_head(rows).float(), targets)


def follow_matrices(x: Tensor) -> Tensor:
    """The residual stream in the type of the matrices: casting it at each of them cost 15 %."""
    if torch.is_autocast_enabled(x.device.type):
        return x.to(torch.get_autocast_dtype(x.device.type))
    return x
