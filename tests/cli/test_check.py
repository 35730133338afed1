"""`chatapp models check`: what is understood of a model, and of a bare template and text."""

import json
from pathlib import Path

import pytest

from chatapp.cli.message_file import read_messages
from chatapp.errors import UsageError
from tests.cli.conftest import Run

TEMPLATE = (
    "{% if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>\n{% endif %}"
    "{{ m.content or '' }}"
    "{% for c in m.tool_calls or [] %}<call>{{ c.function | tojson }}</call>{% endfor %}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think></think>\n{% endif %}"
    "{% endif %}"
)
TOOLS = [{"name": "look", "parameters": {"type": "object", "properties": {"at": {}}}}]
CALL = '<call>{"name": "look", "arguments": {"at": "the sky"}}</call>'


@pytest.fixture
def template(tmp_path: Path) -> str:
    path = tmp_path / "own.jinja"
    path.write_text(TEMPLATE, encoding="utf-8")
    return str(path)


def write(path: Path, value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_built_in_model(chatapp: Run) -> None:
    done = chatapp("models", "check", "builtin", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found) == [
        "template", "system", "roles", "reasoning", "tools", "turn_end", "thinking_switch", "odd",
        "sample",
    ]  # fmt: skip
    assert found["template"]["from"] == "the model file"
    assert found["turn_end"] == ["<|end|>"]
    assert "Hello" in found["sample"]
    assert "turn end" in chatapp("models", "check", "builtin").stdout


def test_a_bare_template(chatapp: Run, template: str) -> None:
    found = json.loads(chatapp("models", "check", "--template", template, "--json").stdout)
    assert (found["reasoning"]["open"], found["reasoning"]["close"]) == ("<think>", "</think>")
    assert found["thinking_switch"]["variable"] == "enable_thinking"
    assert found["tools"]["offered"] == "listed by the template"
    assert found["tools"]["example"].startswith("<call>")
    assert found["odd"] == []


@pytest.mark.parametrize(
    ("flags", "output", "parts"),
    [
        ((), "<think>hm</think>\nyes", ("hm", "yes", [])),
        ((), f"<think>hm</think>\n{CALL}", ("hm", "", [("look", {"at": "the sky"})])),
        ((), "The mark `<think>` opens one.", ("", "The mark `<think>` opens one.", [])),
        (("--thinking", "false"), "yes", ("", "yes", [])),
    ],
)
def test_a_text_is_read(
    chatapp: Run, tmp_path: Path, template: str, flags: tuple[str, ...], output: str, parts: tuple
) -> None:
    done = chatapp(
        "models", "check", "--template", template, "--json", *flags,
        "--messages", write(tmp_path / "m.json", [{"role": "user", "content": "hi"}]),
        "--tools", write(tmp_path / "t.json", TOOLS),
        "--output", write(tmp_path / "out.txt", output),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["prompt"].endswith("<think></think>\n" if flags else "<|im_start|>assistant\n")
    calls = [(c["name"], json.loads(c["arguments"])) for c in found["parts"]["tool_calls"]]
    assert (found["parts"]["reasoning"], found["parts"]["content"], calls) == parts
    assert all(call["id"] == "" for call in found["parts"]["tool_calls"])


def test_a_text_that_is_not_finished(chatapp: Run, tmp_path: Path, template: str) -> None:
    words = (
        "models", "check", "--template", template, "--json", "--partial",
        "--messages", write(tmp_path / "m.json", {"messages": [{"role": "user", "content": "x"}]}),
        "--tools", write(tmp_path / "t.json", TOOLS),
        "--output", write(tmp_path / "out.txt", '<call>{"name": "look", "arguments": {"at": "th'),
    )  # fmt: skip
    (call,) = json.loads(chatapp(*words).stdout)["parts"]["tool_calls"]
    assert call == {"name": "look", "arguments": '{"at": "th', "id": ""}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "Give a MODEL"),
        (("builtin", "--output", "x"), "--output needs --messages"),
        (("--template", "gone.jinja"), "cannot be read"),
        (("remote:nobody",), "nobody"),
    ],
)
def test_what_is_wrong_is_said(chatapp: Run, words: tuple[str, ...], says: str) -> None:
    done = chatapp("models", "check", *words)
    assert done.returncode in (1, 2)
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a file without an end")
@pytest.mark.parametrize("option", ["--messages", "--tools", "--output", "--template"])
def test_a_file_without_an_end(chatapp: Run, template: str, tmp_path: Path, option: str) -> None:
    asked = write(tmp_path / "messages.json", [{"role": "user", "content": "x"}])
    options = {"--template": template, "--messages": asked, option: "/dev/zero"}
    done = chatapp("models", "check", *(word for pair in options.items() for word in pair))
    assert done.returncode == (1 if option == "--template" else 2)
    assert done.stderr.startswith("chatapp: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ({"role": "user", "content": 5}, "messages[1].content must be a text"),
        ({"role": "user", "content": [5]}, "messages[1].content[0] must be a part"),
        ({"role": "user", "content": [{"text": 5}]}, "messages[1].content[0] must be a part"),
        ({"role": "tool", "tool_call_id": 7}, "messages[1].tool_call_id must be a text"),
        ({"role": "assistant", "tool_calls": 5}, "messages[1].tool_calls must be a list"),
        ({"role": "assistant", "tool_calls": ["x"]}, "messages[1].tool_calls[0] must be a call"),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": 7}}]},
            "messages[1].tool_calls[0] must be a call",
        ),
        ({"role": "assistant", "reasoning_content": [1]}, "reasoning_content must be a text"),
    ],
)
def test_messages_of_the_wrong_shape(
    message: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "messages.json"
    write(path, {"messages": [{"role": "user", "content": None}, message]})
    with pytest.raises(UsageError) as raised:
        read_messages(path)
    assert complaint in raised.value.message


@pytest.mark.parametrize("content", [b"", b"no model at all", b"GGUF\x03\0\0\0" + b"\xff" * 40])
def test_a_file_that_is_no_model(chatapp: Run, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.gguf"
    path.write_bytes(content)
    done = chatapp("models", "check", str(path))
    assert done.returncode == 1
    assert done.stderr.startswith("chatapp: ")
    assert "odd.gguf" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_control_character_of_a_template_reaches_the_terminal(
    chatapp: Run, tmp_path: Path
) -> None:
    hostile = TEMPLATE.replace("<think>", "<\x1b[2Jthink>").replace("<call>", "<call\x07\u202e>")
    path = write(tmp_path / "hostile.jinja", hostile.replace("<|im_start|>", "\x1b]0;x\x07<|"))
    messages = write(tmp_path / "messages.json", [{"role": "user", "content": "a\x1b[31mb"}])
    for arguments in ((), ("--messages", messages)):
        done = chatapp("models", "check", "--template", path, *arguments)
        assert done.returncode == 0, done.stderr
        assert not {"\x1b", "\x07", "\u202e"} & set(done.stdout + done.stderr)
