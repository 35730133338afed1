"""What a model keeps for every token and sequence, from its header's numbers.

Source: `llama_hparams` of llama.cpp. Absurd numbers give an absurd size, never an error: a file
like that is refused by whoever loads it.
"""

from __future__ import annotations

from chatapp.library.sections import Metadata

_MAX_LAYERS = 4096
_EMBEDDING = ("bert", "bert-moe", "-embedding", "t5encoder", "bert-v2", "bert-v3")
_RECURRENT = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})


def read_kv_width(metadata: Metadata, arch: str) -> list[int]:
    """Numbers in keys and values of one token, for each layer; 0 where a layer keeps none."""
    n_layers = min(metadata.number(f"{arch}.block_count"), _MAX_LAYERS)
    if arch in _RECURRENT or n_layers < 1:
        return []
    heads = metadata.per_layer(f"{arch}.attention.head_count", n_layers)
    n_kv = metadata.per_layer(f"{arch}.attention.head_count_kv", n_layers) or heads
    if not heads:
        return []
    key, value = read_head_width(metadata, arch)
    if metadata.number(f"{arch}.attention.key_length_mla"):
        value = 0  # compressed keys hold the values too
    return [n * (key + value) for n in n_kv]


def read_head_width(metadata: Metadata, arch: str) -> tuple[int, int]:
    """Numbers in one head's key and in its value."""
    n_layers = min(metadata.number(f"{arch}.block_count"), _MAX_LAYERS)
    heads = metadata.per_layer(f"{arch}.attention.head_count", max(n_layers, 1))
    head = metadata.number(f"{arch}.embedding_length") // max(1, *heads, 1)
    key = metadata.number(f"{arch}.attention.key_length") or head
    return key, metadata.number(f"{arch}.attention.value_length") or head


def read_state_width(metadata: Metadata, arch: str) -> int:
    """Numbers in the recurrent state of one sequence, all recurrent layers together."""
    n_layers = min(metadata.number(f"{arch}.block_count"), _MAX_LAYERS)
    heads = metadata.per_layer(f"{arch}.attention.head_count_kv", n_layers)
    n_recurrent = n_layers if arch in _RECURRENT else sum(n == 0 for n in heads)
    n_embd = metadata.number(f"{arch}.embedding_length")
    inner = metadata.number(f"{arch}.ssm.inner_size")
    if inner:
        kernel = metadata.number(f"{arch}.ssm.conv_kernel")
        state = metadata.number(f"{arch}.ssm.state_size")
        groups = metadata.number(f"{arch}.ssm.group_count")
        return n_recurrent * ((max(kernel, 1) - 1) * (inner + 2 * groups * state) + inner * state)
    head = metadata.number(f"{arch}.wkv.head_size")
    if head:
        shifts = metadata.number(f"{arch}.token_shift_count") or 2
        return n_recurrent * (shifts * n_embd + n_embd * head)
    return 0


def makes_embeddings(metadata: Metadata, arch: str) -> bool:
    """Whether the model looks both ways, or pools its tokens: such a one writes no text."""
    causal = metadata.values.get(f"{arch}.attention.causal", True)
    pools = metadata.number(f"{arch}.pooling_type") > 0
    return not causal or pools or arch.endswith(_EMBEDDING)


def read_n_ff(metadata: Metadata, arch: str) -> int:
    """Width of the MLP; of a mixture, of the experts that compute one token together."""
    n_layers = min(metadata.number(f"{arch}.block_count"), _MAX_LAYERS)
    dense = max(metadata.per_layer(f"{arch}.feed_forward_length", n_layers), default=0)
    used = metadata.number(f"{arch}.expert_used_count")
    expert = metadata.number(f"{arch}.expert_feed_forward_length") or (dense if used else 0)
    return max(dense, used * expert)
