"""An answer ends where the model's own template ends it."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.synthetic import TINY, write_model
from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import ChatMessage, Generate, LoadOptions
from chatapp.sampling import SamplingParams
from tests.engine.test_llama import finish

SYSTEM = 257  # the id of <|system|>, a control token that llama.cpp takes for no end


def each(message: str) -> str:
    """A template that writes `message` for every message."""
    return "{% for message in messages %}" + message + "{% endfor %}"


BY_TOKEN = each("<|{{ message.role }}|>{{ message.content }}<|system|>")
BY_TEXT = each("### {{ message.role }}:\n{{ message.content }}\n")
BY_NOTHING = each("{{ message.content }}")
REFUSING = (
    "{% if messages | length > 1 %}{{ raise_exception('one at a time') }}{% endif %}"
    "{{ messages[0].content }}"
)


async def answer(
    folder: Path, template: str, prompt: str | None = None, **params: object
) -> tuple[list[str], str, str]:
    """The notices of a model with `template`, its answer, and why that ended."""
    path = write_model(folder / "model.gguf", replace(TINY, template=template))
    client = EngineClient()
    try:
        model = await client.load(LoadOptions(path=str(path)))
        request = Generate(
            request_id="r",
            messages=[ChatMessage.of("user", "hello")],
            prompt=prompt,
            params=SamplingParams(temperature=0, max_tokens=40, **params),  # type: ignore[arg-type]
        )
        choice = (await finish(client, request)).choices[0]
        return model.notices, choice.text, choice.finish_reason
    finally:
        await client.stop()


async def test_a_token_that_the_file_does_not_mark(tmp_path: Path) -> None:
    bias = ((SYSTEM, 1e6),)
    notices, text, reason = await answer(tmp_path, BY_TOKEN, logit_bias=bias)
    assert [notice for notice in notices if "<|system|> ends an answer" in notice]
    assert (text, reason) == ("", "stop")


@pytest.mark.parametrize("prompt", [None, "hello"])
async def test_text_that_begins_the_next_turn(tmp_path: Path, prompt: str | None) -> None:
    grammar = 'root ::= "so\\n### user:\\nand on"'
    notices, text, reason = await answer(tmp_path, BY_TEXT, prompt=prompt, grammar=grammar)
    assert notices == []
    # plain completion has no turns: there it is text like any other
    assert text == ("so" if prompt is None else "so\n### user:\nand on")
    assert reason == "stop"


async def test_a_template_that_ends_nothing_says_so(tmp_path: Path) -> None:
    notices, _, reason = await answer(tmp_path, BY_NOTHING, logit_bias=((70, 1e6),))
    assert [notice for notice in notices if "ends an answer" in notice]
    assert reason == "length"


async def test_a_template_that_will_not_be_asked(tmp_path: Path) -> None:
    notices, _, reason = await answer(tmp_path, REFUSING, logit_bias=((70, 1e6),))
    assert notices == []
    assert reason == "length"


NO_SYSTEM = each(
    "{% if message.role != 'system' %}<|{{ message.role }}|>{{ message.content }}<|system|>"
    "{% endif %}"
)


async def test_a_system_prompt_without_a_place_is_said_where_there_is_one(tmp_path: Path) -> None:
    """Once a load, in the note of the first answer that it concerns."""
    path = write_model(tmp_path / "model.gguf", replace(TINY, template=NO_SYSTEM))
    client = EngineClient()
    system, question = ChatMessage.of("system", "Be brief."), ChatMessage.of("user", "hello")
    notes = []
    try:
        model = await client.load(LoadOptions(path=str(path)))
        assert not [notice for notice in model.notices if "system prompt" in notice]
        for messages in ([question], [system, question], [system, question]):
            request = Generate(
                request_id="r",
                messages=messages,
                params=SamplingParams(temperature=0, max_tokens=2),
                n=2,
            )
            notes += [choice.note for choice in (await finish(client, request)).choices]
        await client.load(LoadOptions(path=str(path)))
        request = Generate(
            request_id="r",
            messages=[system, question],
            params=SamplingParams(temperature=0, max_tokens=2),
        )
        notes += [choice.note for choice in (await finish(client, request)).choices]
    finally:
        await client.stop()
    assert ["no place for a system prompt" in note for note in notes] == [
        *(False, False),
        *(True, False),
        *(False, False),
        True,
    ]
