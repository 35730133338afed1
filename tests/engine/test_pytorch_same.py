"""The same parameters give the same text in PyTorch and, from the converted file, in llama.cpp."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from chatapp.engine.backend import Backend, Cancellation
from chatapp.engine.llama.backend import LlamaBackend
from chatapp.engine.protocol import ChatMessage, Generate, LoadOptions
from chatapp.engine.pytorch.backend import TorchBackend
from chatapp.sampling import SamplingParams
from convert.pipeline import convert
from tests.engine.transformers_folders import TEMPLATE, write_gpt2

# The likeliest token is ahead by 0.03 and more everywhere; the two differ by 0.001.
GREEDY = {"temperature": 0.0, "max_tokens": 12}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Backend]]:
    """One model in PyTorch, and converted in llama.cpp."""
    torch.set_num_threads(1)
    folder = write_gpt2(tmp_path_factory.mktemp("same") / "gpt2", chat_template=TEMPLATE)
    file = convert(folder, folder / "model.gguf", parity="off").output
    backends: list[Backend] = [TorchBackend(), LlamaBackend()]
    for backend, path in zip(backends, (folder, file), strict=True):
        backend.load(LoadOptions(path=str(path), n_threads=1), lambda _: None)
    yield backends
    for backend in backends:
        backend.unload()


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"repeat_penalty": 1.5},
        {"repeat_penalty": 1.5, "repeat_last_n": 4},
        {"presence_penalty": 2.0, "frequency_penalty": 0.7, "repeat_last_n": -1},
        {"no_repeat_ngram_size": 2},
        {"logit_bias": ((70, 3.0), (100, -1e6))},
        {"temperature": 1.5, "top_k": 1, "seed": 3},
        {"temperature": 1.5, "top_p": 0.0, "seed": 3},
        {"temperature": 1.5, "min_p": 1.0, "seed": 3},
    ],
)
def test_the_text_is_the_same(both: list[Backend], params: dict[str, Any]) -> None:
    request = Generate(
        messages=[
            ChatMessage.of("user", "the lazy dog <|im_end|>"),
            ChatMessage.of("assistant", "héllo 🎉"),
            ChatMessage.of("user", "wrote a text"),
        ],
        params=SamplingParams(**{**GREEDY, **params}),
    )
    ours, theirs = (backend.generate(request, lambda _: None, Cancellation()) for backend in both)
    assert ours.usage.prompt_tokens == theirs.usage.prompt_tokens
    assert ours.choices[0].tokens == theirs.choices[0].tokens
    assert ours.choices[0].parts == theirs.choices[0].parts
    assert ours.choices[0].finish_reason == theirs.choices[0].finish_reason
