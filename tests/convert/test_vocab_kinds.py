"""Tokenizers of every other kind: carried over and proved against the library that made them."""

from __future__ import annotations

import base64
import json
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from tokenizers import (
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from convert.errors import VocabError
from convert.libllama import ModelFile
from convert.vocab import pretokenizers, read_vocab
from convert.vocab.bytelevel import byte_alphabet
from convert.vocab.trial import write_vocab
from convert.vocab.unknown import BYTES
from convert.vocab.vocabulary import TokenKind
from tests.convert.vocabularies import (
    TEXTS,
    prove_folder,
    source,
    split,
    train_bpe,
    train_sentencepiece,
)

DATA = Path(__file__).parent / "data"
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def train_wordpiece(folder: Path, *, lowercase: bool) -> list[str]:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=1000, special_tokens=BERT, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("as_text", [True, False])
def test_wordpiece(tmp_path: Path, lowercase: bool, as_text: bool) -> None:
    tokens = train_wordpiece(tmp_path, lowercase=lowercase)
    if as_text:
        (tmp_path / "tokenizer.json").unlink()
        (tmp_path / "vocab.txt").write_text("\n".join(tokens) + "\n")
        config = {"do_lower_case": lowercase, "cls_token": "[CLS]"}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    vocab, report = prove_folder(tmp_path, len(tokens))
    assert vocab.model == "bert"
    ids = {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4, "bos": 2, "eos": 3}
    assert vocab.special_ids == ids
    assert vocab.options["normalizer.lowercase"] is lowercase
    assert vocab.tokens[5].startswith("\u2581") or tokens[5].startswith("##")
    assert (report["differences"], report["texts"] > 45) == (0, True)
    theirs = "BertTokenizer of transformers" if as_text else "tokenizers"
    assert report["compared_with"].startswith(theirs)  # not with what we make of the file


def test_whether_capitals_count_is_asked_where_bert_s_class_would_lose_them(tmp_path: Path) -> None:
    tokens = train_wordpiece(tmp_path, lowercase=False)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.txt").write_text("\n".join(tokens) + "\n")
    with pytest.raises(VocabError, match="tokens with capitals") as raised:
        read_vocab(source(tmp_path), len(tokens))
    assert raised.value.question is not None
    assert raised.value.question.name == "do_lower_case"
    for answer in (False, True):
        said = source(tmp_path, config={"do_lower_case": answer})
        vocab = read_vocab(said, len(tokens))
        assert vocab.options["normalizer.lowercase"] is answer
        assert vocab.reference is not None
        capital = vocab.reference.load()("ABC")
        assert (capital == vocab.reference.load()("abc")) is answer
    small = [text for text in tokens if text in BERT or text == text.lower()]
    (tmp_path / "vocab.txt").write_text("\n".join(small) + "\n")
    vocab, report = prove_folder(tmp_path, len(small))
    assert "as BERT's class does" in vocab.notes[-1]
    assert report["differences"] == 0


PLAIN = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
BPE = {"model_type": "bpe", "byte_fallback": True, "vocab_size": 1000, "character_coverage": 0.98}


@pytest.mark.parametrize("prefix", [True, False])
def test_sentencepiece_bpe(tmp_path: Path, prefix: bool) -> None:
    n_tokens = train_sentencepiece(tmp_path, **BPE, **PLAIN, add_dummy_prefix=prefix)
    vocab, report = prove_folder(tmp_path, n_tokens)
    assert vocab.model == "llama"
    assert vocab.kinds[:4] == (TokenKind.UNKNOWN, TokenKind.CONTROL, TokenKind.CONTROL, 6)
    assert vocab.special_ids == {"bos": 1, "eos": 2, "unk": 0}
    assert (vocab.add_bos, vocab.add_eos) == (True, False)
    assert report["compared_with"].startswith("sentencepiece")
    assert report["differences"] == 0
    with ModelFile(tmp_path / "vocab.gguf", vocab_only=True) as file:  # bytes of anything at all
        assert file.tokenize("\U0001f9ff\ua9c5\0", add_special=False, parse_special=False)


def test_sentencepiece_unigrams(tmp_path: Path) -> None:
    n_tokens = train_sentencepiece(tmp_path, vocab_size=600)
    vocab, report = prove_folder(tmp_path, n_tokens)
    assert vocab.model == "t5"
    assert isinstance(vocab.options["precompiled_charsmap"], bytes)
    assert report["differences"] == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"model_type": "word", "vocab_size": 200}, "of words"),
        (BPE | PLAIN | {"treat_whitespace_as_suffix": True}, "spaces after words"),
    ],
)
def test_sentencepiece_models_that_llama_cpp_cannot_run_are_refused(
    tmp_path: Path, options: dict[str, Any], reason: str
) -> None:
    n_tokens = train_sentencepiece(tmp_path, **options)
    with pytest.raises(VocabError, match=reason):
        read_vocab(source(tmp_path), n_tokens)


@pytest.mark.parametrize(
    "damage", [b"", b"\x0a\xff", b"\x0a\x05\x0a\x03abc", b"\x08" + b"\xff" * 20]
)
def test_a_damaged_sentencepiece_model_is_refused(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "tokenizer.model").write_bytes(damage)
    with pytest.raises(VocabError):
        read_vocab(source(tmp_path), 100)


def train_metaspace(folder: Path, kind: str) -> int:
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(
        prepend_scheme=kind if kind in ("always", "first") else "never"
    )
    special = ["<unk>", "<s>", "</s>", *BYTES]
    trainer = trainers.BpeTrainer(
        vocab_size=1100, special_tokens=special, limit_alphabet=150, show_progress=False
    )
    tokenizer.train_from_iterator([text.replace("\0", "") for text in TEXTS], trainer)
    replaced = normalizers.Replace(" ", "\u2581")
    if kind == "llama":
        tokenizer.pre_tokenizer = None
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), replaced])
    elif kind == "gemma":
        tokenizer.normalizer = replaced
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = data["added_tokens"][:3]
    (folder / "tokenizer.json").write_text(json.dumps(data))
    config = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return int(tokenizer.get_vocab_size())


@pytest.mark.parametrize("kind", ["llama", "gemma", "never", "first", "always"])
def test_bpe_with_spaces_as_characters(tmp_path: Path, kind: str) -> None:
    vocab, report = prove_folder(tmp_path, train_metaspace(tmp_path, kind))
    assert report["differences"] == 0
    assert vocab.special_ids == {"bos": 1, "eos": 2, "unk": 0}
    assert vocab.add_bos
    assert vocab.kinds.count(TokenKind.BYTE) == 256
    assert any("begins with one" in note for note in vocab.notes) == (kind in ("first", "always"))


def test_a_token_that_llama_cpp_would_cut_off_is_refused(tmp_path: Path) -> None:
    n_tokens = train_metaspace(tmp_path, "llama")
    path = tmp_path / "tokenizer.json"
    data = json.loads(path.read_text())
    data["model"]["vocab"]["a\0b"] = n_tokens
    path.write_text(json.dumps(data))
    with pytest.raises(VocabError, match="zero byte"):
        read_vocab(source(tmp_path), n_tokens + 1)


def gpt2_fixtures() -> list[tuple[str, list[int]]]:
    texts = (DATA / "gpt2.inp").read_text().split("\n__ggml_vocab_test__\n")
    ids = [
        [int(word) for word in line.split()] for line in (DATA / "gpt2.out").read_text().split("\n")
    ]
    return list(zip(texts, ids, strict=False))


def test_the_gpt2_that_ships_splits_llama_cpps_own_samples_as_recorded(tmp_path: Path) -> None:
    vocab, report = prove_folder(tmp_path, 50257, tokenizer="gpt2")
    assert report["differences"] == 0
    assert (len(vocab.tokens), len(vocab.merges)) == (50257, 50000)
    assert vocab.tokens[-2:] == ("Ġgazed", "<|endoftext|>")
    samples = gpt2_fixtures()
    assert len(samples) > 40
    with ModelFile(tmp_path / "vocab.gguf", vocab_only=True) as file:
        for text, ids in samples:
            assert file.tokenize(text, add_special=False, parse_special=False) == ids, text


def test_the_llama2_that_ships(tmp_path: Path) -> None:
    vocab, report = prove_folder(tmp_path, 32000, tokenizer="llama2")
    assert (report["differences"], vocab.special_ids["eos"], vocab.add_bos) == (0, 2, True)


@pytest.mark.parametrize("n_rows", [50257, 50304])
def test_a_model_of_gpt2s_size_without_a_tokenizer_gets_gpt2s(tmp_path: Path, n_rows: int) -> None:
    vocab = read_vocab(source(tmp_path), n_rows)
    assert len(vocab.tokens) == 50257
    assert any(f"{n_rows} rows are GPT-2's" in note for note in vocab.notes)
    with pytest.raises(VocabError, match="No tokenizer beside"):
        read_vocab(source(tmp_path), 50256)


def test_vocab_json_and_merges(tmp_path: Path) -> None:
    n_tokens = train_bpe(tmp_path / "made", [split(pretokenizers.GPT2)])
    model = json.loads((tmp_path / "made" / "tokenizer.json").read_text())["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = [" ".join(pair) for pair in model["merges"]]
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<|user|>": n_tokens}))
    config = {"tokenizer_class": "GPT2Tokenizer"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    vocab, report = prove_folder(tmp_path, n_tokens + 1)
    assert vocab.special_ids == {"bos": 0, "eos": 0}
    assert vocab.kinds[0] == vocab.kinds[n_tokens] == TokenKind.CONTROL
    assert vocab.markers == ("<|endoftext|>", "<|user|>")
    assert report["differences"] == 0
    (tmp_path / "merges.txt").unlink()
    with pytest.raises(VocabError, match=r"merges\.txt is missing"):
        read_vocab(source(tmp_path), n_tokens + 1)


def make_ranks(folder: Path) -> dict[bytes, int]:
    """Ranks as tiktoken keeps them: single bytes first, then merges in order."""
    train_bpe(folder, [split(pretokenizers.LLAMA3)], special=())
    spelled = {character: byte for byte, character in enumerate(byte_alphabet())}
    vocab = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    pieces = {bytes(spelled[c] for c in text): index for text, index in vocab.items()}
    order = sorted(pieces, key=lambda piece: (len(piece) > 1, pieces[piece]))
    return {piece: rank for rank, piece in enumerate(order)}


def pickle_encoding(path: Path, monkeypatch: pytest.MonkeyPatch, **state: Any) -> None:
    """An object pickled under tiktoken's name with tiktoken's state."""
    module = types.ModuleType("tiktoken.core")

    class Encoding:
        def __getstate__(self) -> dict[str, Any]:
            return {"name": "tiny", **state}

    Encoding.__module__, Encoding.__qualname__ = "tiktoken.core", "Encoding"
    module.Encoding = Encoding  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tiktoken", types.ModuleType("tiktoken"))
    monkeypatch.setitem(sys.modules, "tiktoken.core", module)
    path.write_bytes(pickle.dumps(Encoding()))


def test_a_pickled_tiktoken_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = make_ranks(tmp_path / "made")
    end = {"<|endoftext|>": len(ranks)}
    path = tmp_path / "tokenizer.pkl"
    state = {"mergeable_ranks": ranks, "special_tokens": end}
    pattern = pretokenizers.LLAMA3.replace("{1,3}", "{1,3}+")  # possessive, as tiktoken spells it
    pickle_encoding(path, monkeypatch, pat_str=pattern, **state)
    vocab, report = prove_folder(tmp_path, len(ranks) + 1)
    assert (vocab.pre, vocab.special_ids["eos"]) == ("dbrx", len(ranks))
    assert len(vocab.merges) == len(ranks) - 256
    assert report["differences"] == 0
    two_digits = pretokenizers.LLAMA3.replace("{1,3}", "{1,2}")
    pickle_encoding(path, monkeypatch, pat_str=two_digits, **state)
    with pytest.raises(VocabError, match="a pre-tokenizer that none of llama"):
        read_vocab(source(tmp_path), len(ranks) + 1)


def test_ranks_in_base64_under_sentencepieces_name(tmp_path: Path) -> None:
    ranks = make_ranks(tmp_path / "made")
    lines = [f"{base64.b64encode(piece).decode()} {rank}" for piece, rank in ranks.items()]
    (tmp_path / "tokenizer.model").write_text("\n".join(lines))
    added = {str(len(ranks)): {"content": "<|endoftext|>", "special": True}}
    config = {"eos_token": "<|endoftext|>", "added_tokens_decoder": added}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(VocabError, match=r"does not say how text is split.*--pre"):
        read_vocab(source(tmp_path), len(ranks) + 1)
    vocab, report = prove_folder(tmp_path, len(ranks) + 1, pre="dbrx")
    assert vocab.pre == "dbrx"
    assert any("does not say how text is split" in note for note in vocab.notes)
    assert report["differences"] == 0


def test_a_pickle_that_calls_something_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.pkl").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    with pytest.raises(Exception, match="Nothing was run"):
        read_vocab(source(tmp_path), 300)
    assert not Path("ran").exists()


def test_duplicate_tokens_never_reach_llama_cpp(tmp_path: Path) -> None:
    n_tokens = train_bpe(tmp_path, [split(pretokenizers.GPT2)])
    vocab = read_vocab(source(tmp_path), n_tokens)
    from dataclasses import replace

    twice = replace(vocab, tokens=(*vocab.tokens[:-1], vocab.tokens[5]))
    with pytest.raises(VocabError, match="one text under two ids"):
        write_vocab(tmp_path / "twice.gguf", twice)
