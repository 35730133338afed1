"""The inside of a paragraph: emphasis, code, links. Markdown in, styled runs out.

Follows CommonMark through markdown-it-py, plus `~~strikethrough~~`, bare web addresses and LaTeX's
mathematics, in which nothing is emphasis and no backslash is lost. Raw HTML is text. A link shows
its target, because the text of a link may lie. Images are named, never fetched. Three differences
on purpose: a line break in the source is a line break on the screen (models write poems and
addresses that way); reference links (`[a][b]`) stay as written, since their definition may come
after everything else; a backslash escapes only what has a meaning in Markdown, because before
brackets, braces and backslashes it is LaTeX's, or part of a path.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from string import punctuation

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from chatapp.text import strip_controls
from chatapp.ui.markdown.flow import Run
from chatapp.ui.markdown.maths import match_maths, may_open
from chatapp.ui.markdown.notation import write_maths

_MARKUP = re.compile(r"[\\`*_~\[!<&$]|https?://")
_ADDRESS = re.compile(r"https?://[^\s<>\"'`\[\]{}|\\^]*[^\s<>\"'`\[\]{}|\\^.,;:!?)(*_~]")
_MAX_TARGET = 72
"""Longest link target shown, in characters; the host is at its start."""

_MAX_BRACKETS = 64
_MAX_DELIMITERS = 200
"""More than this in one piece is no prose; it is shown as it stands, because parsing it takes
longer than a frame (1 kB of `![` takes 11 ms)."""

_ESCAPABLE = frozenset("*_`#~<>|$!-+.&")

# What is left in plain text by constructs that are not closed yet. Not openers: a delimiter
# with white space on both sides, an underscore within a word, a bracket that is no link.
_HARMLESS = re.compile(
    r"(?<=\w)_+(?=\w)|(?:(?<=\s)|^)(?:[*_~]+|<)(?=\s)|\[[^\[\]`*_~<]*\](?=[^(\[:])"
)
_OPENERS = re.compile(r"[*_~`\[<]|\\$")

_CODE = re.compile("`[^`]*`")

_STYLES = {"em_open": "em", "strong_open": "strong", "s_open": "strike"}


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False})
    parser.disable("html_inline").enable("strikethrough")
    parser.inline.ruler.at("escape", _read_backslash)
    parser.inline.ruler.before("escape", "maths", _read_maths)
    return parser


def _read_maths(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "\\$":
        return False
    found = match_maths(state.src, state.pos)
    if found is None or found.end > state.posMax:
        return False
    if not silent:
        token = state.push("maths", "", 0)
        token.content, token.markup = found.body, state.src[state.pos : found.end]
    state.pos = found.end
    return True


def _read_backslash(state: StateInline, silent: bool) -> bool:
    """CommonMark's escapes, whose backslash stays before what has no meaning in Markdown."""
    if state.src[state.pos] != "\\" or state.pos + 1 >= state.posMax:
        return False
    char = state.src[state.pos + 1]
    if char == "\n":
        if not silent:
            state.push("hardbreak", "br", 0)
    elif char not in punctuation:
        return False
    elif not silent:
        token = state.push("text_special", "", 0)
        token.content = char if char in _ESCAPABLE else f"\\{char}"
    state.pos += 2
    return True


def write_formula(source: str, body: str) -> Run:
    """What is shown of a formula: its reading, or all of its source where that is not sure."""
    signed = not source.startswith("\\[") or re.search(r"[\\^_=+<>]", body)  # `\[1\]` is none
    text = write_maths(body) if signed else None
    return Run(_clean(source), "code") if text is None else Run(_clean(text), "maths")


def _tokens(source: str) -> list[Token]:
    parser = _parser()
    tokens: list[Token] = []
    parser.inline.parse(source, parser, {}, tokens)
    return tokens


def _is_hostile(source: str) -> bool:
    delimiters = source.count("*") + source.count("_") + source.count("~") + source.count("<")
    return source.count("[") > _MAX_BRACKETS or delimiters > _MAX_DELIMITERS


def parse_inline(source: str, style: str = "") -> list[Run]:
    """The runs of `source`; `style` is added to each."""
    if not _MARKUP.search(source) or _is_hostile(source):
        return [Run(_clean(source), style)] if source else []
    runs: list[Run] = []
    styles: list[str] = [style] if style else []
    href, linked, title = "", "", ""
    for token in _tokens(source):
        kind = token.type
        if kind in _STYLES:
            styles.append(_STYLES[kind])
        elif kind == "link_open":
            href, linked = str(token.attrs.get("href", "")), ""
            title = str(token.attrs.get("title", ""))
            styles.append("link")
        elif kind == "link_close":
            styles.pop()
            runs += _target(href, linked, style, title)
            href = ""
        elif kind.endswith("_close"):
            styles.pop()
        elif kind == "image":
            runs += _image(token, style)
        elif kind == "maths":
            run = write_formula(token.markup, token.content)
            linked += run.text
            runs.append(Run(run.text, " ".join([*styles, run.style]), href))
        else:
            text = "\n" if kind in ("softbreak", "hardbreak") else _clean(token.content)
            names = " ".join([*styles, "code"] if kind == "code_inline" else styles)
            linked += text
            if href or kind == "code_inline":
                runs.append(Run(text, names, href))
            else:
                runs += _link_addresses(text, names)
    return runs


def _clean(text: str) -> str:
    """Character references can bring back what was removed from the source (`&#x202e;`)."""
    return strip_controls(text).replace("\t", " ")


def _target(href: str, linked: str, style: str, title: str) -> list[Run]:
    shown = href if len(href) <= _MAX_TARGET else href[: _MAX_TARGET - 1] + "…"
    if linked in (href, href.removeprefix("mailto:")):
        shown = ""
    shown = " ".join(filter(None, (shown, f'"{title}"' if title else "")))
    return [Run(f" ({_clean(shown)})", f"{style} target".strip(), href)] if shown else []


def _image(token: Token, style: str) -> list[Run]:
    href = str(token.attrs.get("src", ""))
    label = _clean(token.content) or "image"
    return [
        Run(f"[image: {label}]", f"{style} link".strip(), href),
        *_target(href, "", style, str(token.attrs.get("title", ""))),
    ]


def _link_addresses(text: str, style: str) -> Iterator[Run]:
    position = 0
    for found in _ADDRESS.finditer(text):
        if found.start() > position:
            yield Run(text[position : found.start()], style)
        yield Run(found.group(), f"{style} link".strip(), found.group())
        position = found.end()
    if position < len(text):
        yield Run(text[position:], style)


def close_for_now(source: str) -> str:
    """`source` with the bold or code that its end is in closed, so that the marks of what is
    still being written do not flash by."""
    text = source.rstrip(" *`")
    text += "`" * (text.count("`") % 2)
    return text + "**" * (_CODE.sub("", text).count("**") % 2)


def is_closed(source: str) -> bool:
    """Whether nothing that follows `source` can change how it is read."""
    if not _MARKUP.search(source):
        return True
    return not any(
        (token.type == "text" and _OPENERS.search(_HARMLESS.sub("", token.content)))
        or (token.type in ("text", "text_special") and may_open(token.content))
        for token in _tokens(source)
    )


def find_cut(source: str, limit: int) -> int | None:
    """The last offset up to `limit` where `source` can be cut for good, after a space or a line
    break; `None` if there is none. Depends on `source[:limit]` alone."""
    if _is_hostile(source[:limit]):
        return limit
    # Eight tries of about 1 ms each, spread over the text: emphasis seldom spans more.
    offsets = [found.end() for found in re.finditer(r"[ \n](?=[^ \n])", source[:limit])]
    step = max(len(offsets) // 8, 1)
    for offset in offsets[::-step][:8]:
        if is_closed(source[:offset]):
            return offset
    return None
