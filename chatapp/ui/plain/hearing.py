"""The facts of a chat, told in lines: what a transcript and a status line would show."""

import time
from collections.abc import Callable

from textual.message import Message as Fact

from chatapp.engine.protocol import PrefillProgress
from chatapp.guide.wording import NAME, known_in
from chatapp.store.rows import MessageRow, is_temporary
from chatapp.ui.messages import (
    AnswerAsked,
    AnswerEnded,
    AnswerPrefill,
    AnswerStarted,
    AnswerText,
    ConversationOpened,
    Informed,
    MessageStored,
    ModelFailed,
    ModelLoading,
    ModelReady,
    QueueChanged,
    TextReturned,
)
from chatapp.ui.plain.rereading import Rereading
from chatapp.ui.plain.standing import MOST_TOLD
from chatapp.ui.wording import clean_line, prefill_text

PATIENCE_S = 2.0
"""A prompt that is read faster is not told about."""


class Hearing:
    """Hears what the parts of the chat hear."""

    def __init__(
        self, open_id: Callable[[], int | None], rereading: Rereading, say: Callable[[str], None]
    ) -> None:
        """`open_id` is the conversation that is open."""
        self._open_id = open_id
        self._rereading = rereading
        self.say = say
        self._said = ""
        """What has been told of the answer that is being written."""
        self._thought = False
        self.loading, self._doing = "", ""
        """The model that is being loaded, and whether it is converted first."""
        self._asked_at = 0.0
        self._told_tenth = 0
        self.came_back: list[str] = []
        """The texts of messages that could not be sent, until they are."""

    def hear(self, fact: Fact) -> None:
        """Tell a fact of the chat."""
        match fact:
            case ModelLoading() if (fact.name, fact.doing) != (self.loading, self._doing):
                self.loading, self._doing = fact.name, fact.doing
                self.say(f"{fact.doing.capitalize()} {clean_line(fact.name)}.")
            case ModelFailed():
                self.loading = ""
            case ModelReady():
                self.loading, model = "", fact.model
                where = f", {model.runtime}" if model.runtime else ""
                name = clean_line(model.name or model.path)
                self.say(f"Model: {name}, {model.n_ctx} tokens{where}.")
            case ConversationOpened():
                self._tell_opened(fact)
            case MessageStored():
                said = fact.row.content
                self.came_back = [
                    text for text in self.came_back if text.removeprefix("/help ") not in said
                ]
                if fact.shown:
                    self._said, self._thought = "", False
                    self._rereading.follow()
            case Informed():
                self.say(f"({NAME}:\n{known_in(fact.row.parts)})")
            case TextReturned():
                self.came_back.append(fact.text)
                # of what stands in the prompt then only the beginning is told
                whole = f":\n{fact.text}" if len(fact.text) > MOST_TOLD else "."
                self.say(f"Not sent{whole}")
            case QueueChanged():
                self.say(_waiting(len(fact.queue)))
            case AnswerAsked():
                self._asked_at, self._told_tenth = time.monotonic(), 0
            case AnswerPrefill():
                self._tell_progress(fact.progress)
            case AnswerStarted() if self._is_here(fact.conversation_id):
                self._said, self._thought = fact.row.content, False
                if fact.n > 1:
                    self.say(f"{fact.n} answers are being written. The first is told first.")
                self.say("Assistant:")
            case AnswerText(beside=False) if self._is_here(fact.conversation_id):
                self._tell_text(fact.state.text, bool(fact.state.reasoning))
            case AnswerEnded(row=MessageRow() as row) if self._is_here(fact.conversation_id):
                self._tell_end(row)

    def _is_here(self, conversation_id: int) -> bool:
        return conversation_id == self._open_id()

    def _tell_opened(self, fact: ConversationOpened) -> None:
        if fact.conversation is None:
            self.say("A new chat.")
            return
        if is_temporary(fact.conversation.id) and not fact.rows:
            self.say("A temporary chat: nothing of it is kept. Leaving it forgets it.")
            return
        count = len(fact.rows)
        self.say(f"Chat: {clean_line(fact.conversation.title)}, {count} messages.")
        self._rereading.open(fact.rows)
        if fact.rows and fact.rows[-1].status == "streaming":
            self._said = fact.rows[-1].content

    def _tell_progress(self, progress: PrefillProgress) -> None:
        """How far the prompt is read, in tenths, where that takes a while."""
        tenth = 10 * progress.done // max(progress.total, 1)
        if tenth > self._told_tenth and time.monotonic() - self._asked_at > PATIENCE_S:
            self._told_tenth = tenth
            self.say(f"({prefill_text(progress)})")

    def _tell_text(self, text: str, thinks: bool) -> None:
        """Whole lines that are new; what reads otherwise now is told from there again."""
        if thinks and not text and not self._thought:
            self._thought = True
            self.say("(thinking)")
        whole = text[: text.rfind("\n") + 1]
        if whole.startswith(self._said):
            new = whole[len(self._said) :]
            if new.strip():
                self.say(new.rstrip("\n"))
            self._said = whole if new else self._said

    def _tell_end(self, row: MessageRow) -> None:
        content = row.content
        rest = content[len(self._said) :] if content.startswith(self._said) else content
        if rest.strip():
            self.say(rest.strip("\n"))
        if row.status != "complete":
            self.say(f"({row.status})")
        self._said = ""
        self._rereading.follow()


def _waiting(count: int) -> str:
    if count == 1:
        return "1 message waits."
    return f"{count} messages wait." if count else "Nothing waits."
