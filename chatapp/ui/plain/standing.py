"""What a screen would show beside the messages: the mark, what is edited, and what is written."""

from dataclasses import dataclass

from chatapp.ui.chat.screen import ChatScreen

_WAYS = "An empty line sends it, a dot throws it away, another text takes its place."
MOST_TOLD = 2000
"""Characters of a text that are told."""


@dataclass(frozen=True, slots=True)
class Standing:
    """It, at one moment."""

    marked: str = ""
    """The marked message or block of code, in words."""
    content: str = ""
    """The marked message's text."""
    editing: str = ""
    """The message that is edited, in words."""
    written: str = ""
    """What stands in the prompt."""

    @classmethod
    def of(cls, chat: ChatScreen) -> "Standing":
        """That of the chat as it is now."""
        row = chat.acting.marked
        content = row.content if row is not None and not chat.status.marked_code else ""
        marked = chat.status.marked if row is not None else ""
        return cls(marked, content, chat.status.editing, chat.pane.prompt.text)

    def lines_since(self, before: "Standing") -> list[str]:
        """What is new, in lines."""
        lines = []
        if self.marked != before.marked or self.content != before.content:
            lines.append(f"Marked: {self.marked}." if self.marked else "Nothing is marked.")
            lines += [_cut(self.content)] if self.content else []
        if self.editing != before.editing:
            lines.append(f"Editing {self.editing}." if self.editing else "The editing has ended.")
        if self.written != before.written and self.written.strip():
            lines.append(f"Written, not sent: {_cut(self.written)}\n{_WAYS}")
        return lines


def _cut(text: str) -> str:
    more = len(text) - MOST_TOLD
    return f"{text[:MOST_TOLD]} (and {more} more)" if more > 0 else text
