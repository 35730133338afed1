"""What a template takes is found out by rendering, and messages are made into that."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from chatapp.engine.chat.template import ChatTemplate
from chatapp.errors import TemplateError
from chatapp.gguf.sandbox import TemplateProcess

PARTS = (
    "{% for m in messages %}<{{ m.role }}>{% for part in m.content %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
)
USERS_PARTS = (
    "{% for m in messages %}<{{ m.role }}>{% if m.role == 'user' %}"
    "{{ m.content | selectattr('type', 'equalto', 'text') | map(attribute='text') | join }}"
    "{% else %}{{ m.content + '.' }}{% endif %}{% endfor %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role != 'system' %}<{{ m.role }}>{{ m.content }}"
    "{% endif %}{% endfor %}"
)
STRICT = (
    "{% if messages[0].role == 'system' %}<system>{{ messages[0].content }}"
    "{% set messages = messages[1:] %}{% endif %}{% for m in messages %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}<{{ m.role }}>{{ m.content }}"
    "{% endfor %}"
)
PAIRS = (
    "{% for m in messages %}{% if loop.index0 % 2 == 0 %}{% if m.role == 'user' %}"
    "<user>{{ m.content }}{% endif %}{% elif m.role == 'assistant' %}<assistant>{{ m.content }}"
    "{% endif %}{% endfor %}"
)


@pytest.fixture(scope="module")
def process() -> Iterator[TemplateProcess]:
    with TemplateProcess() as made:
        yield made


@pytest.fixture
def make(process: TemplateProcess) -> Any:
    def build(source: str, **options: str) -> ChatTemplate:
        return ChatTemplate(source, "<s>", "</s>", process, **options)

    return build


def talk(*turns: str) -> list[dict[str, Any]]:
    """Messages from texts such as `user: Hello`."""
    pairs = (turn.partition(": ") for turn in turns)
    return [{"role": role, "content": content} for role, _, content in pairs]


@pytest.mark.parametrize("source", [PARTS, USERS_PARTS])
def test_content_as_parts_where_the_template_reads_parts(make: Any, source: str) -> None:
    text = make(source).render(talk("user: Hello", "assistant: Hi", "user: Bye"))
    assert text.replace(".", "") == "<user>Hello<assistant>Hi<user>Bye"


@pytest.mark.parametrize(
    "source",
    [
        NO_SYSTEM,
        PARTS.replace(
            "<{{ m.role }}>", "{% if m.role == 'system' %}{% continue %}{% endif %}<{{ m.role }}>"
        ),
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        + STRICT,
    ],
)
def test_a_system_text_is_never_dropped_and_that_it_moved_is_said(make: Any, source: str) -> None:
    template = make(source)
    text = template.render(talk("system: Be brief.", "user: Hello", "assistant: Hi", "user: Bye"))
    assert text == "<user>Be brief.\n\nHello<assistant>Hi<user>Bye"
    assert template.traits.drops_system
    assert "no place for a system prompt" in template.notices[0]


def test_a_system_text_that_only_tools_push_out(make: Any) -> None:
    source = (
        "{% if tools %}<tools>{{ tools | length }}{% elif messages[0].role == 'system' %}"
        "<system>{{ messages[0].content }}{% endif %}" + NO_SYSTEM
    )
    template = make(source)
    messages = talk("system: Be brief.", "user: Hello")
    assert template.render(messages) == "<system>Be brief.<user>Hello"
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    assert template.render(messages, tools=[tool]) == "<tools>1<user>Be brief.\n\nHello"
    assert template.notices == ()


@pytest.mark.parametrize(
    ("turns", "text"),
    [
        (["user: A", "user: B"], "<user>A\n\nB"),
        (["assistant: Welcome", "user: A"], "<user><assistant>Welcome<user>A"),
        (
            ["system: S", "assistant: Welcome", "user: A"],
            "<system>S<user><assistant>Welcome<user>A",
        ),
        (
            ["user: A", "assistant: B", "system: Be brief", "user: C"],
            "<user>A<assistant>B<user>Be brief\n\nC",
        ),
        (["user: A", "assistant: B", "assistant: C", "user: D"], "<user>A<assistant>B\n\nC<user>D"),
    ],
)
def test_turns_are_merged_where_they_must_alternate(make: Any, turns: list[str], text: str) -> None:
    assert make(STRICT).render(talk(*turns)) == text


def test_turns_that_are_dropped_in_silence_are_merged_too(make: Any) -> None:
    assert make(PAIRS).render(talk("user: A", "user: B")) == "<user>A\n\nB"


def test_turns_stay_where_the_template_takes_any_order(make: Any) -> None:
    source = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    turns = ["system: S", "assistant: W", "user: A", "user: B", "system: T", "user: C"]
    text = "<system>S<assistant>W<user>A<user>B<system>T<user>C"
    assert make(source).render(talk(*turns)) == text


CALLED = [
    {"role": "user", "content": "How warm?"},
    {
        "role": "assistant",
        "content": None,
        "reasoning_content": "I look it up.",
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city":"Köln","days":[1,2]}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "12 °C"},
]
SAID = NO_SYSTEM.replace("m.content", "m.content or ''")
RESULT = (
    "{% for m in messages %}{% if m.role == 'tool' %}{{ m.name }}={{ m.content }}{% endif %}"
    "{% endfor %}"
)


def each_call(writing: str) -> str:
    return (
        "{% for m in messages %}{% for c in m.tool_calls or [] %}[" + writing + "]"
        "{% endfor %}{% endfor %}"
    )


@pytest.mark.parametrize(
    ("writing", "text"),
    [
        ("{{ c.function.arguments | tojson }}", '{"city": "Köln", "days": [1, 2]}'),
        (
            "{{ c.function | tojson }}",
            '{"name": "weather", "arguments": {"city": "Köln", "days": [1, 2]}}',
        ),
        ("{{ c.function.arguments }}", '{"city":"Köln","days":[1,2]}'),
        ("{{ 'x' + c.function.arguments }}", 'x{"city":"Köln","days":[1,2]}'),
        (
            "{% for k, v in c.function.arguments | items %}{{ k }}={{ v }};{% endfor %}",
            "city=Köln;days=[1, 2];",
        ),
        (
            (
                "{% if c.function.arguments is string %}{{ c.function.arguments }}{% else %}"
                "{{ c.function.arguments | tojson(separators=(',', ':')) }}{% endif %}"
            ),
            '{"city":"Köln","days":[1,2]}',
        ),
    ],
)
def test_arguments_are_what_the_template_reads(make: Any, writing: str, text: str) -> None:
    template = make(SAID + each_call(writing) + RESULT)
    assert template.render(CALLED).endswith(f"[{text}]weather=12 °C")
    assert template.call_traits.knows_calls


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("", ""),
        ("{", "input={;"),
        ('{"a": 1', 'input={"a": 1;'),
        ("[1]", "input=[1];"),
        ('"a"', "input=a;"),
        ("null", "input=None;"),
    ],
)
def test_arguments_that_are_no_object_are_kept(make: Any, arguments: str, text: str) -> None:
    messages = json.loads(json.dumps(CALLED))
    messages[1]["tool_calls"][0]["function"]["arguments"] = arguments
    each = "{% for k, v in c.function.arguments | items %}{{ k }}={{ v }};{% endfor %}"
    rendered = make(SAID + each_call(each) + RESULT).render(messages)
    assert rendered.endswith(f"[{text}]weather=12 °C")


@pytest.mark.parametrize(
    "name", ["reasoning_content", "thinking", "reasoning", "thought", "tool_plan"]
)
def test_thoughts_are_found_under_every_name(make: Any, name: str) -> None:
    source = (
        "{% for m in messages %}{{ m.content or '' }}{% if m."
        + name
        + " is defined %}({{ m."
        + name
        + " }}){% endif %}{% endfor %}"
    )
    assert "(I look it up.)" in make(source).render(CALLED)


def test_null_content_is_not_written_as_a_word(make: Any) -> None:
    for content in ("{{ m.content }}", "{{ m.content + '' }}", "{{ m['content'] | trim }}"):
        source = (
            "{% for m in messages %}<{{ m.role }}>"
            + content
            + "{% endfor %}"
            + each_call("{{ c.function.arguments | tojson }}")
        )
        text = make(source).render(CALLED)
        assert "None" not in text
        assert "<assistant><tool>12 °C" in text


def test_calls_and_results_without_a_place_stand_in_the_text(make: Any) -> None:
    template = make(STRICT)
    text = template.render(CALLED)
    assert text == (
        '<user>How warm?<assistant><tool_call>\n{"name": "weather", "arguments": {"city": "Köln", '
        '"days": [1, 2]}}\n</tool_call><user>12 °C'
    )
    template.tell_calls = lambda calls: f"CALL {calls[0]['function']['name']}"
    assert "<assistant>CALL weather<user>" in template.render(CALLED)


def test_ids_of_nine_letters_and_calls_one_by_one_where_a_template_insists(make: Any) -> None:
    source = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content or '' }}{% if m.tool_calls %}"
        "{% if m.tool_calls | length != 1 %}{{ raise_exception('one call') }}{% endif %}"
        "{% if m.tool_calls[0].id | length != 9 %}{{ raise_exception('nine') }}{% endif %}"
        "{{ m.tool_calls[0].function | tojson }}{% endif %}{% endfor %}"
    )
    messages: list[dict[str, Any]] = json.loads(json.dumps(CALLED))
    second = json.loads(json.dumps(messages[1]["tool_calls"][0] | {"id": "call_2"}))
    second["function"]["name"] = "wind"
    messages[1]["tool_calls"].append(second)
    messages.append({"role": "tool", "tool_call_id": "call_2", "content": "calm"})
    text = make(source).render(messages)
    places = [text.index(word) for word in ("weather", "12 °C", "wind", "calm")]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% if tools is defined and tools | length > 0 %}TOOLS{% endif %}", ""),
        ("{% for tool in tools %}TOOL{% endfor %}", ""),
        ("{% if tools is not none %}TOOLS{% endif %}", ""),
        ("{% if tools is defined %}TOOLS{% endif %}", ""),
        ("{% if documents is defined and documents | length > 0 %}DOCUMENTS{% endif %}", ""),
        ("{{ functions }}", "[]"),
        ("{{ '(' + date_string + ')' }}{{ datetime | length > 9 }}", None),
        (
            (
                "{% if date_string is not defined %}{% set date_string = '1 May' %}{% endif %}"
                "{{ date_string }}"
            ),
            "1 May",
        ),
    ],
)
def test_what_is_not_given(make: Any, source: str, text: str | None) -> None:
    rendered = make(source + NO_SYSTEM).render(talk("user: Hello"))
    head = rendered.removesuffix("<user>Hello")
    assert head != rendered
    assert head == text if text is not None else head.startswith("(") and head.endswith("True")


def test_tools_without_descriptions_where_a_template_counts_on_them(make: Any) -> None:
    source = SAID + (
        "{% for tool in tools %}{{ tool.function.description + '.' }}"
        "{% for name, p in tool.function.parameters.properties | items %}"
        "{{ name + ': ' + p.description + p.type + ';' }}{% endfor %}{% endfor %}"
    )
    bare = {"type": "function", "function": {"name": "f"}}
    told = {"properties": {"a": {}, "b": {"type": "integer", "description": "B "}}}
    full = {"type": "function", "function": {"name": "g", "parameters": told}}
    text = make(source).render(talk("user: A"), tools=[bare, full])
    assert text == "<user>A..a: string;b: B integer;"


def test_words_beside_a_call_join_the_thoughts_where_only_those_are_taken(make: Any) -> None:
    source = (
        "{% for m in messages %}{% if m.tool_calls and m.content and m.thinking %}"
        "{{ raise_exception('one or the other') }}{% endif %}<{{ m.role }}>{{ m.thinking }}|"
        "{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function.arguments | tojson }}"
        "{% endfor %}{% endfor %}"
    )
    messages = [CALLED[0], {**CALLED[1], "content": "One moment."}, *CALLED[2:]]
    assert "I look it up.\n\nOne moment.|{" in make(source).render(messages)


def test_a_template_of_its_own_for_tools(make: Any) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    template = make(NO_SYSTEM, for_tools=NO_SYSTEM + "{{ tools[0].function.name }}")
    assert template.render(talk("user: A")) == "<user>A"
    assert template.render(talk("user: A"), tools=[tool]) == "<user>Af"
    assert template.call_traits.knows_tools


def test_a_template_that_leaves_out_the_question_is_of_no_use(make: Any) -> None:
    for source in ("Hello", "{% for m in messages %}<{{ m.role }}>{% endfor %}"):
        with pytest.raises(TemplateError, match="leaves out what the user says"):
            _ = make(source).traits


def test_a_template_that_leaves_out_answers_is_said(make: Any) -> None:
    template = make(
        "{% for m in messages %}{% if m.role == 'user' %}<{{ m.content }}>{% endif %}{% endfor %}"
    )
    assert any("earlier answers" in notice for notice in template.notices)
