"""GPT-2 as different people write it: real modules in their style, converted, against themselves.

Each module here is written the way its author's code is, by us; its own forward is the reference.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from torch import nn
from torch.nn import functional as F  # noqa: N812

from convert.errors import ArchitectureError
from convert.libllama import ModelFile
from convert.parity.measure import Agreement
from convert.pipeline import convert
from tests.convert.tiny import N_TOKENS, write_hf, write_tokenizer

torch.set_num_threads(1)
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


def compare(path: Path, model: nn.Module) -> dict[str, Any]:
    """Agreement of the file with the module's own forward, on random tokens."""
    sums = Agreement()
    draw = np.random.default_rng(7)
    with ModelFile(path) as file, torch.inference_mode():
        for _ in range(12):
            ids = [int(i) for i in draw.integers(0, N_TOKENS, T)]
            expected = model(torch.tensor(ids)).numpy()
            sums.add(expected, file.logits(ids), ids)
    return sums.report()


CASES: dict[str, tuple[type[nn.Module], dict[str, Any], str]] = {
    "lecture": (Lecture, {}, "lecture"),
    "raschka": (Book, {"n_head": HEADS}, "raschka"),
    "mingpt": (OldMinGPT, {"n_head": HEADS}, "mingpt"),
    "encoder": (
        Encoder,
        {"n_head": HEADS, "norm_first": True, "activation": "gelu"},
        "pytorch-encoder",
    ),
    "own": (Own, {"n_head": HEADS, "activation": "gelu_new"}, "hand-written"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_hand_written_gpt_is_the_same_model(name: str, tmp_path: Path) -> None:
    kind, settings, layout = CASES[name]
    model = randomise(kind())
    folder = save(tmp_path / name, model)
    result = convert(folder, tmp_path / "out.gguf", ftype="F16", settings=settings)
    assert result.plan["layout"] == layout
    assert result.proof is not None
    report = compare(result.output, model)
    print(f"{name:12} {report['top1']:.4f} {report['kl_mean']:.2e}")
    assert report["top1"] >= 0.995
    assert report["kl_mean"] < 1e-4
    assert result.proof["parity"]["status"] == "measured"
    assert result.proof["parity"]["kl_mean"] < 1e-4


def test_biases_on_queries_are_kept(tmp_path: Path) -> None:
    model = randomise(Book(bias=True))
    folder = save(tmp_path / "book", model, config={"n_heads": HEADS})
    result = convert(folder, tmp_path / "out.gguf", ftype="F32")
    assert compare(result.output, model)["top1"] >= 0.995


GPT2 = {
    "vocab_size": N_TOKENS,
    "n_embd": D,
    "n_layer": 2,
    "n_head": HEADS,
    "n_positions": T,
    "bos_token_id": 0,
    "eos_token_id": 1,
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"n_inner": 96},
        {"scale_attn_by_inverse_layer_idx": True},
        {"scale_attn_weights": False},
        {"activation_function": "relu"},
        {"activation_function": "gelu"},
        {"tie_word_embeddings": False},
        {"reorder_and_upcast_attn": True},
    ],
    ids=str,
)
def test_hugging_faces_switches(changes: dict[str, Any], tmp_path: Path) -> None:
    model = hf.GPT2LMHeadModel(hf.GPT2Config(**(GPT2 | changes))).eval()
    folder = write_hf(tmp_path / "gpt2", model, scale=2.0)
    result = convert(folder, tmp_path / "out.gguf", ftype="F16")
    assert result.proof is not None
    parity = result.proof["parity"]
    print(f"{changes!s:45} {parity['top1']:.4f} {parity['kl_mean']:.2e}")
    assert parity["reference"].startswith("transformers")
    assert parity["top1"] >= 0.995


def test_a_bare_gpt2_model_has_no_prefix(tmp_path: Path) -> None:
    whole = hf.GPT2LMHeadModel(hf.GPT2Config(**GPT2)).eval()
    folder = write_hf(tmp_path / "whole", whole)
    whole.transformer.save_pretrained(folder)
    result = convert(folder, tmp_path / "out.gguf", ftype="F32")
    assert result.proof is not None
    assert result.proof["parity"]["top1"] >= 0.995


def without(*names: str) -> Any:
    def change(state: dict[str, Any]) -> None:
        for name in [n for n in state if any(part in n for part in names)]:
            del state[name]

    return change


@pytest.mark.parametrize(
    ("kind", "settings", "change", "reason"),
    [
        (Book, {}, None, "what n_head is"),
        (Own, {"n_head": 4}, None, "what its activation is"),
        (Own, {"n_head": 4, "activation": "silu"}, None, "activation is 'silu'"),
        (Own, {"n_head": 4, "activation": "quick_gelu"}, None, "llama.cpp's GPT-2 has GELU"),
        (Encoder, {"n_head": 4, "activation": "gelu"}, None, "norms in front or behind"),
        (Book, {"n_head": 4}, without("final_norm"), "norm after the last layer"),
        (Book, {"n_head": 4}, without("norm1"), "two norms"),
        (Book, {"n_head": 4}, without("W_key"), "Q, K and V"),
        (Book, {"n_head": 4}, without("ff.layers.2"), "two matrices of an MLP"),
        (Book, {"n_head": 4}, without("pos_emb"), "of no family"),
        (Own, {"n_head": 4, "activation": "gelu"}, without("beta"), "LayerNorm or RMSNorm"),
        (Book, {"n_head": 5}, None, "does not divide"),
    ],
)
def test_what_cannot_be_told_is_asked_for(
    kind: type[nn.Module], settings: dict[str, Any], change: Any, reason: str, tmp_path: Path
) -> None:
    state = randomise(kind()).state_dict()
    if change is not None:
        change(state)
    write_tokenizer(tmp_path)
    torch.save(state, tmp_path / "model.pt")
    with pytest.raises(ArchitectureError, match=reason):
        convert(tmp_path / "model.pt", settings=settings, parity="off")


def test_the_fold_of_an_output_bias_is_exact_in_float64(tmp_path: Path) -> None:
    from convert.architectures import read_model
    from convert.checkpoints import open_checkpoint

    model = randomise(Lecture())
    folder = save(tmp_path / "lecture", model)
    made = {t.name: t for t in read_model(open_checkpoint(folder / "model.pt")).tensors}
    x = torch.randn(20, D, dtype=torch.float64)
    normal = F.layer_norm(x, (D,))
    g, b = (p.double() for p in (model.ln_f.weight, model.ln_f.bias))
    expected = F.linear(normal * g + b, model.lm_head.weight.double(), model.lm_head.bias.double())
    moved = torch.from_numpy(made["output_norm.bias"].float32()).double()
    weight = torch.from_numpy(made["output.weight"].float32()).double()
    found = F.linear(normal * g + moved, weight)
    assert (found - expected).abs().max() < 1e-5  # weights are rounded to float32
