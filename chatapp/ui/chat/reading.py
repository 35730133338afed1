"""What one does with what was said: copy it, walk its code, save and run that, follow links.

What it is done with is one notion, and drawn: the marked block of code or message, else the last
answer and its last block. Every sentence that tells what was done names it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chatapp.commands.parsing import read_switch
from chatapp.errors import ChatAppError, UsageError
from chatapp.running.programs import find_program
from chatapp.running.run import CodeRun
from chatapp.store.rows import MessageRow
from chatapp.text import cut_text
from chatapp.ui.chat.acting import Acting, name_message
from chatapp.ui.chat.commands import Does
from chatapp.ui.chat.desk import Desk
from chatapp.ui.chat.status import ChatStatus
from chatapp.ui.code_files import extension_of, free_path, suggest_name, write_code
from chatapp.ui.forms.save_code import SaveForm
from chatapp.ui.links import find_links, open_link
from chatapp.ui.screens.links import LinksScreen
from chatapp.ui.screens.run import RunScreen
from chatapp.ui.setup import ChatSetup
from chatapp.ui.widgets.code_walk import CodeBlock, find_blocks
from chatapp.ui.widgets.look import Look
from chatapp.ui.widgets.pane import ConversationPane
from chatapp.ui.wording import count_lines


@dataclass(frozen=True, slots=True)
class CodeTarget:
    """A block of code that something is done with."""

    row: MessageRow
    block: CodeBlock
    number: int
    """Of those of its message, from 1."""
    count: int

    @property
    def words(self) -> str:
        """What it is called in a sentence: `code block 2 of 3 of the answer of 11:42`."""
        if self.count == 1:
            return f"the code of {name_message(self.row)}"
        return f"code block {self.number} of {self.count} of {name_message(self.row)}"


class Reading:
    """Everything one does with what stands on the screen."""

    def __init__(
        self,
        setup: ChatSetup,
        acting: Acting,
        desk: Desk,
        status: ChatStatus,
        pane: ConversationPane,
    ) -> None:
        self._setup = setup
        self._acting = acting
        self._desk = desk
        self._status = status
        self._pane = pane
        look = setup.config.ui
        pane.transcript.look = Look(
            look.measure, look.align == "centre", desk.keys("thinking"), desk.keys("continue")
        )
        self.commands: dict[str, Does] = {
            "copy": self._copy_named,
            "save": self._save_named,
            "run": lambda args: self._run(self._code(args)),
            "raw": self._show_raw,
        }

    # Which one

    def show_mark(self) -> None:
        """The hint line names what is marked."""
        row = self._acting.marked
        self._status.marked = name_message(row) if row else ""
        self._status.marked_code = self._pane.transcript.code.place is not None
        if self._status.marked_code:
            self._status.marked = self._code().words
        self._desk.redraw()

    def _code(self, number: str = "") -> CodeTarget:
        """The marked block of code, else the last of the marked message or the last answer; or the
        one with that number. `UsageError`: there is none."""
        transcript = self._pane.transcript
        place = transcript.code.place
        target = self._acting.target("assistant")
        if target is None:
            raise UsageError("There is no answer yet, and no code.")
        blocks = find_blocks(transcript.item(target.row.id))
        if not blocks:
            raise UsageError(f"There is no block of code in {target.words}.")
        marked = place.number + 1 if place is not None else len(blocks)
        chosen = min(marked, len(blocks))
        if number:
            numbers = {str(one): one for one in range(1, len(blocks) + 1)}
            if number.lstrip("0") not in numbers:
                has = "one block" if len(blocks) == 1 else f"{len(blocks)} blocks"
                shown = cut_text(number, 20)
                raise UsageError(
                    f"There is no code block {shown}: {target.words} has {has} of code."
                )
            chosen = numbers[number.lstrip("0")]
        return CodeTarget(target.row, blocks[chosen - 1], chosen, len(blocks))

    def _with_code(self, does: Callable[[CodeTarget], object]) -> None:
        """Do something with the block of code that is meant, or say why not."""
        try:
            does(self._code())
        except ChatAppError as error:
            self._desk.warn(error)

    # In the messages

    def enter(self) -> None:
        """The messages have the focus: letters are commands from now on, and one is marked."""
        if self._pane.transcript.marked is None:
            self._pane.transcript.mark_next(-1)

    def action_step_message(self, step: int) -> None:
        """Mark the message above or below."""
        self._pane.transcript.mark_next(step, stay=True)

    def action_leave_marked(self) -> None:
        """Go back to the prompt, with the mark."""
        self._pane.prompt.focus()

    def action_walk_code(self, step: int) -> None:
        """Mark the next block of code, or the one before."""
        if not self._pane.transcript.walk_code(step):
            where = "below" if step > 0 else "above"
            self._desk.say(f"There is no block of code {where}.")

    # Copying

    def action_copy(self) -> None:
        """Copy what is marked, or the last answer."""
        if self._pane.transcript.code.place is not None:
            self.action_copy_code()
        else:
            self.action_copy_message()

    def action_copy_message(self) -> None:
        """Copy the marked message, or the last answer."""
        target = self._acting.target("assistant")
        if target is None:
            self._desk.say("There is no answer to copy yet.")
        else:
            self._desk.copy(self._pane.transcript.item(target.row.id).content, target.words)

    def action_copy_code(self) -> None:
        """Copy the block of code."""
        self._with_code(lambda code: self._desk.copy(code.block.source, code.words))

    def _copy_named(self, args: str) -> None:
        if not args or args.lower() == "all":
            self.action_copy_message()
        else:
            code = self._code(args)
            self._desk.copy(code.block.source, code.words)

    # Saving, paging, running

    def action_save_code(self) -> None:
        """Save the block of code in a file."""
        self._with_code(lambda code: self._save(code, ""))

    def _save_named(self, args: str) -> None:
        self._save(self._code(), args)

    def _save(self, code: CodeTarget, name: str) -> None:
        self._desk.work_on(self._ask_and_save(code, name), group="save")

    async def _ask_and_save(self, code: CodeTarget, name: str) -> None:
        path = await asyncio.to_thread(free_path, name)
        if path is None:
            wanted = name or await asyncio.to_thread(suggest_name, code.block, Path())
            path = await self._desk.ask(SaveForm(wanted, code.words))
        if path is not None:
            await write_code(path, code.block.source)
            size = count_lines(code.block.source)
            self._desk.say(f"Saved {code.words} in {path} ({size}).")

    def action_page_code(self) -> None:
        """See the block of code in the user's own pager."""
        self._with_code(
            lambda code: self._desk.work_on(
                self._desk.page(code.block.source, extension_of(code.block.language)), group="page"
            )
        )

    def action_run_code(self) -> None:
        """Run the block of code, after asking."""
        self._with_code(self._run)

    def _run(self, code: CodeTarget) -> None:
        source = code.block.source
        program = find_program(code.block.language, source)
        run = CodeRun(program, source, limit_s=self._setup.config.ui.run_seconds)
        self._desk.open(RunScreen(run, code.words, copy=self._desk.copy), self._quote)

    def _quote(self, output: str | None) -> None:
        if output:
            self._pane.put_before(f"```\n{output.rstrip()}\n```\n")
            self._pane.prompt.focus()

    # Looking

    def action_raw(self) -> None:
        """Show the marked message, or the last answer, as it was written, or no longer."""
        if (target := self._acting.target("assistant")) is not None:
            self._pane.transcript.set_raw_of(target.row.id)

    def _show_raw(self, args: str) -> None:
        transcript = self._pane.transcript
        wanted = read_switch(args)
        transcript.set_raw(not transcript.raw if wanted is None else wanted)
        how = "as they were written" if transcript.raw else "as Markdown"
        self._desk.say(f"Answers are shown {how}.")

    def action_thinking(self) -> None:
        """Show or hide the thinking of the marked message, or of the last answer."""
        if (target := self._acting.target("assistant")) is not None:
            self._pane.transcript.fold(target.row.id)

    def action_links(self) -> None:
        """The links of the marked message, or of the last answer."""
        target = self._acting.target("assistant")
        if target is None:
            self._desk.say("There is no answer yet, and no link.")
            return
        links = find_links(self._pane.transcript.item(target.row.id).content)
        if links:
            self._show_links(links)
        else:
            self._desk.say(f"There is no link in {target.words}.")

    def show_link(self, href: str) -> None:
        """A link was clicked: it is shown whole, and nothing is opened."""
        self._show_links([href])

    def _show_links(self, links: list[str]) -> None:
        def copy(href: str) -> None:
            self._desk.copy(href, "the link")

        async def follow(href: str) -> None:
            self._desk.say(await open_link(href))

        def chosen(href: str | None) -> None:
            if href is not None:
                self._desk.work_on(follow(href), group="link")

        self._desk.open(LinksScreen(links, copy=copy), chosen)

    # Scrolling

    def action_scroll_page(self, step: int) -> None:
        """Scroll the conversation by a page."""
        self._pane.scroll_page(step)

    def action_scroll_line(self, step: int) -> None:
        """Scroll the conversation by a line."""
        self._pane.scroll_line(step)

    def action_oldest(self) -> None:
        """Go to the first message."""
        transcript = self._pane.transcript
        rows = self._acting.rows
        if transcript.has_focus and rows:
            transcript.marked = rows[0].id
        transcript.go_to_start()

    def action_newest(self) -> None:
        """Go to the end."""
        transcript = self._pane.transcript
        rows = self._acting.rows
        if transcript.has_focus and rows:
            transcript.marked = rows[-1].id
        else:
            self._acting.unmark()
        transcript.go_to_end()
