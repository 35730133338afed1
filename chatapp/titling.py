"""Titles that a model writes for conversations: what it is asked, and what of it is a title.

The question stands behind the conversation as the model has read it, so what is in its memory is
used again, and the next message finds it there.
"""

import re
from collections.abc import Sequence

from chatapp.conversation import TITLE_LENGTH, make_title
from chatapp.engine.protocol import ChatMessage, Generate
from chatapp.parts import parts_of
from chatapp.sampling import SamplingParams
from chatapp.store.rows import ConversationRow, MessageRow
from chatapp.text import one_line, strip_controls
from chatapp.turn import chat_messages

MAX_TOKENS = 24
MAX_WORDS = 12
"""What is longer is no title but an answer."""

MOST_MESSAGES = 6
"""In a longer chat the title stays what it is: one has got used to it."""

QUESTION = (
    "Write a title for this conversation: two to six words, in its language, that say what it is"
    " about. Answer with the title alone."
)

_BEFORE = re.compile(r"^(?:title|titel|titre|título|titolo|标题)\s*[:：]\s*", re.IGNORECASE)
_AROUND = "\"'“”„‘’«»`*_#[]<> "


def wants_title(chat: ConversationRow, path: Sequence[MessageRow]) -> bool:
    """Whether a chat has been answered, and still has the title that was made of its first line."""
    said = next((row for row in path if row.role == "user"), None)
    if said is None or not 2 <= len(path) <= MOST_MESSAGES:
        return False
    last = path[-1]
    return (
        last.role == "assistant"
        and last.status == "complete"
        and bool(last.content.strip())
        and chat.deleted_at is None
        and chat.title == make_title(said.content)
    )


def ask_for_title(chat: ConversationRow, path: Sequence[MessageRow], fingerprint: str) -> Generate:
    """The request."""
    messages = chat_messages(path, chat.system, fingerprint)
    return Generate(
        messages=[*messages, ChatMessage("user", parts_of(QUESTION))],
        params=SamplingParams(temperature=0.0, max_tokens=MAX_TOKENS),
        think="off",
    )


def read_title(answer: str, *, cut_off: bool) -> str:
    """The title in what the model said, "" if there is none. `cut_off`: it would have gone on."""
    lines = [one_line(line) for line in strip_controls(answer).splitlines()]
    lines = [line for line in lines if line]
    if len(lines) > 1 and lines[0].endswith((":", "：")):  # "Here is a title:"
        del lines[0]
    if not lines or (cut_off and len(lines) == 1):
        return ""
    title = _BEFORE.sub("", lines[0].strip(_AROUND)).strip(_AROUND)
    if title.endswith(".") and not title.endswith(".."):
        title = title[:-1]
    words = len(title.split())
    is_title = any(char.isalnum() for char in title) and words <= MAX_WORDS
    is_title = is_title and title[-1] not in ",;:"  # the beginning of an answer
    return title if is_title and len(title) <= TITLE_LENGTH + 20 else ""
