"""What tests of tokenizers share: training tiny ones, and proving a folder through llama.cpp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from convert.checkpoints.checkpoint import Checkpoint
from convert.libllama import ModelFile
from convert.samples import PROSE, TOKENIZER_TEXTS
from convert.vocab import read_vocab
from convert.vocab.proof import prove
from convert.vocab.trial import write_vocab
from convert.vocab.vocabulary import Vocab

TEXTS = [PROSE, *TOKENIZER_TEXTS] * 3  # often enough that scripts other than Latin get merges too


def source(folder: Path, **fields: Any) -> Checkpoint:
    """A checkpoint in `folder` as far as tokenizers are concerned."""
    return Checkpoint(folder, "test", {}, **fields)


def prove_folder(folder: Path, n_rows: int, **options: Any) -> tuple[Vocab, dict[str, Any]]:
    """The vocabulary in `folder` and its proof, from a file without weights."""
    vocab = read_vocab(source(folder), n_rows, **options)
    with ModelFile(write_vocab(folder / "vocab.gguf", vocab), vocab_only=True) as file:
        return vocab, prove(file, replace(vocab, appended=()))  # no weights: nothing to choose


def train_sentencepiece(folder: Path, **options: Any) -> int:
    """A SentencePiece model, `tokenizer.model`; the number of pieces."""
    import sentencepiece

    lines = [line.replace("\0", "") for text in TEXTS for line in text.splitlines()]
    (folder / "corpus.txt").write_text("\n".join(lines))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "corpus.txt"),
        model_prefix=str(folder / "tokenizer"),
        minloglevel=2,
        num_threads=1,
        **options,
    )
    return len(sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model")))


def split(expression: str, behaviour: str = "isolated", *, invert: bool = False) -> Any:
    from tokenizers import Regex

    return pre_tokenizers.Split(Regex(expression), behaviour, invert)


def train_bpe(
    folder: Path,
    steps: Sequence[Any],
    *,
    n_tokens: int = 1000,
    ignore_merges: bool = False,
    normalizer: Any = None,
    special: Sequence[str] = ("<|endoftext|>", "<|im_end|>"),
) -> int:
    """A byte-level BPE with `steps` before its bytes; the number of tokens."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if not any(isinstance(step, pre_tokenizers.ByteLevel) for step in steps):
        steps = [*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(list(steps))
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=n_tokens,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return int(tokenizer.get_vocab_size())
