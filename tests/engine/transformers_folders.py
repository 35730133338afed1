"""Tiny folders as transformers saves them, with random weights and tokenizers of a few hundred."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

_TEXTS = [
    "the quick brown fox jumps over the lazy dog",
    "once upon a time there was a small model that wrote a text of many words",
    "héllo wörld 北京 🎉",
] * 9
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_gpt2(folder: Path, *, safe: bool = True, **tokenizer: Any) -> Path:
    """GPT-2 with a byte-level BPE: 2 layers of width 64, 128 positions."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    _train(
        bpe,
        trainers.BpeTrainer(
            vocab_size=360,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    end = "<|endoftext|>"
    config = transformers.GPT2Config(
        vocab_size=bpe.get_vocab_size(),
        n_positions=128,
        n_embd=64,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
        initializer_range=0.2,
    )
    model = _make(transformers.GPT2LMHeadModel, config)
    _save(folder, model, bpe, bos_token=end, eos_token=end, unk_token=end, **tokenizer)
    if not safe:
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder


def write_t5(folder: Path) -> Path:
    """T5: 2 layers each of width 64, a Unigram tokenizer that puts </s> behind a text."""
    unigram = _make_unigram(["<pad>", "</s>", "<unk>"], "$A </s>", ("</s>", 1))
    config = transformers.T5Config(
        vocab_size=unigram.get_vocab_size(),
        d_model=64,
        d_kv=32,
        d_ff=128,
        num_layers=2,
        num_heads=2,
        decoder_start_token_id=0,
        initializer_factor=3.0,
    )
    model = _make(transformers.T5ForConditionalGeneration, config)
    _save(folder, model, unigram, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    return folder


def write_xlnet(folder: Path) -> Path:
    """XLNet: 2 layers of width 64, a Unigram tokenizer that puts <sep><cls> behind a text."""
    special = ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>"]
    unigram = _make_unigram(special, "$A <sep> <cls>", ("<sep>", 4), ("<cls>", 3))
    config = transformers.XLNetConfig(
        vocab_size=unigram.get_vocab_size(),
        d_model=64,
        n_layer=2,
        n_head=2,
        d_inner=128,
        pad_token_id=5,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=0.3,
    )
    model = _make(transformers.XLNetLMHeadModel, config)
    names = {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "pad": "<pad>", "cls": "<cls>"}
    tokens = {f"{name}_token": text for name, text in names.items()}
    _save(folder, model, unigram, sep_token="<sep>", mask_token="<mask>", **tokens)
    return folder


def _make_unigram(special: list[str], frame: str, *framing: tuple[str, int]) -> Tokenizer:
    """Characters and halves of words; the trainer's would be in another order every time."""
    words = sorted({f"\u2581{word}" for text in _TEXTS for word in text.split()})
    halves = {part for word in words for part in (word[: len(word) // 2], word[len(word) // 2 :])}
    pieces = [*special, *sorted(halves | {*"".join(words)})]
    scores = [(piece, 0.0 if piece in special else -4.0 - len(piece)) for piece in pieces]
    unigram = Tokenizer(models.Unigram(scores, special.index("<unk>")))
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    unigram.decoder = decoders.Metaspace()
    unigram.add_special_tokens(special)
    unigram.post_processor = processors.TemplateProcessing(single=frame, special_tokens=[*framing])
    return unigram


def _train(tokenizer: Tokenizer, trainer: Any) -> None:
    tokenizer.train_from_iterator(_TEXTS, trainer)


def _make(made: Any, config: Any) -> Any:
    torch.manual_seed(1)
    return made(config).eval()


def _save(folder: Path, model: Any, tokenizer: Tokenizer, **tokens: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_pretrained(folder)
        transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **tokens).save_pretrained(
            folder
        )
