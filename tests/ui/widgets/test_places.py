"""What a cursor and a search find in a document, and where it is drawn."""

from chatapp.ui.markdown.document import StreamingMarkdown
from chatapp.ui.markdown.places import Code, Span
from chatapp.ui.widgets.growing import GrowingText

SOURCE = """Read [the docs](https://docs.example/a) or https://bare.example/b first, they are long.

- item
  ```python title="x.py"
  def f():
  \treturn "a long line of code that does not fit into the window, so it has to wrap somewhere"

  ```
> ```make
> all:
> \tcc -o x
> ```

| name | value |
|------|-------|
| alpha | needle one |
| beta | [two](https://two.example) |

The last paragraph has a Needle **in bold words** and
a second line with a needle.
"""


def rows(document: StreamingMarkdown, width: int) -> list[str]:
    lines = [document.line(y, width) for y in range(document.height(width))]
    return ["".join(run.text for run in line.runs).rstrip() for line in lines]


def finished(source: str, **options: int) -> StreamingMarkdown:
    document = StreamingMarkdown(source, **options)  # type: ignore[arg-type]
    document.finish()
    return document


def test_blocks_of_code_have_language_exact_source_and_rows() -> None:
    document = finished(SOURCE)
    first, second = document.code_blocks()
    assert (first.language, second.language) == ("python", "make")
    assert first.source == (
        'def f():\n\treturn "a long line of code that does not fit into the window, so it has to '
        'wrap somewhere"\n'
    )
    assert second.source == "all:\n\tcc -o x"
    shown = rows(document, 40)
    top, bottom = document.rows_of(first, 40)
    assert shown[top].strip() == 'python title="x.py"'
    assert "wrap somewhere" in "".join(shown[top : bottom + 1]).replace("↪", "").replace("  ", "")
    assert shown[bottom + 1].startswith("▌  make")


def test_long_lines_of_code_are_marked_where_they_wrap_and_copying_leaves_the_mark() -> None:
    document = finished("```\n" + "x" * 100 + "\nshort\n```")
    shown = rows(document, 40)
    assert [row[0] for row in shown] == [" ", "↪", "↪", " "]
    lines = [document.line(y, 40) for y in range(4)]
    copied = [(line.joint, "".join(run.text for run in line.runs)[line.lead :]) for line in lines]
    assert "".join(joint + text for joint, text in copied).strip() == "x" * 100 + "\nshort"


def test_a_block_of_code_can_be_the_current_one() -> None:
    document = finished("```\na\n```\n\n```\nb\n```")
    document.mark_code(document.code_blocks()[1])
    assert rows(document, 20) == [" a", "", "┃b"]
    document.mark_code(document.code_blocks()[0])
    assert rows(document, 20) == ["┃a", "", " b"]
    document.mark_code(None)
    assert rows(document, 20) == [" a", "", " b"]


def test_links_have_target_text_and_rows() -> None:
    document = finished(SOURCE)
    links = document.links()
    assert [(link.href, link.text) for link in links] == [
        ("https://docs.example/a", "the docs"),
        ("https://bare.example/b", "https://bare.example/b"),
        ("https://two.example", "two"),
    ]
    shown = rows(document, 40)
    for link in links:
        first, last = document.rows_of(link.span, 40)
        assert link.text in " ".join(shown[first : last + 1])
    document.mark_spans([(links[2].span, "current")])
    row = document.rows_of(links[2].span, 40)[0]
    marked = [run for run in document.line(row, 40).runs if "current" in run.style]
    assert "".join(run.text for run in marked) == "two (https://two.example)"


def test_hits_are_found_in_any_case_over_line_breaks_and_can_be_marked() -> None:
    document = finished(SOURCE)
    hits = document.find("needle")
    assert len(hits) == 3
    assert len(document.find("words and a second")) == 1  # over a line break
    assert document.find(" ") == []
    document.mark_spans([(hit, "hit") for hit in hits[:2]] + [(hits[2], "hit-current")])
    for width in (20, 80):
        styles: dict[str, str] = {"hit": "", "hit-current": ""}
        for y in range(document.height(width)):
            for run in document.line(y, width).runs:
                for name in styles:
                    styles[name] += run.text if name in run.style.split() else ""
        assert styles == {"hit": "needleNeedle", "hit-current": "needle"}
        for hit in hits:
            row = document.rows_of(hit, width)[0]
            assert any("hit" in run.style for run in document.line(row, width).runs)
    document.mark_spans([])
    assert not any("hit" in run.style for run in document.line(row, width).runs)


def test_hits_in_code_and_in_records() -> None:
    wide = "| " + " | ".join(f"column {n}" for n in range(12)) + " |\n|" + "-|" * 12 + "\n"
    wide += ("| " + " | ".join(f"cell {n}" for n in range(12)) + " |\n") * 2
    document = finished("```\n" + "y" * 50 + "needle\n```\n" + wide)
    (hit,) = document.find("needle")
    assert document.rows_of(hit, 30) == (1, 1) or document.rows_of(hit, 30) == (1, 2)
    for hit in document.find("cell 7"):
        document.mark_spans([(hit, "hit")])
        row = document.rows_of(hit, 30)[0]
        assert [run.text for run in document.line(row, 30).runs if run.style == "hit"] == ["cell 7"]


def test_the_row_of_a_place_in_the_source() -> None:
    document = finished(SOURCE)
    for width in (24, 80):
        shown = rows(document, width)
        for word in ("docs]", "item", "def f", "cc -o", "alpha", "beta", "second"):
            row = document.row_of(SOURCE.index(word), width)
            near = " ".join(shown[max(row - 1, 0) : row + 2])
            assert word.rstrip("]") in near, (word, width, near)
    growing = GrowingText("\x1b[31mred\x1b[0m\r\n\r\nlater")
    growing.read()
    assert growing.row_of(growing.text.index("later"), 40) == 2
    assert StreamingMarkdown().row_of(0, 40) == 0


def test_places_stay_while_text_streams() -> None:
    document = StreamingMarkdown()
    for start in range(0, len(SOURCE), 7):
        document.feed(SOURCE[start : start + 7])
        places: list[Span | Code] = [*document.code_blocks(), *document.find("e")]
        places += [link.span for link in document.links()]
        for place in places:
            first, last = document.rows_of(place, 30)
            assert 0 <= first <= last < document.height(30)
        assert 0 <= document.row_of(start, 30) < document.height(30)
    whole = finished(SOURCE)
    document.finish()
    assert document.code_blocks() == whole.code_blocks()
    assert [document.row_of(n, 30) for n in range(len(SOURCE))] == [
        whole.row_of(n, 30) for n in range(len(SOURCE))
    ]


def test_prose_keeps_its_measure_and_code_and_tables_take_the_window() -> None:
    source = "word " * 60 + "\n\n```\n" + "c" * 120 + "\n```\n\n| a | b |\n|-|-|\n| " + "d " * 55
    document = finished(source, measure=100)
    shown = rows(document, 140)
    assert max(len(row) for row in shown if "word" in row) <= 100
    assert any(len(row) == 121 for row in shown if "c" in row)
    assert any(len(row) > 110 for row in shown if "d d" in row)
    centred = StreamingMarkdown(source + "\n\n```\nshort\n```", measure=100, centred=True)
    centred.finish()
    shown = rows(centred, 140)
    assert all(row.startswith(" " * 20 + "word") for row in shown if "word" in row)
    assert any(row.startswith(" " + "c") for row in shown)
    assert any(row == " " * 21 + "short" for row in shown)
    assert centred.line(0, 140).lead == 20
    assert rows(finished(source, measure=100), 60) == rows(finished(source), 60)


def test_a_message_is_shown_raw_and_as_markdown_again() -> None:
    growing = GrowingText("# Title\n\n**bold** \x1b[2J`code`\n\ttab", measure=50)
    growing.read()
    read = rows(growing.document, 60)
    growing.set_raw(True)
    growing.read()
    assert rows(growing.document, 60) == ["# Title", "", "**bold** `code`", "    tab"]
    assert growing.document.find("**bold")
    growing.show(growing.text + " and **more** text to be wrapped at last, here it is")
    growing.read()
    assert rows(growing.document, 60)[3:] == [
        "    tab and **more** text to be wrapped at last,", "here it is",
    ]  # fmt: skip
    growing.set_raw(False)
    growing.read()
    assert rows(growing.document, 60)[:3] == read[:3]
    assert growing.document.measure == 50
