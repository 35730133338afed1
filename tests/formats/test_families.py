"""The families themselves: their prompts are what Jinja makes of their templates."""

import json

from jinja2.sandbox import ImmutableSandboxedEnvironment

from tests.formats.family import AND_THEN, HELLO, Family


def render(family: Family, *messages: dict[str, object]) -> str:
    """As transformers sets Jinja up."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string(family.template).render(
        messages=messages,
        add_generation_prompt=True,
        bos_token=family.words.bos,
        eos_token=family.words.eos,
    )


def test_the_prompts_of_both_turns(family: Family) -> None:
    asked = {"role": "user", "content": HELLO}
    said = family.first
    answer: dict[str, object] = {"role": "assistant", "content": family.echoed or said.text}
    if said.reasoning:
        answer |= {"reasoning_content": said.reasoning, "thinking": said.reasoning}
    if said.calls and not family.echoed:
        answer["tool_calls"] = [
            {"type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in said.calls
        ]
    more = {"role": "user", "content": AND_THEN}
    rendered = [render(family, asked), render(family, asked, answer, more)]
    assert rendered == list(family.prompts())
