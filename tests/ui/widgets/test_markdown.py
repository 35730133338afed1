"""Markdown that streams: the same picture however the text arrives, at a flat cost."""

import random
from itertools import pairwise

import pytest
from rich.cells import cell_len

from chatapp.ui.markdown.blocks import TextBlock
from chatapp.ui.markdown.document import StreamingMarkdown
from chatapp.ui.markdown.fence import CHUNK, FenceBlock
from chatapp.ui.markdown.flow import Flow, Line, Run, wrap
from chatapp.ui.markdown.inline import is_closed, parse_inline
from chatapp.ui.markdown.table import share_width
from chatapp.ui.widgets.growing import GrowingText

SAMPLE = """# Title with `code`

A paragraph that is long enough to wrap, with a [link](http://example.com/x), **bold
over lines** and https://example.org/a?b=c.
中文字符应该在任何地方换行，而不是整个移到下一行去，对吧？

- one
- two **bold**
  - nested a
  - nested b

    loose paragraph
  1. deep
  2. deeper
- three
* other list

1. first
2. second

   ```python
   def f(x):
       '''doc
   string'''
       return x
   ```
3. third
> quote
> - list in quote
> ```
> code
left the quote

| Name | Value | A long column header |
|:-----|------:|:-----:|
| a | 1 | some `code` |
| c \\| d | 333 | 北京 👩‍👩‍👧
after the table

Setext
------
text
***
<div>raw</div> &amp; &#x202e;x
- [ ] todo
- [x] done

    indented

    code

```
no language
\ttab
"""


def draw(document: StreamingMarkdown, width: int) -> list[Line]:
    return [document.line(y, width) for y in range(document.height(width))]


def texts(source: str, width: int = 60) -> list[str]:
    document = StreamingMarkdown(source)
    document.finish()
    return ["".join(run.text for run in line.runs).rstrip() for line in draw(document, width)]


def stream(source: str, sizes: list[int], width: int, *, look: bool = True) -> StreamingMarkdown:
    document = StreamingMarkdown()
    position = 0
    while position < len(source):
        size = sizes[position % len(sizes)]
        document.feed(source[position : position + size])
        position += size
        if look:
            draw(document, width)
    document.finish()
    return document


@pytest.mark.parametrize("width", [20, 33, 80])
@pytest.mark.parametrize("sizes", [[1], [4], [3, 17, 1, 40], [4096]])
def test_the_cuts_between_pieces_change_nothing(sizes: list[int], width: int) -> None:
    whole = StreamingMarkdown(SAMPLE)
    whole.finish()
    assert draw(stream(SAMPLE, sizes, width), width) == draw(whole, width)


def test_random_markdown_draws_the_same_in_any_pieces() -> None:
    source = random.Random(3)
    words = ["- ", "  ", "1. ", "> ", "# ", "```", "\n", "\n\n", "**", "*", "`", "a word", " ", "|"]
    words += [
        "---",
        "===",
        "|-|-|\n",
        "[x](y)",
        "    ",
        "北京",
        "\t",
        "<b>",
        "~~",
        "x" * 30,
        "![",
        ")",
    ]
    for _ in range(250):
        text = "".join(source.choice(words) for _ in range(source.randrange(80)))
        whole = StreamingMarkdown(text)
        whole.finish()
        pieces = [source.randrange(1, 9) for _ in range(7)]
        assert draw(stream(text, pieces, 24), 24) == draw(whole, 24), text
        assert all(
            cell_len("".join(run.text for run in line.runs)) <= 48 for line in draw(whole, 24)
        )


def test_what_a_feed_calls_unchanged_is_unchanged() -> None:
    """A widget keeps the rows before `changed_from` as they were drawn."""
    for width in (20, 60):
        document, before = StreamingMarkdown(), list[Line]()
        for start in range(0, len(SAMPLE), 3):
            document.feed(SAMPLE[start : start + 3])
            first = document.changed_from(width)
            now = draw(document, width)
            assert now[:first] == before[:first]
            before = now


def test_finished_blocks_are_frozen_and_only_the_end_is_read_again() -> None:
    document = StreamingMarkdown("".join(f"- item {n}\n" for n in range(200)))
    frozen = list(document.blocks)
    document.feed("- last")
    assert document.blocks[:200] == frozen
    assert document.changed == 199
    assert document.changed_from(40) >= 199


def test_a_long_paragraph_is_read_for_good_in_pieces() -> None:
    text = "plain words and **bold words** and `code` again. " * 200
    document = StreamingMarkdown()
    for start in range(0, len(text), 50):
        document.feed(text[start : start + 50])
        block = document.blocks[0]
        assert isinstance(block, TextBlock)
        assert len(block.source) <= 3 * 1024
    document.finish()
    shown = texts(text)
    assert len(document.blocks) == 1
    assert "*" not in " ".join(shown)
    assert " ".join(shown) == text.replace("*", "").replace("`", "").strip()


def test_emphasis_may_cross_the_place_where_a_paragraph_is_cut() -> None:
    text = "x" * 1000 + " **bold " + "y" * 60 + " still bold** plain " + "z " * 600
    assert "*" not in "".join(texts(text))


def test_marks_of_what_is_being_written_do_not_flash_by() -> None:
    source = "so **bold words** and `code` **end**"
    document = StreamingMarkdown()
    for char in source:
        document.feed(char)
        shown = "".join(run.text for line in draw(document, 80) for run in line.runs)
        assert not set(shown) & {"*", "`"}, shown
    assert texts("an open **bold\n\n2 *") == ["an open **bold", "", "2 *"]


def test_lists_nest_number_themselves_and_stay_tight_or_loose() -> None:
    assert texts("3. a\n7. b\n   - c\n     - d\n\n   - e\n1) f\n") == [
        "3. a", "4. b", "   • c", "     ◦ d", "", "   • e", "1) f",
    ]  # fmt: skip
    assert texts("1. a\n  - under-indented\n2. b") == ["1. a", "   • under-indented", "2. b"]


def test_blocks_next_to_each_other() -> None:
    assert texts("a\n# b\nc\n---\nd\n\n\n\ne") == ["a", "", "b", "c", "d", "", "e"]
    assert texts("> a\nlazy\n>\n> b\n\nc") == ["▌ a", "▌ lazy", "▌", "▌ b", "", "c"]
    assert texts("a  \nb\nc\\\nd") == ["a", "b", "c", "d"]


def test_tables_wrap_in_their_columns() -> None:
    assert texts("| a | b |\n|--|:-:|\n| one two | x |\n| y |", 14) == [
        "a       │ b",
        "────────┼──",
        "one two │ x",
        "y       │",
    ]
    assert texts("| a | b |\n|--|--:|\n| one two three | 10 |", 11)[2:] == [
        "one    │ 10",
        "two    │",
        "three  │",
    ]
    assert share_width([2, 30, 30], 32) == [2, 15, 15]
    assert share_width([2, 3], 80) == [2, 3]
    assert share_width([4, 40, 80], 64, [4, 9, 9]) == [4, 21, 38]
    assert share_width([9, 9], 17, [9, 9]) is None
    assert all(cells >= 1 for cells in share_width([9] * 40, 20))


def test_a_fence_keeps_its_lines_and_copies_without_its_frame() -> None:
    document = StreamingMarkdown("```python\n" + "x = 1\n" * 40 + "long " * 30 + "\n```\nend")
    document.finish()
    fence = document.blocks[0]
    assert isinstance(fence, FenceBlock)
    assert fence.code.count("x = 1") == 40
    lines = draw(document, 40)
    assert lines[0].runs[-1].text.strip() == "python"
    assert any(run.style == "fence number" for run in lines[1].runs)
    assert [line.joint for line in lines[41:46]] == ["\n", "", "", "", "\n"]
    assert all(line.lead == 1 for line in lines[1:41])


def test_an_open_fence_colours_finished_lines_only() -> None:
    document = StreamingMarkdown("```python\n" + "x = 1\n" * (CHUNK + 2) + "y = 2")
    lines = draw(document, 40)
    assert any("number" in run.style for run in lines[-2].runs)
    assert [run.style for run in lines[-1].runs] == ["fence", "fence"]
    document.feed("\n```\n")
    assert any("number" in run.style for run in draw(document, 40)[-1].runs)


def test_links_show_where_they_lead_and_html_is_text() -> None:
    runs = parse_inline("[safe](https://evil.example/x) <script>alert(1)</script> [r][ref]")
    assert "".join(run.text for run in runs) == (
        "safe (https://evil.example/x) <script>alert(1)</script> [r][ref]"
    )
    assert {run.href for run in runs} == {"", "https://evil.example/x"}
    assert all(not run.action for run in parse_inline("[x](action:app.quit) [y](javascript:z)"))
    assert [run.href for run in parse_inline("see https://a.b/c_d.")][1] == "https://a.b/c_d"
    assert "(http://img/x)" in "".join(run.text for run in parse_inline("![alt](http://img/x)"))


def test_character_references_cannot_bring_controls_back() -> None:
    shown = "".join(run.text for run in parse_inline("a &#x202e; &#27;[31m &#x9b;2J `&#7;` b"))
    assert not any(char < " " or "\x7f" <= char <= "\x9f" or char == "\u202e" for char in shown)


@pytest.mark.parametrize(
    "hostile",
    [
        "*" * 100_000, "_a*" * 30_000, "[" * 100_000, "![" * 50_000, "`" * 100_000,
        "> " * 50_000, "- " * 50_000, "| " * 50_000, "<" * 100_000, "\\" * 100_000, "#" * 100_000,
        "a" * 1_000_000, "北" * 100_000, "e\u0301" * 50_000, " " * 100_000, "1. " * 30_000,
        "|a" * 5000 + "\n" + "|-" * 5000 + "\n" + "|b" * 5000,
        "```\n" + "x" * 200_000, "- a\n" * 5000, "\n" * 100_000,
        "".join("  " * n + "- x\n" for n in range(200)),
        "".join("> " * n + "x\n" for n in range(200)),
    ],
    ids=lambda text: f"{text[:4]!r}x{len(text)}",
)  # fmt: skip
def test_hostile_text_ends(hostile: str) -> None:
    document = StreamingMarkdown()
    for start in range(0, len(hostile), 16_384):
        document.feed(hostile[start : start + 16_384])
    document.finish()
    height = document.height(80)
    assert all(len(document.line(y, 80).runs) < 1000 for y in range(min(height, 50)))


def test_wrapping_knows_wide_characters_and_punctuation() -> None:
    text = "中文字符，应该换行"
    starts = [0, *wrap(text, 8), len(text)]
    lines = [text[a:b] for a, b in pairwise(starts)]
    assert lines == ["中文字", "符，应该", "换行"]
    assert wrap("aaa bbb ccc", 7) == [8]
    assert wrap("x" * 10, 4) == [4, 8]
    assert wrap("a\n\nb", 10) == [2, 3]


def test_a_flow_that_grows_wraps_like_one_that_is_whole() -> None:
    source = random.Random(5)
    text = "".join(
        source.choice(["word ", "longer-word ", "北京", " ", "\n", "x"]) for _ in range(400)
    )
    grown = Flow()
    position = 0
    while position < len(text):
        size = source.randrange(1, 30)
        grown.set_tail([Run(text[position : position + size + 15])])
        grown.height(17)
        grown.set_tail([Run(text[position : position + size])])
        grown.fix_tail()
        position += size
    whole = Flow([Run(text)])
    assert grown.height(17) == whole.height(17)
    for y in range(whole.height(17)):
        shown = "".join(run.text for run in grown.line(y, 17)[0])
        assert shown == "".join(run.text for run in whole.line(y, 17)[0])


def test_closed_text_has_no_open_markup() -> None:
    assert is_closed("plain snake_case 2 * 3 and **bold** `code` [a](b) a < b ")
    for source in ("**bold ", "`code ", "[link ", "*a **b* ", "~~x ", "<http://"):
        assert not is_closed(source), source


def test_a_long_fence_is_coloured_as_a_whole_after_it_closes_in_slices() -> None:
    code = 'text = """\n' + "not code, return 1\n" * 400 + '"""\nreturn 2\n'
    growing = GrowingText("```python\n" + code + "```\nafter\n\nlast")
    growing.read()
    document = growing.document
    first = draw(document, 60)
    assert any("keyword" in run.style for run in first[200].runs)  # its chunk knows no better
    slices = 0
    while growing.is_behind:
        growing.read()
        slices += 1
        changed, now = document.changed_from(60), draw(document, 60)
        assert now[:changed] == first[:changed]
    assert slices > 2
    assert {run.style for run in now[200].runs[1:]} == {"fence string"}
    assert any("keyword" in run.style for run in now[403].runs)
    assert not document.is_behind
    document.feed("more")
    assert not document.is_behind
    assert draw(document, 60)[200] == now[200]
