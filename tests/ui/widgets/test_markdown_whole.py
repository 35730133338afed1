"""Nothing of an answer is lost on the way to the screen, at any width and however it arrives."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.cells import cell_len

from chatapp.ui.markdown.document import StreamingMarkdown
from chatapp.ui.markdown.flow import Line

_PIECES = [
    "word ", "Zahl", "x", "7", " ", "\n", "\n\n", "\n\n\n", "- ", "  - ", "1. ", "12) ", "> ", "# ",
    "## ", " ##", "```\n", "```", "~~~ sh\n", "``", "`", "*", "**", "_", "__", "~~", "\\", "\\*",
    "\\\\", "|", "| c ", "\n| a | b |\n|---|:-:|\n| c | *d | e\n\n", "---", "===", "***\n", "\t",
    "    ", "[t](http://u.example/p)", "[t](/p \"title\")", "[", "](", ")", "![alt](i.png)",
    "<b>", "&amp;", "<http://a.example>", "https://b.example/c_d", "北京", "，",
    "👩‍👩‍👧", "e\u0301", "!", ":", ".", "{", "}", "word" * 9,
]  # fmt: skip
# Where we read tables otherwise than GFM on purpose: a line below without a pipe is text, and the
# header may be indented. So tables end with a blank line, and no indented line begins with a pipe.
sources = (
    st.lists(st.sampled_from(_PIECES), max_size=40)
    .map("".join)
    .map(lambda text: re.sub(r"(?m)^([ >]*)(\t|    )\s*\|", r"\1|", text))
)


def drawn(source: str, width: int, *, raw: bool = False) -> list[str]:
    document = StreamingMarkdown(source, raw=raw)
    document.finish()
    lines = [document.line(y, width) for y in range(document.height(width))]
    return ["".join(run.text for run in line.runs) for line in lines]


def seen(text: str) -> Counter[str]:
    return Counter(char for char in text if not char.isspace())


def said_by(tokens: list[Token]) -> Iterator[str]:
    """What CommonMark's reference reading leaves of a text when its markup is gone."""
    for token in tokens:
        if token.type == "inline":
            yield from said_by(token.children or [])
        elif token.type != "html_inline" or token.content:
            yield token.content


@given(sources, st.sampled_from([12, 31, 80, 500]))
@example("The ` character is a backtick:\n```sh\necho hi\n```\nafter", 80)
@example("two ** stars\n# and a heading", 80)
@example("ends with `\n- an item", 80)
@example("Text ```python\nprint(1)\n``` trailing words\nafter", 80)
@example('```python title="a b.py" lines\nx\n```', 12)
@example("| a | b |\n|---|---|\n| 1 | 2 | 3 | 4 |", 80)
@example("\\[no link](http://u.example)", 80)
@example("```\n    ```\n```", 80)
@example("- \n\n\t12) x", 80)
@example("| a | b |\n|---|---|\n# | heading", 80)
@example("| a | b |\n|---|---|\n    | code", 80)
@example("- a\n  - b\n    - c\n      - d\n        - deep words", 12)
def test_what_is_no_markup_reaches_the_screen(source: str, width: int) -> None:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    wanted = seen("".join(said_by(parser.parse(source))))
    missing = wanted - seen("".join(drawn(source, width)))
    assert not missing, (source, drawn(source, width))


@given(sources, st.sampled_from([12, 31, 80]))
def test_no_row_is_wider_than_the_window(source: str, width: int) -> None:
    for row in drawn(source, width):
        assert cell_len(row) <= width, (source, row)


@given(sources, st.sampled_from([12, 80]), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_cuts_between_pieces_change_nothing(source: str, width: int, sizes: list[int]) -> None:
    for raw in (False, True):
        document = StreamingMarkdown(raw=raw)
        position, before = 0, list[Line]()
        while position < len(source):
            size = sizes[position % len(sizes)]
            document.feed(source[position : position + size])
            position += size
            first = document.changed_from(width)
            now = [document.line(y, width) for y in range(document.height(width))]
            assert now[:first] == before[:first]
            before = now
        document.finish()
        now = ["".join(run.text for run in document.line(y, width).runs)
               for y in range(document.height(width))]  # fmt: skip
        assert now == drawn(source, width, raw=raw)


@given(sources, st.sampled_from([7, 31, 80]))
def test_raw_is_the_text_as_it_was_written(source: str, width: int) -> None:
    rows = drawn(source, width, raw=True)
    assert "".join("".join(rows).split()) == "".join(source.split())
    assert [row.rstrip() for row in drawn(source, 100_000, raw=True)] == [
        line.expandtabs(4).rstrip() for line in source.removesuffix("\n").split("\n")
    ] or not source


_BIG = "|" + "|".join(f"col{n}" for n in range(30)) + "|\n|" + "-|" * 30 + "\n"


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_a_table_wider_than_the_window_is_read_whole(width: int) -> None:
    source = _BIG + "".join(
        "|" + "|".join(f"value {row}.{n}" for n in range(30)) + "|\n" for row in range(3)
    )
    rows = drawn(source, width)
    text = "".join("".join(row.split()) for row in rows)
    for row in range(3):
        for column in range(30):
            assert f"col{column}:value{row}.{column}" in text
    assert all(cell_len(row) <= width for row in rows)
