"""Facts that workers tell the widgets. A worker posts one of these; the owner's handler acts on it.

Everything about an answer carries its conversation, because an answer may go on while another
conversation is on the screen.
"""

from dataclasses import dataclass
from pathlib import Path

from textual.message import Message

from chatapp.answer import AnswerState
from chatapp.engine.protocol import Finished, ModelDescription, PrefillProgress
from chatapp.errors import ChatAppError
from chatapp.store.rows import ConversationRow, MessageRow
from chatapp.ui.draft import Begun


@dataclass(frozen=True, slots=True)
class Queued:
    """A message that is sent when the answer before it has ended."""

    conversation_id: int | None
    """None: it begins a new conversation."""
    text: str
    replaces: int | None = None
    """The message it is another version of."""
    refused: tuple[Path, ...] = ()
    """Files that it names and that are not to be put before the model."""
    known: bool = False
    """What chatapp knows of itself is wanted before it, whatever the model."""

    @property
    def written(self) -> str:
        """As it stands in the prompt, and means the same when it is sent from there again."""
        return as_written(self.text, known=self.known)


def as_written(text: str, *, known: bool) -> str:
    """A message as one writes it: with `/help` before it where what chatapp knows is wanted."""
    return f"/help {text}" if known else text


@dataclass
class Informed(Message):
    """What chatapp knows of itself was put before a question that is shown."""

    row: MessageRow


@dataclass
class ModelLoading(Message):
    """A model file is being read, or made of a checkpoint; `fraction` is 0 to 1."""

    name: str
    fraction: float
    doing: str = "loading"


@dataclass
class ModelReady(Message):
    """A model is loaded."""

    model: ModelDescription


@dataclass
class ModelFailed(Message):
    """A model could not be loaded."""

    name: str
    error: ChatAppError


@dataclass
class ConversationOpened(Message):
    """Another conversation, or another branch of this one, is to be shown from root to leaf."""

    conversation: ConversationRow | None
    rows: list[MessageRow]
    focus_id: int | None = None
    """The message to bring into view; None: the last one."""
    draft: Begun = Begun()  # noqa: RUF009 -- it is frozen
    """What an earlier run of the app has left in its prompt."""


@dataclass
class ConversationsChanged(Message):
    """The list of conversations is not what it was."""


@dataclass
class MessageStored(Message):
    """A message of the user is in the store."""

    row: MessageRow
    shown: bool
    """It belongs below everything that is shown; else to another conversation."""


@dataclass
class BranchCut(Message):
    """What follows `message_id` is about to be said anew; None: everything is."""

    message_id: int | None


@dataclass
class AnswerWaiting(Message):
    """The message is stored and is sent when the model is ready."""

    conversation_id: int


@dataclass
class AnswerAsked(Message):
    """The model is asked; it may have to be started first."""

    conversation_id: int


@dataclass
class AnswerStarted(Message):
    """An answer's row exists; `row.parts` are what it had before, when it is continued."""

    conversation_id: int
    row: MessageRow
    n: int = 1
    """So many are written at once; `row` is the one that is shown."""


@dataclass
class AnswerPrefill(Message):
    """The prompt is being read."""

    conversation_id: int
    message_id: int
    progress: PrefillProgress


@dataclass
class AnswerText(Message):
    """An answer has grown, or its end reads otherwise: `state` is all of it."""

    conversation_id: int
    message_id: int
    state: AnswerState
    n_tokens: int
    """Tokens that are new."""
    beside: bool = False
    """It is written beside the one that is shown."""
    n_pieces: int = 1
    """Pieces of text that the engine sent of it."""


@dataclass
class AnswerEnded(Message):
    """An answer is as long as it will be; `row` is what it came to, None if it never began."""

    conversation_id: int
    row: MessageRow | None
    finished: Finished | None
    ids: tuple[int, ...] = ()
    """All answers that were written at once; `row` is the one of them that is shown."""


@dataclass
class QueueChanged(Message):
    """These messages are sent when the answer has ended, the first one first."""

    queue: tuple[Queued, ...]


@dataclass
class SettingsChanged(Message):
    """The open conversation sets something else for itself."""


@dataclass
class TextReturned(Message):
    """A message was not sent: here is its text back, nothing is lost."""

    conversation_id: int | None
    """Where it was to be said; None: in a new conversation."""
    text: str
    replaces: int | None
    """The message it was to replace."""


@dataclass
class Notice(Message):
    """One calm sentence for the user."""

    text: str


@dataclass
class Problem(Message):
    """Something failed in a way we can explain."""

    error: ChatAppError
