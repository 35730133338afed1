"""Hand-written models that differ from what most people write in one or two things, and training.

`Variant` is written as its author would write it, one `if` a switch; nothing of it is the
converter's. Its names are changed by `rename`, so that one module stands for many people's code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from convert.author.asked import Code

RATE = 6e-3


@dataclass(frozen=True)
class Style:
    """How one author built a model."""

    scale: str = "head"
    norms: str = "before"
    last_norm: bool = True
    fused: str = ""
    """"qkv", "kqv", "heads" (each head's together), "each"; "": Q, K and V apart."""
    root: bool = False
    """Embeddings are multiplied by the root of the width."""
    parallel: bool = False
    residual: float = 1.0
    """What attention and MLP put out is multiplied by it."""
    embedding: float = 1.0
    """What tokens and positions come to together is multiplied by it."""
    logits: float = 1.0
    again: str = ""
    """"stack": all layers run twice in a row; "each": each layer twice."""
    out: bool = True
    """Attention has an output matrix."""
    activation: str = "gelu"
    rms: bool = False
    rope: str = ""
    """"halves", "pairs"; "": a table of positions."""
    theta: float = 10000.0
    gated: bool = False
    gate_second: bool = False
    kv: int = 0
    """Heads of K and V; 0: as many as of Q."""
    qk_norm: bool = False
    qk_plain: bool = False
    """Q and K have norms without weights."""
    one_more: bool = False
    """Norms multiply by one more than their weight."""
    bias: bool = True
    tied: bool = False
    head_bias: bool = False
    heads: int = 4
    width: int = 64
    context: int = 64
    """Positions, and the length of the texts it learns from."""
    layers: int = 2
    names: tuple[tuple[str, str], ...] = field(default_factory=tuple)
    """What is renamed when it is saved: patterns and replacements."""


class Norm(nn.Module):
    def __init__(self, width: int, rms: bool, bias: bool, more: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width) if more else torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if bias and not rms else None
        self.rms, self.more = rms, more

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = 1 + self.weight if self.more else self.weight
        if self.rms:
            return unit(x) * weight
        return F.layer_norm(x, (x.shape[-1],), weight, self.bias)


def unit(x: torch.Tensor) -> torch.Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5)


def rotate(x: torch.Tensor, style: Style) -> torch.Tensor:
    """[batch, heads, n, size]."""
    n, size = x.shape[-2:]
    turns = torch.outer(torch.arange(n), style.theta ** (-torch.arange(0, size, 2) / size))
    cos, sin = turns.cos(), turns.sin()
    if style.rope == "halves":
        cos, sin = torch.cat([cos, cos], -1), torch.cat([sin, sin], -1)
        a, b = x.chunk(2, dim=-1)
        return x * cos + torch.cat([-b, a], -1) * sin
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = torch.empty_like(x)
    turned[..., 0::2] = even * cos - odd * sin
    turned[..., 1::2] = even * sin + odd * cos
    return turned


class Attention(nn.Module):
    def __init__(self, s: Style) -> None:
        super().__init__()
        d, self.s = s.width, s
        size = d // s.heads
        if s.fused:
            self.qkv = nn.Linear(d, 3 * d, bias=s.bias)
        else:
            self.query = nn.Linear(d, d, bias=s.bias)
            self.key = nn.Linear(d, (s.kv or s.heads) * size, bias=s.bias)
            self.value = nn.Linear(d, (s.kv or s.heads) * size, bias=s.bias)
        if s.qk_norm:
            self.q_norm, self.k_norm = Norm(size, True, False), Norm(size, True, False)
        if s.out:
            self.proj = nn.Linear(d, d, bias=s.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, n, d = x.shape
        s = self.s
        h, size = s.heads, d // s.heads
        if s.fused == "heads":
            q, k, v = self.qkv(x).view(b, n, h, 3, size).permute(3, 0, 2, 1, 4)
        elif s.fused == "each":
            q, k, v = self.qkv(x).view(b, n, h, size, 3).permute(4, 0, 2, 1, 3)
        elif s.fused:
            parts = dict(zip(s.fused, self.qkv(x).split(d, dim=-1), strict=True))
            q, k, v = (parts[c].view(b, n, h, size).transpose(1, 2) for c in "qkv")
        else:
            q, k, v = (
                part(x).view(b, n, -1, size).transpose(1, 2)
                for part in (self.query, self.key, self.value)
            )
        if s.qk_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        if s.qk_plain:
            q, k = unit(q), unit(k)
        if s.rope:
            q, k = rotate(q, s), rotate(k, s)
        if s.kv:
            k, v = (part.repeat_interleave(h // s.kv, dim=1) for part in (k, v))
        factor = {"head": size**-0.5, "width": d**-0.5, "none": 1.0}.get(s.scale)
        if factor is None:
            factor = 8 / size if s.scale == "8/d" else float(s.scale)
        weights = q @ k.transpose(-2, -1) * factor
        weights = weights.masked_fill(torch.ones(n, n).triu(1).bool(), float("-inf"))
        mixed = (weights.softmax(-1) @ v).transpose(1, 2).reshape(b, n, d)
        return self.proj(mixed) if s.out else mixed


class FeedForward(nn.Module):
    def __init__(self, s: Style) -> None:
        super().__init__()
        self.s = s
        wide = 2 * s.width if s.gated else 4 * s.width
        self.w1 = nn.Linear(s.width, wide, bias=s.bias)
        if s.gated:
            self.w3 = nn.Linear(s.width, wide, bias=s.bias)
        self.w2 = nn.Linear(wide, s.width, bias=s.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kinds = {"gelu": F.gelu, "relu": F.relu, "silu": F.silu}
        act = kinds.get(self.s.activation) or (lambda y: F.relu(y) ** 2)
        if self.s.activation == "gelu_new":
            act = lambda y: F.gelu(y, approximate="tanh")  # noqa: E731
        if not self.s.gated:
            return self.w2(act(self.w1(x)))
        a, b = self.w1(x), self.w3(x)
        return self.w2(a * act(b) if self.s.gate_second else act(a) * b)


class Block(nn.Module):
    def __init__(self, s: Style) -> None:
        super().__init__()
        self.s = s
        self.ln1, self.ln2 = (Norm(s.width, s.rms, s.bias, s.one_more) for _ in range(2))
        self.attn, self.ffwd = Attention(s), FeedForward(s)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.s.parallel:
            return x + self.attn(self.ln1(x)) + self.ffwd(self.ln2(x))
        if self.s.norms == "behind":
            x = self.ln1(x + self.attn(x))
            return self.ln2(x + self.ffwd(x))
        if self.s.norms == "output":
            x = x + self.ln1(self.attn(x))
            return x + self.ln2(self.ffwd(x))
        if self.s.norms == "through":
            x = self.ln1(x)
            x = self.ln2(x + self.attn(x))
            return x + self.ffwd(x)
        x = x + self.s.residual * self.attn(self.ln1(x))
        return x + self.s.residual * self.ffwd(self.ln2(x))


class Variant(nn.Module):
    def __init__(self, s: Style, n_vocab: int) -> None:
        super().__init__()
        self.s = s
        self.tok_emb = nn.Embedding(n_vocab, s.width)
        if not s.rope:
            self.pos_emb = nn.Embedding(s.context, s.width)
        self.blocks = nn.ModuleList(Block(s) for _ in range(s.layers))
        self.ln_f = Norm(s.width, s.rms, s.bias, s.one_more)
        self.head = nn.Linear(s.width, n_vocab, bias=s.head_bias)
        if s.tied:
            self.head.weight = self.tok_emb.weight
        self.last_loss = 0.0
        for name, weight in self.named_parameters():
            if weight.ndim > 1:
                emb = "emb" in name
                nn.init.normal_(weight, std=0.05 if emb and s.root else 0.1 if emb else 0.08)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tok_emb(ids)
        if self.s.root:
            x = x * self.s.width**0.5
        if not self.s.rope:
            x = x + self.pos_emb.weight[: ids.shape[-1]]
        x = x * self.s.embedding
        for block in self.blocks:
            x = block(block(x)) if self.s.again == "each" else block(x)
        if self.s.again == "stack":
            for block in self.blocks:
                x = block(x)
        return self.head(self.ln_f(x) if self.s.last_norm else x) * self.s.logits


class Author(nn.Module):
    """`Variant` with its author's names inside, as whoever saved it has it in code."""

    def __init__(self, style: Style, n_vocab: int) -> None:
        super().__init__()
        inner = Variant(style, n_vocab)
        self.held = [inner]  # no module of this one
        for name, weight in inner.named_parameters():
            place: nn.Module = self
            *path, last = rename(name, style).split(".")
            for part in path:
                if not hasattr(place, part):
                    place.add_module(part, nn.Module())
                place = getattr(place, part)
            place.register_parameter(last, weight)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.held[0](ids)
        return result


@cache
def characters(text: str) -> tuple[str, torch.Tensor]:
    """The alphabet of a text, and the text as ids in it."""
    chars = "".join(sorted(set(text)))
    index = {c: i for i, c in enumerate(chars)}
    return chars, torch.tensor([index[c] for c in text])


@cache
def train(style: Style, text: str, steps: int, batch: int = 16) -> Variant:
    """A model that has seen `steps` batches of `text`."""
    length = style.context
    chars, ids = characters(text)
    torch.manual_seed(3)
    model = Variant(style, len(chars))
    best = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    plan = torch.optim.lr_scheduler.OneCycleLR(best, RATE, total_steps=steps, pct_start=0.15)
    for _ in range(steps):
        at = torch.randint(len(ids) - length, (batch,))
        window = torch.stack([ids[i : i + length + 1] for i in at])
        loss = F.cross_entropy(model(window[:, :-1]).flatten(0, 1), window[:, 1:].flatten())
        best.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        best.step()
        plan.step()
    model.last_loss = loss.item()
    return model.eval().requires_grad_(False)


def conv_gpt2(model: Variant) -> dict[str, torch.Tensor]:
    """Its weights as transformers' GPT-2 has them in a state dict: Conv1D turns its matrices."""
    stems = {"attn.qkv": "attn.c_attn", "attn.proj": "attn.c_proj"}
    stems |= {"ffwd.w1": "mlp.c_fc", "ffwd.w2": "mlp.c_proj", "ln1": "ln_1", "ln2": "ln_2"}
    state = {}
    for name, weight in model.state_dict().items():
        new = name.replace("tok_emb", "wte").replace("pos_emb", "wpe").replace("blocks", "h")
        for ours, theirs in stems.items():
            new = new.replace(ours, theirs)
        turned = "h." in new and weight.ndim == 2
        state["lm_head.weight" if name == "head.weight" else f"transformer.{new}"] = (
            weight.T.contiguous() if turned else weight.clone()
        )
    return state


def rename(name: str, style: Style) -> str:
    """A tensor's name as the author has it."""
    for pattern, other in style.names:
        name = re.sub(pattern, other, name)
    return name


def save_variant(
    folder: Path,
    model: Variant,
    text: str,
    state: dict[str, torch.Tensor] | None = None,
    *,
    beside: bool = True,
    **more: Any,
) -> Path:
    """A checkpoint as its author saves it: the weights, the alphabet, and perhaps the text."""
    chars, _ = characters(text)
    folder.mkdir(parents=True, exist_ok=True)
    if state is None:
        state = {rename(name, model.s): weight for name, weight in model.state_dict().items()}
    if model.s.tied:
        state.pop(rename("head.weight", model.s))
    torch.save({"model": state, "chars": chars, **more}, folder / "model.pt")
    if beside:
        (folder / "input.txt").write_text(text)
    return folder


def write_code(folder: Path, model: Variant, text: str) -> Code:
    """The author's code of a model, beside its checkpoint."""
    made = f"Author({model.s!r}, {len(characters(text)[0])})"
    code = Path(__file__).read_text().partition("\n\ndef write_code")[0]
    code = code.replace("from convert.author.asked import Code\n", "")
    path = folder / "author.py"
    path.write_text(f"{code}\n\ndef build():\n    return {made}\n")
    return Code(path, "build")
