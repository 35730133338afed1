"""What a user may ask of a message by a click. Posted by the messages.

Nothing is done here: the screen that holds the transcript decides.
"""

from textual.message import Message


class MessageRequest(Message, namespace="transcript"):
    """Something is wanted of the message `message_id`."""

    def __init__(self, message_id: int) -> None:
        super().__init__()
        self.message_id = message_id


class ContinueRequested(MessageRequest, namespace="transcript"):
    """The user wants the rest of this answer."""


class SiblingRequested(MessageRequest, namespace="transcript"):
    """The user wants the alternative `step` (-1 or 1) places on."""

    def __init__(self, message_id: int, step: int) -> None:
        super().__init__(message_id)
        self.step = step


class LinkClicked(Message, namespace="transcript"):
    """A link was clicked; nothing was opened."""

    def __init__(self, href: str) -> None:
        super().__init__()
        self.href = href
