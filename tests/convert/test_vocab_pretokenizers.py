"""Byte-level BPE: the splitting program is matched by structure or by text, and always proved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import normalizers, pre_tokenizers

from convert.errors import ProofError, UsageError, VocabError
from convert.libllama import ModelFile
from convert.vocab import pretokenizers, read_vocab
from convert.vocab.trial import _Files, write_vocab
from tests.convert.vocabularies import prove_folder, source, split, train_bpe

CL100K = (  # as OpenAI first published it
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
POSSESSIVE = (  # the same in possessive quantifiers
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|"
    r"\s*[\r\n]|\s+(?!\S)|\s"
)
NANOCHAT = POSSESSIVE.replace("{1,3}", "{1,2}")
GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
STRUCTURES: list[tuple[str, list[Any], bool, str]] = [
    ("gpt2", [GPT2], False, "gpt-2"),
    ("gpt2 spelled out", [split(pretokenizers.GPT2)], False, "gpt-2"),
    ("llama 3", [split(pretokenizers.LLAMA3)], True, "llama-bpe"),
    ("cl100k", [split(CL100K)], False, "dbrx"),
    ("cl100k, possessive", [split(POSSESSIVE)], False, "dbrx"),
    ("matches kept", [split(CL100K, "removed", invert=True)], False, "dbrx"),
    ("qwen 2", [split(pretokenizers.QWEN2)], False, "qwen2"),
    ("qwen 3.5", [split(pretokenizers.QWEN35)], False, "qwen35"),
    ("starcoder", [pre_tokenizers.Digits(individual_digits=True), GPT2], False, "starcoder"),
    (
        "falcon",
        [pre_tokenizers.Punctuation("contiguous"), GPT2, split("[0-9][0-9][0-9]")],
        False,
        "falcon",
    ),
    ("seed", [split(pretokenizers.SEED_CODER)], False, "seed-coder"),
    ("exaone", [split(pretokenizers.EXAONE_MOE)], False, "exaone-moe"),
    ("jais", [split(pretokenizers.JAIS2)], False, "jais-2"),
    ("bloom", [split(r" ?[^(\s|[.,!?…。，、।۔،])]+")], False, "bloom"),
    (
        "deepseek 3",
        [split(step.removeprefix("split ")) for step in pretokenizers.KNOWN[10].steps],
        False,
        "deepseek-v3",
    ),
]


@pytest.mark.parametrize(
    ("steps", "ignore_merges", "name"),
    [case[1:] for case in STRUCTURES],
    ids=[case[0] for case in STRUCTURES],
)
def test_a_known_structure_is_named_and_splits_alike(
    tmp_path: Path, steps: list[Any], ignore_merges: bool, name: str
) -> None:
    n_tokens = train_bpe(tmp_path, steps, ignore_merges=ignore_merges)
    vocab, report = prove_folder(tmp_path, n_tokens)
    assert (vocab.model, vocab.pre) == ("gpt2", name)
    assert not any("chosen by text" in note for note in vocab.notes)
    assert report["differences"] == 0
    assert report["compared_with"].startswith("tokenizers")
    assert report["texts"] > 45


@pytest.mark.parametrize("expression", [pretokenizers.GPT4O, r"\w+|\W"])
def test_an_inexact_or_unknown_structure_is_chosen_by_text(tmp_path: Path, expression: str) -> None:
    n_tokens = train_bpe(tmp_path, [split(expression)])
    vocab, report = prove_folder(tmp_path, n_tokens)
    assert any("chosen by text" in note for note in vocab.notes)
    assert report["differences"] == 0


def test_a_program_that_llama_cpp_lacks_is_refused_with_the_smallest_difference(
    tmp_path: Path,
) -> None:
    n_tokens = train_bpe(tmp_path, [split(NANOCHAT)], n_tokens=2000)
    with pytest.raises(VocabError, match=r"differs on \d+ of \d+ texts: '.*' at token \d+"):
        read_vocab(source(tmp_path), n_tokens)


def test_a_name_from_the_user_is_proved_all_the_same(tmp_path: Path) -> None:
    n_tokens = train_bpe(tmp_path, [split(pretokenizers.QWEN2)])
    assert prove_folder(tmp_path, n_tokens, pre="stablelm2")[0].pre == "stablelm2"
    with pytest.raises(ProofError, match=r"differs from tokenizer\.json on \d+ of"):
        prove_folder(tmp_path, n_tokens, pre="bloom")
    with pytest.raises(UsageError, match="no pre-tokenizer 'nonsense'"):
        read_vocab(source(tmp_path), n_tokens, pre="nonsense")


def test_llama_cpp_knows_every_name_we_offer(tmp_path: Path) -> None:
    n_tokens = train_bpe(tmp_path, [GPT2], n_tokens=300)
    vocab = read_vocab(source(tmp_path), n_tokens)
    for name in sorted(pretokenizers.NAMES):
        path = write_vocab(tmp_path / "named.gguf", replace(vocab, pre=name))
        with ModelFile(path, vocab_only=True) as file:
            assert file.n_tokens == n_tokens


def test_trials_of_names_are_files_that_differ_in_the_name_alone(tmp_path: Path) -> None:
    n_tokens = train_bpe(tmp_path, [GPT2], n_tokens=300)
    vocab = read_vocab(source(tmp_path), n_tokens)
    (tmp_path / "trials").mkdir()
    files = _Files(str(tmp_path / "trials"))
    for name in ("gpt-2", "deepseek-coder", "dbrx", "gpt-2"):
        named = replace(vocab, pre=name)
        whole = write_vocab(tmp_path / "whole.gguf", named).read_bytes()
        assert files.write(named).read_bytes() == whole
    other = replace(vocab, merges=vocab.merges[1:])
    assert files.write(other).read_bytes() == write_vocab(tmp_path / "o", other).read_bytes()


def test_composed_characters_are_a_note(tmp_path: Path) -> None:
    n_tokens = train_bpe(tmp_path, [split(pretokenizers.QWEN2)], normalizer=normalizers.NFC())
    vocab, report = prove_folder(tmp_path, n_tokens)
    assert any("composes characters" in note for note in vocab.notes)
    assert report["differences"] == 0
    with ModelFile(tmp_path / "vocab.gguf", vocab_only=True) as file:
        assert vocab.reference is not None
        composed = vocab.reference.load()("e\u0301 a\u0308")
        assert file.tokenize("e\u0301 a\u0308", add_special=False, parse_special=False) != composed


def test_bytes_without_merges_load_with_an_inert_one(tmp_path: Path) -> None:
    n_tokens = train_bpe(tmp_path, [GPT2], n_tokens=258)
    vocab, report = prove_folder(tmp_path, n_tokens)
    assert vocab.merges == ()
    assert report["differences"] == 0
