"""The code of many kinds of authors, built and asked in this process: the same logits as theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from convert.author.faults import AuthorError
from tests.convert.authors import (
    BOOK,
    HEADS,
    SIZES,
    STYLES,
    T,
    book,
    dataclassed,
    describe,
    fill,
    load,
    make_state,
    meta,
    tutorial,
)
from tests.convert.tiny import N_TOKENS

torch.set_num_threads(1)
IDS = [5, 400, 3, 77, 210, 9, 9, 31, 500]


def direct(model: Any, *more: Any, ids: list[int] = IDS) -> Any:
    """Logits of the model as its author calls it."""
    with torch.no_grad():
        found = model(torch.tensor([ids]), *more)
    return (found[0] if isinstance(found, tuple) else found).reshape(len(ids), -1).numpy()


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What building a model changes in PyTorch and Python is put back."""
    import sys

    functional = torch.nn.functional
    for name in ("dropout", "scaled_dot_product_attention"):
        monkeypatch.setattr(functional, name, getattr(functional, name))
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.mark.parametrize("style", STYLES)
def test_logits_are_those_of_the_code(style: str) -> None:
    name, make, config, arguments = STYLES[style]
    model, state = make_state(make)
    author = fill(describe(f"{name}.py", state, config, arguments=arguments), state)
    more: list[Any] = [0] if name == "meta" else []
    if name in ("dataclassed", "lecture"):
        more = [torch.zeros(1, len(IDS), dtype=torch.long)]
    assert author.name == type(model).__name__
    found = author.logits(IDS)
    assert found.shape == (len(IDS), N_TOKENS)
    assert np.abs(found - direct(model, *more)).max() < 1e-4
    assert np.abs(author.logits(IDS[:1])[0] - found[0]).max() < 1e-4


def test_the_sequence_may_come_first_and_the_mask_from_outside() -> None:
    model, state = make_state(tutorial)
    with torch.no_grad():
        mask = torch.nn.Transformer.generate_square_subsequent_mask(len(IDS))
        expected = model(torch.tensor(IDS)[:, None], mask)[:, 0].numpy()
    sizes = SIZES | {"ff": 48}
    author = fill(describe("tutorial.py", state, {"nhead": HEADS}, sizes=sizes), state)
    assert np.abs(author.logits(IDS) - expected).max() < 1e-4
    assert any("src_mask" in note for note in author.notes)


def test_a_function_may_build_the_model() -> None:
    _, state = make_state(tutorial)
    sizes = SIZES | {"ff": 48}
    author = fill(describe("tutorial.py", state, {}, sizes=sizes, name="make_model"), state)
    assert author.name == "make_model"
    assert len(author.logits(IDS)) == len(IDS)


def test_a_package_is_imported_and_a_dictionary_holds_the_logits() -> None:
    from tests.convert.data.authors.packaged import LanguageModel

    model, state = make_state(LanguageModel)
    sizes, widths = {"vocab": 99, "embd": 16, "layer": 1}, [99]
    author = fill(describe("packaged/model.py", state, {}, sizes=sizes, widths=widths), state)
    ids = [3, 8, 90]
    with torch.no_grad():
        expected = model(torch.tensor([ids]))["logits"][0].numpy()
    assert np.abs(author.logits(ids) - expected).max() < 1e-5


@pytest.mark.parametrize("bias", [False, True])
def test_whether_there_are_biases_is_seen_in_the_checkpoint(bias: bool) -> None:
    _, state = make_state(dataclassed, bias=bias)
    assert fill(describe("dataclassed.py", state, {"n_head": HEADS}), state).wanted
    _, state = make_state(book, qkv_bias=bias)
    assert fill(describe("book.py", state, {"n_heads": HEADS}), state).wanted


@pytest.mark.parametrize("prefix", ["_orig_mod.", "model.", "net.gpt."])
def test_a_prefix_more_or_less_is_no_matter(prefix: str) -> None:
    _, state = make_state(book)
    named = {prefix + key: value for key, value in state.items()}
    author = fill(describe("book.py", named, BOOK, name="GPTModel"), named)
    assert len(author.wanted) == len([t for t in state.values() if t.is_floating_point()])


def test_the_last_position_alone_is_asked_for_each() -> None:
    """Without a parameter for targets there is no other way."""
    module = load("dataclassed")
    model, state = make_state(dataclassed)
    author = describe("dataclassed.py", state, {"n_head": HEADS})
    forward = module.GPT.forward
    author.build()
    kind = type(author._model)
    kind.forward = lambda self, idx: forward(self, idx)[0]
    for key in author.wanted:
        author.open(key)[:] = state[key].contiguous().numpy().view("uint8").reshape(-1).data
    author.finish()
    targets = torch.zeros(1, len(IDS), dtype=torch.long)
    assert np.abs(author.logits(IDS) - direct(model, targets)).max() < 1e-4
    assert any("last position" in note for note in author.notes)


def test_the_code_gives_way_to_the_checkpoint_and_is_asked_about_with_the_user() -> None:
    name, make, config, _ = STYLES["globals"]
    _, state = make_state(make)
    assert fill(describe(f"{name}.py", state, config), state).wanted
    with pytest.raises(AuthorError, match="n_head is 4 as you say, 6 in the code") as caught:
        describe(f"{name}.py", state, {}, told={"head": 4}).build()
    assert "--code-args n_head=4 or n_head=6" in caught.value.hint
    author = describe("book.py", state := make_state(book)[1], {}, told={"head": 4})
    with pytest.raises(AuthorError, match="n_heads is 4 as you say, 12 in the code"):
        author.build()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("trf_blocks.1.ff.layers.0.weight"), "lacks trf_blocks.1.ff.layers.0"),
        (lambda s: s.update(extra=torch.ones(3, 4)), "no place for extra"),
        (
            lambda s: s.update({"final_norm.scale": torch.ones(9)}),
            r"final_norm.scale has shape \(9,\), in the code \(32,\)",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(change: Any, message: str) -> None:
    _, state = make_state(book)
    change(state)
    with pytest.raises(AuthorError, match=message):
        describe("book.py", state, BOOK, name="GPTModel").build()


def test_masks_may_be_missing_and_left_over() -> None:
    _, state = make_state(book)
    state = {key: value for key, value in state.items() if not key.endswith("mask")}
    assert fill(describe("book.py", state, BOOK), state).wanted
    _, state = make_state(meta)
    state["freqs_cis"] = torch.ones(4, 4)
    assert fill(
        describe("meta.py", state, STYLES["arguments of a dataclass"][2], ignored=["freqs_cis"]),
        state,
    ).wanted


def test_what_has_to_be_said_is_asked_for() -> None:
    _, state = make_state(book)
    with pytest.raises(AuthorError, match=r"nothing named Nonsense; it has .*GPTModel"):
        describe("book.py", state, BOOK, name="Nonsense")
    with pytest.raises(AuthorError, match="asks for nothing named n_dinosaurs"):
        describe("book.py", state, BOOK, arguments={"n_dinosaurs": 3}).build()
    with pytest.raises(AuthorError, match="Block asks for 'n_embd'"):
        describe("noded.py", state, {}, name="Block", sizes={}).build()


def test_constants_that_fit_are_taken_from_dictionaries_in_the_code() -> None:
    _, state = make_state(book)
    author = describe("book.py", state, {})  # n_heads 12 stands in main: it divides no 32
    with pytest.raises(Exception, match=r"shape|size"):
        fill(author, state)
    assert T == 32
