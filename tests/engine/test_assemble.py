"""Text out of token bytes: every byte split, stop strings, the reasoning channel."""

import itertools

import pytest

from chatapp.engine.assemble import Assembler

SAMPLE = "北京 naïve 🎉👩‍👩‍👧 Ünï"


def joined(assembler: Assembler, pieces: list[bytes]) -> tuple[str, str]:
    out = list(itertools.chain.from_iterable(assembler.feed(piece) for piece in pieces))
    out += assembler.finish()
    answer = "".join(text for channel, text in out if channel == "answer")
    reasoning = "".join(text for channel, text in out if channel == "reasoning")
    assert (answer, reasoning) == (assembler.text, assembler.reasoning)
    return answer, reasoning


def splits(text: str) -> list[list[bytes]]:
    """Every cut into three pieces of the UTF-8 bytes."""
    data = text.encode()
    cuts = itertools.combinations_with_replacement(range(len(data) + 1), 2)
    return [[data[:a], data[a:b], data[b:]] for a, b in cuts]


def test_every_byte_split_gives_whole_characters() -> None:
    for pieces in splits(SAMPLE):
        assembler = Assembler()
        shown = [text for piece in pieces for _channel, text in assembler.feed(piece)]
        assert "\ufffd" not in "".join(shown)
        shown += [text for _channel, text in assembler.finish()]
        assert "".join(shown) == SAMPLE


def test_single_bytes_give_whole_characters() -> None:
    assert joined(Assembler(), [bytes([b]) for b in SAMPLE.encode()]) == (SAMPLE, "")


def test_a_broken_end_is_one_replacement_character() -> None:
    assert joined(Assembler(), ["a京".encode()[:-1]]) == ("a\ufffd", "")


def test_stop_string_across_any_border() -> None:
    for pieces in splits("before<|stop|>after"):
        assembler = Assembler(stop=("<|stop|>", "never"))
        assert joined(assembler, pieces) == ("before", "")
        assert assembler.stopped


def test_what_only_began_like_a_stop_string_is_kept() -> None:
    for pieces in splits("a <|sto and <|"):
        assembler = Assembler(stop=("<|stop|>",))
        assert joined(assembler, pieces) == ("a <|sto and <|", "")
        assert not assembler.stopped


def test_the_first_of_several_stop_strings_wins() -> None:
    assert joined(Assembler(stop=("cd", "b")), [b"abcd"]) == ("a", "")


def test_reasoning_is_a_channel_of_its_own() -> None:
    for pieces in splits("<think>\nhm, 北\n</think>\n\nyes"):
        assert joined(Assembler(), pieces) == ("yes", "hm, 北\n")


def test_reasoning_opened_by_the_prompt() -> None:
    for pieces in splits("hm</think>yes"):
        assert joined(Assembler(starts_reasoning=True), pieces) == ("yes", "hm")


def test_reasoning_that_never_ends_is_kept() -> None:
    assert joined(Assembler(), [b"<think>", b"on and on"]) == ("", "on and on")


@pytest.mark.parametrize("text", ["<thin", "<", "a <think>b</think>", " x"])
def test_text_that_is_no_reasoning(text: str) -> None:
    for pieces in splits(text):
        assert joined(Assembler(), pieces) == (text, "")


def test_completion_does_not_split_reasoning() -> None:
    assert joined(Assembler(splits_reasoning=False), [b"<think>a"]) == ("<think>a", "")
