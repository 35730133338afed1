"""Which template a model is spoken to with, and what is said where it is not its own."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.synthetic import TEMPLATE, TINY, write_model
from chatapp.engine.chat.prompt import build_prompt
from chatapp.engine.llama import native
from chatapp.engine.llama.model import LoadedModel
from chatapp.engine.protocol import ChatMessage, LoadOptions
from chatapp.errors import TemplateError
from chatapp.gguf.model_info import read_model_info

HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "f", "description": "", "parameters": {}}}
BROKEN = "{% for message in messages %}{{ message.content }}{% endfor"
CHATML = ("<|im_end|>", "<|im_start|>")
Load = Callable[..., LoadedModel]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Make a model of a shape's fields, and load it with the options beside them."""
    native.start()
    models = []

    def build(options: dict[str, Any] | None = None, **fields: Any) -> LoadedModel:
        path = write_model(tmp_path / "model.gguf", replace(TINY, **fields))
        models.append(LoadedModel(LoadOptions(path=str(path), **(options or {})), lambda _: None))
        return models[-1]

    yield build
    for model in models:
        model.close()


def prompt_of(model: LoadedModel, **values: Any) -> str:
    assert model.manner.template is not None
    return model.manner.template.render(HELLO, **values)


@pytest.mark.parametrize(
    "template", [BROKEN, "{{ '' }}", "{{ raise_exception('no') }}", "{{ a.b.c }}"]
)
def test_a_template_of_no_use_gives_way_to_the_format_of_the_tokens(
    load: Load, template: str
) -> None:
    model = load(template=template, control=CHATML)
    assert prompt_of(model) == "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    assert "ChatML format" in model.notices[0]
    assert "--chat-template" in model.notices[0]
    assert model.description.chat_template


@pytest.mark.parametrize("template", [BROKEN, "{{ '' }}", "{{ raise_exception('no') }}"])
def test_without_such_tokens_the_model_is_refused(load: Load, template: str) -> None:
    with pytest.raises(TemplateError) as caught:
        load(template=template, control=("</s>", "<s>"))
    assert "--chat-template" in caught.value.hint
    assert "--raw" in caught.value.hint


def test_raw_and_another_template_load_what_is_refused_otherwise(load: Load) -> None:
    refused = {"template": BROKEN, "control": ("</s>", "<s>")}
    raw = load({"raw": True}, **refused)
    assert raw.manner.template is None
    assert raw.notices == []
    assert not raw.description.chat_template
    given = load({"chat_template": TEMPLATE}, **refused)
    assert prompt_of(given) == "<|user|>\nHello<|end|>\n<|assistant|>\n"


def test_a_given_template_of_no_use_is_refused_whatever_the_tokens(load: Load) -> None:
    with pytest.raises(TemplateError, match="is not valid Jinja"):
        load({"chat_template": BROKEN})


def test_a_base_model_completes_and_one_that_says_it_answers_does_not(load: Load) -> None:
    base = load(template=None, control=CHATML, name="Big Base 7B")
    assert base.manner.template is None
    assert "completes text" in base.notices[0]
    assert "--chat-template chatml" in base.notices[0]
    plain = load(template=None, control=("</s>", "<s>"), name="Big Chat 7B")
    assert plain.manner.template is None
    assert plain.notices == [
        "This model has no chat template: it completes text instead of answering."
    ]
    chat = load(template=None, control=CHATML, name="Big-7B-Instruct")
    assert prompt_of(chat).startswith("<|im_start|>user")
    assert "ChatML format" in chat.notices[0]


def test_of_several_templates_the_one_for_tools_is_used_with_tools(load: Load) -> None:
    both = [
        {"name": "default", "template": TEMPLATE},
        {"name": "tool_use", "template": TEMPLATE + "{{ tools[0].function.name }}"},
    ]
    model = load(template=both)
    assert prompt_of(model) == "<|user|>\nHello<|end|>\n<|assistant|>\n"
    assert prompt_of(model, tools=[TOOL]) == "<|user|>\nHello<|end|>\n<|assistant|>\nf"
    assert model.notices == []


def test_a_template_for_tools_that_is_of_no_use_is_left_alone(load: Load) -> None:
    for of_no_use in (BROKEN, "{{ raise_exception('never') }}"):
        both = [
            {"name": "default", "template": TEMPLATE},
            {"name": "tool_use", "template": of_no_use},
        ]
        assert prompt_of(load(template=both), tools=[TOOL]).startswith("<|user|>\nHello")


def test_several_templates_without_a_default(load: Load, tmp_path: Path) -> None:
    named = [
        {"name": "rag", "template": "{{ raise_exception('documents only') }}"},
        {"name": "tool_use", "template": TEMPLATE},
    ]
    model = load(template=named)
    assert prompt_of(model) == "<|user|>\nHello<|end|>\n<|assistant|>\n"
    assert read_model_info(tmp_path / "model.gguf").chat_template


def test_what_a_template_cannot_say_is_said(load: Load) -> None:
    deaf = TEMPLATE.replace(
        "{% for message in messages %}", "{% for message in messages if message.role != 'system' %}"
    )
    model = load(template=deaf)
    assert model.notices == []  # until there is a system prompt
    system, question = ChatMessage.of("system", "Be brief."), ChatMessage.of("user", "Hello")
    assert build_prompt(model.vocab, model.manner.template, [question]).notices == ()
    (notice,) = build_prompt(model.vocab, model.manner.template, [system, question]).notices
    assert "no place for a system prompt" in notice
