"""gpt-oss: attention with sinks that slides in every second layer, and experts with a clipped gate.

The experts come in MXFP4, as OpenAI published them, which is carried over bit by bit, or as whole
matrices, transposed, gate and up in turns.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from convert.architectures.decoder import Decoder, Shape, is_decoder, read_decoder
from convert.architectures.decoder_layers import LayerReader, count_experts
from convert.architectures.family import Family
from convert.architectures.layer_types import sliding_layers
from convert.architectures.model import HParam, Model
from convert.architectures.rope import rope_parameters
from convert.architectures.settings import Settings
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.mxfp4 import BLOCK, unpack
from convert.checkpoints.operations import cut, gather, reshape, stack, transpose, zeros
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError

# What transformers means where the configuration says nothing of rope.
_YARN = {
    "rope_type": "yarn",
    "factor": 32.0,
    "original_max_position_embeddings": 4096,
    "truncate": False,
}


def _own_keys(settings: Settings, shape: Shape) -> dict[str, HParam]:
    settings.require("swiglu_limit", (7.0,), "llama.cpp clips the experts' gate at 7")
    settings.require("swiglu_alpha", (1.702,), "llama.cpp's gate has 1.702")
    slides = sliding_layers(settings, shape.n_layer, 2)
    if not any(slides):
        raise ArchitectureError("No layer slides in layer_types: llama.cpp's gpt-oss has some.")
    return {
        "attention.sliding_window": settings.integer("sliding_window"),
        "attention.sliding_window_pattern": slides,
        "expert_count": count_experts(settings),
        "expert_used_count": settings.integer("num_experts_per_tok"),
        "expert_feed_forward_length": shape.n_ff,
    }


def _attention(reader: LayerReader, layer: int) -> list[Tensor]:
    source, name, s = f"model.layers.{layer}.self_attn", f"blk.{layer}", reader.shape
    found = reader.attention(source, name)
    bias = f"{name}.attn_output.bias"
    if bias not in [tensor.name for tensor in found]:
        found.append(zeros(bias, (s.n_embd,)))  # llama.cpp asks for it
    sinks = reader.taker.take(f"{source}.sinks", (s.n_head,), "the number of heads")
    return [*found, sinks.rename(f"{name}.attn_sinks.weight")]


def _experts(reader: LayerReader, layer: int) -> list[Tensor]:
    source, name, s = f"model.layers.{layer}.mlp", f"blk.{layer}", reader.shape
    taker, n = reader.taker, count_experts(reader.settings)
    router = taker.take(f"{source}.router.weight", (n, s.n_embd), "the number of experts")
    bias = taker.take(f"{source}.router.bias", (n,), "the number of experts")
    both = taker.take(f"{source}.experts.gate_up_proj_bias", (n, 2 * s.n_ff))
    down = taker.take(f"{source}.experts.down_proj_bias", (n, s.n_embd))
    turns = reshape(both, (2 * n * s.n_ff,))
    packed = f"{source}.experts.gate_up_proj_blocks" in taker
    return [
        router.rename(f"{name}.ffn_gate_inp.weight"),
        bias.rename(f"{name}.ffn_gate_inp.bias"),
        *(_packed if packed else _whole)(reader, f"{source}.experts", name, n),
        *(
            reshape(_every_second(turns, i), (n, s.n_ff)).rename(f"{name}.ffn_{word}_exps.bias")
            for i, word in enumerate(("gate", "up"))
        ),
        down.rename(f"{name}.ffn_down_exps.bias"),
    ]


def _every_second(tensor: Tensor, first: int) -> Tensor:
    """Rows `first`, `first` + 2, ...: gates and ups lie in turns."""
    order = np.arange(first, tensor.n_rows, 2)
    return gather(tensor, order, key=("every second", first))


def _whole(reader: LayerReader, source: str, name: str, n: int) -> list[Tensor]:
    s, taker = reader.shape, reader.taker
    both = taker.take(f"{source}.gate_up_proj", (n, s.n_embd, 2 * s.n_ff))
    down = taker.take(f"{source}.down_proj", (n, s.n_ff, s.n_embd))
    turned = [transpose(_one(both, i)) for i in range(n)]
    return [
        stack(f"{name}.ffn_gate_exps.weight", [_every_second(one, 0) for one in turned]),
        stack(f"{name}.ffn_up_exps.weight", [_every_second(one, 1) for one in turned]),
        stack(f"{name}.ffn_down_exps.weight", [transpose(_one(down, i)) for i in range(n)]),
    ]


def _one(experts: Tensor, expert: int) -> Tensor:
    return reshape(cut(experts, expert, expert + 1), experts.shape[1:])


def _packed(reader: LayerReader, source: str, name: str, n: int) -> list[Tensor]:
    s, taker = reader.shape, reader.taker
    if s.n_embd % BLOCK or s.n_ff % BLOCK:
        raise ArchitectureError(
            f"The model is {s.n_embd} wide and its experts {s.n_ff}: MXFP4 has blocks of {BLOCK}."
        )

    def rows(word: str, n_rows: int, n_cols: int) -> tuple[Tensor, Tensor]:
        n_blocks = n_cols // BLOCK
        codes = taker.take_codes(f"{source}.{word}_blocks", (n, n_rows, n_blocks, BLOCK // 2))
        scales = taker.take_codes(f"{source}.{word}_scales", (n, n_rows, n_blocks))
        return reshape(codes, (n * n_rows, n_cols // 2)), reshape(scales, (n * n_rows, n_blocks))

    both, down = rows("gate_up_proj", 2 * s.n_ff, s.n_embd), rows("down_proj", s.n_embd, s.n_ff)
    gate, up = ((_every_second(both[0], i), _every_second(both[1], i)) for i in (0, 1))
    wide, back = (n, s.n_ff, s.n_embd), (n, s.n_embd, s.n_ff)
    return [
        unpack(f"{name}.ffn_gate_exps.weight", *gate, wide),
        unpack(f"{name}.ffn_up_exps.weight", *up, wide),
        unpack(f"{name}.ffn_down_exps.weight", *down, back),
    ]


DECODER = Decoder(
    arch="gpt-oss",
    title="a gpt-oss",
    model_types=("gpt_oss",),
    norms={
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "post_attention_norm",
    },
    mixer=_attention,
    feed_forward=_experts,
    biases=("q", "k", "v", "o"),
    output_required=True,
    default_theta=150000.0,
    switches=("swiglu_limit",),
    own_keys=_own_keys,
)


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether the config.json of `checkpoint` names this family."""
    return is_decoder(checkpoint, DECODER)


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError`."""
    config, notes = _rounded(checkpoint)
    model = read_decoder(replace(checkpoint, config=config), DECODER)
    return replace(model, notes=(*model.notes, *notes))


def _rounded(checkpoint: Checkpoint) -> tuple[dict[str, object], tuple[str, ...]]:
    """The configuration with YaRN's ramp between whole dimensions, as llama.cpp has it, and what
    that changes."""
    config, settings = dict(checkpoint.config), Settings(checkpoint)
    if not settings.has("rope_scaling", "rope_parameters"):
        config["rope_parameters"] = {"rope_theta": config.get("rope_theta", 150000.0), **_YARN}
        settings = Settings(replace(checkpoint, config=config))
    values = rope_parameters(settings)
    if values.get("truncate") is not False or values.get("rope_type") != "yarn":
        return config, ()
    key = "rope_scaling" if config.get("rope_scaling") else "rope_parameters"
    config[key] = {**values, "truncate": True}
    note = (
        "YaRN runs between fractions of dimensions here (truncate: false); llama.cpp rounds them "
        "outwards, in every gpt-oss."
    )
    return config, (note,)


FAMILY = Family("gpt-oss", "gpt-oss (also in MXFP4)", recognise, read)
