"""How much to think, in words and in numbers."""

import pytest

from chatapp.config import load_config
from chatapp.engine.protocol import ChatMessage, Generate
from chatapp.engine.wire import Manner, make_body, next_manner
from chatapp.errors import ConfigError, UsageError
from chatapp.parts import Parts, Reasoning, Text, ToolCall
from chatapp.paths import find_paths
from chatapp.thinking import Thinking, is_only_thought


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("", ""), ("on", "on"), (" OFF ", "off"), ("Low", "low"), ("medium", "medium"),
        ("high", "high"), ("0", "off"), ("700", "700"), ("2,048", "2048"), ("8_192", "8192"),
        ("007", "7"),
    ],
)  # fmt: skip
def test_what_can_be_said(text: str, asked: str) -> None:
    assert Thinking.parse(text).asked == asked
    assert Thinking.parse(asked).asked == asked


@pytest.mark.parametrize("text", ["hgih", "-1", "1.5", "1e3", "9" * 30, "9" * 9999, "٣", "on off"])
def test_what_cannot(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Thinking.parse(text)
    assert "on, off, low, medium, high, or the most tokens" in caught.value.hint
    assert len(caught.value.message) < 100


@pytest.mark.parametrize(
    ("asked", "by_effort", "by_budget", "switches"),
    [
        ("", None, None, {}),
        ("on", None, None, {"enable_thinking": True}),
        ("off", 0, 0, {"enable_thinking": False}),
        ("low", None, 512, {"enable_thinking": True, "reasoning_effort": "low"}),
        ("medium", None, 2048, {"enable_thinking": True, "reasoning_effort": "medium"}),
        ("high", None, 8192, {"enable_thinking": True, "reasoning_effort": "high"}),
        ("100", 100, 100, {"enable_thinking": True}),
    ],
)
def test_what_follows(
    asked: str, by_effort: int | None, by_budget: int | None, switches: dict[str, object]
) -> None:
    thinking = Thinking.parse(asked)
    assert thinking.budget(knows_effort=True) == by_effort
    assert thinking.budget(knows_effort=False) == by_budget
    assert thinking.switches == switches


@pytest.mark.parametrize(
    ("parts", "only"),
    [
        ((), False),
        ((Text("yes"),), False),
        ((Reasoning("hm"),), True),
        ((Reasoning("hm"), Text(" \n")), True),
        ((Reasoning(" "), Text("")), False),
        ((Reasoning("hm"), Text("yes")), False),
        ((Reasoning("hm"), ToolCall("1", "look", "{}")), False),
        ((Text("\n"), Reasoning("hm"), Reasoning("hm")), True),
    ],
)
def test_an_answer_that_is_only_thought(parts: Parts, only: bool) -> None:
    assert is_only_thought(parts) is only


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ('think = "low"', "low"), ("think = 300", "300"), ("think = true", "on"),
        ("think = false", "off"), ('think = "OFF"', "off"), ('system = "x"', ""),
    ],
)  # fmt: skip
def test_the_setting(line: str, asked: str) -> None:
    paths = find_paths()
    paths.config.mkdir(parents=True)
    paths.settings.write_text(f"[chat]\n{line}\n")
    assert load_config(paths).chat.think == asked


@pytest.mark.parametrize("value", ['"much"', "-5", "1.5", "[1]", "{ a = 1 }"])
def test_a_setting_that_says_nothing_is_refused(value: str) -> None:
    paths = find_paths()
    paths.config.mkdir(parents=True)
    paths.settings.write_text(f"[chat]\nthink = {value}\n")
    with pytest.raises(ConfigError, match=r"chat\.think") as caught:
        load_config(paths)
    assert "on, off, low" in caught.value.hint


@pytest.mark.parametrize(
    ("asked", "full", "plain"),
    [
        ("", {}, {}),
        ("on", {"chat_template_kwargs": {"enable_thinking": True}}, None),
        (
            "off",
            {"reasoning_effort": "none", "chat_template_kwargs": {"enable_thinking": False}},
            {"reasoning_effort": "none"},
        ),
        (
            "low",
            {"reasoning_effort": "low", "chat_template_kwargs": {"enable_thinking": True}},
            {"reasoning_effort": "low"},
        ),
        (
            "900",
            {"chat_template_kwargs": {"enable_thinking": True}, "thinking_budget_tokens": 900},
            None,
        ),
    ],
)
def test_what_a_server_is_sent(
    asked: str, full: dict[str, object], plain: dict[str, object] | None
) -> None:
    request = Generate(messages=[ChatMessage.of("user", "hi")], think=asked)
    names = ("reasoning_effort", "chat_template_kwargs", "thinking_budget_tokens")
    _path, body = make_body(request, "m", Manner())
    assert {name: body[name] for name in names if name in body} == full
    simpler = next_manner(Manner(), request, "Unrecognized request argument")
    assert simpler == (None if plain is None else Manner(plain=True))
    if plain is not None:
        _path, body = make_body(request, "m", Manner(plain=True))
        assert {name: body[name] for name in names if name in body} == plain
