"""The numbers of a Llama outside Hugging Face, under Hugging Face's names.

What a format fixes in its own code (llama2.c: base and epsilon) is taken from there; what it only
may mean is asked for. Meta's params.json switches scaled rope on without its factor, which is 8 in
Llama 3.1 and 32 in the small ones of 3.2.
"""

from __future__ import annotations

from typing import Any

from convert.architectures.asking import fill_heads
from convert.architectures.settings import Settings
from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import ArchitectureError
from convert.questions import Choice, Question

# (dim, n_layers) of Llama 3.1 8B, 70B and 405B.
_LLAMA_3_1 = frozenset({(4096, 32), (8192, 80), (16384, 126)})
_ALIASES = {
    "num_attention_heads": ("n_heads", "n_head"),
    "num_key_value_heads": ("n_kv_heads", "n_kv_head", "n_kv_groups"),
    "num_hidden_layers": ("n_layers", "n_layer"),
    "rms_norm_eps": ("norm_eps", "layer_norm_eps"),
    "rope_theta": ("rope_base",),
    "max_position_embeddings": ("max_seq_len", "block_size", "context_length", "n_ctx"),
}


def _translate(checkpoint: Checkpoint, gate: str, q: str, k: str) -> dict[str, Any]:
    """Everything the configuration says, and its numbers under Hugging Face's names too; the MLP
    is as wide as the tensor `gate`, and `q` and `k` tell of heads what nobody says."""
    said = {key: value for key, value in checkpoint.config.items() if value is not None}
    config: dict[str, Any] = {}
    for ours, theirs in _ALIASES.items():
        config[ours] = _first(said, theirs)
    config |= said
    tensor = checkpoint.tensors.get(gate)
    if tensor is not None and tensor.shape:
        config["intermediate_size"] = tensor.shape[0]
    return config | fill_heads(checkpoint, q, k)


_FACTOR = Question(
    "rope_scaling_factor",
    "params.json switches scaled rope on and does not say by which factor.",
    (Choice(32.0, "Llama 3.2 1B and 3B"), Choice(8.0, "Llama 3.1")),
    others=True,
)
_ACTIVATION = Question(
    "hidden_act",
    "Without config.json or output.weight this may be torchtune's Llama 3.2 or its Gemma.",
    (Choice("silu", "a Llama"), Choice("gelu_pytorch_tanh", "a Gemma: refused in these names")),
)
_META = ("feed_forward.w1", "attention.wq", "attention.wk")


def from_meta(checkpoint: Checkpoint, parts: tuple[str, str, str] = _META) -> dict[str, Any]:
    """Meta's params.json, and Mistral's; `parts` are a layer's gate, Q and K. Raises
    `ArchitectureError`."""
    settings = Settings(checkpoint)
    for name in ("moe", "moe_args", "quantization_args", "lora_args"):
        because = "only whole weights without experts are read in this format"
        settings.require(name, (), because)
    gate, q, k = (f"layers.0.{part}.weight" for part in parts)
    config = _translate(checkpoint, gate, q, k)
    if not settings.raw("use_scaled_rope"):
        return config
    config["rope_parameters"] = {
        "rope_type": "llama3",
        "rope_theta": config.get("rope_theta"),
        "factor": _scaling_factor(settings, checkpoint),
        "low_freq_factor": 1.0,
        "high_freq_factor": settings.number("rope_high_freq_factor", default=4.0),
        "original_max_position_embeddings": 8192,
    }
    config["max_position_embeddings"] = config["max_position_embeddings"] or 131072
    return config


def _scaling_factor(settings: Settings, checkpoint: Checkpoint) -> float:
    size = checkpoint.config.get("dim"), checkpoint.config.get("n_layers")
    if size in _LLAMA_3_1 and not settings.has("rope_scaling_factor"):
        return 8.0
    return float(settings.ask(_FACTOR))


def from_llama2_c(checkpoint: Checkpoint) -> dict[str, Any]:
    """llama2.c fixes base and epsilon in its model.py and does not save them."""
    config = from_meta(checkpoint)
    if config["rope_theta"] is None:
        config["rope_theta"] = 10000.0
    if config["rms_norm_eps"] is None:
        config["rms_norm_eps"] = 1e-5
    return config


def from_torchtune(checkpoint: Checkpoint) -> dict[str, Any]:
    """torchtune saves no configuration; config.json or params.json beside it may be there.

    Its Qwen, Phi and Gemma have the same names and rotate by halves, or have another activation.
    """
    gate = "layers.0.mlp.w1.weight"
    if gate not in checkpoint.tensors:
        raise ArchitectureError("There is no layers.0.mlp.w1.weight: not one of torchtune's Llama.")
    kind = checkpoint.config.get("model_type")
    if "layers.0.attn.q_proj.bias" in checkpoint.tensors:
        kind = "qwen2"
    if kind not in (None, "llama", "mistral"):
        raise ArchitectureError(
            f"A {kind!r:.40} in torchtune's own names rotates otherwise than its Llama.",
            "Let torchtune save in Hugging Face's format (safe_serialization with the Hugging Face "
            "checkpointer), and convert that.",
        )
    config = from_meta(checkpoint, ("mlp.w1", "attn.q_proj", "attn.k_proj"))
    if kind is None and "output.weight" not in checkpoint.tensors and not config.get("hidden_act"):
        config["hidden_act"] = checkpoint.ask(_ACTIVATION)
    return config


def from_hand_written(checkpoint: Checkpoint) -> dict[str, Any]:
    """A state dict under transformers' names, whose configuration `bare` has completed."""
    config = {ours: _first(checkpoint.config, theirs) for ours, theirs in _ALIASES.items()}
    return config | {key: value for key, value in checkpoint.config.items() if value is not None}


def _first(said: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((said[name] for name in names if said.get(name) is not None), None)
