"""What the decoders of Hugging Face share: RMSNorm, rope, grouped attention, a gated MLP.

A family is described by a `Decoder` and read by `read_decoder`; what it alone has is a hook of its
own module. Every switch of a configuration that changes the computation is either understood here
or refused by name.
"""

from __future__ import annotations

from dataclasses import replace

from convert.architectures.asking import EPSILON, POSITIONS, head_choices
from convert.architectures.decoder_form import Decoder, Extra, Shape
from convert.architectures.decoder_layers import LayerReader, bias_switches, count_experts
from convert.architectures.family import Family
from convert.architectures.layer_norm import ERF_GELU, ERF_NOTE
from convert.architectures.model import HParam, Model
from convert.architectures.rope import Rope, read_rope, rope_parameters
from convert.architectures.settings import Settings
from convert.architectures.switches import refuse_switches
from convert.architectures.taking import Taker
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError

__all__ = ["Decoder", "Extra", "Shape", "decoder_family", "is_decoder", "read_decoder"]

_CAMEL = {"smollm3": "SmolLM3", "stablelm": "StableLm"}
_EPSILON = ("attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon")
# Of llama.cpp's architectures that are read here, those whose rope divides by factors of its own.
_WITH_FACTORS = frozenset({"cohere2", "gemma4", "granite", "llama", "mistral3", "phi3"})
_ROPE_TABLES = r"(.*\.)?(rotary_emb\.inv_freq|freqs_cos|freqs_sin|freqs_cis|rope\.freqs)"


def decoder_family(name: str, description: str, decoder: Decoder) -> Family:
    """The family of everything that `decoder` describes."""
    return Family(
        name,
        description,
        lambda checkpoint: is_decoder(checkpoint, decoder),
        lambda checkpoint: read_decoder(checkpoint, decoder),
    )


def is_decoder(checkpoint: Checkpoint, decoder: Decoder) -> bool:
    """Whether the configuration names this family, by `model_type` or else by its class."""
    kind = checkpoint.config.get("model_type")
    if kind is None:
        classes = checkpoint.config.get("architectures")
        name = classes[0] if isinstance(classes, list) and classes else None
        return any(name == _class_of(model_type) for model_type in decoder.model_types)
    return kind in decoder.model_types


def _class_of(model_type: str) -> str:
    """transformers' class: smollm3 is SmolLM3ForCausalLM, qwen3_moe is Qwen3MoeForCausalLM."""
    return f"{_CAMEL.get(model_type) or model_type.title().replace('_', '')}ForCausalLM"


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
        self._taker = Taker(checkpoint, decoder.title, decoder.names)
        self._notes: list[str] = []
        self._shape = self._read_shape()

    def _read_shape(self) -> Shape:
        settings, taker = self._settings, self._taker
        n_vocab, n_embd = taker.shape("model.embed_tokens.weight")
        n_head = self._count_heads()
        n_head_kv = settings.integer("num_key_value_heads", default=n_head)
        head_dim = settings.integer("head_dim", default=max(1, n_embd // n_head))
        n_ff_name = "moe_intermediate_size" if self._decoder.experts == "mlp" else ""
        shape = Shape(
            n_vocab=n_vocab,
            n_ctx=int(settings.ask(POSITIONS)),
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
        self._check_heads(shape)
        return shape

    def _count_heads(self) -> int:
        names = ("num_attention_heads", "n_heads", "n_head")
        if self._decoder.fused or self._decoder.mixer is not None:
            return self._settings.integer(*names, flag="--n-head")
        rows, _ = self._taker.shape("model.layers.0.self_attn.q_proj.weight")
        choices = () if self._settings.has(*names) else head_choices(rows)
        return self._settings.integer(*names, choices=choices, flag="--n-head")

    def _check_heads(self, s: Shape) -> None:
        """Before anything is computed for heads that the tensors do not have."""
        if s.n_head % s.n_head_kv or s.head_dim % 2:
            raise ArchitectureError(
                f"{s.n_head} heads over {s.n_head_kv} key-value heads of {s.head_dim} do not "
                "divide, or are odd, which rope cannot be."
            )
        fused = self._decoder.fused
        word = "qkv_proj" if fused else "q_proj"
        names = (f"model.layers.{i}.self_attn.{word}.weight" for i in range(s.n_layer))
        name = next((name for name in names if name in self._taker), None)
        n_parts = s.n_head * (1 + self._decoder.query_gate) + 2 * s.n_head_kv * fused
        rows = n_parts * s.head_dim
        if name is None:
            if self._decoder.mixer is None:
                self._taker.shape(f"model.layers.0.self_attn.{word}.weight")
        elif not self._decoder.uneven and self._taker.shape(name)[0] != rows:
            raise ArchitectureError(
                f"{name} has {self._taker.shape(name)[0]} rows, but {s.n_head} heads of "
                f"{s.head_dim} over {s.n_head_kv} ask for {rows}.",
                "The checkpoint and its configuration do not belong together; "
                "--set num_attention_heads=N and --set head_dim=N say otherwise.",
            )
        width = s.n_head * s.head_dim
        if (self._decoder.square or self._decoder.qk_norm == "width") and width != s.n_embd:
            raise ArchitectureError(
                f"Heads are {width} wide together and the model {s.n_embd}: "
                f"{self._decoder.title} in llama.cpp has both alike."
            )

    def model(self) -> Model:
        """The model that the checkpoint holds. Raises `ArchitectureError`."""
        decoder, shape, taker, settings = self._decoder, self._shape, self._taker, self._settings
        self._check_settings()
        rope = read_rope(
            settings, self._n_rot(), shape.n_ctx, decoder.default_theta, decoder.rope_of
        )
        rope = decoder.rope(settings, shape, rope) if decoder.rope else rope
        kind = rope.scaling.get("rope_type")
        if (kind in ("longrope", "proportional") and not rope.tensors) or (
            rope.tensors and decoder.arch not in _WITH_FACTORS
        ):
            raise ArchitectureError(f"Rope scaling of type {kind!r} is not in {decoder.title}.")
        hparams = self._hparams(rope)
        layers = LayerReader(taker, settings, decoder, shape)
        tensors = [
            taker.take("model.embed_tokens.weight", (shape.n_vocab, shape.n_embd)).rename(
                "token_embd.weight"
            ),
            *rope.tensors,
            *(decoder.shared(layers) if decoder.shared else ()),
        ]
        for layer in range(shape.n_layer):
            tensors += layers.layer(layer)
        tensors += layers.norm("model.norm", decoder.output_norm, shape.n_embd)
        tensors += self._head()
        taker.ignore(_ROPE_TABLES, "computed from rope_theta")
        taker.ignore(r".*\.attention\.mask", "a causal mask, which llama.cpp makes itself")
        window = self._limit_to_window(hparams)
        return Model(
            arch=decoder.arch,
            layout="hf",
            hparams=hparams,
            tensors=tuple(tensors),
            ignored=taker.finish(),
            evidence=self._evidence(),
            notes=(*rope.notes, *window, *self._notes),
        )

    def _check_settings(self) -> None:
        decoder, settings = self._decoder, self._settings
        for name in ("hidden_act", "hidden_activation"):
            because = f"{decoder.title} in llama.cpp has {decoder.activations[0]}"
            settings.require(name, decoder.activations, because)
            if settings.raw(name) in ERF_GELU:
                self._notes.append(ERF_NOTE)
        if decoder.rotary_share is None:
            settings.require("partial_rotary_factor", (1, 1.0), f"{decoder.title} rotates all")
        for name, keys in bias_switches(decoder).items():
            if not set(keys) <= set(decoder.biases):
                settings.require(name, (False,), f"{decoder.title} in llama.cpp has no such bias")
        refuse_switches(settings, decoder.switches, decoder.title, decoder.layer_types)
        if settings.has("auto_map"):
            self._notes.append(
                "config.json names code of its own (auto_map). It was not run: the model is taken "
                "for what its model_type says."
            )

    def _n_rot(self) -> int:
        decoder, settings, shape = self._decoder, self._settings, self._shape
        if decoder.n_rot is not None:
            return decoder.n_rot(settings, shape)
        factor = settings.raw("partial_rotary_factor", "rope_pct", "rotary_pct")
        if factor is None:
            parameters = rope_parameters(settings)
            factor = parameters.get("partial_rotary_factor", decoder.rotary_share)
        if factor is None:
            return shape.head_dim
        usable = isinstance(factor, int | float) and not isinstance(factor, bool)
        n_rot = int(factor * shape.head_dim) if usable and 0 < factor <= 1 else 0
        if n_rot < 2 or n_rot % 2:
            raise ArchitectureError(
                f"partial_rotary_factor is {factor!r:.40}: of heads of {shape.head_dim} it leaves "
                "no even number of dimensions to rotate."
            )
        return n_rot

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
            _EPSILON[self._decoder.norm == "rms"]: self._epsilon(),
            "attention.key_length": s.head_dim,
            "attention.value_length": s.head_dim,
            **rope.hparams,
        }
        if self._decoder.experts:
            hparams["expert_count"] = count_experts(self._settings)
            hparams["expert_used_count"] = self._settings.integer("num_experts_per_tok")
        if self._decoder.own_keys is not None:
            hparams |= self._decoder.own_keys(self._settings, s)
        return hparams

    def _epsilon(self) -> float:
        names = self._decoder.epsilon
        asked = replace(EPSILON, name=names[0], names=(*names[1:], *EPSILON.names))
        epsilon = float(self._settings.ask(asked))
        if not 0 <= epsilon < 1:
            raise ArchitectureError(f"{names[0]} is {epsilon!r:.40}, not between 0 and 1.")
        return epsilon

    def _window(self) -> int | None:
        """Positions that attention slides over in some layer; None where it does not."""
        settings, decoder = self._settings, self._decoder
        window = settings.raw("sliding_window")
        if not settings.said("sliding_window"):
            window = decoder.default_window
        if isinstance(window, bool) or not isinstance(window, int) or window <= 0:
            return None
        if settings.raw("use_sliding_window") is False:
            return None
        if decoder.window_switch:
            kinds, first = settings.raw("layer_types"), settings.raw("max_window_layers")
            if not settings.raw("use_sliding_window"):
                return None
            if isinstance(kinds, list):
                return window if "sliding_attention" in kinds else None
            if isinstance(first, int) and first >= self._shape.n_layer:
                return None
        return window

    def _limit_to_window(self, hparams: dict[str, HParam]) -> tuple[str, ...]:
        """Positions beyond a sliding window that llama.cpp does not have: the file ends there."""
        window, n_ctx = self._window(), hparams["context_length"]
        assert isinstance(n_ctx, int)
        if "attention.sliding_window" in hparams or window is None or window >= n_ctx:
            return ()
        hparams["context_length"] = window
        note = (
            f"Attention slides over {window} of {n_ctx} positions, which llama.cpp does not do "
            f"here: the file is limited to {window}. --set sliding_window=0 keeps {n_ctx}."
        )
        return (note,)

    def _head(self) -> list[Tensor]:
        taker, s, tied = self._taker, self._shape, self._settings.raw("tie_word_embeddings")
        embedding, head = "model.embed_tokens.weight", "lm_head.weight"
        decoder = self._decoder
        shared = [taker.again(embedding).rename("output.weight")] * decoder.output_required
        bias: list[Tensor] = []
        if decoder.output_biased:
            bias = [taker.take("lm_head.bias", (s.n_vocab,)).rename("output.bias")]
        if taker.ignore_tied(head, embedding):
            return shared + bias
        if head in taker and decoder.tied:
            raise ArchitectureError(
                f"{head} differs from the embedding: {decoder.title} in llama.cpp has no matrix of "
                "its own for the logits."
            )
        if head in taker:
            if tied is True:
                self._notes.append(
                    "The configuration says that lm_head.weight is tied to the embedding, but both "
                    "are there and differ: both are kept."
                )
            return [taker.take(head, (s.n_vocab, s.n_embd)).rename("output.weight"), *bias]
        if tied is False:
            raise ArchitectureError(
                "The configuration says that lm_head.weight is not tied, but it is not there.",
                "The checkpoint is incomplete; --set tie_word_embeddings=true if it is tied.",
            )
        return shared + bias
