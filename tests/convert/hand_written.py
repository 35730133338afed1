"""GPTs as different people write them: each module in its author's style, written by us.

Each module's own forward is the reference of its conversion.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from tests.convert.tiny import N_TOKENS, write_tokenizer

D, T, HEADS = 64, 64, 4


class LectureHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.key = nn.Linear(D, D // HEADS, bias=False)
        self.query = nn.Linear(D, D // HEADS, bias=False)
        self.value = nn.Linear(D, D // HEADS, bias=False)
        self.register_buffer("tril", torch.tril(torch.ones(T, T)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        t = x.shape[0]
        scores = self.query(x) @ self.key(x).T * (D // HEADS) ** -0.5
        scores = scores.masked_fill(self.tril[:t, :t] == 0, float("-inf"))
        return scores.softmax(-1) @ self.value(x)


class LectureAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList(LectureHead() for _ in range(HEADS))
        self.proj = nn.Linear(D, D)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.proj(torch.cat([head(x) for head in self.heads], dim=-1))


class LectureFeedForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(D, 4 * D), nn.ReLU(), nn.Linear(4 * D, D))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class LectureBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sa = LectureAttention()
        self.ffwd = LectureFeedForward()
        self.ln1, self.ln2 = nn.LayerNorm(D), nn.LayerNorm(D)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.sa(self.ln1(x))
        return x + self.ffwd(self.ln2(x))


class Lecture(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token_embedding_table = nn.Embedding(N_TOKENS, D)
        self.position_embedding_table = nn.Embedding(T, D)
        self.blocks = nn.Sequential(*[LectureBlock() for _ in range(2)])
        self.ln_f = nn.LayerNorm(D)
        self.lm_head = nn.Linear(D, N_TOKENS)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.token_embedding_table(ids) + self.position_embedding_table.weight[: len(ids)]
        return self.lm_head(self.ln_f(self.blocks(x)))


class BookNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(D)), nn.Parameter(torch.zeros(D))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, var = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
        return self.scale * (x - mean) / torch.sqrt(var + 1e-5) + self.shift


class BookAttention(nn.Module):
    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.W_query = nn.Linear(D, D, bias=bias)
        self.W_key = nn.Linear(D, D, bias=bias)
        self.W_value = nn.Linear(D, D, bias=bias)
        self.out_proj = nn.Linear(D, D)
        self.register_buffer("mask", torch.triu(torch.ones(T, T), diagonal=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n = len(x)
        q, k, v = (
            w(x).view(n, HEADS, -1).transpose(0, 1)
            for w in (self.W_query, self.W_key, self.W_value)
        )
        scores = (q @ k.transpose(1, 2)).masked_fill(self.mask.bool()[:n, :n], -torch.inf)
        mixed = (scores / (D // HEADS) ** 0.5).softmax(-1) @ v
        return self.out_proj(mixed.transpose(0, 1).reshape(n, D))


class BookGELU(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = torch.sqrt(torch.tensor(2.0 / torch.pi)) * (x + 0.044715 * x**3)
        return 0.5 * x * (1 + torch.tanh(inner))


class BookFeedForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(D, 4 * D), BookGELU(), nn.Linear(4 * D, D))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class BookBlock(nn.Module):
    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.att, self.ff = BookAttention(bias), BookFeedForward()
        self.norm1, self.norm2 = BookNorm(), BookNorm()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.att(self.norm1(x))
        return x + self.ff(self.norm2(x))


class Book(nn.Module):
    def __init__(self, bias: bool = False) -> None:
        super().__init__()
        self.tok_emb, self.pos_emb = nn.Embedding(N_TOKENS, D), nn.Embedding(T, D)
        self.trf_blocks = nn.Sequential(*[BookBlock(bias) for _ in range(2)])
        self.final_norm = BookNorm()
        self.out_head = nn.Linear(D, N_TOKENS, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tok_emb(ids) + self.pos_emb.weight[: len(ids)]
        return self.out_head(self.final_norm(self.trf_blocks(x)))


class OldMinGPTAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.key, self.query, self.value = nn.Linear(D, D), nn.Linear(D, D), nn.Linear(D, D)
        self.proj = nn.Linear(D, D)
        self.register_buffer("mask", torch.tril(torch.ones(T, T)).view(1, 1, T, T))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n = len(x)
        k, q, v = (
            w(x).view(n, HEADS, -1).transpose(0, 1) for w in (self.key, self.query, self.value)
        )
        mixed = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
        return self.proj(mixed.transpose(0, 1).reshape(n, D))


class OldMinGPTBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.attn = OldMinGPTAttention()
        self.mlp = nn.Sequential(nn.Linear(D, 4 * D), nn.GELU(), nn.Linear(4 * D, D))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class OldMinGPT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tok_emb = nn.Embedding(N_TOKENS, D)
        self.pos_emb = nn.Parameter(torch.zeros(1, T, D))
        self.blocks = nn.Sequential(*[OldMinGPTBlock() for _ in range(2)])
        self.ln_f = nn.LayerNorm(D)
        self.head = nn.Linear(D, N_TOKENS, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tok_emb(ids) + self.pos_emb[0, : len(ids)]
        return self.head(self.ln_f(self.blocks(x)))


class Encoder(nn.Module):
    """A GPT made of PyTorch's own encoder layers."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(N_TOKENS, D), nn.Embedding(T, D)
        self.token_emb = self.tokens
        layer = nn.TransformerEncoderLayer(
            D, HEADS, 3 * D, dropout=0, activation="gelu", batch_first=True, norm_first=True
        )
        del self.tokens
        self.layers = nn.ModuleList(nn.TransformerEncoder(layer, 2).layers)
        self.norm = nn.LayerNorm(D)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        n = len(ids)
        x = (self.token_emb(ids) + self.positions.weight[:n])[None]
        mask = nn.Transformer.generate_square_subsequent_mask(n)
        for layer in self.layers:
            x = layer(x, src_mask=mask, is_causal=True)
        return F.linear(self.norm(x[0]), self.token_emb.weight)


class GammaNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(D)), nn.Parameter(torch.zeros(D))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, (D,), self.gamma, self.beta)


class OwnBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn_norm, self.ffn_norm = GammaNorm(), GammaNorm()
        self.qkv = nn.Linear(D, 3 * D)
        self.wo = nn.Linear(D, D, bias=False)
        self.fc_in, self.fc_out = nn.Linear(D, 2 * D), nn.Linear(2 * D, D)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n = len(x)
        q, k, v = self.qkv(self.attn_norm(x)).view(n, 3, HEADS, -1).permute(1, 2, 0, 3)
        mixed = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
        x = x + self.wo(mixed.transpose(0, 1).reshape(n, D))
        return x + self.fc_out(F.gelu(self.fc_in(self.ffn_norm(x)), approximate="tanh"))


class Own(nn.Module):
    """Nobody's names: gamma and beta, a fused qkv, an MLP half as wide as usual."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.pos = nn.Embedding(N_TOKENS, D), nn.Embedding(T, D)
        self.decoder = nn.ModuleList(OwnBlock() for _ in range(2))
        self.norm_out = GammaNorm()
        self.unembed = nn.Linear(D, N_TOKENS)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids) + self.pos.weight[: len(ids)]
        for block in self.decoder:
            x = block(x)
        return self.unembed(self.norm_out(x))


def randomise(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim < 2:
                weight.add_(0.2 * noise)
            elif "emb" in name or "pos" in name or "token" in name:
                weight.copy_(0.5 * noise)
            else:
                weight.copy_(1.5 * noise / weight.shape[-1] ** 0.5)
            if len(weight) == N_TOKENS and weight.ndim == 2:
                # as in a trained model some tokens stand out, and the likeliest is clear
                weight.mul_(torch.exp(0.7 * torch.randn(N_TOKENS, 1, generator=generator)))
    return model.eval()


def save(folder: Path, model: nn.Module, **beside: Any) -> Path:
    write_tokenizer(folder)
    torch.save({"model_state": model.state_dict(), **beside}, folder / "model.pt")
    return folder
