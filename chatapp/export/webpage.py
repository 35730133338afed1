"""HTML for people: one file that loads nothing and runs nothing, light or dark.

Every piece of text is escaped; code fences become code blocks, all else keeps its line breaks.
The page forbids itself scripts and requests, should a mistake ever let markup through.
"""

from collections.abc import Sequence
from html import escape

from chatapp.export.branch import active_branch, describe, format_time, split_fences
from chatapp.store.rows import ConversationTree, MessageRow
from chatapp.text import strip_controls

_POLICY = (
    '<meta http-equiv="Content-Security-Policy"'
    " content=\"default-src 'none'; style-src 'unsafe-inline'\">"
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
p { margin: .4rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
pre { overflow-x: auto; padding: .6rem .8rem; background: #8882; border-radius: .3rem; }
.error { color: #d33; }
"""


def render_html(trees: Sequence[ConversationTree]) -> str:
    """A page with a section for each conversation."""
    title = trees[0].conversation.title if len(trees) == 1 else f"{len(trees)} conversations"
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
            "<body>",
            *(_render_tree(tree) for tree in trees),
            "</body>",
            "</html>",
            "",
        ]
    )


def _text(text: str) -> str:
    return escape(strip_controls(text))


def _render_tree(tree: ConversationTree) -> str:
    conversation = tree.conversation
    lines = [
        "<section>",
        f"<h1>{_text(conversation.title) or 'Untitled'}</h1>",
        f"<time>{format_time(conversation.created_at)}</time>",
    ]
    if conversation.system:
        lines.append('<article class="system"><h2>System prompt</h2>')
        lines.append(f"{_render_body(conversation.system)}</article>")
    lines += [_render_message(message) for message in active_branch(tree)]
    return "\n".join([*lines, "</section>"])


def _render_message(message: MessageRow) -> str:
    lines = [f'<article class="{message.role}">', f"<h2>{_text(describe(message))}</h2>"]
    if message.reasoning:
        body = _render_body(message.reasoning)
        lines.append(f"<details><summary>Thinking</summary>{body}</details>")
    lines.append(_render_body(message.content))
    if message.generation is not None and message.generation.error:
        lines.append(f'<p class="error">{_text(message.generation.error)}</p>')
    return "\n".join([*lines, "</article>"])


def _render_body(text: str) -> str:
    parts = []
    for piece in split_fences(strip_controls(text)):
        if piece.fence:
            parts.append(f"<pre><code>{escape(piece.text)}</code></pre>")
        elif piece.text.strip():
            parts.append(f"<p>{escape(piece.text.strip())}</p>")
    return "\n".join(parts)
