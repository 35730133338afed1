"""The reference GPT: GPT-2's shape, small enough to train on a laptop.

It promises nanoGPT's names in its `state_dict` and GPT-2's arithmetic, so that every converter
that reads those reads this. Two facts surprise: the GELU is the tanh approximation, because
llama.cpp has no other for this architecture; and `lm_head.weight` is the embedding itself (tied),
so it appears in the `state_dict` under both names but is counted and trained once.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chatapp.errors import UsageError

IGNORED = -100
"""Targets with this value carry no loss."""
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
        for name in ("n_layer", "n_head", "n_embd", "block_size", "vocab_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}, it must be at least 1.")
        if self.n_embd % self.n_head:
            raise UsageError(
                f"n_embd ({self.n_embd}) cannot be split over n_head ({self.n_head}).",
                "Make n_embd a multiple of n_head.",
            )
        if not 0.0 <= self.dropout < 1.0:
            raise UsageError(f"dropout is {self.dropout}, it must lie in [0, 1).")

    def as_dict(self) -> dict[str, Any]:
        """The plain dict that nanoGPT stores."""
        return asdict(self)


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


class GPT(nn.Module):
    """The language model: token ids in, logits of the next token out."""

    def __init__(self, args: ModelArgs) -> None:
        super().__init__()
        self.args = args
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

    def forward(self, tokens: Tensor, offset: int = 0) -> Tensor:
        """Logits `[batch, time, vocab_size]` of int64 `tokens` `[batch, time]`.

        `offset` is the position of the first token: training on short windows at shifting
        offsets is how every row of the position table gets its share.
        """
        return self.lm_head(self.hidden(tokens, offset))  # type: ignore[no-any-return]

    def hidden(self, tokens: Tensor, offset: int = 0) -> Tensor:
        """The residual stream after the last norm, `[batch, time, n_embd]`."""
        positions = torch.arange(offset, offset + tokens.shape[1], device=tokens.device)
        x = self._embedding("wte")(tokens) + self._embedding("wpe")(positions)
        x = functional.dropout(x, self.args.dropout, self.training)
        if torch.is_autocast_enabled(x.device.type):
            # The residual stream follows the matrices: casting it at each of them cost 15 %.
            x = x.to(torch.get_autocast_dtype(x.device.type))
        blocks = self.transformer["h"]
        assert isinstance(blocks, nn.ModuleList)
        for block in blocks:
            x = block(x)
        return self.transformer["ln_f"](x)  # type: ignore[no-any-return]

    def loss(self, tokens: Tensor, targets: Tensor, offset: int = 0) -> Tensor:
        """Mean cross-entropy in nats over the targets that are not `IGNORED`.

        Only rows that carry loss go through the output matrix: with a loss mask over prompts
        that saves most of the largest multiplication.
        """
        wanted = targets.reshape(-1) != IGNORED
        rows = self.hidden(tokens, offset).reshape(-1, self.args.n_embd)
        if not bool(wanted.all()):
            rows, targets = rows[wanted], targets.reshape(-1)[wanted]
        logits = self.lm_head(rows)
        return functional.cross_entropy(logits.float(), targets.reshape(-1))

    def count_parameters(self) -> int:
        """Trained numbers, the tied embedding counted once."""
        return sum(parameter.numel() for parameter in self.parameters())

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
