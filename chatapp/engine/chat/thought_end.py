"""Ends the thoughts of a turn: after so many tokens, or when the answer is wanted now.

A thought is ended where a line ends, or a little later where no line does, by writing what the
model itself would write: the mark that closes it. It bounds the turn: a thought that begins again
afterwards is ended at once. Nothing is looked at while there is neither a bound nor a wish.
"""

from __future__ import annotations

from chatapp.engine.backend import Cancellation
from chatapp.engine.chat.format import Format
from chatapp.engine.chat.vocabulary import Vocabulary

_GRACE = 40
"""Tokens that a line may still take to end: cut within a sentence, answers get worse."""


class ThoughtEnd:
    """Watches the thoughts of one alternative."""

    def __init__(
        self, vocab: Vocabulary, form: Format, budget: int | None, n_before: int = 0
    ) -> None:
        """`budget`: most tokens of thought in the turn; None: as many as the model likes.
        `n_before`: tokens of thought in the part of the answer that is continued."""
        self._vocab = vocab
        self._closing = closing_of(form)
        self._budget = None if budget is None else max(0, budget - n_before)
        self._late = 0
        self._ended = False
        self._at_line_end = not n_before
        self.n_tokens = 0
        """Tokens of thought since then, their marks included."""
        self.forced: list[int] = []
        """Tokens that come next, whatever the model would say."""

    def saw(self, piece: bytes, wish: Cancellation) -> None:
        """One more token of a thought was written; `forced` is filled if that was the last."""
        self.n_tokens += 1
        self._at_line_end = piece.endswith(b"\n") or (self._at_line_end and not piece.strip())
        if self.forced:
            return
        if wish.answer_now.is_set() and (self._budget is None or self.n_tokens < self._budget):
            self._budget = self.n_tokens
        if self._budget is None or self.n_tokens < self._budget:
            return
        self._late += 1
        if self._at_line_end or self._late > min(_GRACE, max(self._budget, 1)):
            self._force()

    def begins(self, wish: Cancellation) -> None:
        """The next token would be one of a thought: there may be no room for any."""
        hurried = self._budget == 0 or (wish.answer_now.is_set() and not self.n_tokens)
        if self._ended or hurried:
            self._force()

    def _force(self) -> None:
        self._ended = True
        lead = "" if self._at_line_end else "\n"
        self.forced = self._vocab.tokenize(lead + self._closing, special=True)


def closing_of(form: Format) -> str:
    """What a model writes to end a thought and begin its answer."""
    if form.headers:
        head = form.headers
        said = f"{head.channel}final" if head.channel else " to=user"
        return f"{head.ends[0]}{head.start}assistant{said}{head.message}"
    close = form.thoughts.close if form.thoughts else "</think>"
    return f"{close}\n\n{' '.join(form.say_open)}"
