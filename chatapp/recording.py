"""One answer and its row in the store, from its first token to its end.

The row is written from the answer's state and never read back. Several answers that are written at
once have a `Recording` each.
"""

import asyncio
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from chatapp.answer import AnswerState, Tokens, apply
from chatapp.engine.protocol import Delta, Finished
from chatapp.errors import StoreError
from chatapp.store.rows import FinalStatus, GenerationRow, MessageRow, Outcome

if TYPE_CHECKING:
    from chatapp.store import Store


class Recording:
    """Keeps the row of one answer as its state is."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._row: MessageRow | None = None
        self._journalled: AnswerState | None = None
        self._ended: AnswerState | None = None
        """How the answer ended, as it is to be stored."""
        self.state = AnswerState()
        """What is known of the answer."""
        self.unsaved = False
        """The answer's end could not be written: `save` may be tried again."""

    @property
    def message_id(self) -> int:
        """The answer's row; 0 while it does not exist."""
        return self._row.id if self._row else 0

    @property
    def row(self) -> MessageRow | None:
        """The answer's row as it is to be; None while it does not exist."""
        row, state = self._row, self.state
        if row is None:
            return None
        *before, last = row.generations
        ended = last if state.status == "streaming" else _end(last, state.outcome)
        return replace(
            row,
            parts=state.parts,
            tokens=tuple(state.tokens),
            status=state.status,
            generations=(*before, ended),
        )

    @property
    def says_nothing(self) -> bool:
        """It was ended before its first word."""
        return not self.state.parts and self.state.status != "complete"

    def begin(self, row: MessageRow) -> None:
        """The row exists; it may say something already."""
        self._row = row
        self.state = self._journalled = AnswerState(row.parts, Tokens(row.tokens), salt=row.uid)

    def lose_version(self, *, is_before: bool) -> None:
        """One of the versions beside it has gone."""
        if (row := self._row) is not None:
            self._row = replace(
                row,
                sibling_index=row.sibling_index - is_before,
                sibling_count=row.sibling_count - 1,
            )

    def take(self, event: Delta | Finished, index: int) -> None:
        """An event about alternative `index`, which this is."""
        self.state = apply(self.state, event, index)

    async def journal(self) -> None:
        """Write what there is, if it is not what was written last."""
        state = self.state
        if state is self._journalled:
            return
        self._journalled = state
        try:
            await asyncio.to_thread(
                self._store.journal_answer, self.message_id, state.parts, state.tokens
            )
        except StoreError:  # the answer goes on; if its end cannot be written, that is said
            return

    def save(self) -> None:
        """Write the answer as it ended; the store is asked, so not on the event loop."""
        if self._row is None:
            return
        state = self._ended = self._ended or self.state
        self.unsaved = True
        try:
            self._store.finish_answer(
                self.message_id, state.parts, state.tokens, _final(state), outcome=state.outcome
            )
        except StoreError:  # the screen keeps the text; the row is as the journal left it
            self.state = replace(state, status="interrupted")
            raise
        self.state = state
        self.unsaved = False

    def drop(self) -> bool:
        """Remove the row of an answer that says nothing; False: it stays, and is to be saved."""
        if self._row is None:
            return False
        self.unsaved = True
        if self._store.drop_answer(self._row.id):
            self._row, self.unsaved = None, False
        return self._row is None


def _end(generation: GenerationRow, outcome: Outcome) -> GenerationRow:
    """The run with what came of it."""
    known = {entry.name: getattr(outcome, entry.name) for entry in fields(outcome)}
    if outcome.seed < 0:
        del known["seed"]
    return replace(generation, **known)


def _final(state: AnswerState) -> FinalStatus:
    return "interrupted" if state.status == "streaming" else state.status
