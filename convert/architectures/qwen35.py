"""Qwen3.5 and Qwen3.5-MoE, the language model: three layers of four have a state (gated delta net).

A folder with the vision tower gives its language model; the tower and the head that predicts
several tokens are left out. Where several value heads share a key head, llama.cpp has the first
values of all key heads before the second ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from convert.architectures.decoder import Decoder, Shape, is_decoder, read_decoder
from convert.architectures.decoder_layers import LayerReader
from convert.architectures.family import Family
from convert.architectures.model import HParam, Model
from convert.architectures.rope import rope_parameters
from convert.architectures.settings import Settings
from convert.architectures.text_part import Ignored, text_part
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import gather, gather_columns, minus_exp, reshape
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError

_LINEAR = "linear_attention"
_SECTIONS = [11, 11, 10]  # of transformers, where the configuration names none


@dataclass(frozen=True)
class _State:
    """Dimensions of a layer with a state."""

    n_key: int
    n_value: int
    width: int
    """Of a head, of either kind."""
    kernel: int

    def values(self, width: int) -> NDArray[np.intp]:
        """Where the rows of value heads, each `width` long, come from in llama.cpp's order."""
        rows = np.arange(self.n_value * width)
        return rows.reshape(self.n_key, -1, width).swapaxes(0, 1).reshape(-1)

    def mixed(self) -> NDArray[np.intp]:
        """The same for queries, keys and values below one another."""
        n = 2 * self.n_key * self.width
        return np.concatenate([np.arange(n), n + self.values(self.width)])


def _state(settings: Settings) -> _State:
    found = _State(
        settings.integer("linear_num_key_heads"),
        settings.integer("linear_num_value_heads"),
        settings.integer("linear_key_head_dim"),
        settings.integer("linear_conv_kernel_dim"),
    )
    width = settings.integer("linear_value_head_dim")
    if width != found.width or found.n_value % found.n_key:
        raise ArchitectureError(
            f"{found.n_key} key heads of {found.width} beside {found.n_value} value heads of "
            f"{width}: llama.cpp has them equally wide, and so many values for each key."
        )
    if max(found.n_key, found.n_value) * width > 1 << 24:
        raise ArchitectureError(f"linear_num_value_heads is {found.n_value}, which is no model's.")
    return found


def _linear_layers(settings: Settings, n_layer: int) -> list[bool]:
    """Whether each layer has a state."""
    kinds = settings.raw("layer_types")
    if kinds is None:
        every = settings.integer("full_attention_interval", default=4)
        found = [bool((layer + 1) % every) for layer in range(n_layer)]
    elif isinstance(kinds, list) and len(kinds) == n_layer:
        found = [kind == _LINEAR for kind in kinds]
    else:
        raise ArchitectureError(f"layer_types is {kinds!r:.60}, not a list of {n_layer} layers.")
    if all(found) or not any(found):
        raise ArchitectureError("llama.cpp's Qwen3.5 has layers with a state and others without.")
    return found


def _sections(settings: Settings, n_rot: int) -> list[int]:
    """How many rotated pairs follow time, height and width; [4]. For text all three are alike."""
    found = rope_parameters(settings).get("mrope_section", _SECTIONS)
    sane = isinstance(found, list) and len(found) == 3
    if not sane or not all(type(n) is int and 0 < n < 1 << 16 for n in found):
        raise ArchitectureError(f"mrope_section is {found!r:.60}, not three numbers > 0.")
    for pair in range(n_rot // 2):
        sector = pair % sum(found)
        if sector >= 3 * found[sector % 3]:
            raise ArchitectureError(
                f"mrope_section {found} leaves pair {pair} of {n_rot // 2} without a position in "
                "llama.cpp."
            )
    return [*found, 0]


def _own_keys(settings: Settings, shape: Shape) -> dict[str, HParam]:
    settings.require("attn_output_gate", (True,), "llama.cpp always has the gate")
    state = _state(settings)
    share = rope_parameters(settings).get("partial_rotary_factor")
    share = settings.raw("partial_rotary_factor") or share or 0.25
    return {
        "ssm.conv_kernel": state.kernel,
        "ssm.inner_size": state.n_value * state.width,
        "ssm.state_size": state.width,
        "ssm.time_step_rank": state.n_value,
        "ssm.group_count": state.n_key,
        "attention.recurrent_layers": _linear_layers(settings, shape.n_layer),
        "rope.dimension_sections": _sections(settings, int(share * shape.head_dim)),
    }


def _expert_keys(settings: Settings, shape: Shape) -> dict[str, HParam]:
    settings.require("mlp_only_layers", ([],), "llama.cpp has experts in every layer")
    return {
        **_own_keys(settings, shape),
        "expert_feed_forward_length": shape.n_ff,
        "expert_shared_feed_forward_length": settings.integer("shared_expert_intermediate_size"),
    }


def _mixer(reader: LayerReader, layer: int) -> list[Tensor] | None:
    """The gated delta net of a layer that has one."""
    if not _linear_layers(reader.settings, reader.shape.n_layer)[layer]:
        return None
    state, n_embd = _state(reader.settings), reader.shape.n_embd
    source, name = f"model.layers.{layer}.linear_attn", f"blk.{layer}"
    values = state.n_value * state.width
    mixed = values + 2 * state.n_key * state.width

    def take(theirs: str, shape: tuple[int, ...]) -> Tensor:
        return reader.taker.take(f"{source}.{theirs}", shape, "its number and width of heads")

    conv = reshape(take("conv1d.weight", (mixed, 1, state.kernel)), (mixed, state.kernel))
    wide, single = state.values(state.width), state.values(1)
    found = {
        "attn_qkv.weight": gather(take("in_proj_qkv.weight", (mixed, n_embd)), state.mixed()),
        "attn_gate.weight": gather(take("in_proj_z.weight", (values, n_embd)), wide),
        "ssm_conv1d.weight": gather(conv, state.mixed()),
        "ssm_dt.bias": gather(take("dt_bias", (state.n_value,)), single),
        "ssm_a": gather(minus_exp(take("A_log", (state.n_value,))), single),
        "ssm_beta.weight": gather(take("in_proj_b.weight", (state.n_value, n_embd)), single),
        "ssm_alpha.weight": gather(take("in_proj_a.weight", (state.n_value, n_embd)), single),
        "ssm_norm.weight": take("norm.weight", (state.width,)),
        "ssm_out.weight": gather_columns(take("out_proj.weight", (n_embd, values)), wide),
    }
    return [tensor.rename(f"{name}.{ours}") for ours, tensor in found.items()]


DENSE = Decoder(
    arch="qwen35",
    title="a Qwen3.5",
    model_types=("qwen3_5_text", "qwen3_5"),
    norms={
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "post_attention_norm",
    },
    norm_shift=1.0,
    qk_norm="head",
    query_gate=True,
    mixer=_mixer,
    layer_types=("full_attention", _LINEAR),
    default_theta=10000.0,
    rotary_share=0.25,
    own_keys=_own_keys,
)
MOE = replace(
    DENSE,
    arch="qwen35moe",
    title="a Qwen3.5-MoE",
    model_types=("qwen3_5_moe_text", "qwen3_5_moe"),
    experts="mlp",
    shared_expert=True,
    switches=("shared_expert_intermediate_size",),
    own_keys=_expert_keys,
)


def _read(checkpoint: Checkpoint, decoder: Decoder) -> Model:
    text, seen = text_part(checkpoint, decoder.model_types[0])
    text, heads = _without_mtp(text)
    model = read_decoder(text, decoder)
    return replace(model, ignored=(*model.ignored, *seen, *heads))


def _without_mtp(checkpoint: Checkpoint) -> tuple[Checkpoint, Ignored]:
    extra = [name for name in checkpoint.tensors if name.startswith(("mtp.", "model.mtp."))]
    tensors = {key: tensor for key, tensor in checkpoint.tensors.items() if key not in extra}
    reason = "predicts several tokens at once: the file holds the model that predicts one"
    return replace(checkpoint, tensors=tensors), tuple((name, reason) for name in extra)


def _family(name: str, description: str, decoder: Decoder) -> Family:
    return Family(
        name,
        description,
        lambda checkpoint: is_decoder(checkpoint, decoder),
        lambda checkpoint: _read(checkpoint, decoder),
    )


FAMILY = _family("qwen35", "Qwen3.5 (text)", DENSE)
MOE_FAMILY = _family("qwen35moe", "Qwen3.5-MoE (text)", MOE)
