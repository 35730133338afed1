"""A text area where one writes: readline's keys, undo by words, and large pastes kept aside.

It knows nothing of sending. All that a key does is done when the key arrives.
"""

from textual.document._document import EditResult, Selection
from textual.document._edit import Edit
from textual.widgets import TextArea

from chatapp.text import strip_controls
from chatapp.ui.widgets.folds import Fold, Folds
from chatapp.ui.widgets.line_commands import Readline, WordHistory, plain

MAX_PASTE_LINES = 20
MAX_PASTE = 4096
"""A paste of more lines or characters is folded."""

MAX_LINES = 1000
MAX_LENGTH = 50_000
"""A text that is there to be changed is folded above these: laying it out holds up the keys."""


class WritingArea(TextArea):
    """A text, with labels for what is folded."""

    def __init__(self, *, placeholder: str = "", id: str | None = None) -> None:  # noqa: A002
        super().__init__(
            id=id,
            placeholder=placeholder,
            highlight_cursor_line=False,
            tab_behavior="focus",
        )
        self.history = WordHistory()
        self.folds = Folds()
        self.readline = Readline(self)

    @property
    def whole_text(self) -> str:
        """The text with folded pastes put back."""
        return self.folds.open(self.text)

    def load_whole(self, text: str) -> None:
        """Begin anew with `text`, the cursor at its end and nothing to undo. Text that is there to
        be edited is folded only where editing it would be slow."""
        self.selection = Selection.cursor((0, 0))
        self.load_text("")
        self.insert_pasted(text, max_lines=MAX_LINES, max_length=MAX_LENGTH)

    def undo(self) -> None:
        """Undo one word, paste, cut or clearing. The cursor waits at the beginning: Textual 8.2.8
        may look at it between taking the text away and putting the cursor back."""
        if self.history.undo_stack:
            self.selection = Selection.cursor((0, 0))
        super().undo()

    def index_of(self, location: tuple[int, int]) -> int:
        """A place in the text as a number of characters."""
        return plain(self).get_index_from_location(location)

    def location_of(self, index: int) -> tuple[int, int]:
        """The other way round."""
        return plain(self).get_location_from_index(index)

    def replace_all(self, text: str) -> None:
        """Put `text` in place of all that is written, to be undone at once."""
        self.history.checkpoint()
        folded = self._folded(strip_controls(text), MAX_LINES, MAX_LENGTH)
        done = self.replace(folded, (0, 0), self.document.end, maintain_selection_offset=False)
        self.move_cursor(done.end_location)

    @property
    def before_cursor(self) -> str:
        """The cursor's line up to the cursor."""
        row, column = self.cursor_location
        return str(self.document[row][:column])

    def replace_before_cursor(self, length: int, text: str) -> None:
        """Put `text` in place of that many characters before the cursor, to be undone at once."""
        self.history.checkpoint()
        at = self.index_of(self.cursor_location)
        start = self.location_of(max(0, at - length))
        done = self.replace(text, start, self.cursor_location, maintain_selection_offset=False)
        self.move_cursor(done.end_location)

    def edit(self, edit: Edit) -> EditResult:
        """Every change of the text comes by here: a label is removed as a whole, never cut in two,
        because half a label would lose what it stands for."""
        start, end = sorted((edit.from_location, edit.to_location))
        cut = self.folds.inside(self.document[start[0]], start[1])
        if cut is not None:
            column = cut.start if start != end else cut.end
            start = (start[0], column)
            end = max(start, end)
        cut = self.folds.inside(self.document[end[0]], end[1])
        if cut is not None:
            end = (end[0], cut.end)
        edit.from_location, edit.to_location = start, end
        return super().edit(edit)

    def insert_pasted(
        self, text: str, *, max_lines: int = MAX_PASTE_LINES, max_length: int = MAX_PASTE
    ) -> None:
        """Put `text` at the cursor, without control characters, folded above these sizes."""
        text = self._folded(strip_controls(text), max_lines, max_length)
        result = self._replace_via_keyboard(text, *self.selection)
        if result is not None:
            self.move_cursor(result.end_location)

    def _folded(self, text: str, max_lines: int, max_length: int) -> str:
        large = len(text) > max_length or text.count("\n") + 1 > max_lines
        return self.folds.add(text) if large else text

    def action_paste(self) -> None:
        """Insert what was cut or copied here last."""
        self.insert_pasted(self.app.clipboard)

    def fold_here(self) -> tuple[int, Fold] | None:
        """The fold that the cursor touches, else the last one of the text, and its row."""
        row, column = self.cursor_location
        if here := self.folds.at(self.document[row], column):
            return row, here
        for number in range(self.document.line_count - 1, -1, -1):
            if folds := list(self.folds.in_line(self.document[number])):
                return number, folds[-1]
        return None

    def action_open_paste(self) -> None:
        """Put a folded paste into the text, where it can be read and changed."""
        if (found := self.fold_here()) is None:
            self.app.notify("There is no folded paste here.")
            return
        row, fold = found
        if len(fold.text) > MAX_LENGTH or fold.text.count("\n") >= MAX_LINES:
            self.app.notify("It is too large to be changed here. Ctrl+X Ctrl+E opens an editor.")
            return
        self.history.checkpoint()
        done = self.replace(
            fold.text, (row, fold.start), (row, fold.end), maintain_selection_offset=False
        )
        self.move_cursor(done.end_location)
