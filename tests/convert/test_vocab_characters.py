"""Characters as tokens: real nanoGPT checkpoints that never stop early and survive any text."""

from __future__ import annotations

import pickle
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
import pytest

from convert.architectures.model import OUTPUT, TOKEN_EMBEDDING, Model
from convert.checkpoints.operations import computed
from convert.errors import VocabError
from convert.libllama import ModelFile
from convert.options import Options
from convert.pipeline import convert, make_plan
from convert.questions import OpenQuestions
from convert.samples import PROSE
from convert.vocab import read_vocab
from convert.vocab.fit import fit_vocab
from convert.vocab.vocabulary import TokenKind, Vocab
from tests.convert.vocabularies import source

SHAKESPEARE = "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
MIXED = "".join(sorted(set("Съешь ещё этих мягких булок, да выпей чаю.\n 🙂👍🏽❤️ abcé 日本語 ;Ā")))


def write_meta(path: Path, alphabet: str) -> None:
    stoi = {character: index for index, character in enumerate(alphabet)}
    meta = {"vocab_size": len(stoi), "stoi": stoi, "itos": dict(enumerate(alphabet))}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(meta))


@pytest.fixture
def make_characters(make: Any) -> Any:
    """A nanoGPT checkpoint over an alphabet, with its meta.pkl and no other tokenizer."""

    def write(alphabet: str, *, meta: str | None = "meta.pkl", **args: Any) -> Path:
        folder: Path = make(vocab_size=len(alphabet), **args)
        for path in folder.glob("tokenizer*"):
            path.unlink()
        if meta is not None:
            write_meta(folder / meta, alphabet)
        return folder

    return write


@pytest.mark.parametrize(
    ("alphabet", "bias", "ftype", "top1"),
    [
        (SHAKESPEARE, False, "F16", 0.99),
        (MIXED, True, "F16", 0.99),
        (MIXED, False, "Q8_0", 0.95),
        (SHAKESPEARE, True, "Q4_0", 0.0),
    ],
    ids=["shakespeare", "mixed", "mixed in 8 bits", "shakespeare in 4 bits"],
)
def test_a_character_model_is_proved_and_never_ends(
    make_characters: Any, alphabet: str, bias: bool, ftype: str, top1: float
) -> None:
    result = convert(make_characters(alphabet, bias=bias, n_layer=1), ftype=ftype)
    assert result.proof is not None
    assert result.proof["tokenizer"]["differences"] == 0
    assert result.proof["parity"]["top1"] >= top1
    end = len(alphabet)
    assert result.plan["special_ids"] == {"bos": end, "eos": end}
    with ModelFile(result.output) as file:
        assert file.n_tokens == end + 1
        ends = [i for i in range(end + 1) if llama.llama_vocab_is_eog(file._vocab, i)]
        assert ends == [end]
        logits = file.logits(list(range(min(end, 60))))
        assert np.all(logits[:, end] < logits[:, :end].max(axis=1) - 50)
        assert file.detokenize(list(range(end))) == alphabet.encode()
        ids = file.tokenize(alphabet, add_special=False, parse_special=True)
        assert ids == list(range(end))


def test_unknown_characters_and_broken_text_are_left_out(make_characters: Any) -> None:
    rng = random.Random(5)
    for alphabet in (SHAKESPEARE, MIXED):
        folder = make_characters(alphabet, n_layer=1)
        output = convert(folder, parity="off", force=True).output
        with ModelFile(output, vocab_only=True) as file:
            a = alphabet.index("a")
            text = (
                "a\U0010ffff\0#~a\u0416\ud7ff\u00eaa" if alphabet is SHAKESPEARE else "a#\0ê旦a🙁a"
            )
            assert file.tokenize(text, add_special=False, parse_special=True) == [a, a, a]
            known = set(range(len(alphabet)))
            for _ in range(300):  # llama.cpp itself aborts on bytes that are no UTF-8 at all
                data = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 80)))
                odd = data.decode("utf-8", "replace") + chr(rng.randrange(0xE000, 0x110000))
                ids = file.tokenize(odd, add_special=False, parse_special=True)
                assert known.issuperset(ids)
                assert len(ids) == sum(character in alphabet for character in odd)


def test_meta_is_found_in_nanogpts_data_folder(make_characters: Any, tmp_path: Path) -> None:
    make_characters(SHAKESPEARE, meta=None)  # its config names the dataset "tiny"
    write_meta(tmp_path / "data" / "tiny" / "meta.pkl", SHAKESPEARE)
    plan = make_plan(Options(tmp_path / "tiny-model"))
    assert plan.vocab.source == tmp_path / "data" / "tiny" / "meta.pkl"
    assert any("The tokenizer was found in" in note for note in plan.notes)


@pytest.mark.parametrize("saved", [{"chars": list("abc\n")}, {"stoi": {"a": 0, "b": 1, "é": 2}}])
def test_characters_saved_in_the_checkpoint(make: Any, saved: dict[str, Any]) -> None:
    folder = make(vocab_size=4, edit=lambda checkpoint: checkpoint.update(saved))
    for path in folder.glob("tokenizer*"):
        path.unlink()
    vocab = make_plan(Options(folder)).vocab
    assert vocab.tokens[0] == "a"
    assert vocab.tokens[-1] == "<|endoftext|>"
    assert vocab.appended == (len(vocab.tokens) - 1,)


def test_a_dataset_name_cannot_leave_the_data_folder(make: Any, tmp_path: Path) -> None:
    write_meta(tmp_path / "secret" / "meta.pkl", SHAKESPEARE)
    config = {"dataset": "../../secret"}
    folder = make(vocab_size=65, edit=lambda saved: saved.update(config=config))
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(OpenQuestions, match="tokenizer"):
        make_plan(Options(folder))


def test_markers_among_the_characters_keep_their_meaning(tmp_path: Path) -> None:
    stoi = {"<pad>": 0, "<eos>": 1, "a": 2, "b": 3}
    (tmp_path / "meta.pkl").write_bytes(pickle.dumps({"stoi": stoi}))
    vocab = read_vocab(source(tmp_path), 4)
    assert vocab.special_ids == {"bos": 1, "eos": 1}
    assert vocab.appended == ()
    assert vocab.kinds == (TokenKind.CONTROL,) * 2 + (TokenKind.NORMAL,) * 2


@pytest.mark.parametrize(
    ("meta", "reason"),
    [
        ({"stoi": {"ab": 0, "c": 1}}, "more than one character"),
        ({"stoi": {"a": 0, "b": 9}}, "the model has 4 rows"),
        ({"stoi": {"a": 1, "b": 1}}, "one id to two"),
        ({"stoi": {"a": -1, "b": 1}}, "holds no stoi"),
        ({"stoi": {"\ud800": 0}}, "no valid Unicode|damaged pickle"),
        ({"vocab_size": 3}, "holds no stoi"),
        ([1, 2], "holds no stoi"),
    ],
)
def test_a_vocabulary_that_is_none_is_refused(tmp_path: Path, meta: Any, reason: str) -> None:
    data = pickle.dumps(meta)
    (tmp_path / "meta.pkl").write_bytes(data)
    with pytest.raises(Exception, match=reason):
        read_vocab(source(tmp_path), 4)


def model_of(n_vocab: int, d: int, *, norm_bias: bool, tied: bool) -> Model:
    rng = np.random.default_rng(3)

    def tensor(name: str, *shape: int) -> Any:
        return computed(name, rng.normal(size=shape).astype(np.float32), name)

    tensors = [tensor(TOKEN_EMBEDDING, n_vocab, d), tensor("output_norm.weight", d)]
    tensors += [tensor("output_norm.bias", d)] if norm_bias else []
    tensors += [] if tied else [tensor(OUTPUT, n_vocab, d)]
    return Model("gpt2", "nanogpt", {"vocab_size": n_vocab}, tuple(tensors), (), ())


def logits_of(model: Model, x: np.ndarray[Any, Any], *, norm_bias: bool) -> np.ndarray[Any, Any]:
    """The last norm and the output matrix, in float64."""
    weights = {tensor.name: tensor.float32().astype(np.float64) for tensor in model.tensors}
    if norm_bias:
        x = x - x.mean(axis=1, keepdims=True)
    x = x / np.sqrt((x**2).mean(axis=1, keepdims=True)) * weights["output_norm.weight"]
    x = x + weights.get("output_norm.bias", 0)
    result: np.ndarray[Any, Any] = x @ weights.get(OUTPUT, weights[TOKEN_EMBEDDING]).T
    return result


@pytest.mark.parametrize("norm_bias", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_the_added_end_is_never_the_likeliest_and_changes_nothing_else(
    tmp_path: Path, norm_bias: bool, tied: bool
) -> None:
    write_meta(tmp_path / "meta.pkl", SHAKESPEARE)
    vocab = read_vocab(source(tmp_path), 65)
    model = model_of(65, 48, norm_bias=norm_bias, tied=tied)
    fitted, _, notes = fit_vocab(model, vocab)
    assert (fitted.n_vocab, fitted.hparams["vocab_size"]) == (66, 66)
    x = np.random.default_rng(4).normal(size=(500, 48))
    before = logits_of(model, x, norm_bias=norm_bias)
    after = logits_of(fitted, x, norm_bias=norm_bias)
    assert np.abs(after[:, :65] - before).max() < 1e-4  # the new rows are stored as float32
    np.testing.assert_allclose(
        after[:, 65], before.mean(axis=1) - (100 if norm_bias else 0), atol=0.01
    )
    assert any("never the likeliest" in note for note in notes) != norm_bias


def test_a_norm_with_weights_near_zero_still_gets_an_end(tmp_path: Path) -> None:
    write_meta(tmp_path / "meta.pkl", SHAKESPEARE)
    model = model_of(65, 48, norm_bias=True, tied=True)
    g = model.tensors[1].float32()
    g[7] = 0
    flat = computed("output_norm.weight", g, "ln_f.weight")
    model = replace(model, tensors=(model.tensors[0], flat, model.tensors[2]))
    fitted, _, notes = fit_vocab(model, read_vocab(source(tmp_path), 65))
    x = np.random.default_rng(4).normal(size=(500, 48))
    after = logits_of(fitted, x, norm_bias=True)
    assert np.all(after[:, 65] <= after[:, :65].max(axis=1))
    assert len(notes) == 1


def plain_vocab(n_tokens: int) -> Vocab:
    kinds = (TokenKind.NORMAL,) * n_tokens
    tokens = tuple(f"t{i}" for i in range(n_tokens))
    ids = {"bos": 0, "eos": 0}
    return Vocab("gpt2", "gpt-2", tokens, kinds, (), ids, False, False, None, Path("x"))


def test_little_padding_is_cut_and_much_is_kept() -> None:
    model = model_of(2000, 8, norm_bias=True, tied=False)
    cut, vocab, notes = fit_vocab(model, plain_vocab(1990))
    assert (cut.n_vocab, len(vocab.tokens)) == (1990, 1990)
    assert "10 padding rows are cut" in notes[0]
    kept, vocab, notes = fit_vocab(model, plain_vocab(500))
    assert (kept.n_vocab, len(vocab.tokens)) == (2000, 2000)
    assert vocab.tokens[500] == "[PAD500]"
    assert vocab.kinds[500:] == (TokenKind.UNUSED,) * 1500
    assert "is it the right tokenizer" in notes[0]
    with pytest.raises(VocabError, match="2001 tokens and the model 2000 rows"):
        fit_vocab(model, plain_vocab(2001))


def test_prose_round_trips_through_its_own_alphabet(make_characters: Any) -> None:
    alphabet = "".join(sorted(set(PROSE)))
    output = convert(make_characters(alphabet, n_layer=1), parity="off").output
    with ModelFile(output, vocab_only=True) as file:
        ids = file.tokenize(PROSE, add_special=False, parse_special=True)
        assert len(ids) == len(PROSE)
        assert file.detokenize(ids) == PROSE.encode()
