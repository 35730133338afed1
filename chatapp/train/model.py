"""The reference GPT: GPT-2's shape, small enough to train on a laptop.

It promises nanoGPT's names in its `state_dict` and GPT-2's arithmetic, so that every converter
that reads those reads this. Surprising: the GELU is the tanh approximation, because llama.cpp has
no other for this architecture.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chatapp.errors import UsageError
from chatapp.train.language_model import Shape, TiedModel, follow_matrices

ACTIVATION = "gelu_new"
"""The tanh form of GELU, by Hugging Face's name; stored in the checkpoint's `config`."""


@dataclass(frozen=True, slots=True)
class ModelArgs:
    """What fixes the shape of the weights; stored in the checkpoint as `model_args`."""

    n_layer: int = 6
    n_head: int = 6
    n_embd: int = 384
    block_size: int = 1024
    """Positions the model can tell apart; also the longest context it can be run with."""
    bias: bool = True
    vocab_size: int = 4096
    dropout: float = 0.0
    """Share of activations dropped while training; 0 is off."""

    def __post_init__(self) -> None:
        check_shape(self)

    def as_dict(self) -> dict[str, Any]:
        """The plain dict that nanoGPT stores."""
        return asdict(self)


def check_shape(args: Shape) -> None:
    """Raise `UsageError` where numbers do not make a model."""
    for name in ("n_layer", "n_head", "n_embd", "block_size", "vocab_size"):
        if getattr(args, name) < 1:
            raise UsageError(f"{name} is {getattr(args, name)}, it must be at least 1.")
    if args.n_embd % args.n_head:
        raise UsageError(
            f"n_embd ({args.n_embd}) cannot be split over n_head ({args.n_head}).",
            "Make n_embd a multiple of n_head.",
        )
    if not 0.0 <= args.dropout < 1.0:
        raise UsageError(f"dropout is {args.dropout}, it must lie in [0, 1).")


class SelfAttention(nn.Module):
    """Causal multi-head attention with a fused query, key, value projection."""

    def __init__(self, args: ModelArgs) -> None:
        super().__init__()
        self.c_attn = nn.Linear(args.n_embd, 3 * args.n_embd, bias=args.bias)
        self.c_proj = nn.Linear(args.n_embd, args.n_embd, bias=args.bias)
        self.n_head = args.n_head
        self.dropout = args.dropout

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, time, n_embd]` to the same shape."""
        batch, time, width = x.shape
        heads = (batch, time, 3, self.n_head, width // self.n_head)
        q, k, v = self.c_attn(x).view(heads).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(
            q, k, v, is_causal=True, dropout_p=self.dropout if self.training else 0.0
        )
        return self._project(y.transpose(1, 2).reshape(batch, time, width))

    def _project(self, y: Tensor) -> Tensor:
        return functional.dropout(self.c_proj(y), self.dropout, self.training)


class FeedForward(nn.Module):
    """Two matrices around a tanh-GELU, four times as wide inside."""

    def __init__(self, args: ModelArgs) -> None:
        super().__init__()
        self.c_fc = nn.Linear(args.n_embd, 4 * args.n_embd, bias=args.bias)
        self.c_proj = nn.Linear(4 * args.n_embd, args.n_embd, bias=args.bias)
        self.dropout = args.dropout

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, time, n_embd]` to the same shape."""
        hidden = functional.gelu(self.c_fc(x), approximate="tanh")
        return functional.dropout(self.c_proj(hidden), self.dropout, self.training)


class Block(nn.Module):
    """Pre-norm: each half adds to the residual stream what it makes of its normalised copy."""

    def __init__(self, args: ModelArgs) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(args.n_embd, bias=args.bias)
        self.attn = SelfAttention(args)
        self.ln_2 = nn.LayerNorm(args.n_embd, bias=args.bias)
        self.mlp = FeedForward(args)

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, time, n_embd]` to the same shape."""
        attended: Tensor = x + self.attn(self.ln_1(x))
        result: Tensor = attended + self.mlp(self.ln_2(attended))
        return result


class GPT(TiedModel):
    """The language model: token ids in, logits of the next token out."""

    def __init__(self, args: ModelArgs) -> None:
        super().__init__()
        self.args: ModelArgs = args
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(args.vocab_size, args.n_embd),
                "wpe": nn.Embedding(args.block_size, args.n_embd),
                "h": nn.ModuleList(Block(args) for _ in range(args.n_layer)),
                "ln_f": nn.LayerNorm(args.n_embd, bias=args.bias),
            }
        )
        self.lm_head = nn.Linear(args.n_embd, args.vocab_size, bias=False)
        self.lm_head.weight = self._embedding("wte").weight
        self._initialise()

    def hidden(self, tokens: Tensor, offset: int = 0) -> Tensor:
        """The residual stream after the last norm, `[batch, time, n_embd]`."""
        positions = torch.arange(offset, offset + tokens.shape[1], device=tokens.device)
        x = self._embedding("wte")(tokens) + self._embedding("wpe")(positions)
        x = functional.dropout(x, self.args.dropout, self.training)
        x = follow_matrices(x)
        for block in self.blocks():
            x = block(x)
        return self.transformer["ln_f"](x)  # type: ignore[no-any-return]

    def blocks(self) -> nn.ModuleList:
        """The layers, first to last."""
        blocks = self.transformer["h"]
        assert isinstance(blocks, nn.ModuleList)
        return blocks

    def _embedding(self, name: str) -> nn.Embedding:
        table = self.transformer[name]
        assert isinstance(table, nn.Embedding)
        return table

    def _initialise(self) -> None:
        # GPT-2's: 0.02 everywhere, and less for what is added to the residual stream,
        # by the number of such additions.
        scaled = 0.02 / math.sqrt(2 * self.args.n_layer)
        for name, parameter in self.named_parameters():
            if parameter.dim() >= 2:
                std = scaled if name.endswith("c_proj.weight") else 0.02
                nn.init.normal_(parameter, mean=0.0, std=std)
            elif name.endswith(".bias"):
                nn.init.zeros_(parameter)
