"""The Llama shape: RoPE, RMSNorm, SwiGLU, keys and values shared by groups of heads.

Promises Hugging Face's names in its `state_dict` and its arithmetic (the two halves of a head
rotate against each other), so that `config.json` and the weights are a `LlamaForCausalLM`.
Source: Touvron et al. 2023, with the grouped attention of Ainslie et al. 2023.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chatapp.errors import UsageError
from chatapp.gguf.replacing import write_whole
from chatapp.train.language_model import TiedModel, follow_matrices
from chatapp.train.model import check_shape

_EPS = 1e-5
CONFIG_FILE = "config.json"


@dataclass(frozen=True, slots=True)
class LlamaArgs:
    """What fixes the shape of the weights; stored in the checkpoint as `model_args`."""

    n_layer: int = 6
    n_head: int = 6
    n_kv_head: int = 0
    """Heads of keys and values, which divide `n_head`; 0 is as many."""
    n_embd: int = 384
    n_ff: int = 0
    """Width of the feed-forward; 0 is 8/3 of `n_embd`, rounded up to a multiple of 32."""
    block_size: int = 1024
    """The longest context it is trained for."""
    vocab_size: int = 4096
    rope_theta: float = 10_000.0
    dropout: float = 0.0
    """Share of activations dropped while training; 0 is off."""
    shape: str = "llama"

    def __post_init__(self) -> None:
        check_shape(self)
        if self.shape != "llama":
            raise UsageError(f"The shape {self.shape!r} is unknown.", "Use gpt2 or llama.")
        if self.n_head % self.kv_heads:
            raise UsageError(
                f"n_head ({self.n_head}) cannot be shared by n_kv_head ({self.kv_heads}).",
                "Make n_head a multiple of n_kv_head.",
            )
        if self.n_embd // self.n_head % 2:
            raise UsageError(
                f"A head of {self.n_embd // self.n_head} cannot rotate.",
                "Make n_embd an even multiple of n_head.",
            )

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.n_kv_head or self.n_head

    @property
    def feed_forward(self) -> int:
        """The width of the feed-forward's hidden layer."""
        return self.n_ff or math.ceil(self.n_embd * 8 / 3 / 32) * 32

    def as_dict(self) -> dict[str, Any]:
        """Plain values, and the same as Hugging Face names them, so that a lone checkpoint says all
        that its weights do not."""
        return asdict(self) | describe(self)


class _Norm(nn.Module):
    """RMSNorm, computed in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x.float(), x.shape[-1:], self.weight, _EPS).to(x.dtype)


class _Attention(nn.Module):
    def __init__(self, args: LlamaArgs) -> None:
        super().__init__()
        self.args = args
        self.size = args.n_embd // args.n_head
        narrow = args.kv_heads * self.size
        self.q_proj = nn.Linear(args.n_embd, args.n_embd, bias=False)
        self.k_proj = nn.Linear(args.n_embd, narrow, bias=False)
        self.v_proj = nn.Linear(args.n_embd, narrow, bias=False)
        self.o_proj = nn.Linear(args.n_embd, args.n_embd, bias=False)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        batch, time, width = x.shape
        q, k, v = (
            made.view(batch, time, -1, self.size).transpose(1, 2)
            for made in (self.q_proj(x), self.k_proj(x), self.v_proj(x))
        )
        q, k = _rotate(q, turn), _rotate(k, turn)
        if (group := self.args.n_head // self.args.kv_heads) > 1:
            k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        dropout = self.args.dropout if self.training else 0.0
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout)
        made = self.o_proj(y.transpose(1, 2).reshape(batch, time, width))
        return functional.dropout(made, self.args.dropout, self.training)


class _FeedForward(nn.Module):
    def __init__(self, args: LlamaArgs) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(args.n_embd, args.feed_forward, bias=False)
        self.up_proj = nn.Linear(args.n_embd, args.feed_forward, bias=False)
        self.down_proj = nn.Linear(args.feed_forward, args.n_embd, bias=False)
        self.dropout = args.dropout

    def forward(self, x: Tensor) -> Tensor:
        made = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return functional.dropout(made, self.dropout, self.training)


class _Block(nn.Module):
    def __init__(self, args: LlamaArgs) -> None:
        super().__init__()
        self.input_layernorm = _Norm(args.n_embd)
        self.self_attn = _Attention(args)
        self.post_attention_layernorm = _Norm(args.n_embd)
        self.mlp = _FeedForward(args)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        attended: Tensor = x + self.self_attn(self.input_layernorm(x), turn)
        result: Tensor = attended + self.mlp(self.post_attention_layernorm(attended))
        return result


class Llama(TiedModel):
    """The language model: token ids in, logits of the next token out."""

    def __init__(self, args: LlamaArgs) -> None:
        super().__init__()
        self.args: LlamaArgs = args
        self.model = nn.ModuleDict(
            {
                "embed_tokens": nn.Embedding(args.vocab_size, args.n_embd),
                "layers": nn.ModuleList(_Block(args) for _ in range(args.n_layer)),
                "norm": _Norm(args.n_embd),
            }
        )
        self.lm_head = nn.Linear(args.n_embd, args.vocab_size, bias=False)
        embedding = self.model["embed_tokens"]
        assert isinstance(embedding, nn.Embedding)
        self.lm_head.weight = embedding.weight
        self._initialise()

    def hidden(self, tokens: Tensor, offset: int = 0) -> Tensor:
        """The residual stream after the last norm, `[batch, time, n_embd]`."""
        positions = torch.arange(offset, offset + tokens.shape[1], device=tokens.device)
        x = follow_matrices(self.model["embed_tokens"](tokens))
        x = functional.dropout(x, self.args.dropout, self.training)
        size = self.args.n_embd // self.args.n_head
        powers = torch.arange(0, size, 2, device=tokens.device).float() / size
        angles = positions[:, None].float() / self.args.rope_theta**powers
        angles = torch.cat((angles, angles), dim=-1)
        turn = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        for block in self.blocks():
            x = block(x, turn)
        return self.model["norm"](x)  # type: ignore[no-any-return]

    def blocks(self) -> nn.ModuleList:
        """The layers, first to last."""
        layers = self.model["layers"]
        assert isinstance(layers, nn.ModuleList)
        return layers

    def _initialise(self) -> None:
        scaled = 0.02 / math.sqrt(2 * self.args.n_layer)
        for name, parameter in self.named_parameters():
            if parameter.dim() >= 2:
                last = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(parameter, mean=0.0, std=scaled if last else 0.02)


def describe(args: LlamaArgs) -> dict[str, Any]:
    """What Hugging Face's `config.json` says of such a model."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": args.vocab_size,
        "hidden_size": args.n_embd,
        "intermediate_size": args.feed_forward,
        "num_hidden_layers": args.n_layer,
        "num_attention_heads": args.n_head,
        "num_key_value_heads": args.kv_heads,
        "head_dim": args.n_embd // args.n_head,
        "hidden_act": "silu",
        "max_position_embeddings": args.block_size,
        "rms_norm_eps": _EPS,
        "rope_theta": args.rope_theta,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
    }


def write_config(args: LlamaArgs, folder: Path) -> None:
    """Write the `config.json` that transformers reads for this shape; raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / CONFIG_FILE, json.dumps(describe(args), indent=2).encode(), mode=None)


def _rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """`[batch, head, time, size]` with each pair of a head's halves turned by its angle."""
    cos, sin = turn
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-right, left), dim=-1) * sin
