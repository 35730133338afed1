"""Text out of token bytes: every byte split, stop strings, the reasoning channel."""

import itertools

import pytest

from chatapp.engine.assemble import Assembler, read_tokens, trim_broken
from chatapp.engine.chat.detect import HERMES
from chatapp.engine.chat.format import Format, Thoughts
from chatapp.engine.telling import Teller
from chatapp.parts import Parts, Reasoning, Text, ToolCall, parts_of, reasoning_of, text_of

SAMPLE = "北京 naïve 🎉👩‍👩‍👧 Ünï"


def joined(assembler: Assembler, pieces: list[bytes]) -> tuple[str, str]:
    before = assembler.parts
    for piece in pieces:
        assembler.feed(piece)
        assert text_of(assembler.parts).startswith(text_of(before))
        assert reasoning_of(assembler.parts).startswith(reasoning_of(before))
        before = assembler.parts
    assembler.finish()
    return text_of(assembler.parts), reasoning_of(assembler.parts)


def splits(text: str) -> list[list[bytes]]:
    """Every cut into three pieces of the UTF-8 bytes."""
    data = text.encode()
    cuts = itertools.combinations_with_replacement(range(len(data) + 1), 2)
    return [[data[:a], data[a:b], data[b:]] for a, b in cuts]


def test_every_byte_split_gives_whole_characters() -> None:
    for pieces in splits(SAMPLE):
        assembler = Assembler()
        for piece in pieces:
            assembler.feed(piece)
            assert "\ufffd" not in text_of(assembler.parts)
        assembler.finish()
        assert text_of(assembler.parts) == SAMPLE


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
        assert joined(Assembler(), pieces) == ("yes", "hm, 北")


def test_reasoning_opened_by_the_prompt() -> None:
    for pieces in splits("hm</think>yes"):
        assert joined(Assembler(in_thought=True), pieces) == ("yes", "hm")


def test_reasoning_that_never_ends_is_kept() -> None:
    assert joined(Assembler(), [b"<think>", b"on and on"]) == ("", "on and on")


@pytest.mark.parametrize("text", ["<thin", "<", "a <think> b", "`</think>` closes", " x"])
def test_text_that_is_no_reasoning(text: str) -> None:
    for pieces in splits(text):
        assert joined(Assembler(), pieces) == (text, "")


def test_completion_does_not_split_reasoning() -> None:
    assert joined(Assembler(is_raw=True), [b"<think>a"]) == ("<think>a", "")


def cut(text: str, at: int, *, ends: bool = True, **options: object) -> tuple[Parts, list[bytes]]:
    """What is shown of the first `at` bytes of a text, byte by byte, and those bytes.

    `ends`: the engine could still say what it held back."""
    pieces = [bytes([byte]) for byte in text.encode()[:at]]
    assembler = Assembler(**options)  # type: ignore[arg-type]
    for piece in pieces:
        assembler.feed(piece)
    if ends:
        assembler.finish()
    return assembler.parts, pieces


@pytest.mark.parametrize("ends", [True, False], ids=["stopped", "killed"])
@pytest.mark.parametrize(
    "text",
    [
        "🎉 naïve 北京",
        "one END two END three",
        "<think>\nhm, 北\n</think>\n\nyes E",
        "<thin",
        " <think>x",
    ],
)
def test_an_answer_that_goes_on_from_its_tokens_is_the_same_wherever_it_was_cut(
    text: str, ends: bool
) -> None:
    data = text.encode()
    whole, _ = cut(text, len(data), stop=("END!",))
    for at in range(len(data) + 1):
        shown, pieces = cut(text, at, ends=ends, stop=("END!",))
        assembler = Assembler(stop=("END!",))
        assert assembler.begin_with_tokens(shown, [(piece, False) for piece in pieces])
        for byte in data[at:]:
            assembler.feed(bytes([byte]))
        assembler.finish()
        assert assembler.parts == whole


def test_a_stop_string_may_begin_before_the_cut_and_end_behind_it() -> None:
    shown, pieces = cut("one END", 7, stop=("END!",))
    assert shown == (Text("one END"),)
    assembler = Assembler(stop=("END!",))
    assert assembler.begin_with_tokens(shown, [(piece, False) for piece in pieces])
    assembler.feed(b"! two")
    assert (assembler.parts, assembler.stopped) == ((Text("one "),), True)


def test_a_stop_string_that_was_said_stays_said() -> None:
    shown, pieces = cut("one END! two", 12)
    assembler = Assembler(stop=("END!",))
    assert assembler.begin_with_tokens(shown, [(piece, False) for piece in pieces])
    assembler.feed(b" three")
    assert assembler.parts == (Text("one END! two three"),)


def test_tokens_that_say_something_else_are_not_taken() -> None:
    assembler = Assembler()
    assert not assembler.begin_with_tokens((Text("mine"),), [(b"yours", False)])
    assembler.begin((Text("mine"),))
    assembler.feed(b" too")
    assert assembler.parts == (Text("mine too"),)


def test_another_model_goes_on_behind_whole_characters() -> None:
    assert trim_broken((Reasoning("hm"), Text("a\ufffd\ufffd"))) == (Reasoning("hm"), Text("a"))
    assert trim_broken((Text("\ufffd"),)) == ()
    assert trim_broken(parts_of("a\ufffdb")) == (Text("a\ufffdb"),)


def test_a_thought_that_another_model_began_is_kept_beside_the_answer() -> None:
    assembler = Assembler()
    assembler.begin((Reasoning("hm"),))
    assembler.feed(b"yes")
    assembler.finish()
    assert assembler.parts == (Reasoning("hm"), Text("yes"))


BRACKETS = Format(thoughts=Thoughts("[THINK]", "[/THINK]"))
CALLING = [(b'<tool_call>{"name": "f", "arguments": {}}', False), (b"</tool_call>", False)]
TOOLS = ({"type": "function", "function": {"name": "f"}},)


def test_a_call_goes_on_under_the_id_that_it_has() -> None:
    """The parser gives a call no id where the model wrote none; the client has given it one."""
    parts = (Text("So:\n"), ToolCall("abcdefghi", "f", "{}"))
    assembler = Assembler(Format(calls=HERMES), tools=TOOLS)
    assert assembler.begin_with_tokens(parts, [(b"So:\n", False), *CALLING])
    assembler.finish()
    said = assembler.parts
    assert said[-1] == parts[-1]
    assert Teller("r", 0, parts).tell(said) == []
    other = (Text("So:\n"), ToolCall("abcdefghi", "g", "{}"))
    assert not Assembler(Format(calls=HERMES), tools=TOOLS).begin_with_tokens(
        other, [(b"So:\n", False), *CALLING]
    )


THOUGHT_IN_CONTROL = [(b"[THINK]", True), (b"Hm, ", False), (b"well.", False), (b"[/THINK]", True)]


@pytest.mark.parametrize("behind", [[], [(b"Yes", False)], [(b"\n", False), (b"Yes.", False)]])
def test_bare_text_of_tokens_gives_way_to_what_they_say(behind: list[tuple[bytes, bool]]) -> None:
    """Control tokens have no text where nobody knows them, and the rest ran together."""
    pieces = [*THOUGHT_IN_CONTROL, *behind]
    bare = b"".join(data for data, control in pieces if not control).decode()
    said = "".join(data.decode() for data, _ in behind).strip()
    parts = (Reasoning("Hm, well."), *((Text(said),) if said else ()))
    assert read_tokens(BRACKETS, (Text(bare),), pieces) == parts
    assert read_tokens(BRACKETS, parts, pieces) == parts
    assembler = Assembler(BRACKETS)
    assert assembler.begin_with_tokens((Text(bare),), pieces)
    assembler.finish()
    assert assembler.parts == parts


def test_what_is_not_the_bare_text_is_left_alone() -> None:
    other = (Text("Hm, well. Or not."),)
    assert read_tokens(BRACKETS, other, THOUGHT_IN_CONTROL) == other
    assert not Assembler(BRACKETS).begin_with_tokens(other, THOUGHT_IN_CONTROL)
    printable = [(data, False) for data, _ in THOUGHT_IN_CONTROL]
    spoken = (Text("[THINK]Hm, well.[/THINK]"),)
    assert read_tokens(BRACKETS, spoken, printable) == spoken
