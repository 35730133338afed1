"""LFM2: in most layers a short convolution between two gates, in the others attention.

LFM2-MoE has experts in all but its first layers, chosen by a sigmoid and a bias that only chooses.
"""

from dataclasses import replace

from convert.architectures.decoder import Decoder, Shape, is_decoder, read_decoder
from convert.architectures.decoder_layers import LayerReader
from convert.architectures.family import Family
from convert.architectures.model import HParam, Model
from convert.architectures.settings import Settings
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import reshape, zeros
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError

_SIGMOID = 2  # llama.cpp's LLAMA_EXPERT_GATING_FUNC_TYPE_SIGMOID


def _kinds(settings: Settings, n_layer: int) -> list[str]:
    """What every layer is. Raises `ArchitectureError`."""
    kinds, attending = settings.raw("layer_types"), settings.raw("full_attn_idxs")
    if kinds is None and isinstance(attending, list):
        kinds = ["full_attention" if i in attending else "conv" for i in range(n_layer)]
    if not isinstance(kinds, list) or len(kinds) != n_layer:
        raise ArchitectureError(f"layer_types does not name the kinds of {n_layer} layers.")
    return kinds


def _mixer(reader: LayerReader, layer: int) -> list[Tensor] | None:
    n_embd, settings = reader.shape.n_embd, reader.settings
    if _kinds(settings, reader.shape.n_layer)[layer] != "conv":
        return None
    source, name = f"model.layers.{layer}.conv", f"blk.{layer}.shortconv"
    length = settings.integer("conv_L_cache")
    kernel = reader.taker.take(f"{source}.conv.weight", (n_embd, 1, length), "conv_L_cache")
    return [
        *reader.linear(f"{source}.in_proj", f"{name}.in_proj", (3 * n_embd, n_embd)),
        reshape(kernel, (n_embd, length)).rename(f"{name}.conv.weight"),
        *reader.linear(f"{source}.out_proj", f"{name}.out_proj", (n_embd, n_embd)),
    ]


def _own_keys(settings: Settings, shape: Shape) -> dict[str, HParam]:
    settings.require("conv_bias", (False,), "llama.cpp's LFM2 has no biases")
    length = settings.integer("conv_L_cache")
    if length < 2:
        raise ArchitectureError("conv_L_cache is 1, which remembers nothing.")
    kinds = _kinds(settings, shape.n_layer)
    return {
        "attention.head_count_kv": [shape.n_head_kv * (kind != "conv") for kind in kinds],
        "shortconv.l_cache": length,
        "vocab_size": shape.n_vocab,
    }


def _fed_by_experts(reader: LayerReader, layer: int) -> list[Tensor]:
    source, name, settings = f"model.layers.{layer}", f"blk.{layer}", reader.settings
    if layer < _count_dense(settings):
        return reader.mlp(f"{source}.mlp", name, settings.integer("intermediate_size"))
    shape = (settings.integer("num_experts"),)
    bias = zeros(f"{name}.exp_probs_b.bias", shape)
    if settings.flag("use_expert_bias", default=True):
        bias = reader.taker.take(f"{source}.mlp.expert_bias", shape).rename(bias.name)
    return [*reader.experts(source, name), bias]


def _count_dense(settings: Settings) -> int:
    """Layers at the beginning that have an MLP and no experts."""
    said = settings.raw("num_dense_layers")
    return 0 if said == 0 else settings.integer("num_dense_layers", default=2)


def _own_keys_of_experts(settings: Settings, shape: Shape) -> dict[str, HParam]:
    settings.require("norm_topk_prob", (True,), "llama.cpp normalises the weights of experts")
    return _own_keys(settings, shape) | {
        "feed_forward_length": settings.integer("intermediate_size"),
        "expert_feed_forward_length": shape.n_ff,
        "leading_dense_block_count": _count_dense(settings),
        "expert_gating_func": _SIGMOID,
    }


DENSE = Decoder(
    arch="lfm2",
    title="an LFM2",
    model_types=("lfm2",),
    names={
        "norm": "embedding_norm",
        "o_proj": "out_proj",
        "q_norm": "q_layernorm",
        "k_norm": "k_layernorm",
        "mlp": "feed_forward",
        "gate_proj": "w1",
        "up_proj": "w3",
        "down_proj": "w2",
    },
    norms={"operator_norm": "attn_norm", "ffn_norm": "ffn_norm"},
    output_norm="token_embd_norm",
    epsilon=("norm_eps", "block_norm_eps"),
    qk_norm="head",
    square=True,
    mixer=_mixer,
    layer_types=("full_attention", "conv"),
    default_theta=1000000.0,
    own_keys=_own_keys,
)
SPARSE = replace(
    DENSE,
    arch="lfm2moe",
    title="an LFM2-MoE",
    model_types=("lfm2_moe",),
    experts="mlp",
    feed_forward=_fed_by_experts,
    own_keys=_own_keys_of_experts,
)


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether the config.json of `checkpoint` names this family."""
    return is_decoder(checkpoint, DENSE) or is_decoder(checkpoint, SPARSE)


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError`."""
    if is_decoder(checkpoint, SPARSE):
        return read_decoder(checkpoint, SPARSE)
    config = dict(checkpoint.config)
    gate = checkpoint.tensors.get("model.layers.0.feed_forward.w1.weight")
    if gate is not None:  # config.json has a number from which the width is computed
        config["intermediate_size"] = gate.shape[0]
    if config.get("tie_word_embeddings") is None and "tie_embedding" in config:
        config["tie_word_embeddings"] = config["tie_embedding"]
    return read_decoder(replace(checkpoint, config=config), DENSE)


FAMILY = Family("lfm2", "LFM2", recognise, read)
