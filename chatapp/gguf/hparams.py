"""What a model keeps for every token and sequence, from its header's numbers.

Source: `llama_hparams` of llama.cpp. Absurd numbers give an absurd size, never an error: a file
like that is refused by whoever loads it.
"""

from __future__ import annotations

from chatapp.gguf.header import Header

_MAX_LAYERS = 4096
_EMBEDDING = ("bert", "bert-moe", "-embedding", "t5encoder", "bert-v2", "bert-v3")
_RECURRENT = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})


def read_kv_width(header: Header) -> list[int]:
    """Numbers in keys and values of one token, for each layer; 0 where a layer keeps none."""
    n_layers = min(header.number(f"{header.arch}.block_count"), _MAX_LAYERS)
    if header.arch in _RECURRENT or n_layers < 1:
        return []
    heads = header.per_layer(f"{header.arch}.attention.head_count", n_layers)
    n_kv = header.per_layer(f"{header.arch}.attention.head_count_kv", n_layers) or heads
    if not heads:
        return []
    key, value = read_head_width(header)
    if header.number(f"{header.arch}.attention.key_length_mla"):
        value = 0  # compressed keys hold the values too
    return [n * (key + value) for n in n_kv]


def read_head_width(header: Header) -> tuple[int, int]:
    """Numbers in one head's key and in its value."""
    n_layers = min(header.number(f"{header.arch}.block_count"), _MAX_LAYERS)
    heads = header.per_layer(f"{header.arch}.attention.head_count", max(n_layers, 1))
    head = header.number(f"{header.arch}.embedding_length") // max(1, *heads, 1)
    key = header.number(f"{header.arch}.attention.key_length") or head
    return key, header.number(f"{header.arch}.attention.value_length") or head


def read_state_width(header: Header) -> int:
    """Numbers in the recurrent state of one sequence, all recurrent layers together."""
    n_layers = min(header.number(f"{header.arch}.block_count"), _MAX_LAYERS)
    heads = header.per_layer(f"{header.arch}.attention.head_count_kv", n_layers)
    n_recurrent = n_layers if header.arch in _RECURRENT else sum(n == 0 for n in heads)
    n_embd = header.number(f"{header.arch}.embedding_length")
    inner = header.number(f"{header.arch}.ssm.inner_size")
    if inner:
        kernel = header.number(f"{header.arch}.ssm.conv_kernel")
        state = header.number(f"{header.arch}.ssm.state_size")
        groups = header.number(f"{header.arch}.ssm.group_count")
        return n_recurrent * ((max(kernel, 1) - 1) * (inner + 2 * groups * state) + inner * state)
    head = header.number(f"{header.arch}.wkv.head_size")
    if head:
        shifts = header.number(f"{header.arch}.token_shift_count") or 2
        return n_recurrent * (shifts * n_embd + n_embd * head)
    return 0


def makes_embeddings(header: Header) -> bool:
    """Whether the model looks both ways, or pools its tokens: such a one writes no text."""
    causal = header.values.get(f"{header.arch}.attention.causal", True)
    pools = header.number(f"{header.arch}.pooling_type") > 0
    return not causal or pools or header.arch.endswith(_EMBEDDING)


def read_n_ff(header: Header) -> int:
    """Width of the MLP; of a mixture, of the experts that compute one token together."""
    n_layers = min(header.number(f"{header.arch}.block_count"), _MAX_LAYERS)
    dense = max(header.per_layer(f"{header.arch}.feed_forward_length", n_layers), default=0)
    used = header.number(f"{header.arch}.expert_used_count")
    expert = header.number(f"{header.arch}.expert_feed_forward_length") or (dense if used else 0)
    return max(dense, used * expert)
