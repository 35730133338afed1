"""Adapters of peft on tiny models, for the tests of merging and of adapter files."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import peft
import torch
import transformers as hf

from tests.convert.tiny import N_TOKENS, write_hf

torch.set_num_threads(1)
hf.logging.set_verbosity_error()
hf.logging.disable_progress_bar()
warnings.filterwarnings("ignore", category=UserWarning, module="peft")

LORA = {"r": 4, "lora_alpha": 8}


def gpt2(**changes: Any) -> Any:
    config = hf.GPT2Config(
        vocab_size=N_TOKENS, n_embd=64, n_layer=2, n_head=4, n_positions=64,
        bos_token_id=0, eos_token_id=1, **changes,
    )  # fmt: skip
    return hf.GPT2LMHeadModel(config).eval()


def untied_gpt2() -> Any:
    return gpt2(tie_word_embeddings=False)


def llama(**changes: Any) -> Any:
    config = hf.LlamaConfig(
        vocab_size=N_TOKENS, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
        bos_token_id=0, eos_token_id=1, pad_token_id=None, **changes,
    )  # fmt: skip
    return hf.LlamaForCausalLM(config).eval()


def tied_llama() -> Any:
    return llama(tie_word_embeddings=True)


def biased_llama() -> Any:
    return llama(attention_bias=True)


def gptneox() -> Any:
    config = hf.GPTNeoXConfig(
        vocab_size=N_TOKENS, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=128, bos_token_id=0, eos_token_id=1,
        tie_word_embeddings=False,
    )  # fmt: skip
    return hf.GPTNeoXForCausalLM(config).eval()


def phi3() -> Any:
    config = hf.Phi3Config(
        vocab_size=N_TOKENS, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
        original_max_position_embeddings=128,
        bos_token_id=0, eos_token_id=1, pad_token_id=None, tie_word_embeddings=False,
    )  # fmt: skip
    return hf.Phi3ForCausalLM(config).eval()


def randomise(model: Any) -> None:
    """Give an adapter weights, as if it had been trained."""
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator) * 0.1
            if "lora_magnitude" in name:
                weight.mul_(1 + noise.abs())
            elif "lora_" in name:
                weight.copy_(noise)
            elif weight.requires_grad:
                weight.add_(noise)


def make(folder: Path, model: Any, **config: Any) -> tuple[Path, Path, Any]:
    """(base folder, adapter folder, peft's model) with a random adapter."""
    base = write_hf(folder / "base", model)
    adapted = adapt(copy.deepcopy(model), **config)
    adapted.save_pretrained(folder / "adapter")
    return base, folder / "adapter", adapted


def adapt(model: Any, **config: Any) -> Any:
    """`model` with a random adapter."""
    adapted = peft.get_peft_model(model, peft.LoraConfig(**(LORA | config))).eval()
    randomise(adapted)
    return adapted
