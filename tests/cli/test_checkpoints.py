"""A checkpoint named where a model is asked for: tried as it is, then converted and kept."""

import json
from pathlib import Path

import pytest

from chatapp.text import strip_controls
from tests.cli.conftest import Run
from tests.engine.transformers_folders import TEMPLATE, write_gpt2

ASK = ("ask", "--no-save", "--temperature", "0", "--max-tokens", "20")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gpt2(tmp_path_factory.mktemp("checkpoints") / "gpt2")


def test_a_folder_answers_as_it_is_and_the_same_when_converted(
    chatapp: Run, folder: Path, home: Path
) -> None:
    prompt = "once upon a time the quick"

    def ask(*words: str) -> tuple[str, str]:
        done = chatapp(*ASK, "-m", str(folder), *words, stdin=prompt, CHATAPP_BACKEND="llama")
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    as_it_is, told = ask("--backend", "torch", "-n", "3", "--seed", "4", "--json")
    assert "converted" not in told
    assert not (home / "converted").exists()
    converted, told = ask()
    assert "gpt2 was converted to a model file" in told
    assert len(list((home / "converted").iterdir())) == 1
    again, told = ask()
    assert "was converted" not in told
    assert len(converted) > 15
    assert again == converted
    answer = json.loads(as_it_is)
    answers = [(one["seed"], strip_controls(one["text"]) + "\n") for one in answer["alternatives"]]
    assert answers == [(4, converted), (5, converted), (6, converted)]


def test_models_says_what_a_checkpoint_is(chatapp: Run, folder: Path, tmp_path: Path) -> None:
    info = chatapp("models", "info", str(folder))
    assert info.returncode == 1
    assert "is a checkpoint, not a model file" in info.stderr
    assert "completes text" in chatapp("models", "check", str(folder)).stderr
    chat = tmp_path / "chat"
    chat.mkdir()
    (chat / "model.safetensors").write_bytes(b"")
    (chat / "chat_template.jinja").write_text(TEMPLATE)
    found = json.loads(chatapp("models", "check", "--json", str(chat)).stdout)
    assert found["template"]["from"] == "the folder"
    assert chatapp("models", "default", str(chat)).returncode == 0
    assert chatapp("models", "default").stdout.strip() == str(chat)
    assert "chat is a checkpoint" in chatapp("doctor").stdout
