"""An answer that calls a tool ends for that reason, whatever else it says."""

import pytest

from chatapp.parts import ToolCall
from tests.engine.test_thought_end import ASKS, CHATML, say

__all__ = ["say"]
CALL = '<tool_call>\n{"name": "look", "arguments": {}}\n</tool_call>'
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


@pytest.mark.parametrize("says", [CALL, f"I look.\n{CALL}", f"{CALL}\nNow we wait."])
async def test_calls_before_and_behind_words(say, says: str) -> None:
    done = await say(CHATML, ASKS, f"{says}<|im_end|>", tools=[TOOL])
    choice = done.choices[0]
    assert [part.name for part in choice.parts if isinstance(part, ToolCall)] == ["look"]
    assert choice.finish_reason == "tool_calls"
