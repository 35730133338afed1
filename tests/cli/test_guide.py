"""A model whose file wants it gets what chatapp knows before every question; with `--guide` any."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.scripted import Turn, Words, write_scripted
from chatapp.guide.wording import NAME, NOTHING
from chatapp.store import Store
from tests.cli.conftest import Run

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THANKS = "thank you very much"
FACT = "• F12 or /quit leaves chatapp; nothing is lost, every chat is saved."


def prompt(*said: str) -> str:
    roles = ("user", "assistant")
    parts = [f"<|im_start|>{roles[n % 2]}\n{one}<|im_end|>\n" for n, one in enumerate(said)]
    return "".join([*parts, "<|im_start|>assistant\n"])


def with_facts(question: str, facts: str) -> str:
    return f"{NAME}\n```\n{facts}\n```\n\n{question}"


def facts_for(chatapp: Run, question: str) -> str:
    return str(json.loads(chatapp("ask", "--json", "--guide", question).stdout)["known"])


@pytest.fixture
def settings(home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text('[keys]\nquit = "f12"\n')


@pytest.mark.usefixtures("settings")
def test_a_model_that_wants_it_reads_facts_as_the_settings_have_them(
    chatapp: Run,
    home: Path,
    tmp_path: Path,
) -> None:
    """The answers come out whole: the prompts had exactly the tokens that were foreseen."""
    facts = facts_for(chatapp, "how do i quit")
    assert facts.splitlines()[0] == FACT
    first = prompt(with_facts("how do i quit", facts))
    second = prompt("how do i quit", "It is F12.", with_facts(THANKS, NOTHING["en"]))
    turns = [Turn(first, "It is F12.<|im_end|>"), Turn(second, "Hello!<|im_end|>")]
    model = write_scripted(tmp_path / "guide.gguf", Words(), TEMPLATE, turns, guide=True)

    def ask(*words: str) -> dict[str, Any]:
        done = chatapp("ask", "-m", str(model), "--json", *words, CHATAPP_BACKEND="llama")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    answer = ask("how do i quit")
    assert (answer["text"], answer["known"]) == ("It is F12.", facts)
    answer = ask("--continue", THANKS)
    assert (answer["text"], answer["known"]) == ("Hello!", NOTHING["en"])
    assert "known" not in ask("--raw", "how do i quit")
    with Store.open(home / "history.db") as store:
        parts = store.get_path(answer["conversation_id"])[0].parts
    assert [getattr(part, "name", "") for part in parts] == [NAME, ""]


@pytest.mark.usefixtures("settings")
def test_it_names_no_key_that_it_was_not_told(chatapp: Run, tmp_path: Path) -> None:
    facts = facts_for(chatapp, "how do i quit")
    says = "Press Ctrl+Y or F12 or /qiut.<|im_end|>"
    turn = Turn(prompt(with_facts("how do i quit", facts)), says)
    model = write_scripted(tmp_path / "guide.gguf", Words(), TEMPLATE, [turn], guide=True)
    done = chatapp("ask", "-m", str(model), "how do i quit", CHATAPP_BACKEND="llama")
    assert done.returncode == 0, done.stderr
    assert "Press Ctrl" in done.stdout
    assert "F12" in done.stdout
    assert "Ctrl+Y" not in done.stdout
    assert "/qiut" not in done.stdout


@pytest.mark.usefixtures("settings")
def test_what_it_says_of_a_fact_is_the_fact(chatapp: Run, tmp_path: Path) -> None:
    facts = facts_for(chatapp, "how do i quit")
    turn = Turn(prompt(with_facts("how do i quit", facts)), "• F11 deletes everything.<|im_end|>")
    model = write_scripted(tmp_path / "guide.gguf", Words(), TEMPLATE, [turn], guide=True)
    asked = ("ask", "-m", str(model), "--max-tokens", "90", "how do i quit")
    done = chatapp(*asked, CHATAPP_BACKEND="llama")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(FACT)


@pytest.mark.usefixtures("settings")
def test_any_model_gets_it_when_it_is_asked_for(chatapp: Run) -> None:
    plain = json.loads(chatapp("ask", "--json", "how do i quit").stdout)
    assert "known" not in plain
    asked = json.loads(chatapp("ask", "--json", "--guide", "how do i quit").stdout)
    assert asked["known"].splitlines()[0] == FACT
    assert asked["usage"]["prompt_tokens"] > plain["usage"]["prompt_tokens"]
    refused = chatapp("ask", "--raw", "--guide", "x")
    assert (refused.returncode, "no --guide" in refused.stderr) == (2, True)


def test_help_says_what_is_known_without_a_model(chatapp: Run) -> None:
    done = chatapp("help", "--json", "how", "do", "i", "quit")
    assert json.loads(done.stdout)[0]["ids"] == ["key:quit", "command:/quit"]
    assert chatapp("help", "怎么退出").stdout.startswith("Ctrl+Q 或 /quit 退出")
    assert not json.loads(done.stdout)[0]["doubtful"]
    doubtful = chatapp("help", "how do I undo in Word")
    assert doubtful.returncode == 0
    assert "perhaps something else is meant" in doubtful.stderr
    nothing = chatapp("help", "who won the cup")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert "nothing is known" in nothing.stderr
    assert "Commands:" in chatapp("help").stdout


def test_an_export_has_what_was_read(chatapp: Run) -> None:
    chatapp("ask", "--guide", "how do i quit")
    exported = chatapp("history", "export").stdout
    assert NAME in exported
    assert "Ctrl+Q or /quit leaves chatapp" in exported
    lossless = chatapp("history", "export", "--format", "json").stdout
    chat = json.loads(lossless)["conversations"][0]
    assert chat["messages"][0]["parts"][0]["name"] == NAME
