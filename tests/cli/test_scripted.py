"""A scripted model says its script through the whole program: `ask`, the engine, llama.cpp."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.scripted import Turn, Words, write_scripted
from chatapp.engine.llama.model import LoadedModel
from chatapp.engine.protocol import LoadOptions
from chatapp.store import Store
from tests.cli.conftest import Run

WORDS = Words(
    control=("<|im_start|>", "<|im_end|>", "<|note|>"), user_defined=("[SHOWN]", "[SHOWN", "né")
)
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
FIRST = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
SAYS = "one <|note|>Größe, 北京 🎉\n\n[SHOWN] \x00\x7f w0 end"
SHOWN = SAYS.replace("<|note|>", "")


def test_a_script_is_said_and_its_control_tokens_are_tokens(
    chatapp: Run, home: Path, tmp_path: Path
) -> None:
    longer = FIRST.replace("hello", "hello" * 20)
    turns = [Turn(FIRST, SAYS + "<|im_end|>"), Turn(longer, "two<|im_end|>")]
    model = write_scripted(tmp_path / "scripted.gguf", WORDS, TEMPLATE, turns)

    def ask(*words: str) -> dict[str, object]:
        done = chatapp("ask", "-m", str(model), "--json", *words, CHATAPP_BACKEND="llama")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    answer = ask("--temperature", "0", "hello")
    assert (answer["text"], answer["finish_reason"], answer["model"]) == (
        SHOWN,
        "stop",
        "scripted F16",
    )
    with Store.open(home / "history.db") as store:
        said = store.get_path(answer["conversation_id"])[-1].tokens
    assert list(said) == WORDS.tokenize(SAYS)
    assert WORDS.special["<|note|>"] in said
    # the right token leads by so much that a draw says it too
    assert ask("--temperature", "2", "hello" * 20)["text"] == "two"
    assert ask("--temperature", "2", "hello" * 19 + "hell")["text"] == "?two"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory):
    path = write_scripted(tmp_path_factory.mktemp("model") / "words.gguf", WORDS, TEMPLATE, [])
    model = LoadedModel(LoadOptions(path=str(path)), lambda _: None)
    yield model
    model.close()


_PIECES = st.sampled_from([*WORDS.special, "\n", " ", "Ā", "w 0", "\0"]) | st.text(max_size=4)


@given(st.lists(_PIECES, max_size=8).map("".join))
@settings(max_examples=200)
def test_the_length_of_a_prompt_is_known_without_llama(loaded, text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    text = re.sub("\0+", "\0", text)  # llama.cpp's tokenizer drops two NULs in a row
    assert WORDS.tokenize(text) == loaded.vocab.tokenize(text, special=True)


def test_what_no_script_can_say(tmp_path: Path) -> None:
    def write(*turns: Turn) -> None:
        write_scripted(tmp_path / "model.gguf", WORDS, TEMPLATE, turns, n_ctx=64)

    write(Turn(3, "abc<|im_end|>"), Turn(7, "next"), Turn(4, "bc"))
    with pytest.raises(ValueError, match="turn 2 begins at 5, inside an earlier answer"):
        write(Turn(3, "abc<|im_end|>"), Turn(5, "next"))
    with pytest.raises(ValueError, match="turn 1 ends at 65, of 64"):
        write(Turn(62, "abc"))
    with pytest.raises(ValueError, match="turn 1"):
        write(Turn("", "abc"))
    with pytest.raises(ValueError, match="twice"):
        write_scripted(tmp_path / "model.gguf", Words(user_defined=("é",)), TEMPLATE, [])
