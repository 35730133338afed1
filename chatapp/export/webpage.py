"""HTML for people: one file that loads nothing and runs nothing, light or dark.

Every piece of text is escaped; code fences become code blocks, all else keeps its line breaks.
Images are in the page itself, if their first bytes are those of a format that cannot act (SVG
can). The page forbids itself scripts and requests, should a mistake ever let markup through.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from html import escape
from itertools import chain, islice

from chatapp.export.branch import Told, describe, format_time, label, split_fences
from chatapp.parts import File, Image, Part, Reasoning, Text, ToolCall, ToolResult
from chatapp.store.rows import MessageRow
from chatapp.text import strip_controls

_SHOWN = (
    ("image/png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("image/jpeg", re.compile(rb"\xff\xd8\xff")),
    ("image/gif", re.compile(rb"GIF8[79]a")),
    ("image/webp", re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
)
_POLICY = (
    '<meta http-equiv="Content-Security-Policy"'
    " content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
)
_STYLE = """
:root { color-scheme: light dark; }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.6 system-ui, sans-serif; }
h1 { line-height: 1.25; margin-bottom: 0; }
h2 { font-size: .9rem; margin: 0 0 .3rem; opacity: .7; }
time { opacity: .7; }
section + section { margin-top: 4rem; }
article { margin: 1rem 0; padding: .8rem 1rem; border: 1px solid #8884; border-radius: .5rem; }
article.user { background: #4a90d91c; }
article.system, details { opacity: .8; }
figure { margin: .4rem 0; }
img { max-width: 100%; }
p { margin: .4rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
pre { overflow-x: auto; padding: .6rem .8rem; background: #8882; border-radius: .3rem; }
.error { color: #d33; }
"""


def write_html(conversations: Iterable[Told]) -> Iterator[str]:
    """A page with a section for each conversation, in pieces."""
    rest = iter(conversations)
    first = list(islice(rest, 2))
    yield _head(first[0].conversation.title if len(first) == 1 else "Conversations")
    for told in chain(first, rest):
        yield from _write_conversation(told)
    yield "</body>\n</html>\n"


def _head(title: str) -> str:
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="">',
            "<head>",
            '<meta charset="utf-8">',
            _POLICY,
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_text(title) or 'Untitled'}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>\n",
        ]
    )


def _text(text: str) -> str:
    return escape(strip_controls(text))


def _write_conversation(told: Told) -> Iterator[str]:
    conversation = told.conversation
    yield f"<section>\n<h1>{_text(conversation.title) or 'Untitled'}</h1>\n"
    yield f"<time>{format_time(conversation.created_at)}</time>\n"
    if conversation.system:
        yield '<article class="system"><h2>System prompt</h2>\n'
        yield f"{_render_body(conversation.system)}</article>\n"
    for message in told.messages:
        yield from _write_message(message)
    yield "</section>\n"


def _write_message(message: MessageRow) -> Iterator[str]:
    yield f'<article class="{message.role}">\n<h2>{_text(describe(message))}</h2>\n'
    for part in message.parts:
        yield f"{_render_part(part)}\n"
    if message.generation is not None and message.generation.error:
        yield f'<p class="error">{_text(message.generation.error)}</p>\n'
    yield "</article>\n"


def _render_part(part: Part) -> str:
    if isinstance(part, Text):
        return _render_body(part.text)
    if isinstance(part, Reasoning):
        return _fold("Thinking", _render_body(part.text))
    if isinstance(part, File):
        return _fold(label(part), _code(part.text))
    if isinstance(part, ToolCall):
        return _fold(label(part), _code(part.arguments))
    if isinstance(part, ToolResult):
        # What a tool says is shown as it is: it is mostly no Markdown.
        inner = (
            _code(piece.text) if isinstance(piece, Text) else _render_part(piece)
            for piece in part.parts
        )
        return _fold(label(part), "\n".join(inner))
    return _render_image(part)


def _render_image(image: Image) -> str:
    caption = f"<figcaption>{_text(label(image))}</figcaption>"
    media_type = next((kind for kind, begin in _SHOWN if begin.match(image.data)), None)
    if media_type is None:
        return f"<figure>{caption}</figure>"
    source = f"data:{media_type};base64,{b64encode(image.data).decode()}"
    return f'<figure><img src="{source}" alt="{_text(label(image))}">{caption}</figure>'


def _fold(summary: str, body: str) -> str:
    return f"<details><summary>{_text(summary)}</summary>{body}</details>"


def _code(text: str) -> str:
    return f"<pre><code>{_text(text)}</code></pre>"


def _render_body(text: str) -> str:
    parts = []
    for piece in split_fences(strip_controls(text)):
        if piece.fence:
            parts.append(f"<pre><code>{escape(piece.text)}</code></pre>")
        elif piece.text.strip():
            parts.append(f"<p>{escape(piece.text.strip())}</p>")
    return "\n".join(parts)
