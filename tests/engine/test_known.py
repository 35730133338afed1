"""A model whose template cannot be used is spoken to in the format that its tokens tell."""

from collections.abc import Iterator

import pytest

from chatapp.engine.chat.template import ChatTemplate
from chatapp.gguf.known import FORMATS, find_format, nearest_format
from chatapp.gguf.sandbox import TemplateProcess


@pytest.fixture(scope="module")
def process() -> Iterator[TemplateProcess]:
    with TemplateProcess() as made:
        yield made


TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi."},
    {"role": "user", "content": "Bye"},
]


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_every_format_writes_everything_once(process: TemplateProcess, known: object) -> None:
    template = ChatTemplate(known.source, "<s>", "</s>", process)  # type: ignore[attr-defined]
    text = template.render(TALK)
    for word in ("Be brief.", "Hello", "Hi.", "Bye"):
        assert text.count(word) == 1
    assert not template.traits.drops_system
    assert template.render(TALK, add_generation_prompt=False) in text
    for mark in known.marks:  # type: ignore[attr-defined]
        assert mark in text


def test_formats_as_their_models_know_them(process: TemplateProcess) -> None:
    texts = {
        name: ChatTemplate(find_format(name).source, "<s>", "</s>", process).render(TALK)  # type: ignore[union-attr]
        for name in ("chatml", "llama3", "gemma", "mistral", "phi")
    }
    assert texts["chatml"] == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
        "<|im_start|>assistant\nHi.<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert texts["llama3"] == (
        "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHi.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    assert texts["gemma"] == (
        "<s><start_of_turn>user\nBe brief.\n\nHello<end_of_turn>\n<start_of_turn>model\nHi."
        "<end_of_turn>\n<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n"
    )
    assert texts["mistral"] == "<s>[INST] Be brief.\n\nHello[/INST] Hi.</s>[INST] Bye[/INST]"
    assert texts["phi"].endswith("<|assistant|>\nHi.<|end|>\n<|user|>\nBye<|end|>\n<|assistant|>\n")


@pytest.mark.parametrize("known", [k for k in FORMATS if k.marks], ids=lambda known: known.name)
def test_a_format_is_known_by_its_tokens(known: object) -> None:
    marks = known.marks  # type: ignore[attr-defined]
    assert nearest_format({*marks, "<s>", "</s>"}.__contains__) == known
    assert nearest_format({*marks[1:], "<s>"}.__contains__) != known


def test_of_two_that_fit_the_one_that_the_broken_template_names() -> None:
    marks = {"<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}
    assert nearest_format(marks.__contains__) == find_format("chatml")
    broken = "{% for %}<|start_header_id|>x<|end_header_id|><|eot_id|>"
    assert nearest_format(marks.__contains__, broken) == find_format("llama3")
    assert nearest_format({"<s>"}.__contains__) is None
    assert find_format("ChatML") == find_format("chatml")
    assert find_format("nothing") is None
