"""Folds the facts of a chat into what the status line and the hint line say. Knows no widget.

The speed shown during an answer is measured here; the engine's own figure replaces it at the end.
"""

import time
from dataclasses import replace

from textual.message import Message as Fact

from chatapp.engine.protocol import Finished, ModelDescription
from chatapp.parts import Reasoning
from chatapp.store.rows import MessageRow
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
)
from chatapp.ui.widgets.status_line import StatusFacts
from chatapp.ui.wording import clean_line, grouped, prefill_text


class ChatStatus:
    """What is going on, in words."""

    def __init__(self, *, temporary: bool, offline: bool, answer_now: str = "Alt+A") -> None:
        """`answer_now`: the key that ends a thought, for people."""
        self.line = StatusFacts(temporary=temporary, offline=offline)
        self.editing = False
        self.marked = False
        """A message is marked: keys for a message act on it."""
        self.hurried = False
        """The thought is to end, and has not yet."""
        self.speaks = False
        """The answer has begun; what the model thinks is behind it."""
        self.awaited = ""
        """The model that is fetched and that messages wait for."""
        self._loading = ""
        self._failed = False
        self._waiting = False
        self._answering = ""
        self._thinks = False
        self._n_thought = 0
        self._answer_now = answer_now
        self._shown_id: int | None = None
        self._busy_in: int | None = None
        """The conversation that the answer belongs to."""
        self._before = 0
        self._said = 0
        self._first_at = 0.0

    @property
    def answering(self) -> bool:
        """An answer is on its way to the screen."""
        return self._waiting or bool(self._answering)

    @property
    def activity(self) -> str:
        """What the hint line says instead of keys; empty when nothing is going on."""
        here = bool(self._answering) and not self._elsewhere
        steps_back = (self.marked, self.editing, here)
        first = steps_back.index(True) if True in steps_back else None  # what Esc does now
        parts = [self._loading]
        if self._answering:
            where = " in another chat" if self._elsewhere else ""
            parts.append(self._answering + where + (self._ways_out if first == 2 else ""))
        if self._waiting:
            parts.append(self._waits_for)
        if self.editing:
            esc = ", Esc cancels" if first == 1 else ""
            parts.append(f"editing – Enter sends it as a new branch{esc}")
        if self.marked:
            parts.append("marked – Alt+C copies it, Ctrl+E edits it, Esc removes the mark")
        return " · ".join(part for part in parts if part)

    @property
    def _ways_out(self) -> str:
        hurries = self._thinks and not self.hurried and not self.line.host
        return f" – {self._answer_now} answers now, Esc stops" if hurries else " – Esc stops"

    @property
    def _elsewhere(self) -> bool:
        return self._busy_in != self._shown_id

    @property
    def _waits_for(self) -> str:
        if self._failed:
            return "your message waits – Enter tries the model again, Ctrl+O chooses one"
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
            case ModelFailed():
                self._loading, self._failed = "", True
                self.line = replace(self.line, model="", loading="choose one with Ctrl+O", n_ctx=0)
            case ConversationOpened():
                self._shown_id = fact.conversation.id if fact.conversation else None
                self._set_figures(fact.rows[-1] if fact.rows else None)
            case MessageStored():
                self._shown_id = fact.row.conversation_id
            case AnswerWaiting():
                self._busy_in = fact.conversation_id
                self._waiting = True
            case AnswerAsked():
                self._busy_in = fact.conversation_id
                self._waiting = False
                self._answering = "asking the model"
                self._thinks = self.speaks = self.hurried = False
                self._n_thought = 0
            case AnswerStarted():
                self._answering = "answering"
                self._said = 0
            case AnswerPrefill():
                self._answering = prefill_text(fact.progress)
                self._before = fact.progress.total
            case AnswerText():
                self._answering = "answering"
                self._follow(fact)
                self._count(fact.n_tokens)
            case AnswerEnded():
                self._waiting = self._thinks = self.hurried = False
                self._answering = ""
                if fact.finished is not None and not self._elsewhere:
                    self._set_finished(fact.finished)

    def _set_loading(self, fact: ModelLoading) -> None:
        self.line = replace(
            self.line,
            model=fact.name,
            loading=f"loading {fact.fraction:.0%}",
            host="",
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
        self.line = replace(
            self.line,
            model=model.name or model.path,
            loading="",
            layers=model.n_layers + 1,
            gpu_layers=model.gpu_layers,
            host=model.host,
            idle_gpu="pip install" in model.gpu_note,
            completion=not model.chat_template,
            n_ctx=model.n_ctx,
        )

    def _set_figures(self, row: MessageRow | None) -> None:
        """What the last answer of an opened conversation took."""
        generation = row.generation if row else None
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

    def _follow(self, fact: AnswerText) -> None:
        """Whether the model thinks or speaks."""
        if not (parts := fact.state.parts):
            return
        self._thinks = isinstance(parts[-1], Reasoning)
        self.speaks = not self._thinks
        if not self._thinks:
            self.hurried = False
            return
        self._n_thought += fact.n_tokens or 1  # servers send a piece of text a token
        what = "ending its thought" if self.hurried else "thinking"
        self._answering = f"{what}… {grouped(self._n_thought)} tokens"

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
