"""What the decoders of Hugging Face share: RMSNorm, rope, grouped attention, a gated MLP.

A family is described by a `Decoder` and read by `read_decoder`; what it alone has is a hook of its
own module. Every switch of a configuration that changes the computation is either understood here
or refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from convert.architectures.family import Family
from convert.architectures.model import HParam, Model
from convert.architectures.rope import Rope, interleave, read_rope
from convert.architectures.settings import Settings
from convert.architectures.taking import Taker
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import affine, stack
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError

_LLAMA_NORMS = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}


@dataclass(frozen=True)
class Shape:
    """The numbers every decoder has."""

    n_vocab: int
    n_ctx: int
    n_layer: int
    n_embd: int
    n_ff: int
    n_head: int
    n_head_kv: int
    head_dim: int


Extra = Callable[[Settings, Shape], dict[str, HParam]]


@dataclass(frozen=True)
class Decoder:
    """How a family differs from Llama."""

    arch: str
    """llama.cpp's name."""
    title: str
    """For errors: "a Llama"."""
    model_types: tuple[str, ...]
    """Of config.json."""
    pairs: bool = False
    """llama.cpp rotates neighbouring pairs: rows of Q and K are reordered."""
    norms: dict[str, str] = field(default_factory=lambda: dict(_LLAMA_NORMS))
    """Norms of a layer: Hugging Face's name to llama.cpp's."""
    norm_shift: float = 0.0
    """Added to every norm: Gemma keeps its norms less one."""
    qk_norm: str = ""
    """"head": a norm over each head; "width": over all of them; "": none."""
    activations: tuple[str, ...] = ("silu", "swish")
    fused: bool = False
    """qkv_proj and gate_up_proj, as Phi-3 has them."""
    experts: str = ""
    """Where a layer's experts are: "block_sparse_moe" (Mixtral) or "mlp" (Qwen3)."""
    biases: tuple[str, ...] = ()
    """Projections that may have one: q k v o gate up down."""
    output_required: bool = False
    """llama.cpp wants output.weight even where it is tied."""
    own_keys: Extra | None = None
    """Keys that only this family has; raises what it cannot express."""
    q_scale: Callable[[Settings, Shape], float] | None = None
    """What Q is multiplied with, where llama.cpp's own scale is another."""
    rope: Callable[[Settings, Shape, Rope], Rope] | None = None


def decoder_family(name: str, description: str, decoder: Decoder) -> Family:
    """The family of everything that `decoder` describes."""
    return Family(
        name,
        description,
        lambda checkpoint: is_decoder(checkpoint, decoder),
        lambda checkpoint: read_decoder(checkpoint, decoder),
    )


def is_decoder(checkpoint: Checkpoint, decoder: Decoder) -> bool:
    """Whether the configuration names this family."""
    return checkpoint.config.get("model_type") in decoder.model_types


def read_decoder(checkpoint: Checkpoint, decoder: Decoder) -> Model:
    """The model in `checkpoint`, in Hugging Face's spelling. Raises `ArchitectureError`."""
    return _Reader(_with_prefix(checkpoint), decoder).model()


def _with_prefix(checkpoint: Checkpoint) -> Checkpoint:
    """Names as a causal language model has them: a bare `LlamaModel` leaves out `model.`."""
    if "embed_tokens.weight" not in checkpoint.tensors:
        return checkpoint
    tensors = {
        (name if name.startswith("lm_head.") else f"model.{name}"): tensor
        for name, tensor in checkpoint.tensors.items()
    }
    return replace(checkpoint, tensors=tensors)


class _Reader:
    def __init__(self, checkpoint: Checkpoint, decoder: Decoder) -> None:
        self._decoder = decoder
        self._settings = Settings(checkpoint)
        self._taker = Taker(checkpoint, decoder.title)
        self._shape = self._read_shape()

    def _read_shape(self) -> Shape:
        settings, taker = self._settings, self._taker
        n_vocab, n_embd = taker.shape("model.embed_tokens.weight")
        n_head = settings.integer("num_attention_heads", "n_head")
        n_head_kv = settings.integer("num_key_value_heads", default=n_head)
        head_dim = settings.integer("head_dim", default=max(1, n_embd // n_head))
        if n_head % n_head_kv or head_dim % 2:
            raise ArchitectureError(
                f"{n_head} heads over {n_head_kv} key-value heads of {head_dim} do not divide."
            )
        n_ff_name = "moe_intermediate_size" if self._decoder.experts == "mlp" else ""
        shape = Shape(
            n_vocab=n_vocab,
            n_ctx=settings.integer("max_position_embeddings", "n_ctx"),
            n_layer=taker.count_layers(r"model\.layers\.(\d+)\."),
            n_embd=n_embd,
            n_ff=settings.integer(*filter(None, (n_ff_name, "intermediate_size"))),
            n_head=n_head,
            n_head_kv=n_head_kv,
            head_dim=head_dim,
        )
        said = settings.raw("num_hidden_layers")
        if said is not None and said != shape.n_layer:
            raise ArchitectureError(
                f"num_hidden_layers is {said!r:.20}, but the tensors have {shape.n_layer} layers.",
                "The checkpoint is incomplete, or its configuration belongs to another.",
            )
        return shape

    def model(self) -> Model:
        decoder, shape, taker, settings = self._decoder, self._shape, self._taker, self._settings
        for name in ("hidden_act", "hidden_activation"):
            because = f"{decoder.title} in llama.cpp has {decoder.activations[0]}"
            settings.require(name, decoder.activations, because)
        if not decoder.fused:
            settings.require("partial_rotary_factor", (1, 1.0), "only Phi-3 has it")
        n_rot = self._n_rot()
        rope = read_rope(settings, n_rot, shape.n_ctx)
        rope = decoder.rope(settings, shape, rope) if decoder.rope else rope
        if rope.scaling.get("rope_type") == "longrope" and not rope.tensors:
            raise ArchitectureError(f"Rope scaling of type 'longrope' is not in {decoder.title}.")
        hparams = self._hparams(rope)
        tensors = [
            taker.take("model.embed_tokens.weight", (shape.n_vocab, shape.n_embd)).rename(
                "token_embd.weight"
            ),
            *rope.tensors,
        ]
        for layer in range(shape.n_layer):
            tensors += self._layer(layer)
        tensors.append(self._norm("model.norm", "output_norm", shape.n_embd))
        tensors += self._head()
        taker.ignore(r".*rotary_emb\.inv_freq", "computed from rope_theta")
        window = self._window(hparams)
        return Model(
            arch=decoder.arch,
            layout="hf",
            hparams=hparams,
            tensors=tuple(tensors),
            ignored=taker.finish(),
            evidence=self._evidence(),
            notes=(*rope.notes, *window),
        )

    def _n_rot(self) -> int:
        factor = self._settings.raw("partial_rotary_factor")
        if factor is None:
            parameters = self._settings.raw("rope_parameters")
            factor = parameters.get("partial_rotary_factor") if isinstance(parameters, dict) else 1
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor <= 1:
            factor = 1
        return int(factor * self._shape.head_dim)

    def _evidence(self) -> tuple[str, ...]:
        s = self._shape
        kind = self._settings.text("model_type", default=self._decoder.arch)
        return (
            f"config.json says {kind[:40]!r}, and the tensor names agree.",
            f"{s.n_layer} layers, {s.n_embd} wide, MLP {s.n_ff}.",
            f"{s.n_head} heads of {s.head_dim} over {s.n_head_kv} key-value heads.",
        )

    def _hparams(self, rope: Rope) -> dict[str, HParam]:
        s = self._shape
        hparams: dict[str, HParam] = {
            "context_length": min(s.n_ctx, rope.n_ctx or s.n_ctx),
            "embedding_length": s.n_embd,
            "block_count": s.n_layer,
            "feed_forward_length": s.n_ff,
            "attention.head_count": s.n_head,
            "attention.head_count_kv": s.n_head_kv,
            "attention.layer_norm_rms_epsilon": self._settings.number("rms_norm_eps"),
            "attention.key_length": s.head_dim,
            "attention.value_length": s.head_dim,
            **rope.hparams,
        }
        if self._decoder.experts:
            hparams["expert_count"] = self._n_expert()
            hparams["expert_used_count"] = self._settings.integer("num_experts_per_tok")
        if self._decoder.own_keys is not None:
            hparams |= self._decoder.own_keys(self._settings, s)
        return hparams

    def _window(self, hparams: dict[str, HParam]) -> tuple[str, ...]:
        """Positions beyond a sliding window that llama.cpp does not have: the file ends there."""
        window = self._settings.raw("sliding_window")
        used = self._settings.raw("use_sliding_window")
        n_ctx = hparams["context_length"]
        assert isinstance(n_ctx, int)
        if "attention.sliding_window" in hparams or used is False or not isinstance(window, int):
            return ()
        if not 0 < window < n_ctx:
            return ()
        hparams["context_length"] = window
        note = (
            f"Attention slides over {window} of {n_ctx} positions, which llama.cpp does not do "
            f"here: the file is limited to {window}. --set sliding_window=0 keeps {n_ctx}."
        )
        return (note,)

    def _norm(self, source: str, name: str, width: int) -> Tensor:
        tensor = self._taker.take(f"{source}.weight", (width,))
        if self._decoder.norm_shift:
            tensor = affine(tensor, shift=self._decoder.norm_shift)
        return tensor.rename(f"{name}.weight")

    def _linear(self, source: str, name: str, key: str, shape: tuple[int, int]) -> list[Tensor]:
        found = [self._taker.take(f"{source}.weight", shape).rename(f"{name}.weight")]
        if key in self._decoder.biases:
            bias = self._taker.take_if_there(f"{source}.bias", shape[:1])
            found += [bias.rename(f"{name}.bias")] if bias else []
        return found

    def _layer(self, layer: int) -> list[Tensor]:
        source, name, decoder = f"model.layers.{layer}", f"blk.{layer}", self._decoder
        n_embd = self._shape.n_embd
        found = [
            self._norm(f"{source}.{theirs}", f"{name}.{ours}", n_embd)
            for theirs, ours in decoder.norms.items()
        ]
        found += self._attention(f"{source}.self_attn", name)
        if decoder.experts:
            return found + self._experts(f"{source}.{decoder.experts}", name)
        return found + self._mlp(f"{source}.mlp", name)

    def _attention(self, source: str, name: str) -> list[Tensor]:
        s, decoder = self._shape, self._decoder
        q_rows, kv_rows = s.n_head * s.head_dim, s.n_head_kv * s.head_dim
        output = self._linear(f"{source}.o_proj", f"{name}.attn_output", "o", (s.n_embd, q_rows))
        if decoder.fused:
            rows = q_rows + 2 * kv_rows
            return (
                self._linear(f"{source}.qkv_proj", f"{name}.attn_qkv", "q", (rows, s.n_embd))
                + output
            )
        q = self._linear(f"{source}.q_proj", f"{name}.attn_q", "q", (q_rows, s.n_embd))
        k = self._linear(f"{source}.k_proj", f"{name}.attn_k", "k", (kv_rows, s.n_embd))
        v = self._linear(f"{source}.v_proj", f"{name}.attn_v", "v", (kv_rows, s.n_embd))
        if decoder.pairs:
            q = [interleave(tensor, s.n_head) for tensor in q]
            k = [interleave(tensor, s.n_head_kv) for tensor in k]
        norms: list[Tensor] = []
        if decoder.qk_norm:
            wide = decoder.qk_norm == "width"
            widths = (q_rows, kv_rows) if wide else (s.head_dim, s.head_dim)
            for letter, width in zip("qk", widths, strict=True):
                norms.append(
                    self._norm(f"{source}.{letter}_norm", f"{name}.attn_{letter}_norm", width)
                )
        scale = decoder.q_scale(self._settings, s) if decoder.q_scale else 1.0
        if scale != 1.0:
            if norms:
                norms[0] = affine(norms[0], scale=scale)
            else:
                q = [affine(tensor, scale=scale) for tensor in q]
        return [*q, *k, *v, *norms, *output]

    def _mlp(self, source: str, name: str) -> list[Tensor]:
        s = self._shape
        if self._decoder.fused:
            found = self._linear(
                f"{source}.gate_up_proj", f"{name}.ffn_up", "up", (2 * s.n_ff, s.n_embd)
            )
        else:
            up = (s.n_ff, s.n_embd)
            found = self._linear(f"{source}.gate_proj", f"{name}.ffn_gate", "gate", up)
            found += self._linear(f"{source}.up_proj", f"{name}.ffn_up", "up", up)
        down = self._linear(f"{source}.down_proj", f"{name}.ffn_down", "down", (s.n_embd, s.n_ff))
        return found + down

    def _n_expert(self) -> int:
        return self._settings.integer("num_local_experts", "num_experts")

    def _experts(self, source: str, name: str) -> list[Tensor]:
        s, n = self._shape, self._n_expert()
        if n > 4096:
            raise ArchitectureError(f"{n} experts are more than llama.cpp has.")
        mixtral = self._decoder.experts == "block_sparse_moe"
        words = ("w1", "w3", "w2") if mixtral else ("gate_proj", "up_proj", "down_proj")
        up, down = (s.n_ff, s.n_embd), (s.n_embd, s.n_ff)
        gate = self._taker.take(f"{source}.gate.weight", (n, s.n_embd))
        found = [gate.rename(f"{name}.ffn_gate_inp.weight")]
        for word, ours, shape in zip(words, ("gate", "up", "down"), (up, up, down), strict=True):
            parts = [
                self._taker.take(f"{source}.experts.{i}.{word}.weight", shape) for i in range(n)
            ]
            found.append(stack(f"{name}.ffn_{ours}_exps.weight", parts))
        return found

    def _head(self) -> list[Tensor]:
        taker, s = self._taker, self._shape
        embedding = "model.embed_tokens.weight"
        if not taker.ignore_tied("lm_head.weight", embedding) and "lm_head.weight" in taker:
            head = taker.take("lm_head.weight", (s.n_vocab, s.n_embd))
            return [head.rename("output.weight")]
        if self._settings.raw("tie_word_embeddings") is False and not taker.ignored:
            raise ArchitectureError(
                "The configuration says that lm_head.weight is not tied, but it is not there.",
                "The checkpoint is incomplete; --set tie_word_embeddings=true if it is tied.",
            )
        if self._decoder.output_required:
            return [taker.again(embedding).rename("output.weight")]
        return []
