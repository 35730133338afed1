"""Answers with thoughts that are continued: what bounds them and what binds them goes on."""

import json

import pytest

from chatapp.parts import Parts, Reasoning, Text
from chatapp.sampling import SamplingParams
from tests.engine.test_thought_end import ASKS, CHATML, LINES, OPENS, THOUGHT, WORDS, say

__all__ = ["say"]
OPENED = f"{ASKS}<think>\n"
SCHEMA = json.dumps({"type": "object", "properties": {"a": {"enum": [7]}}, "required": ["a"]})


@pytest.mark.parametrize(
    ("said", "parts"),
    [
        ('</think>\n\n{"a": ', (Text('{"a": '),)),
        ('\n\n</think>\n\n{"a": ', (Text('{"a": '),)),
        ('hm</think>\n\n{"a": ', (Reasoning("hm"), Text('{"a": '))),
        ("hm</think>\n\n", (Reasoning("hm"),)),
        ("hm</think>", (Reasoning("hm"),)),
        ("hm", (Reasoning("hm"),)),
    ],
)
@pytest.mark.parametrize("is_same_model", [True, False])
async def test_a_schema_binds_what_goes_on(
    say, said: str, parts: Parts, is_same_model: bool
) -> None:
    """Behind a thought that is over, be it empty, and behind one that was not."""
    tokens = WORDS.tokenize(said) if is_same_model else []
    done = await say(
        OPENS,
        OPENED + (said if is_same_model else ""),
        "</think>Nothing of JSON<|im_end|>",
        prefix=parts,
        prefix_tokens=tokens,
        params=SamplingParams(json_schema=SCHEMA, max_tokens=200, seed=1),
    )
    assert json.loads(done.choices[0].text) == {"a": 7}


async def test_a_budget_is_the_whole_turns(say) -> None:
    said = "<think>\n" + "".join(LINES[:5])
    done = await say(
        CHATML,
        ASKS + said,
        "".join(LINES[5:]) + "</think>\n\nDone.<|im_end|>",
        think="50",
        prefix=(Reasoning("".join(LINES[:5])),),
        prefix_tokens=WORDS.tokenize(said),
    )
    assert done.choices[0].reasoning.rstrip().splitlines() == THOUGHT.splitlines()[:6]
    assert done.usage.reasoning_tokens < 20


async def test_a_thought_of_another_model_is_kept_where_the_prompt_opens_one(say) -> None:
    done = await say(
        OPENS, OPENED, "new</think>\n\nDone.<|im_end|>", prefix=(Reasoning("old"),), think="on"
    )
    thought, words = done.choices[0].parts
    assert (thought, words) == (Reasoning("old\nnew"), Text("Done."))
    assert done.usage.reasoning_tokens
