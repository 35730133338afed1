"""What tests of several families share: a small real tokenizer, and Hugging Face folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from convert.samples import PROSE, TOKENIZER_TEXTS

SPECIAL = ["<|endoftext|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
N_TOKENS = 512


def write_tokenizer(
    folder: Path, n_tokens: int = N_TOKENS, special: Sequence[str] = SPECIAL
) -> None:
    """A byte-level BPE trained on the sample texts: tokenizer.json and tokenizer_config.json."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=n_tokens,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([PROSE, *TOKENIZER_TEXTS], trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "bos_token": "<|endoftext|>",
        "eos_token": "<|end|>",
        "pad_token": {"content": "<|endoftext|>"},
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def write_hf(folder: Path, model: Any, *, scale: float = 3.0, seed: int = 1) -> Path:
    """Save a transformers model with random weights, large enough that logits differ, and a
    tokenizer. `model` is on the CPU; its matrices become normal with std scale / sqrt(n_cols)."""
    import torch

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    biases = [b for n, b in model.named_buffers() if n.endswith(("expert_bias", "correction_bias"))]
    with torch.no_grad():
        for bias in biases:
            bias.copy_(torch.randn(bias.shape, generator=generator) * 0.1)
        for name, weight in model.named_parameters():
            if weight.ndim < 2:
                weight.add_(torch.randn(weight.shape, generator=generator) * 0.1)
            elif "embed" in name or "wte" in name or "wpe" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.5)
            else:
                std = scale / weight.shape[-1] ** 0.5 / 2
                if name.endswith((".gate.weight", ".router.weight")) and not biases:
                    std *= 8  # a router that decides: near ties would be broken by rounding, and
                    # a sigmoid, which is what has biases, would be 1 for several
                weight.copy_(torch.randn(weight.shape, generator=generator) * std)
            if weight.ndim > 1 and name.startswith(
                ("lm_head", "embed_out", "model.embed_tokens", "transformer.w")
            ):
                # as in a trained model some tokens stand out, and the likeliest is clear
                weight.mul_(torch.exp(0.7 * torch.randn(len(weight), 1, generator=generator)))
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return folder
