"""Which token ends what, and the chat template: from every file that may say so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import pytest

from convert.errors import VocabError
from convert.libllama import ModelFile
from convert.vocab import read_vocab
from convert.vocab.chat import (
    choose_template,
    load_template,
    render_sample,
    sample_or_nothing,
    template_notes,
)
from convert.vocab.trial import write_vocab
from convert.vocab.vocabulary import Vocab
from tests.convert.tiny import CHAT_TEMPLATE, write_tokenizer
from tests.convert.vocabularies import source

SPECIAL = ["<|endoftext|>", "<|end|>", "<|im_end|>", "<|eom_id|>", "<|user|>", "<|assistant|>"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tokenizer(tmp_path, 400, SPECIAL)
    return tmp_path


def write_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(values), encoding="utf-8")


def configure(folder: Path, **values: Any) -> Vocab:
    write_json(folder / "tokenizer_config.json", eos_token="<|endoftext|>", **values)
    return read_vocab(source(folder), 400)


def test_ends_of_the_generation_config_go_where_llama_cpp_has_a_place(folder: Path) -> None:
    write_json(folder / "generation_config.json", eos_token_id=[0, 3, 2, 5])
    vocab = configure(folder, chat_template="{{ messages[0].content }}<|im_end|>")
    assert {r: vocab.special_ids[r] for r in ("eos", "eot", "eom")} == {
        "eos": 0,
        "eot": 2,
        "eom": 3,
    }
    assert any("no place for: [5]" in note for note in vocab.notes)
    with ModelFile(write_vocab(folder / "v.gguf", vocab), vocab_only=True) as file:
        assert (file.special_ids["eos"], file.special_ids["eot"]) == (0, 2)


def test_the_models_configuration_may_name_the_end(folder: Path) -> None:
    (folder / "tokenizer_config.json").unlink()
    vocab = read_vocab(source(folder, config={"eos_token_id": 2, "bos_token_id": 1}), 400)
    assert vocab.special_ids == {"bos": 1, "eos": 2}


def test_the_end_of_a_turn_is_what_the_template_writes(folder: Path) -> None:
    vocab = configure(folder, chat_template="{{ messages[0].content }}<|im_end|>")
    assert (vocab.special_ids["eos"], vocab.special_ids["eot"]) == (0, 2)
    vocab = configure(folder, chat_template="{{ messages[0].content }}{{ eos_token }}")
    assert (vocab.special_ids["eos"], vocab.special_ids["eot"]) == (0, 0)


def test_a_role_that_is_no_token_is_an_error_only_where_it_is_needed(folder: Path) -> None:
    vocab = configure(folder, pad_token="<nowhere>", unk_token=None)
    assert "pad" not in vocab.special_ids
    assert any("pad_token is '<nowhere>'" in note for note in vocab.notes)
    write_json(folder / "tokenizer_config.json", eos_token="<nowhere>")
    with pytest.raises(VocabError, match="no special token"):
        read_vocab(source(folder), 400)


def test_added_tokens_beyond_the_rows_are_left_out(folder: Path) -> None:
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    data["added_tokens"].append({"id": 400, "content": "[PAD]", "special": True})
    path.write_text(json.dumps(data), encoding="utf-8")
    vocab = configure(folder, pad_token="[PAD]")
    assert len(vocab.tokens) == 400
    assert any("1 added tokens have no row" in note for note in vocab.notes)


def test_templates_are_looked_for_as_transformers_does(folder: Path, tmp_path: Path) -> None:
    named = [
        {"name": "default", "template": "from config"},
        {"name": "tool_use", "template": "tools"},
    ]
    vocab = configure(folder, chat_template=named)
    assert (vocab.chat_template, vocab.templates) == ("from config", {"tool_use": "tools"})
    write_json(folder / "chat_template.json", chat_template="from json")
    assert configure(folder, chat_template=named).chat_template == "from json"
    (folder / "chat_template.jinja").write_text("from jinja")
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "rag.jinja").write_text("rag")
    vocab = configure(folder, chat_template=named)
    assert vocab.chat_template == "from jinja"
    assert vocab.templates == {"tool_use": "tools", "rag": "rag"}
    assert read_vocab(source(folder), 400, chat_template="mine").chat_template == "mine"
    write_vocab(folder / "v.gguf", vocab)
    fields = gguf.GGUFReader(folder / "v.gguf").fields
    assert fields["tokenizer.chat_template"].contents() == "from jinja"
    assert fields["tokenizer.chat_template.rag"].contents() == "rag"


def test_a_template_can_be_given_to_a_tokenizer_without_one(tmp_path: Path) -> None:
    template = "{{ messages[0].content }}"
    assert read_vocab(source(tmp_path), 50257, chat_template=template).chat_template == template


def test_a_template_is_a_file_or_a_format_that_is_known(tmp_path: Path) -> None:
    mine = tmp_path / "mine.jinja"
    mine.write_text("mine")
    assert load_template(str(mine)) == "mine"
    assert "<|im_start|>" in load_template("chatml")
    write_json(tmp_path / "tokenizer_config.json", chat_template="theirs")
    assert load_template(str(tmp_path / "tokenizer_config.json")) == "theirs"
    write_json(tmp_path / "none.json")
    with pytest.raises(VocabError, match="no chat_template in"):
        load_template(str(tmp_path / "none.json"))
    with pytest.raises(VocabError, match="no chat template chatnl") as caught:
        load_template("chatnl")
    assert "chatml, " in caught.value.hint


def test_an_adapters_template_is_the_one_it_was_trained_with(tmp_path: Path) -> None:
    assert choose_template(None, tmp_path) is None
    write_json(tmp_path / "tokenizer_config.json", chat_template="trainers")
    assert choose_template(None, tmp_path) == "trainers"
    (tmp_path / "chat_template.jinja").write_text("trained with")
    assert choose_template(None, tmp_path) == "trained with"
    assert choose_template("chatml", tmp_path) != "trained with"


def test_templates_in_the_current_folder_are_none_of_the_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "additional_chat_templates").mkdir(parents=True)
    (elsewhere / "chat_template.json").write_text("no JSON")
    (elsewhere / "chat_template.jinja").write_bytes(b"\xff")
    (elsewhere / "additional_chat_templates" / "rag.jinja").write_bytes(b"\xff")
    monkeypatch.chdir(elsewhere)
    (tmp_path / "model").mkdir()
    vocab = read_vocab(source(tmp_path / "model"), 50257, chat_template="mine")
    assert (vocab.chat_template, vocab.templates) == ("mine", {})
    assert read_vocab(source(tmp_path / "model"), 50257, chat_template="").chat_template is None


def test_a_sample_is_rendered(folder: Path) -> None:
    vocab = configure(folder, chat_template=CHAT_TEMPLATE, bos_token="<|endoftext|>")
    assert render_sample(vocab) == (
        "<|endoftext|><|user|>What is the capital of France?<|end|><|assistant|>Paris.<|end|>"
        "<|user|>Thanks!<|end|><|assistant|>"
    )
    assert render_sample(replace(vocab, chat_template=None)) == ""
    assert template_notes(vocab) == ()
    assert sample_or_nothing(replace(vocab, chat_template="{{ 1 / 0 }}")) == ""
    assert "adds it too" in template_notes(replace(vocab, add_bos=True))[0]


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ 'a' * 10 ** 9 }}",
        "{% for i in range(100000000) %}{% endfor %}",
        "{{ raise_exception('no system messages') }}",
        "{% for a in",
        "{{ messages.append(1) }}",
    ],
)
def test_a_hostile_or_broken_template_is_a_note(folder: Path, template: str) -> None:
    vocab = configure(folder, chat_template=template)
    (note,) = template_notes(vocab)
    assert note.startswith("The chat template ")
    assert len(note) < 400


def test_a_template_that_never_ends_is_interrupted(folder: Path) -> None:
    loop = "{% for i in range(99999) %}" * 3 + "{% set x = i %}" + "{% endfor %}" * 3
    vocab = configure(folder, chat_template=loop)
    (note,) = template_notes(vocab)
    assert "more than 5 s" in note
