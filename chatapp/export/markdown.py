"""Markdown for people: the shown branch under headings, messages as they are.

What a message leaves open stays in it: a code fence is closed, and raw HTML becomes text, so that
neither a `<!--` nor a `<details>` swallows the messages after it. Control characters and escape
sequences are left out.
"""

import re
from collections.abc import Iterable, Iterator

from chatapp.export.branch import Told, describe, format_time, label
from chatapp.parts import File, Part, Reasoning, Text, ToolCall, ToolResult
from chatapp.store.rows import MessageRow
from chatapp.text import strip_controls


def write_markdown(conversations: Iterable[Told]) -> Iterator[str]:
    """The conversations one after the other, a rule between them."""
    for number, told in enumerate(conversations):
        if number:
            yield "\n\n---\n\n"
        yield from _write_conversation(told)
    yield "\n"


def _write_conversation(told: Told) -> Iterator[str]:
    conversation = told.conversation
    yield f"# {_prose(conversation.title) or 'Untitled'}"
    yield f"\n\n*{format_time(conversation.created_at)}*"
    if conversation.system:
        yield f"\n\n## System prompt\n\n{_body(conversation.system)}"
    for message in told.messages:
        for block in _render_message(message):
            yield f"\n\n{block}"


def _render_message(message: MessageRow) -> Iterator[str]:
    yield f"## {_prose(describe(message))}"
    for part in message.parts:
        yield from _render_part(part)
    if message.generation is not None and message.generation.error:
        yield f"*Error: {_prose(message.generation.error)}*"


def _render_part(part: Part) -> Iterator[str]:
    if isinstance(part, Text):
        if part.text:
            yield _body(part.text)
    elif isinstance(part, Reasoning):
        # Tabs before the text would be narrower behind the mark of the quotation.
        text = _MARGIN.sub(lambda margin: margin.group().expandtabs(4), part.text)
        yield "\n".join(f"> {line}".rstrip() for line in _body(text).split("\n"))
    else:
        yield f"**{_prose(label(part))}**"
        if isinstance(part, File):
            yield _fence(part.text)
        elif isinstance(part, ToolCall):
            yield _fence(part.arguments, "json")
        elif isinstance(part, ToolResult):
            yield from _render_result(part)


def _render_result(result: ToolResult) -> Iterator[str]:
    # What a tool says is shown as it is: it is mostly no Markdown.
    for part in result.parts:
        if isinstance(part, Text):
            yield _fence(part.text)
        else:
            yield from _render_part(part)


def _fence(text: str, language: str = "") -> str:
    text = strip_controls(text)
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    mark = "`" * (longest + 1)
    return f"{mark}{language}\n{text.rstrip()}\n{mark}"


def _body(text: str) -> str:
    given = strip_controls(text).strip("\n").split("\n")
    fences = _find_plain_fences(given)
    fenced, end = _parse_fences(given) if fences is None else fences
    lines: list[str] = []
    prose: list[str] = []
    for number, line in enumerate(given):
        if number not in fenced:
            prose.append(line)
            continue
        lines += [*_escape_html(prose), line]
        prose = []
    return "\n".join([*lines, *_escape_html(prose), *([end] if end else [])])


_MARGIN = re.compile(r"^[ \t>*+\-\d.)]+", re.MULTILINE)
_OPEN = re.compile(r"`{3,}(?=[^`]*$)|~{3,}")
_IN_SOMETHING = re.compile(r"[\s>*+\-\d.)]+(?:`{3}|~{3})")


def _find_plain_fences(lines: list[str]) -> tuple[set[int], str] | None:
    """The lines that are in fences of code, marks included, and the mark that is missing at the
    end. None: a fence may be in a list or a quotation, which one line does not tell."""
    fenced: set[int] = set()
    mark = ""
    for number, line in enumerate(lines):
        if mark:
            fenced.add(number)
            mark = "" if _closes(line, mark) else mark
        elif found := _OPEN.match(line):
            # At the left edge a fence ends every list and paragraph before it.
            fenced.add(number)
            mark = found.group()
        elif _IN_SOMETHING.match(line):
            return None
    return fenced, mark


def _parse_fences(lines: list[str]) -> tuple[set[int], str]:
    """The same, by a parser of all of Markdown's blocks; it takes 3 s for a megabyte.

    HTML is no block for it, because it will be none in the text that is written. A fence in a list
    or a quotation ends with that, and so needs no mark.
    """
    from markdown_it import MarkdownIt  # 30 ms to import

    parser = MarkdownIt("commonmark").disable(["html_block", "inline"])
    fenced: set[int] = set()
    end = ""
    for token in parser.parse("\n".join(lines)):
        if token.type != "fence" or token.map is None:
            continue
        first, behind = token.map
        fenced.update(range(first, behind))
        closed = behind - first > 1 and _closes(lines[behind - 1], token.markup)
        end = "" if closed or token.level else token.markup
    return fenced, end


def _closes(line: str, mark: str) -> bool:
    bare = line.strip()
    is_code = line.expandtabs(4).startswith("    ")
    return bare.startswith(mark) and not bare.strip(mark[0]) and not is_code


def _prose(line: str) -> str:
    return "\n".join(_escape_html(strip_controls(line).split("\n")))


# A tag, a comment, a declaration or an instruction begins; `<https://...>` is a link, and a
# backslash before it has made it text already.
_TAG = re.compile(r"(?<!\\)((?:\\\\)*)<(?=[A-Za-z/!?])(?![A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>]*>)")
_CODE = re.compile(r"(?<!`)(`+)(?!`)(?:.*?[^`])\1(?!`)")


def _escape_html(text: list[str]) -> list[str]:
    """Raw HTML in lines of prose as text. Code between backticks stays, where that is certain."""
    lines = []
    sure = True
    for line in text:
        if not line.strip():
            sure = True  # code between backticks ends with its paragraph
        outside = _CODE.sub("", line)
        # A backtick without its other half may open code that goes on in the next line, and one
        # behind a backslash may be none.
        sure = sure and "`" not in outside and "\\`" not in line
        lines.append(_escape_line(line) if sure else _TAG.sub(r"\1\\<", line))
    return lines


def _escape_line(line: str) -> str:
    pieces = []
    position = 0
    for code in _CODE.finditer(line):
        pieces += [_TAG.sub(r"\1\\<", line[position : code.start()]), code.group()]
        position = code.end()
    return "".join([*pieces, _TAG.sub(r"\1\\<", line[position:])])
