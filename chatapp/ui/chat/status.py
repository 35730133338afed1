"""Folds the facts of a chat into what the status line and the hint line say. Knows no widget.

What the answer is doing is one value (`Doing`), and what Esc does now is read from the same values
that are drawn.

The speed shown during an answer is measured here; the engine's own figure replaces it at the end.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from textual.message import Message as Fact

from chatapp.engine.protocol import Finished, ModelDescription
from chatapp.parts import Reasoning
from chatapp.store.rows import MessageRow, is_temporary
from chatapp.ui.messages import (
    AnswerAsked,
    AnswerEnded,
    AnswerPrefill,
    AnswerStarted,
    AnswerText,
    AnswerWaiting,
    ConversationOpened,
    MessageStored,
    ModelFailed,
    ModelLoading,
    ModelReady,
    QueueChanged,
    Queued,
)
from chatapp.ui.widgets.status_line import StatusFacts
from chatapp.ui.wording import clean_line, grouped, prefill_text


@dataclass(frozen=True, slots=True)
class Nothing:
    """No answer is on its way."""


@dataclass(frozen=True, slots=True)
class Waits:
    """A message waits for the model."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The model was asked, and may have to be started."""


@dataclass(frozen=True, slots=True)
class Reads:
    """The prompt is being read."""

    text: str
    """How far it is."""


@dataclass(frozen=True, slots=True)
class Thinks:
    """The model thinks aloud."""

    n_tokens: int


@dataclass(frozen=True, slots=True)
class Speaks:
    """The answer is being written."""

    begun: bool = True
    """A word of it has come."""


Doing = Nothing | Waits | Asked | Reads | Thinks | Speaks


class ChatStatus:
    """What is going on, in words."""

    def __init__(self, *, temporary: bool, offline: bool, keys: Callable[[str], str]) -> None:
        """`keys` gives the keys of a row of the keymap, for people."""
        self.line = StatusFacts(temporary=temporary, offline=offline)
        self._all_temporary = temporary
        self.editing = ""
        """What is being edited, in words; empty: nothing."""
        self.marked = ""
        """The message that keys for a message act on, in words; empty: none is marked."""
        self.marked_code = False
        """What is marked is a block of code."""
        self.awaited = ""
        """The model that is fetched and that messages wait for."""
        self.doing: Doing = Nothing()
        self.queue: tuple[Queued, ...] = ()
        self._keys = keys
        self._fingerprint = ""
        """The loaded model's."""
        self._last: MessageRow | None = None
        """The last message of the conversation as it was opened."""
        self._hurried = False
        self._loading = ""
        self._failed = False
        self._shown_id: int | None = None
        self._n = 1
        """So many answers are written at once."""
        self._busy_in: int | None = None
        """The conversation that the answer belongs to."""
        self._before = 0
        self._said = 0
        self._first_at = 0.0

    @property
    def answering(self) -> bool:
        """An answer is on its way to the screen."""
        return not isinstance(self.doing, Nothing)

    def hurry(self) -> None:
        """The thought was told to end, and has not yet."""
        self._hurried = True

    @property
    def activity(self) -> str:
        """What the hint line says instead of keys; empty when nothing is going on."""
        here = self.answering and not self._elsewhere
        steps_back = (bool(self.marked), bool(self.editing), here)
        first = steps_back.index(True) if True in steps_back else None  # what Esc does now
        parts = [self._loading]
        if isinstance(self.doing, Waits):
            parts.append(self._waits_for)
        elif self.answering:
            parts.append(self._says_doing + (self._ways_out if first == 2 else ""))
        if waiting := sum(queued.conversation_id == self._shown_id for queued in self.queue):
            more = "1 message waits" if waiting == 1 else f"{waiting} messages wait"
            parts.append(f"{more} – ↑ takes it back")
        if self.editing:
            esc = ", Esc cancels" if first == 1 else ""
            parts.append(f"editing {self.editing} – Enter sends it as a new branch{esc}")
        if self.marked:
            copy, edit = self._keys("copy"), self._keys("edit")
            does = f"{self._keys('messages')} does more" if self.marked_code else f"{edit} edits it"
            parts.append(f"marked: {self.marked} – {copy} copies it, {does}, Esc removes the mark")
        return " · ".join(part for part in parts if part)

    @property
    def _says_doing(self) -> str:
        match self.doing:
            case Asked():
                text = "asking the model"
            case Reads():
                text = self.doing.text
            case Thinks(n_tokens=n_tokens):
                what = "ending its thought" if self._hurried else "thinking"
                text = f"{what}… {grouped(n_tokens)} tokens"
            case _:
                text = f"writing {self._n} answers" if self._n > 1 else "answering"
        return f"{text} in another chat" if self._elsewhere else text

    @property
    def _ways_out(self) -> str:
        if isinstance(self.doing, Thinks) and not self._hurried and not self.line.host:
            return f" – {self._keys('answer_now')} answers now, Esc stops"
        return " – Esc stops"

    @property
    def _elsewhere(self) -> bool:
        return self._busy_in != self._shown_id

    @property
    def _waits_for(self) -> str:
        if self._failed:
            models = self._keys("models")
            return f"your message waits – Enter tries the model again, {models} chooses one"
        if self.awaited:
            return f"your message waits for {self.awaited} – Enter asks the built-in model now"
        return "your message will be sent when the model is ready"

    def apply(self, fact: Fact) -> None:
        """Take note of one fact."""
        match fact:
            case ModelLoading():
                self._failed = False
                self._loading = f"loading {clean_line(fact.name)} {fact.fraction:.0%}"
                self._set_loading(fact)
            case ModelReady():
                self._loading = ""
                self._set_model(fact.model)
                self._set_figures(self._last)
            case ModelFailed():
                self._loading, self._failed = "", True
                choose = f"choose one with {self._keys('models')}"
                self.line = replace(self.line, model="", loading=choose, n_ctx=0)
            case ConversationOpened():
                self._shown_id = fact.conversation.id if fact.conversation else None
                self._last = fact.rows[-1] if fact.rows else None
                temporary = self._all_temporary or is_temporary(self._shown_id)
                self.line = replace(self.line, temporary=temporary)
                self._set_figures(self._last)
            case MessageStored(shown=True):
                self._shown_id = fact.row.conversation_id
            case QueueChanged():
                self.queue = fact.queue
            case _:
                self._follow(fact)

    def _follow(self, fact: Fact) -> None:
        """Take note of what becomes of the answer."""
        match fact:
            case AnswerWaiting():
                self._busy_in = fact.conversation_id
                self.doing = Waits()
            case AnswerAsked():
                self._busy_in = fact.conversation_id
                self.doing, self._hurried = Asked(), False
            case AnswerStarted():
                self.doing, self._n = Speaks(begun=False), fact.n
                self._said = 0
            case AnswerPrefill():
                self.doing = Reads(prefill_text(fact.progress))
                self._before = fact.progress.total
            case AnswerText():
                if not fact.beside:
                    self._hear(fact)
                self._count(fact.n_tokens)
            case AnswerEnded():
                self.doing = Nothing()
                if not self._elsewhere:
                    self._last = fact.row
                if fact.finished is not None and not self._elsewhere:
                    self._set_finished(fact.finished)

    def _set_loading(self, fact: ModelLoading) -> None:
        self.line = replace(
            self.line,
            model=fact.name,
            loading=f"{fact.doing} {fact.fraction:.0%}",
            host="",
            runtime="",
            completion=False,
            n_ctx=0,
            n_past=0,
            prompt_tokens=0,
            tokens_per_second=0.0,
            first_token_s=0.0,
            n_threads=0,
            most_threads=0,
        )

    def _set_model(self, model: ModelDescription) -> None:
        self._fingerprint = model.fingerprint
        self.line = replace(
            self.line,
            model=model.name or model.path,
            loading="",
            layers=model.n_layers + 1,
            gpu_layers=model.gpu_layers,
            host=model.host,
            runtime=model.runtime,
            idle_gpu="pip install" in model.gpu_note,
            completion=not model.chat_template,
            n_ctx=model.n_ctx,
        )

    def _set_figures(self, row: MessageRow | None) -> None:
        """What the last answer of an opened conversation took, if the model that is loaded gave it:
        beside its name another's speed would be wrong."""
        generation = row.generation if row else None
        if generation is not None and generation.fingerprint != self._fingerprint:
            generation = None
        self.line = replace(
            self.line,
            n_past=generation.prompt_tokens + generation.completion_tokens if generation else 0,
            prompt_tokens=generation.prompt_tokens if generation else 0,
            reused_tokens=generation.reused_tokens if generation else 0,
            tokens_per_second=generation.decode_tps if generation else 0.0,
            first_token_s=generation.ttft_s if generation else 0.0,
            n_threads=0,
            most_threads=0,
        )

    def _hear(self, fact: AnswerText) -> None:
        """Whether the model thinks or speaks."""
        parts = fact.state.parts
        if not parts or not isinstance(parts[-1], Reasoning):
            self.doing, self._hurried = Speaks(begun=bool(parts)), self._hurried and not parts
            return
        before = self.doing if isinstance(self.doing, Thinks) else Thinks(0)
        more = fact.n_tokens or fact.n_pieces  # servers send a piece of text a token
        self.doing = replace(before, n_tokens=before.n_tokens + more)

    def _count(self, n_tokens: int) -> None:
        now = time.monotonic()
        if not self._said:
            self._first_at = now
        self._said += n_tokens
        if self._elsewhere:
            return
        self.line = replace(self.line, n_past=self._before + self._said)
        elapsed = now - self._first_at
        if elapsed > 0.5:
            self.line = replace(self.line, tokens_per_second=self._said / elapsed)

    def _set_finished(self, finished: Finished) -> None:
        self.line = replace(
            self.line,
            n_past=finished.n_past or self.line.n_past,
            reused_tokens=finished.usage.reused_tokens,
            prompt_tokens=finished.usage.prompt_tokens,
            tokens_per_second=finished.timings.decode_tokens_per_second,
            first_token_s=finished.timings.time_to_first_token_s,
            n_threads=finished.timings.n_threads,
            most_threads=finished.timings.most_threads,
        )
