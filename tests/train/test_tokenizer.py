"""The tokenizer loses nothing, and turns are tokenised as the engine will."""

from pathlib import Path

import jinja2
import pytest

from chatapp.errors import ChatAppError, UsageError
from chatapp.train.chat_format import CHAT_TEMPLATE, SPECIAL_TOKENS, Turn, render
from chatapp.train.data import encode_conversation
from chatapp.train.tokenizer import encode, load_tokenizer, save_tokenizer, train_tokenizer

TEXT = ["Hello there, how are you?", "It's a café in 北京.", "def f(x):\n    return x\n"] * 5


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXT, 320)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "plain words",
        "  two  spaces\n\n\tand tabs ",
        "北京和上海",
        "naïve 👩‍👩‍👧‍👦 🇩🇪",
        "\x00\x7f\u200b",
    ],
)
def test_any_text_survives_the_round_trip(tokenizer, text):
    assert tokenizer.decode(encode(tokenizer, text), skip_special_tokens=False) == text


def test_markers_are_single_tokens_in_front_of_all_words(tokenizer):
    assert [encode(tokenizer, token) for token in SPECIAL_TOKENS] == [[0], [1], [2], [3], [4]]


def test_rendering_equals_the_template():
    turns = [Turn("system", "Be short."), Turn("user", "hi\n"), Turn("assistant", "Hello!")]
    messages = [{"role": turn.role, "content": turn.content} for turn in turns]
    template = jinja2.Environment().from_string(CHAT_TEMPLATE)
    for prompt in (False, True):
        expected = template.render(messages=messages, add_generation_prompt=prompt)
        assert render(turns, add_generation_prompt=prompt) == expected


def test_a_turns_tokens_equal_those_of_the_whole_text(tokenizer):
    turns = [Turn("user", "how are you"), Turn("assistant", "Well, 北京!\n\nAnd you?")] * 2
    assert encode_conversation(turns, tokenizer).tokens == encode(tokenizer, render(turns))


def test_a_longer_conversation_keeps_the_shorter_ones_tokens(tokenizer):
    turns = [Turn("user", "hi"), Turn("assistant", "Hello!"), Turn("user", "bye")]
    shorter = encode(tokenizer, render(turns[:1], add_generation_prompt=True))
    assert encode(tokenizer, render(turns))[: len(shorter)] == shorter


def test_the_mask_covers_exactly_what_the_assistant_says(tokenizer):
    turns = [
        Turn("system", "Be kind."),
        Turn("user", "Hello?"),
        Turn("assistant", "Hello there, how are you?"),
        Turn("user", "fine"),
        Turn("assistant", "It's good."),
    ]
    sample = encode_conversation(turns, tokenizer)
    spoken = [token for token, said in zip(sample.tokens, sample.spoken, strict=True) if said]
    text = tokenizer.decode(spoken, skip_special_tokens=False)
    assert text == "Hello there, how are you?<|end|>It's good.<|end|>"


def test_markers_in_content_cannot_end_a_turn(tokenizer):
    sample = encode_conversation([Turn("assistant", "a<|end|>b")], tokenizer)
    assert sample.tokens.count(tokenizer.token_to_id("<|end|>")) == 1


def test_an_unknown_role_is_refused():
    with pytest.raises(UsageError, match="robot"):
        Turn("robot", "beep")


def test_what_is_saved_is_loaded(tokenizer, tmp_path: Path):
    save_tokenizer(tokenizer, tmp_path, 64, chat=True)
    assert load_tokenizer(tmp_path).get_vocab() == tokenizer.get_vocab()
    assert "<|end|>" in (tmp_path / "tokenizer_config.json").read_text()


def test_a_missing_tokenizer_is_named(tmp_path: Path):
    with pytest.raises(ChatAppError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)
