"""Folders of strangers in the PyTorch backend: nothing in them runs, each ends in a sentence."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from chatapp.engine.backend import Cancellation
from chatapp.engine.protocol import ChatMessage, Generate, LoadOptions, ModelDescription
from chatapp.engine.pytorch import folder as folders
from chatapp.engine.pytorch.backend import TorchBackend
from chatapp.engine.pytorch.folder import read_folder
from chatapp.errors import ModelError
from tests.engine.transformers_folders import write_gpt2

CODE = "open({!r}, 'w').write('it ran')\nraise SystemExit\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.set_num_threads(1)
    return write_gpt2(tmp_path / "model")


def load(folder: Path) -> ModelDescription:
    backend = TorchBackend()
    try:
        return backend.load(LoadOptions(path=str(folder)), lambda _: None)
    finally:
        backend.unload()


def change(folder: Path, file: str = "config.json", **values: Any) -> None:
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("model_type", ["gpt2", "evil"])
def test_code_in_the_folder_never_runs(folder: Path, model_type: str) -> None:
    mark = folder / "mark"
    for name in ("modeling_evil.py", "configuration_evil.py", "tokenization_evil.py"):
        (folder / name).write_text(CODE.format(str(mark)))
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(CODE.format(str(mark)))
    code = {"AutoConfig": "configuration_evil.C", "AutoModelForCausalLM": "modeling_evil.M"}
    change(folder, auto_map=code, model_type=model_type, attn_implementation="evil/kernel")
    tokenizer = {"AutoTokenizer": ["tokenization_evil.T", None]}
    change(folder, "tokenizer_config.json", auto_map=tokenizer)
    if model_type == "evil":
        with pytest.raises(ModelError, match="its own code"):
            load(folder)
    else:
        load(folder)  # transformers' own class has the name
    assert not mark.exists()


def test_a_tokenizer_of_its_own_does_not_run(folder: Path) -> None:
    tokenizer = {"AutoTokenizer": ["tokenization_evil.T", None]}
    change(folder, "tokenizer_config.json", auto_map=tokenizer, tokenizer_class="Evil")
    (folder / "tokenization_evil.py").write_text(CODE.format(str(folder / "mark")))
    load(folder)  # tokenizer.json is data, and is taken
    (folder / "tokenizer.json").rename(folder / "vocab.txt")
    with pytest.raises(ModelError, match="cannot load model"):
        load(folder)
    assert not (folder / "mark").exists()


def test_a_pickle_is_read_as_weights_only(tmp_path: Path) -> None:
    folder = write_gpt2(tmp_path / "pickled", safe=False)
    load(folder)

    class Evil:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
            return exec, (CODE.format(str(tmp_path / "mark")),)

    for data in (pickle.dumps({"weights": Evil()}), b""):
        (folder / "pytorch_model.bin").write_bytes(data)
        with pytest.raises(ModelError, match="cannot load pickled"):
            load(folder)
    torch.save({"transformer.wte.weight": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(
        ModelError, match="cannot load pickled: its pickle is damaged, or holds more"
    ):
        load(folder)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"architectures": ["GPT2ForSequenceClassification"]}, "writes no text"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantised already"),
        ({"model_type": "nosuch"}, "knows no model of the type"),
        ({"model_type": 7}, "does not say which model_type"),
        ({"n_layer": 4}, "lacks 24 of the weights"),
        ({"n_embd": 32}, "cannot load model"),
        ({"num_hidden_layers": 10**9}, "speaks of 1,000,000,000 layers"),
        ({"n_layer": 10**9}, "speaks of 1,000,000,000 layers"),
        ({"n_head": "two"}, "cannot load model"),
        ({"transformers_weights": "../../secret"}, ""),
    ],
)
def test_a_configuration_that_does_not_fit_is_a_sentence(
    folder: Path, values: dict[str, Any], said: str
) -> None:
    change(folder, **values)
    if not said:
        assert load(folder)
        return
    with pytest.raises(ModelError, match=said):
        load(folder)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("config.json", "[1]", "no configuration"),
        ("config.json", "{" * 100_000, "no configuration"),
        ("config.json", None, "has no config.json"),
        ("adapter_config.json", "{}", "holds an adapter"),
        ("model.safetensors", None, "holds no weights"),
        ("model.safetensors", "cut", "cannot load model"),
        ("tokenizer.json", None, "holds no tokenizer"),
        ("tokenizer.json", "{}", "cannot load model"),
        ("generation_config.json", '{"max_new_tokens": "many"}', "cannot load model"),
    ],
)
def test_a_damaged_folder_is_a_sentence(
    folder: Path, file: str, content: str | None, said: str
) -> None:
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content)
    with pytest.raises(ModelError, match=said):
        load(folder)


@pytest.mark.parametrize("template", ["{{ cycler.__init__.__globals__ }}", "{{ 1/0 }}", "{%"])
def test_a_template_of_no_use_gives_way_to_the_format_of_the_tokens(
    folder: Path, template: str
) -> None:
    change(folder, "tokenizer_config.json", chat_template=template)
    model = load(folder)
    assert model.chat_template
    assert "spoken to in ChatML format" in model.notices[0]


def test_a_tokenizer_of_another_model_is_a_sentence(folder: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["qqq"])
    tokenizer.save_pretrained(folder)
    backend = TorchBackend()
    backend.load(LoadOptions(path=str(folder)), lambda _: None)
    request = Generate(messages=[ChatMessage.of("user", "a qqq")])
    with pytest.raises(ModelError, match="makes token 353 of this text"):
        backend.generate(request, lambda _: None, Cancellation())
    backend.unload()


def test_a_bare_checkpoint_beside_a_model_is_not_taken_for_it(folder: Path) -> None:
    (folder / "ckpt.pt").write_bytes(b"")
    with pytest.raises(ModelError, match="is no whole checkpoint"):
        load(folder / "ckpt.pt")
    assert load(folder / "model.safetensors").runtime


def test_weights_in_a_second_form_are_not_counted(folder: Path) -> None:
    name = "model-00001-of-00001.safetensors"
    (folder / "model.safetensors").rename(folder / name)
    (folder / "model.safetensors.index.json").write_text("{}")
    size = (folder / name).stat().st_size
    (folder / "consolidated.safetensors").write_bytes(b"\0" * 999)
    assert read_folder(folder).size_bytes == size


@pytest.mark.parametrize(
    ("saved", "beside"),
    [
        ({"model_type": "bert", "architectures": ["BertModel"]}, ""),
        ({"model_type": "roberta", "architectures": ["RobertaForMaskedLM"]}, ""),
        ({}, "modules.json"),
    ],
)
def test_a_model_that_makes_embeddings_is_sent_to_where_they_are_made(
    folder: Path, saved: dict[str, Any], beside: str
) -> None:
    change(folder, **saved)
    if beside:
        (folder / beside).write_text("[]")
    with pytest.raises(ModelError, match="it makes embeddings") as caught:
        load(folder)
    assert f"chatapp embed --model {folder} " in caught.value.hint


def test_an_encoder_that_was_made_to_write_is_none_of_them(folder: Path) -> None:
    change(folder, model_type="bert", architectures=["BertModel"], is_decoder=True)
    with pytest.raises(ModelError, match="lacks"):
        load(folder)


def test_a_library_that_a_tokenizer_needs_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "find_spec", lambda name: None if "google" in name else name)
    (folder / "spiece.model").write_bytes(b"pieces")
    load(folder)  # tokenizer.json is enough
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="for which transformers needs protobuf") as e:
        load(folder)
    assert e.value.hint == "pip install protobuf"
