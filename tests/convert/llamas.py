"""Small Llamas and Mixtrals as Hugging Face folders, the same to the last bit every time.

Neither PyTorch nor a trained tokenizer: weights come from numpy, tokens are single bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import decoders, models, pre_tokenizers

_HEADS, _KV_HEADS = 4, 2


def write_llama(folder: Path, width: int, n_expert: int = 0, n_ff: int = 0) -> Path:
    """One layer in F32; with experts a Mixtral, which routes every token to two of them."""
    folder.mkdir(parents=True)
    n_tokens = _write_byte_tokenizer(folder)
    n_ff = n_ff or width
    generator = np.random.default_rng(7)

    def normal(*shape: int, scale: float = 1.5) -> NDArray[np.float32]:
        drawn = generator.standard_normal(shape, np.float32)
        # columns of unlike importance, as in a trained model
        drawn *= np.exp(generator.standard_normal(shape[-1], np.float32) / 2)
        return drawn * np.float32(scale / shape[-1] ** 0.5)

    kv = width // _HEADS * _KV_HEADS
    layer = "model.layers.0"
    norm = 1 + normal(3, width, scale=3)
    tensors = {
        "model.embed_tokens.weight": normal(n_tokens, width, scale=16),
        f"{layer}.input_layernorm.weight": norm[0],
        f"{layer}.self_attn.q_proj.weight": normal(width, width),
        f"{layer}.self_attn.k_proj.weight": normal(kv, width),
        f"{layer}.self_attn.v_proj.weight": normal(kv, width),
        f"{layer}.self_attn.o_proj.weight": normal(width, width),
        f"{layer}.post_attention_layernorm.weight": norm[1],
        "model.norm.weight": norm[2],
        "lm_head.weight": normal(n_tokens, width),
    }
    if n_expert:
        tensors[f"{layer}.block_sparse_moe.gate.weight"] = normal(n_expert, width, scale=8)
        for expert in range(n_expert):
            stem = f"{layer}.block_sparse_moe.experts.{expert}"
            for name, shape in (
                ("w1", (n_ff, width)),
                ("w2", (width, n_ff)),
                ("w3", (n_ff, width)),
            ):
                tensors[f"{stem}.{name}.weight"] = normal(*shape)
    else:
        tensors[f"{layer}.mlp.gate_proj.weight"] = normal(n_ff, width)
        tensors[f"{layer}.mlp.up_proj.weight"] = normal(n_ff, width)
        tensors[f"{layer}.mlp.down_proj.weight"] = normal(width, n_ff)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(_config(width, n_ff, n_tokens, n_expert)))
    return folder


def _config(width: int, n_ff: int, n_tokens: int, n_expert: int) -> dict[str, Any]:
    kind = "mixtral" if n_expert else "llama"
    config = {
        "architectures": [f"{kind.capitalize()}ForCausalLM"],
        "model_type": kind,
        "hidden_size": width,
        "intermediate_size": n_ff,
        "num_hidden_layers": 1,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _KV_HEADS,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "vocab_size": n_tokens,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
    }
    return config | ({"num_local_experts": n_expert, "num_experts_per_tok": 2} if n_expert else {})


def _write_byte_tokenizer(folder: Path) -> int:
    """Byte-level BPE without merges; the number of its tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: index for index, token in enumerate(["<|end|>", *alphabet])}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|end|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": "<|end|>", "eos_token": "<|end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return len(vocab)
