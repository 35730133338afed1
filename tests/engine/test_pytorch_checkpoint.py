"""Checkpoints of `chatapp train` and nanoGPT run in PyTorch as they are, with the same logits."""

import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from chatapp.engine.backend import Backend, Cancellation
from chatapp.engine.llama.backend import LlamaBackend
from chatapp.engine.protocol import ChatMessage, Finished, Generate, LoadOptions
from chatapp.engine.pytorch.backend import TorchBackend
from chatapp.engine.pytorch.folder import read_folder
from chatapp.engine.pytorch.weights import TorchWeights
from chatapp.errors import ModelError, UsageError
from chatapp.parts import text_of
from chatapp.sampling import SamplingParams
from chatapp.train.characters import character_tokenizer, save_characters
from chatapp.train.checkpoint import Checkpoint, save_checkpoint
from chatapp.train.language_model import LanguageModel
from chatapp.train.llama import LlamaArgs
from chatapp.train.model import ModelArgs
from chatapp.train.shapes import make_model
from chatapp.train.tokenizer import save_tokenizer, train_tokenizer
from convert.pipeline import convert

TEXT = "once upon a time the quick brown fox jumps over the lazy dog\n"
GPT2 = ModelArgs(n_layer=2, n_head=2, n_embd=32, block_size=64, vocab_size=280)
SHAPES = {
    "gpt2": GPT2,
    "without biases": replace(GPT2, bias=False),
    "llama": LlamaArgs(2, 2, 1, 32, block_size=64, vocab_size=280),
}


def make(folder: Path, args: Any, **more: Any) -> tuple[Path, LanguageModel]:
    """A folder with the checkpoint of a random model, and the model."""
    torch.manual_seed(1)
    torch.set_num_threads(1)
    model = make_model(args).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    config = {"activation": "gelu_new"}
    state = {f"_orig_mod.{name}": one for name, one in model.state_dict().items()}
    state |= {"transformer.h.0.attn.bias": torch.ones(1, 1, 64, 64)} if args is GPT2 else {}
    parts = {"model": state, "optimizer": {}, "model_args": args.as_dict(), "config": config}
    save_checkpoint(Checkpoint(iter_num=1, best_val_loss=1.0, **(parts | more)), folder)
    return folder, model


def ask(folder: Path, text: str, backend: Backend | None = None) -> Finished:
    backend = backend or TorchBackend()
    backend.load(LoadOptions(path=str(folder), n_threads=1), lambda _: None)
    params = SamplingParams(temperature=0.0, max_tokens=8)
    request = Generate(messages=[ChatMessage.of("user", text)], params=params)
    try:
        return backend.generate(request, lambda _: None, Cancellation())
    finally:
        backend.unload()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_logits_are_those_of_training(tmp_path: Path, shape: str) -> None:
    folder, model = make(tmp_path / "my-gpt", SHAPES[shape])
    save_tokenizer(train_tokenizer([TEXT], 280), folder, 64, chat=False)
    for path in (folder, folder / "ckpt.pt"):
        found = read_folder(path)
        assert found.name == "my-gpt"
        loaded = TorchWeights(found, use_gpu=False)
        tokens = torch.arange(40)[None]
        with torch.no_grad():
            ours, theirs = model(tokens), loaded.model(tokens).logits
        assert (ours - theirs).abs().max() < 1e-4 * ours.std()
    said = ask(folder, TEXT)
    assert said.usage.completion_tokens
    assert text_of(said.choices[0].parts)


def test_a_model_that_learned_turns_is_spoken_to_in_its_own(tmp_path: Path) -> None:
    folder, _ = make(tmp_path, GPT2)
    save_tokenizer(train_tokenizer([TEXT], 280), folder, 64, chat=True)
    backend = TorchBackend()
    assert backend.load(LoadOptions(path=str(folder)), lambda _: None).chat_template
    backend.unload()


def test_characters_are_tokens_and_unknown_ones_are_left_out(tmp_path: Path) -> None:
    characters = character_tokenizer([TEXT])
    args = replace(GPT2, vocab_size=characters.get_vocab_size())
    folder, _ = make(tmp_path, args)
    save_characters(characters, folder)
    said = ask(folder, "the 北fox🙂\n")
    assert said.usage.prompt_tokens == len("the fox\n")
    assert len(text_of(said.choices[0].parts)) <= 8


@pytest.mark.parametrize("backend", [TorchBackend, LlamaBackend])
def test_a_prompt_in_other_characters_says_which(tmp_path: Path, backend: type[Backend]) -> None:
    characters = character_tokenizer([TEXT])
    folder, _ = make(tmp_path, replace(GPT2, vocab_size=characters.get_vocab_size()))
    save_characters(characters, folder)
    path = folder
    if backend is LlamaBackend:
        path = convert(folder, tmp_path / "model.gguf", parity="off").output
    for text, said in (("北京北🙂", r"the prompt: 北 京 🙂$"), ("", r"the prompt is empty\.$")):
        with pytest.raises(UsageError) as caught:
            ask(path, text, backend())
        assert re.search(said, caught.value.message)


class _Evil:
    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        return (open, ("/nowhere",))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"model": {}, "model_args": {}, "x": _Evil()}, "more than weights"),
        ({"weights": {}}, "not in the layout"),
        ({"model": {"a": 1}, "model_args": {}}, "not in the layout"),
        ({"model": {}, "model_args": GPT2.as_dict() | {"n_embd": -1}}, "does not say its n_embd"),
        ({"model": {}, "model_args": GPT2.as_dict() | {"n_layer": 10**9}}, "1,000,000,000 layers"),
        ({"model": {}, "model_args": {"shape": "llama"}}, "does not say which kind"),
        ({"model": {}, "model_args": GPT2.as_dict()}, "lacks .* of the weights"),
    ],
)
def test_what_is_damaged_or_strange_is_a_sentence(tmp_path: Path, content: Any, match: str) -> None:
    torch.save(content, tmp_path / "ckpt.pt", pickle_module=pickle)
    save_tokenizer(train_tokenizer([TEXT], 280), tmp_path, 64, chat=False)
    with pytest.raises(ModelError, match=match):
        TorchWeights(read_folder(tmp_path), use_gpu=False)
