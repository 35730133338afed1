"""Tokenizers as people really save them: carried over equal, or a question, never kept wrong.

Each variant is a folder with a tiny vocabulary. "Equal" is proved through llama.cpp against the
library that made it; a question names what differs and how to go on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from convert.vocab import pretokenizers
from convert.vocab.proof import _is_tie
from convert.vocab.vocabulary import TokenKind, Vocab
from tests.convert.vocabularies import TEXTS, prove_folder, split, train_bpe
from tests.convert.vocabularies import train_sentencepiece as train_pieces

GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
CLEAN = [text.replace("\0", "") for text in TEXTS]
PLAIN = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
BPE = {"model_type": "bpe", "vocab_size": 800, "character_coverage": 0.98}
GO_ON = r"--inexact-tokenizer"
EQUAL = ""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained once: byte-level BPE in `bytes` and `qwen`, SentencePiece in folders of its own."""
    folder = tmp_path_factory.mktemp("trained")
    train_bpe(folder / "bytes", [GPT2], n_tokens=500)
    train_bpe(folder / "qwen", [split(pretokenizers.QWEN2)], n_tokens=500)
    return folder


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def edited(edit: Callable[[dict[str, Any]], Any], base: str = "bytes") -> Callable[..., int]:
    """A tokenizer.json with `edit` made in it."""

    def write(folder: Path, trained: Path) -> int:
        data = json.loads((trained / base / "tokenizer.json").read_text())
        edit(data)
        write_json(folder / "tokenizer.json", data)
        return 500

    return write


def slow(name: str | None, base: str = "bytes", **config: Any) -> Callable[..., int]:
    """vocab.json and merges.txt, as the class `name` saves them, with two tokens added."""

    def write(folder: Path, trained: Path) -> int:
        model = json.loads((trained / base / "tokenizer.json").read_text())["model"]
        ids = dict(model["vocab"])
        if config.pop("roberta", False):
            for text in ("<s>", "</s>", "<mask>"):
                ids[text] = len(ids)
        write_json(folder / "vocab.json", ids)
        merges = [" ".join(pair) for pair in model["merges"]]
        (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
        n = len(ids)
        write_json(folder / "added_tokens.json", {"<|b|>": n + 1, "<|a|>": n})
        said = config if name is None else {"tokenizer_class": name, **config}
        if said:
            write_json(folder / "tokenizer_config.json", said)
        return n + 2

    return write


def pieces(name: str | None = None, added: bool = False, **options: Any) -> Callable[..., int]:
    """A SentencePiece model trained with `options`, as the class `name` saves it."""

    def write(folder: Path, _: Path) -> int:
        n = train_pieces(folder, **options)
        (folder / "corpus.txt").unlink()
        if name is not None:
            write_json(folder / "tokenizer_config.json", {"tokenizer_class": name})
        if name in ("XLMRobertaTokenizer", "MBartTokenizer", ""):
            (folder / "tokenizer.model").rename(folder / "sentencepiece.bpe.model")
            return n + 2
        if name == "T5Tokenizer":
            (folder / "tokenizer.model").rename(folder / "spiece.model")
            return n + 100
        if added:
            write_json(folder / "added_tokens.json", {"<apple>": n + 1, "<pear>": n})
            write_json(folder / "special_tokens_map.json", {"pad_token": "<pear>"})
        return n + 2 * added

    return write


def library(kind: str) -> Callable[..., int]:
    """A tokenizer.json as the tokenizers library's own examples train it."""

    def write(folder: Path, _: Path) -> int:
        special = ["<unk>", "<s>", "</s>"]
        options = {"vocab_size": 600, "special_tokens": special, "show_progress": False}
        if kind == "unigram":
            tokenizer = Tokenizer(models.Unigram())
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
            trainer: Any = trainers.UnigramTrainer(**options, unk_token="<unk>")
        elif kind == "words":
            tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
            tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
            trainer = trainers.WordLevelTrainer(**options)
        else:
            tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
            scheme = {"metaspace": "always", "metaspace, no prefix": "never"}.get(kind)
            tokenizer.pre_tokenizer = (
                pre_tokenizers.Whitespace()
                if scheme is None
                else pre_tokenizers.Metaspace(prepend_scheme=scheme)
            )
            trainer = trainers.BpeTrainer(**options, limit_alphabet=80)
        tokenizer.train_from_iterator(CLEAN, trainer)
        tokenizer.save(str(folder / "tokenizer.json"))
        return int(tokenizer.get_vocab_size())

    return write


def tied(folder: Path, _: Path) -> int:
    """Unigrams of which "//" + "/" and "/" + "//" are equally likely; of these scores the two
    libraries add up the first way to a little more and a little less."""
    letters = sorted({letter for text in CLEAN for letter in text if not letter.isspace()})
    pieces = [*((letter, -5.3) for letter in letters), ("//", -6.77)]
    special = ["<unk>", "<s>", "</s>"]
    first = [(name, 0.0) for name in special]
    tokenizer = Tokenizer(models.Unigram([*first, ("▁", -2.3), *pieces], unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / "tokenizer.json"))
    return int(tokenizer.get_vocab_size())


def partial(**options: Any) -> Callable[..., int]:
    """Byte-level BPE of the bytes that the training text has."""

    def write(folder: Path, _: Path) -> int:
        tokenizer = Tokenizer(models.BPE(**options))
        tokenizer.pre_tokenizer = GPT2
        special = ["<|endoftext|>", *options.values()]
        trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, show_progress=False)
        tokenizer.train_from_iterator(TEXTS[:1], trainer)
        tokenizer.save(str(folder / "tokenizer.json"))
        return int(tokenizer.get_vocab_size())

    return write


def set_post(data: dict[str, Any], single: str, *names: str) -> None:
    ids = {token["content"]: token["id"] for token in data["added_tokens"]}
    post = processors.TemplateProcessing(
        single=single, pair=None, special_tokens=[(name, ids[name]) for name in names]
    )
    data["post_processor"] = json.loads(post.__getstate__())


def add_token(data: dict[str, Any], index: int, content: str, **flags: Any) -> None:
    usual = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    data["added_tokens"].append(
        {"id": index, "content": content, **usual, "special": True, **flags}
    )


def drop_specials(data: dict[str, Any]) -> None:
    data["added_tokens"] = []
    moved = {f"▁{text}▁": i for text, i in data["model"]["vocab"].items() if i < 2}
    kept = {text: i for text, i in data["model"]["vocab"].items() if i > 1}
    data["model"]["vocab"] = moved | kept


def last_token(data: dict[str, Any]) -> str:
    vocab: dict[str, int] = data["model"]["vocab"]
    return max(vocab, key=vocab.__getitem__)


def rename_last(data: dict[str, Any], text: str, index: int | None = None) -> None:
    vocab, last = data["model"]["vocab"], last_token(data)
    at = vocab.pop(last)
    vocab[text] = at if index is None else index
    merges = data["model"]["merges"]
    data["model"]["merges"] = [pair for pair in merges if "".join(pair) != last]


PADDING = {
    "strategy": {"Fixed": 128},
    "direction": "Right",
    "pad_to_multiple_of": None,
    "pad_id": 0,
    "pad_type_id": 0,
    "pad_token": "<|endoftext|>",
}
TRUNCATION = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
VARIANTS: dict[str, tuple[Callable[..., int], str]] = {
    "padding": (edited(lambda d: d.update(padding=PADDING)), EQUAL),
    "truncation": (edited(lambda d: d.update(truncation=TRUNCATION)), EQUAL),
    "both": (edited(lambda d: d.update(padding=PADDING, truncation=TRUNCATION)), EQUAL),
    "normalised specials": (
        edited(lambda d: [token.update(normalized=True) for token in d["added_tokens"]]),
        EQUAL,
    ),
    "normalised specials, composed": (
        edited(
            lambda d: (
                d.update(normalizer={"type": "NFC"}),
                [token.update(normalized=True) for token in d["added_tokens"]],
            )
        ),
        EQUAL,
    ),
    "added, not special": (
        edited(lambda d: add_token(d, 500, "<tool>", special=False, normalized=True)),
        EQUAL,
    ),
    "a space before text": (
        edited(lambda d: d["pre_tokenizer"]["pretokenizers"][0].update(add_prefix_space=True)),
        GO_ON,
    ),
    "NFKC": (edited(lambda d: d.update(normalizer={"type": "NFKC"})), GO_ON),
    "lower-cased": (
        edited(
            lambda d: d.update(
                normalizer={
                    "type": "Sequence",
                    "normalizers": [{"type": "NFD"}, {"type": "Lowercase"}],
                }
            )
        ),
        GO_ON,
    ),
    "composed": (edited(lambda d: d.update(normalizer={"type": "NFC"}), "qwen"), EQUAL),
    "no special token at all": (edited(drop_specials), EQUAL),
    "a token under two ids": (
        edited(lambda d: add_token(d, 500, "the")),
        EQUAL,
    ),
    "an empty token": (edited(lambda d: rename_last(d, "")), EQUAL),
    "a hole in the ids": (edited(lambda d: rename_last(d, "ĠĠĠĠĠĠĠz", 510)), EQUAL),
    "a lone merge": (
        edited(lambda d: d["model"]["merges"].append(["Ġqq", "zz"])),
        "cannot be loaded|out of vocabulary",
    ),
    "an expression of one's own": (
        edited(lambda d: None, "own"),
        GO_ON,
    ),
    "bytes of the text alone": (partial(), GO_ON),
    "bytes of the text alone, the rest unknown": (partial(unk_token="<unk>"), GO_ON),
    "metaspace without bytes": (library("metaspace"), GO_ON),
    "metaspace without bytes or prefix": (library("metaspace, no prefix"), GO_ON),
    "unigrams of the library": (library("unigram"), EQUAL),
    "unigrams that are equally likely": (tied, EQUAL),
    "words": (library("words"), "whole words for tokens"),
    "BPE of whitespace": (library("bpe"), "a pre-tokenizer"),
    "slow Qwen 2": (slow("Qwen2Tokenizer", "qwen"), EQUAL),
    "slow GPT-2": (slow("GPT2Tokenizer"), EQUAL),
    "slow GPT-2, fast class": (slow("GPT2TokenizerFast"), EQUAL),
    "slow CodeGen": (slow("CodeGenTokenizer"), EQUAL),
    "slow RoBERTa": (slow("RobertaTokenizer", roberta=True), EQUAL),
    "slow BART": (slow("BartTokenizer", roberta=True), EQUAL),
    "slow GPT-NeoX": (slow("GPTNeoXTokenizer"), EQUAL),
    "slow, of no class": (slow(None), "--pre"),
    "slow, of an unknown class": (slow("MyTokenizer"), "MyTokenizer is none that we know.*--pre"),
    "slow Blenderbot": (slow("BlenderbotTokenizer", roberta=True), GO_ON),
    "pieces by the trainer's defaults": (pieces(**BPE), GO_ON),
    "llama2.c's": (
        pieces(
            **BPE | {"byte_fallback": True, "split_digits": True},
            allow_whitespace_only_pieces=True,
            normalization_rule_name="identity",
        ),
        GO_ON,
    ),
    "nfkc_cf": (pieces(**BPE, normalization_rule_name="nfkc_cf"), GO_ON),
    "pieces without bytes": (pieces(**BPE | PLAIN), GO_ON),
    "pieces with bytes": (pieces(**BPE | PLAIN, byte_fallback=True), EQUAL),
    "pieces and added tokens": (
        pieces(added=True, **BPE | PLAIN, byte_fallback=True),
        EQUAL,
    ),
    "pieces of Llama's class": (
        pieces("LlamaTokenizer", **BPE | PLAIN, byte_fallback=True),
        EQUAL,
    ),
    "pieces of Pegasus": (pieces("PegasusTokenizer", vocab_size=500), "PegasusTokenizer"),
    "pieces of XLM-R": (pieces("XLMRobertaTokenizer", vocab_size=500), EQUAL),
    "pieces of mBART": (pieces("MBartTokenizer", vocab_size=500), "MBartTokenizer"),
    "pieces of many classes": (pieces("", vocab_size=500), "nothing says which"),
    "symbols of the user": (
        pieces(**BPE | PLAIN, byte_fallback=True, user_defined_symbols=["<sep>"]),
        GO_ON,
    ),
    "symbols of the user, no prefix": (
        pieces(
            **BPE | PLAIN,
            byte_fallback=True,
            add_dummy_prefix=False,
            user_defined_symbols=["<sep>"],
        ),
        EQUAL,
    ),
    "SentencePiece characters": (
        pieces(**PLAIN, model_type="char", vocab_size=150, character_coverage=0.99),
        GO_ON,
    ),
    "unigrams": (pieces(vocab_size=500), EQUAL),
    "unigrams without prefix": (pieces(vocab_size=500, add_dummy_prefix=False), GO_ON),
    "unigrams with bytes": (pieces(vocab_size=600, byte_fallback=True), GO_ON),
    "T5's": (
        pieces("T5Tokenizer", vocab_size=500, pad_id=0, eos_id=1, unk_id=2, bos_id=-1),
        EQUAL,
    ),
}


def test_only_unigrams_that_are_equally_likely_are_a_tie() -> None:
    scores = (0.0, -5.3, -6.77, -6.771)
    tokens = ("<unk>", "/", "//", "a")
    vocab = Vocab(
        "t5", "default", tokens, (TokenKind.NORMAL,) * 4, (), {}, False, False, None, Path(),
        scores=scores,
    )  # fmt: skip
    assert _is_tie(vocab, [3, 1, 2, 3], [3, 2, 1, 3])
    assert not _is_tie(vocab, [1, 1, 1], [2, 1])
    assert not _is_tie(vocab, [3] * 900 + [1, 1], [3] * 900 + [2])
    assert not _is_tie(vocab, [2], [3])
    assert not _is_tie(vocab, [1, 2], [1, 4])
    assert not _is_tie(replace(vocab, model="gpt2"), [1, 2], [2, 1])


@pytest.mark.parametrize("name", VARIANTS)
def test_a_saved_tokenizer_is_equal_or_a_question(name: str, trained: Path, tmp_path: Path) -> None:
    write, question = VARIANTS[name]
    if name == "an expression of one's own" and not (trained / "own").exists():
        train_bpe(trained / "own", [split(r"\p{N}{1,2}| ?\p{L}+|\s+|.")], n_tokens=500)
    n_rows = write(tmp_path, trained)
    if question == EQUAL:
        vocab, report = prove_folder(tmp_path, n_rows + 20)
        assert (vocab.doubts, report["differences"]) == ((), 0)
        assert "round trip only" not in report["compared_with"]
        return
    with pytest.raises(Exception, match=question) as raised:
        prove_folder(tmp_path, n_rows + 20)
    if question == GO_ON:
        assert " texts: " in str(raised.value)
        vocab, report = prove_folder(tmp_path, n_rows + 20, inexact=True)
        assert any(note.startswith("Accepted: ") for note in vocab.notes)
        assert 0 < report["differences"] < report["texts"]
