"""The chat templates in a model file, as llama.cpp has read them."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import llama_cpp.llama_cpp as lib

from chatapp.engine.chat.template_choice import FOR_TOOLS
from chatapp.engine.llama.weights import Weights

_KEY = "tokenizer.chat_template."


def read_templates(weights: Weights) -> Iterator[tuple[str, str]]:
    """The templates of a model file by their names; the name of its default one is empty."""
    default = lib.llama_model_chat_template(weights.handle, None)
    if default:
        yield "", default.decode("utf-8", "replace")
    names = sorted(key.removeprefix(_KEY) for key in _keys(weights) if key.startswith(_KEY))
    for name in sorted(names, key=lambda name: (name != "default", name == FOR_TOOLS)):
        source = lib.llama_model_chat_template(weights.handle, name.encode())
        if source:
            yield name, source.decode("utf-8", "replace")


def _keys(weights: Weights) -> Iterator[str]:
    buffer = ctypes.create_string_buffer(256)
    for index in range(lib.llama_model_meta_count(weights.handle)):
        if lib.llama_model_meta_key_by_index(weights.handle, index, buffer, len(buffer)) >= 0:
            yield buffer.value.decode("utf-8", "replace")
