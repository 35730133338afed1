"""`--chat-template`, `[templates]` and `ask --raw`, as their users run them, on real models."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.synthetic import TEMPLATE, TINY, write_model
from tests.cli.conftest import Run

BROKEN = "{% for message in messages %}{{ message.content }}{% endfor"


@pytest.fixture
def refused(tmp_path: Path) -> Path:
    """A model whose template is broken, and whose tokens tell no format."""
    shape = replace(TINY, template=BROKEN, control=("</s>", "<s>"))
    return write_model(tmp_path / "refused.gguf", shape)


def ask(chatapp: Run, model: Path, *arguments: str, prompt: str = "hello") -> tuple[int, int, str]:
    """(exit code, tokens of the prompt, what was said beside)."""
    done = chatapp(
        "ask", "-m", str(model), "--json", "--no-save", "--max-tokens", "8", "--seed", "1",
        *arguments, prompt, CHATAPP_BACKEND="llama",
    )  # fmt: skip
    tokens = json.loads(done.stdout)["usage"]["prompt_tokens"] if done.stdout else 0
    return done.returncode, tokens, done.stderr


def test_a_model_that_nobody_can_speak_to_is_refused(chatapp: Run, refused: Path) -> None:
    code, _, said = ask(chatapp, refused)
    assert code == 1
    assert "is not valid Jinja" in said
    assert "--chat-template FILE" in said
    assert "ask --raw" in said


def test_raw_goes_on_with_the_prompt_as_it_is(
    chatapp: Run, refused: Path, tiny_model: Path
) -> None:
    assert ask(chatapp, refused, "--raw")[:2] == (0, len("hello"))
    (Path(refused.parent) / "home").mkdir(exist_ok=True)
    (refused.parent / "home" / "config.toml").write_text('[chat]\nsystem = "Be brief."\n')
    assert ask(chatapp, tiny_model, "--raw")[:2] == (0, len("hello"))
    with_token = ask(chatapp, tiny_model, "--raw", prompt="<|user|>hello<|end|>")
    assert with_token[:2] == (0, len("hello") + 2)
    for more in (["-s", "x"], ["--chat-template", "phi"]):
        assert ask(chatapp, tiny_model, "--raw", *more)[0] == 2


def test_a_template_of_a_file(chatapp: Run, refused: Path) -> None:
    (refused.parent / "mine.jinja").write_text(
        "{% for m in messages %}>{{ m.content }}<{% endfor %}"
    )
    assert ask(chatapp, refused, "--chat-template", "mine.jinja")[:2] == (0, len(">hello<"))
    wrapped = {"chat_template": [{"name": "default", "template": TEMPLATE}], "bos_token": None}
    (refused.parent / "tokenizer_config.json").write_text(json.dumps(wrapped))
    code, tokens, _ = ask(chatapp, refused, "--chat-template", "tokenizer_config.json")
    assert (code, tokens) == (0, len("<|user|>\nhello<|end|>\n<|assistant|>\n"))
    assert ask(chatapp, refused, "--chat-template", "chatml")[0] == 0


def test_a_template_that_cannot_be_read(chatapp: Run, refused: Path) -> None:
    (refused.parent / "empty.jinja").write_text(" \n")
    (refused.parent / "binary.jinja").write_bytes(b"\xff\xfe")
    for name, complaint in (
        ("nowhere.jinja", "cannot be read"),
        ("empty.jinja", "no chat template in"),
        ("binary.jinja", "not UTF-8"),
        (".", "cannot be read"),
    ):
        code, _, said = ask(chatapp, refused, "--chat-template", name)
        assert code == 2
        assert complaint in said
    assert "chatml" in ask(chatapp, refused, "--chat-template", "nowhere.jinja")[2]


@pytest.mark.parametrize("key", ["refused.gguf", "refused", None])
def test_the_settings_name_a_template_for_a_model(
    chatapp: Run, home: Path, refused: Path, key: str | None
) -> None:
    home.mkdir()
    (home / "mine.jinja").write_text("{% for m in messages %}>{{ m.content }}{% endfor %}")
    settings = home / "config.toml"
    settings.write_text(f'[templates]\n{json.dumps(key or str(refused))} = "mine.jinja"\n')
    assert ask(chatapp, refused)[:2] == (0, len(">hello"))
    (home / "mine.jinja").unlink()
    code, _, said = ask(chatapp, refused)
    assert code == 2
    assert "[templates]" in said


def test_settings_of_templates_that_are_wrong(chatapp: Run, home: Path, tiny_model: Path) -> None:
    home.mkdir()
    for line, complaint in (
        ('model.gguf = "a.jinja"', "in quotes"),
        ('"model.gguf" = 1', "must name a file"),
    ):
        (home / "config.toml").write_text(f"[templates]\n{line}\n")
        code, _, said = ask(chatapp, tiny_model)
        assert code == 2
        assert complaint in said


def test_a_server_takes_neither(chatapp: Run) -> None:
    chatapp("models", "add-remote", "there", "http://127.0.0.1:9/v1")
    for flags in (["--raw"], ["--chat-template", "chatml"]):
        done = chatapp("ask", "-m", "remote:there", *flags, "hello")
        assert done.returncode == 2
        assert "writes its prompts itself" in " ".join(done.stderr.split())
        assert f"Leave out {flags[0]}" in done.stderr
