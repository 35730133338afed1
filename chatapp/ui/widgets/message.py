"""One message on the screen: who, what was said, how it stands.

The body grows at its end at a flat cost (`write`, `flush`), and a very long text is read in
slices, so that opening an old chat never holds up the keys. What a user wrote is shown as written;
an answer is Markdown. Everything passes the control filter first.
"""

from dataclasses import replace
from typing import Protocol

from chatapp.guide.wording import NAME
from chatapp.text import strip_controls
from chatapp.ui.markdown.blocks import PlainBlock
from chatapp.ui.markdown.document import StreamingMarkdown
from chatapp.ui.markdown.flow import Line, Run
from chatapp.ui.markdown.places import Span
from chatapp.ui.widgets.growing import GrowingText
from chatapp.ui.widgets.hits import Looked, Said, find_hits, mark_hits, rows_of
from chatapp.ui.widgets.item import MessageItem
from chatapp.ui.widgets.lines import LinesView
from chatapp.ui.widgets.look import Look
from chatapp.ui.widgets.message_requests import ContinueRequested, LinkClicked, SiblingRequested

_MAX_PLAIN = 6_000
_MAX_PLAIN_LINES = 60
"""A longer text of the user is shown up to here, with a line that says how much more was sent."""

_ROLES = {"user": "You", "assistant": "Assistant", "system": "System", "tool": "Tool"}
_CAN_CONTINUE = ("stopped", "interrupted")


_PLAIN = Look()


class _Section(Protocol):
    def height(self, width: int) -> int: ...
    def line(self, y: int, width: int) -> Line: ...


class MessageView(LinesView):
    """Draws a `MessageItem`."""

    DEFAULT_CSS = """
    MessageView {
        padding: 0 1;
        margin-bottom: 1;
        border-left: blank;
        &.-user { border-left: outer $accent 60%; }
        &.-marked { border-left: outer $primary; background: $boost; }
    }
    """

    def __init__(self, item: MessageItem, look: Look = _PLAIN, *, raw: bool = False) -> None:
        super().__init__(classes=f"-{_known(item.role)}")
        self.item = item
        self._look_at_text = look
        self._raw = raw
        self._body = GrowingText()
        self._thoughts = GrowingText()
        self._progress = ""
        self._unfolded = False
        self._tells_key = False
        self._code: int | None = None
        self._code_in: StreamingMarkdown | None = None
        self._sections: list[_Section] = []
        self._said: Said = None
        """What of the sections draws what was said."""
        self._looked = Looked()
        self._hits: list[Span] = []
        self._start(item)

    # What is shown -----------------------------------------------------------------------------

    @property
    def is_behind(self) -> bool:
        """Whether text waits for the next `flush`."""
        return self._body.is_behind or self._thoughts.is_behind

    def write(self, content: str, reasoning: str = "", attached: tuple[str, ...] = ()) -> None:
        """The answer, the thinking before it and what is attached, as far as they are now. Drawn
        at the next `flush`."""
        if reasoning != self.item.reasoning:
            self._progress = ""
        self.item = replace(self.item, content=content, reasoning=reasoning, attached=attached)
        self._body.show(content)
        self._thoughts.show(reasoning)

    def flush(self) -> None:
        """Read what waits, up to `SLICE` characters, and draw it."""
        width = self.content_size.width
        height = self.count_lines(width) if width else 0
        above, begun = self._rows_above_body(width), self._body.document in self._sections
        self._read_slice()
        self._build_sections()
        first = 0
        if begun and self._rows_above_body(width) == above:
            first = above + self._body.document.changed_from(width)
        self.refresh_rows(first, height)

    def set_progress(self, text: str) -> None:
        """A line in place of the answer until more is thought or said; "" for none."""
        self._progress = strip_controls(text)
        self.flush()

    def set_item(self, item: MessageItem) -> None:
        """Show `item`; its body is read again only if it is not the text that was streamed."""
        before, self.item = self.item, item
        ended = before.status == "streaming" and item.status != "streaming"
        same = item.content.rstrip() == self._body.text.rstrip()
        if before.role == item.role and same and (ended or before.status == item.status):
            self._thoughts.show(item.reasoning)
            self._progress = ""
        else:
            self._start(item)
        self.flush()
        self.redraw()

    @property
    def raw(self) -> bool:
        """Whether an answer is shown as it was written."""
        return self._raw

    def set_raw(self, raw: bool) -> None:
        """Show it as it was written, or as Markdown; what is long is read at the next `flush`es."""
        self._raw = raw
        self._body.set_raw(raw)
        self.flush()
        self.redraw()

    def tell_key(self, tells: bool) -> None:
        """Whether the line of the thought names the key that unfolds it."""
        if tells != self._tells_key:
            self._tells_key = tells
            self._build_sections()
            self.redraw()

    def mark_code(self, number: int | None) -> None:
        """Draw one of the blocks of code, counted from 0, as the one that keys act on."""
        self._code, self._code_in = number, None
        self._mark_code()
        self.redraw()

    def code_rows(self, number: int) -> tuple[int, int] | None:
        """First and last row of a block of code; None if it is not drawn as one."""
        width, blocks = self.content_size.width, self._body.document.code_blocks()
        if not width or number >= len(blocks) or self._body.document not in self._sections:
            return None
        above = self._rows_above_body(width)
        first, last = self._body.document.rows_of(blocks[number], width)
        return above + first, above + last

    def action_fold(self) -> None:
        """Show or hide the thinking."""
        self._unfolded = not self._unfolded
        self._build_sections()
        self.redraw()

    def action_sibling(self, step: int) -> None:
        """Ask for another alternative."""
        self.post_message(SiblingRequested(self.item.id, step))

    def action_continue(self) -> None:
        """Ask for the rest."""
        self.post_message(ContinueRequested(self.item.id))

    def action_open_link(self, href: str) -> None:
        """Tell that a link was clicked."""
        self.post_message(LinkClicked(href))

    # Hits --------------------------------------------------------------------------------------

    def look_for(self, looked: Looked) -> None:
        """Make the words that are looked for stand out, now and as the text grows."""
        if looked.wanted or self._looked.wanted:
            self._looked = looked
            self._mark_hits()
            self.redraw()

    def row_of_hit(self, number: int) -> int | None:
        """The row of a hit; None: it has not been read yet."""
        if number >= len(self._hits) or not (width := self.content_size.width):
            return None
        above = 0
        for section in self._sections:
            if section is self._said:
                break
            above += section.height(width)
        return above + self.gutter.top + rows_of(self._said, self._hits[number], width)[0]

    def _mark_hits(self) -> None:
        self._hits = find_hits(self._said, self._looked.wanted)
        mark_hits(self._said, self._hits, self._looked.number_in(self.item.id))

    # Lines -------------------------------------------------------------------------------------

    def count_lines(self, width: int) -> int:
        return sum(self._height(section, width) for section in self._sections)

    def get_line(self, y: int, width: int) -> Line:
        margin, inner = self._look_at_text.frame(width)
        for section in self._sections:
            height = self._height(section, width)
            if y < height:
                if section is self._body.document:
                    return section.line(y, width)
                line = section.line(y, inner)
                if not margin:
                    return line
                runs = [Run(" " * margin), *line.runs]
                return line._replace(runs=runs, lead=line.lead + margin)
            y -= height
        return Line([])

    def _height(self, section: _Section, width: int) -> int:
        """A document keeps to the measure by itself: its code and tables take all of the width."""
        if section is self._body.document:
            return section.height(width)
        return section.height(self._look_at_text.frame(width)[1])

    def _rows_above_body(self, width: int) -> int:
        rows = 0
        for section in self._sections:
            if section is self._body.document or not width:
                break
            rows += self._height(section, width)
        return rows

    def _mark_code(self) -> None:
        """The body's document is another one when its text was replaced."""
        document = self._body.document
        if self._code_in is not document:
            blocks = document.code_blocks() if self._code is not None else []
            known = self._code is not None and self._code < len(blocks)
            document.mark_code(blocks[self._code] if known and self._code is not None else None)
            self._code_in = document if known or self._code is None else None

    def _start(self, item: MessageItem) -> None:
        written = "" if item.role == "user" else item.content  # what a user wrote is not read
        look = self._look_at_text
        self._body = GrowingText(written, measure=look.measure, centred=look.centred, raw=self._raw)
        self._thoughts = GrowingText(item.reasoning)
        self._progress = ""
        self._read_slice()
        self._build_sections()

    def _read_slice(self) -> None:
        self._thoughts.read()
        if self._body.is_behind:
            self._progress = ""
        self._body.read()
        if not self._body.is_behind and self.item.status != "streaming":
            self._body.document.finish()

    def _build_sections(self) -> None:
        item, self._said = self.item, None
        self._mark_code()
        name = _ROLES.get(item.role, strip_controls(item.role))
        head = [Run(name, f"role role-{_known(item.role)}")]
        if item.when:
            head.append(Run(f" · {item.when}", "note"))
        if item.pinned:
            head.append(Run(" · pinned", "note"))
        if self._raw and item.role != "user":
            head.append(Run(" · as it was written", "note"))
        sections: list[_Section] = [PlainBlock(head)]
        if self._thoughts.text:
            sections.append(PlainBlock([self._fold_run()]))
            if self._unfolded:
                sections.append(_Quoted(self._thoughts.document))
        attached = [
            PlainBlock([Run(f"▪ {strip_controls(line)}", "note")]) for line in item.attached
        ]
        if item.role != "assistant":
            sections += attached
        if item.role == "user":
            self._said = written = PlainBlock(_plain_runs(item.content))
            sections.append(written)
        elif self._body.document.blocks:
            self._said = self._body.document
            sections.append(self._body.document)
        elif item.status == "streaming" and not attached and (self._progress or not item.reasoning):
            sections.append(PlainBlock([Run(self._progress or "…", "note")]))
        if item.role == "assistant":  # it calls tools behind what it says
            sections += attached
        if foot := self._foot_runs():
            sections.append(PlainBlock(foot))
        self._sections = sections
        if self._looked.wanted:
            self._mark_hits()

    def _fold_run(self) -> Run:
        words = len(self._thoughts.text) // 6  # an estimate that costs nothing
        thinking = self.item.status == "streaming" and not self._body.document.blocks
        arrow = "▾" if self._unfolded else "▸"
        verb = "thinking" if thinking else "thought"
        text = f"{arrow} {verb} · about {words} words"
        if self.item.role == "user":
            text = f"{arrow} {NAME}"
        if self._tells_key and (key := self._look_at_text.fold_key):
            text += f" – {key} {'hides' if self._unfolded else 'shows'} it"
        return Run(text, "fold", action="fold")

    def _foot_runs(self) -> list[Run]:
        item = self.item
        parts: list[list[Run]] = []
        if item.sibling_count > 1:
            place = f" {item.sibling_index + 1}/{item.sibling_count} "
            back, forth = (
                Run("◂", "action", "", "sibling(-1)"),
                Run("▸", "action", "", "sibling(1)"),
            )
            parts.append([back, Run(place, "note"), forth])
        note = strip_controls(item.note).replace("\n", " ")
        if item.status in _CAN_CONTINUE:
            go_on = f" – {self._look_at_text.continue_key} continues"
            offer = [Run(go_on, "mark", action="continue")] if item.goes_on else []
            parts.append([Run(f"■ {item.status}", "mark"), *offer])
        elif item.status == "failed":
            parts.append([Run(f"✗ failed: {note}" if note else "✗ failed", "error")])
        if note and item.status != "failed":
            parts.append([Run(note, "note")])
        runs: list[Run] = []
        for part in parts:
            runs += [Run("  ", "note"), *part] if runs else part
        return runs


class _Quoted:
    """A document behind a bar."""

    def __init__(self, document: StreamingMarkdown) -> None:
        self._document = document

    def height(self, width: int) -> int:
        return self._document.height(max(width - 2, 1))

    def line(self, y: int, width: int) -> Line:
        line = self._document.line(y, max(width - 2, 1))
        return line._replace(runs=[Run("│ ", "quote"), *line.runs], lead=line.lead + 2)


def count_hits(item: MessageItem, wanted: tuple[str, ...]) -> int:
    """How often the words stand in a message, as it would be drawn."""
    if item.role == "user":
        return len(find_hits(PlainBlock(_plain_runs(item.content)), wanted))
    document = StreamingMarkdown(strip_controls(item.content))
    document.finish()
    return len(find_hits(document, wanted))


def _known(role: str) -> str:
    return role if role in ("user", "assistant") else "system"


def _plain_runs(content: str) -> list[Run]:
    text = strip_controls(content[:_MAX_PLAIN]).expandtabs(4)
    lines = text.split("\n", _MAX_PLAIN_LINES)
    shown = "\n".join(lines[:_MAX_PLAIN_LINES])
    if len(lines) <= _MAX_PLAIN_LINES and len(content) <= _MAX_PLAIN:
        return [Run(text.rstrip())]
    more = len(content) - len(shown)
    return [Run(shown), Run(f"\n[and {more:,} more characters]".replace(",", " "), "note")]
