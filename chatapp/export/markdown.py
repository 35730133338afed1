"""Markdown for people: the shown branch under headings, messages as they are.

A message that ends inside a code fence has the fence closed, so that it does not swallow the
messages after it. Control characters and escape sequences are left out.
"""

from collections.abc import Sequence

from chatapp.export.branch import active_branch, describe, format_time, split_fences
from chatapp.store.rows import ConversationTree, MessageRow
from chatapp.text import strip_controls


def render_markdown(trees: Sequence[ConversationTree]) -> str:
    """The conversations one after the other, a rule between them."""
    return "\n\n---\n\n".join(_render_tree(tree) for tree in trees) + "\n"


def _render_tree(tree: ConversationTree) -> str:
    conversation = tree.conversation
    blocks = [
        f"# {strip_controls(conversation.title) or 'Untitled'}",
        f"*{format_time(conversation.created_at)}*",
    ]
    if conversation.system:
        blocks.append("## System prompt")
        blocks.append(_close_fence(strip_controls(conversation.system)))
    for message in active_branch(tree):
        blocks += _render_message(message)
    return "\n\n".join(blocks)


def _render_message(message: MessageRow) -> list[str]:
    blocks = [f"## {strip_controls(describe(message))}"]
    if message.reasoning:
        thought = _close_fence(strip_controls(message.reasoning).strip("\n"))
        blocks.append("\n".join(f"> {line}".rstrip() for line in thought.split("\n")))
    if message.content:
        blocks.append(_close_fence(strip_controls(message.content).strip("\n")))
    if message.generation is not None and message.generation.error:
        blocks.append(f"*Error: {strip_controls(message.generation.error)}*")
    return blocks


def _close_fence(text: str) -> str:
    last = None
    for last in split_fences(text):  # noqa: B007 - only the last one may be open
        pass
    return text if last is None or last.closed else f"{text}\n{last.fence}"
