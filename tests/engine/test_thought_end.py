"""Thoughts that are bounded or ended, on the real engine: scripted models that think too long."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bench.scripted import Turn, Words, write_scripted
from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import ChatMessage, Choice, Finished, Generate, LoadOptions
from chatapp.parts import Reasoning, Text
from chatapp.sampling import SamplingParams
from tests.formats.thinking import HARMONY_OPENING, HARMONY_TEMPLATE, HARMONY_WORDS

LINES = [f"line {number:02}\n" for number in range(40)]
THOUGHT = "".join(LINES)
WORDS = Words(
    control=("<|im_start|>", "<|im_end|>"),
    user_defined=("<think>", "</think>"),
)
ASKS = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    "{# </think> #}"
)
OPENS = CHATML.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
SWITCH = CHATML.replace(
    "assistant\n{% endif %}",
    "assistant\n{% if enable_thinking is defined and not enable_thinking %}"
    "<think>\n\n</think>\n\n{% endif %}{% endif %}",
)

Asks = Callable[..., "AsyncIterator[Choice]"]


@pytest.fixture
async def say(tmp_path: Path):
    """Loads a scripted model that says a text behind a prompt, and asks it `hi`."""
    client = EngineClient()

    async def ask(
        template: str, prompt: str, says: str, *, words: Words = WORDS, now: bool = False, **asked
    ) -> Finished:
        path = write_scripted(tmp_path / "scripted.gguf", words, template, [Turn(prompt, says)])
        await client.load(LoadOptions(path=str(path), n_threads=1))
        request = client.request(Generate(messages=[ChatMessage.of("user", "hi")], **asked))
        if now:
            request.answer_now()
        events = [event async for event in request.events()]
        assert isinstance(events[-1], Finished)
        return events[-1]

    yield ask
    await client.stop()


def parts_of(finished: Finished) -> tuple[str, str]:
    """The thought and the words of an answer, of which no mark is left."""
    choice = finished.choices[0]
    assert "think" not in choice.text + choice.reasoning
    return choice.reasoning, choice.text


async def test_a_thought_without_a_bound_is_as_long_as_the_model_likes(say) -> None:
    done = await say(CHATML, ASKS, f"<think>\n{THOUGHT}</think>\n\nDone.<|im_end|>")
    assert done.choices[0].parts == (Reasoning(THOUGHT.rstrip()), Text("Done."))
    assert done.usage.reasoning_tokens == len(THOUGHT) + 3


@pytest.mark.parametrize(("template", "prompt"), [(CHATML, ASKS), (OPENS, f"{ASKS}<think>\n")])
@pytest.mark.parametrize("budget", [1, 9, 50, 100])
async def test_a_budget_ends_the_thought_where_a_line_ends(
    say, template: str, prompt: str, budget: int
) -> None:
    opening = "" if template == OPENS else "<think>\n"
    says = f"{opening}{THOUGHT}</think>\n\nDone.<|im_end|>"
    done = await say(template, prompt, says, think=str(budget))
    reasoning, text = parts_of(done)
    whole = [line.rstrip() for line in reasoning.splitlines()]
    assert whole == [line.rstrip() for line in LINES[: len(whole)]] or budget == 1
    assert budget - 12 <= len(reasoning) <= budget + 12
    # the script goes on with what it would have thought; its own end mark is swallowed
    assert text.endswith("Done.")
    assert done.choices[0].finish_reason == "stop"


async def test_a_line_that_does_not_end_is_ended(say) -> None:
    says = f"<think>{'x' * 300}</think>Done.<|im_end|>"
    reasoning, text = parts_of(await say(CHATML, ASKS, says, think="20"))
    assert set(reasoning) == {"x"}
    assert 20 <= len(reasoning) <= 70
    assert text.endswith("Done.")


async def test_the_bound_is_the_turns(say) -> None:
    says = f"<think>\n{THOUGHT}</think>\n\nOne.\n<think>\n{THOUGHT}</think>\n\nTwo.<|im_end|>"
    done = await say(CHATML, ASKS, says, think="30")
    assert done.usage.reasoning_tokens < 60
    assert parts_of(done)[1].endswith("Two.")


@pytest.mark.parametrize(("template", "prompt"), [(CHATML, ASKS), (OPENS, f"{ASKS}<think>\n")])
async def test_no_thinking_at_all_where_no_switch_is(say, template: str, prompt: str) -> None:
    opening = "" if template == OPENS else "<think>\n"
    says = f"{opening}{THOUGHT}</think>\n\nDone.<|im_end|>"
    reasoning, text = parts_of(await say(template, prompt, says, think="off"))
    assert reasoning == ""
    assert text.endswith("Done.")


async def test_a_switch_of_the_template_is_used(say) -> None:
    prompt = f"{ASKS}<think>\n\n</think>\n\n"
    done = await say(SWITCH, prompt, "Done.<|im_end|>", think="off")
    assert done.choices[0].parts == (Text("Done."),)


async def test_the_answer_now(say) -> None:
    says = f"<think>\n{THOUGHT}</think>\n\nDone.<|im_end|>"
    reasoning, text = parts_of(await say(CHATML, ASKS, says, now=True))
    assert len(reasoning) < 60
    assert text.endswith("Done.")


async def test_harmony_goes_on_in_its_final_channel(say) -> None:
    prompt = f"{HARMONY_OPENING}<|start|>user<|message|>hi<|end|><|start|>assistant"
    says = (
        f"<|channel|>analysis<|message|>{THOUGHT}<|end|>"
        "<|start|>assistant<|channel|>final<|message|>Done.<|return|>"
    )
    done = await say(HARMONY_TEMPLATE, prompt, says, words=HARMONY_WORDS, think="60")
    choice = done.choices[0]
    assert choice.reasoning.splitlines() == [line.rstrip() for line in LINES[:8]]
    assert choice.text.endswith("Done.")
    assert "<|" not in choice.text


async def test_harmonys_effort_is_in_the_prompt(say) -> None:
    opening = HARMONY_OPENING.replace("medium", "high")
    prompt = f"{opening}<|start|>user<|message|>hi<|end|><|start|>assistant"
    says = "<|channel|>final<|message|>Done.<|return|>"
    done = await say(HARMONY_TEMPLATE, prompt, says, words=HARMONY_WORDS, think="high")
    assert done.choices[0].parts == (Text("Done."),)


@pytest.mark.parametrize(("template", "prompt"), [(CHATML, ASKS), (OPENS, f"{ASKS}<think>\n")])
async def test_a_schema_binds_behind_the_thought(say, template: str, prompt: str) -> None:
    opening = "" if template == OPENS else "<think>\n"
    schema = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
    says = f'{opening}no JSON here\n</think>\n\n{{"a": true}}<|im_end|>'
    params = SamplingParams(json_schema=json.dumps(schema))
    done = await say(template, prompt, says, params=params)
    reasoning, text = parts_of(done)
    assert reasoning == "no JSON here"
    assert json.loads(text) in ({"a": True}, {"a": False})


async def test_a_schema_binds_at_once_where_nothing_is_thought(say) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
    # what is not scripted is equally likely, a thought too; the draw takes the first
    params = SamplingParams(json_schema=json.dumps(schema), temperature=0)
    done = await say(CHATML, ASKS, "I would rather talk.<|im_end|>", params=params)
    assert isinstance(json.loads(done.choices[0].text)["a"], bool)
