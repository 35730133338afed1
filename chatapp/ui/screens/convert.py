"""Convert a model: from a checkpoint on the disk to a chat with it.

The converter is a child process (`chatapp/converter.py`); this screen shows its plan, its steps and
its proof. Leaving while it works asks first, and then stops it.
"""

import asyncio
import contextlib
import shlex
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Select, Static
from textual.widgets._select import SelectCurrent

from chatapp.converter import Converter, Event, can_compare_logits
from chatapp.errors import ChatAppError, ConversionError, UsageError
from chatapp.paths import Paths, expand_home
from chatapp.ui.conversion import (
    AS_SOURCE,
    default_output,
    done_text,
    error_text,
    plan_text,
    questions_text,
    types_of,
)
from chatapp.ui.widgets.answers import Answers
from chatapp.ui.widgets.path_input import PathInput
from chatapp.ui.widgets.steps import Steps

LEAVE_WINDOW_S = 3.0
"""A second Esc within this time cancels and closes."""

_HINT = (
    "A trained checkpoint: a ckpt.pt or .safetensors file, or the folder of a Hugging Face, "
    "litgpt, Meta or torchtune model. Its tokenizer lies beside it.\n\nEnter makes a plan; nothing "
    "is written before Convert."
)


_WRITTEN = ("source", "options")
_Asked = tuple[str, str, tuple[str, ...]]
"""Source, options, and answers as words."""


class ConvertScreen(ModalScreen[Path | None]):
    """Dismissed with the new model file to chat with, or None."""

    CSS_PATH: ClassVar = ["dialog.tcss", "convert.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close")]
    AUTO_FOCUS = "#source"

    def __init__(self, paths: Paths, converter: Converter) -> None:
        super().__init__()
        self._paths = paths
        self._converter = converter
        self._plan: Event | None = None
        self._planned: _Asked | None = None
        self._questioned = ""
        """The source that the answers are about."""
        self._proof: Event = {}
        self._output: Path | None = None
        self._suggested = ""
        self._asked_at = 0.0
        self.activity = ""
        """`planning`, `converting`, or nothing."""

    def compose(self) -> ComposeResult:
        """Fields, what is known, steps, buttons."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Convert a model"
            dialog.border_subtitle = "Tab completes a path · Esc closes"
            with Horizontal(classes="field"):
                yield Label("Source")
                yield PathInput(id="source", placeholder="a checkpoint, or the folder it is in")
            with Horizontal(classes="field"):
                yield Label("Type")
                yield Select(
                    [("as the source", AS_SOURCE)],
                    allow_blank=False,
                    id="type",
                    compact=True,
                    tooltip="How exactly weights are kept: smaller is faster and less exact.",
                )
            with Horizontal(classes="field"):
                yield Label("Output")
                yield PathInput(id="output", placeholder="a file in the models folder")
            with Horizontal(classes="field"):
                yield Label("Options")
                yield Input(
                    id="options",
                    compact=True,
                    placeholder="as for chatapp convert, such as --tokenizer gpt2",
                )
            yield Answers(id="answers")
            with VerticalScroll(id="report"):
                yield Static(_HINT, id="text", markup=False)
            yield Steps(id="steps")
            with Horizontal(id="buttons"):
                yield Button("Plan", id="plan", compact=True, tooltip="Look at the source.")
                yield Button(
                    "Convert", id="convert", compact=True, variant="primary", disabled=True
                )
                yield Button("Cancel", id="cancel", compact=True, variant="warning")
                yield Button("Chat now", id="chat", compact=True, variant="success")

    def on_mount(self) -> None:
        """Show the buttons that do something."""
        self._show_activity("")

    async def on_unmount(self) -> None:
        """However the screen ends, the converter ends with it."""
        await self._converter.stop()

    # Planning

    @on(Input.Submitted)
    def _submitted(self) -> None:
        if self._plan is not None and self._planned == self._asked:
            self.query_one("#convert", Button).focus()
        else:
            self._start_plan()

    @on(Button.Pressed, "#plan")
    def _start_plan(self) -> None:
        if self.activity == "":
            self.run_worker(self._guard(self._make_plan()), group="conversion")

    @on(Input.Changed, "#source")
    async def _forget_answers(self) -> None:
        """They are about another checkpoint."""
        if self.query_one("#source", Input).value != self._questioned:
            await self.query_one(Answers).clear()

    @on(Input.Changed, "#source,#options")
    @on(Answers.Changed)
    def _forget_plan(self) -> None:
        """The plan is of something else now."""
        if self._planned != self._asked:
            self.query_one("#convert", Button).disabled = True

    async def _make_plan(self) -> None:
        self._plan = None
        asked = self._asked
        source, options = self._read_fields()
        self._show_activity("planning")
        self._say(Content("Looking at the source…"))
        async for event in self._events([*options, "--dry-run", "--", source]):
            if event.get("event") == "plan":
                self._plan, self._planned = event, asked
        if self._plan is not None:
            self._show_plan(self._plan, options)

    def _show_plan(self, plan: Event, options: list[str]) -> None:
        select: Select[str] = self.query_one("#type", Select)
        chosen = select.value
        types = types_of(plan, imatrix="--imatrix" in options)
        select.set_options(types)
        labels = {value: label for label, value in types}
        if chosen in labels:
            select.value = chosen
        # the field keeps showing the old label of a value that stays
        select.query_one(SelectCurrent).update(labels[str(select.value)])
        self._suggest_output()
        self._say(plan_text(plan, compares_logits=can_compare_logits()))

    @on(Select.Changed)
    def _suggest_output(self) -> None:
        """A name for the output, unless the user has written one."""
        field = self.query_one("#output", Input)
        if self._plan is not None and field.value in ("", self._suggested):
            chosen = str(self.query_one("#type", Select).value)
            self._suggested = str(default_output(self._paths.models, self._plan, chosen))
            field.value = self._suggested

    # Converting

    @on(Button.Pressed, "#convert")
    def _start(self) -> None:
        if self.activity == "":
            self.run_worker(self._guard(self._convert()), group="conversion")

    async def _convert(self) -> None:
        source, options = self._read_fields()
        written = self.query_one("#output", Input).value.strip()
        output = await asyncio.to_thread(prepare_output, written, self._paths)
        chosen = str(self.query_one("#type", Select).value)
        words = [*options, *(["-q", chosen] if chosen else []), "-o", str(output), "--", source]
        self._proof, self._output = {}, None
        self._show_activity("converting")
        self._say(Content(f"Converting to {output}"))
        done: Event | None = None
        async for event in self._events(words, output):
            self._follow(event)
            done = event if event.get("event") == "done" else done
        if done is None:
            self._say(Content("Cancelled: nothing was written."))
            return
        self._output = Path(str(done["output"]))
        self._say(done_text(done, self._proof))

    def _follow(self, event: Event) -> None:
        steps = self.query_one(Steps)
        match event.get("event"):
            case "step":
                steps.begin(str(event["name"]))
            case "progress":
                steps.advance(str(event["step"]), int(event["done"]), int(event["total"]))
            case "proof":
                self._proof = event
            case "done":
                steps.clear()

    async def _events(
        self, words: list[str], output: Path | None = None
    ) -> AsyncGenerator[Event, None]:
        async with contextlib.aclosing(self._converter.run(words, output)) as events:
            async for event in events:
                yield event

    async def _guard(self, work: Any) -> None:
        """Run `work`; what went wrong is shown, and the buttons are put right."""
        self.query_one(Steps).clear()
        try:
            await work
        except ChatAppError as error:
            self.query_one(Steps).clear()
            await self._show_error(error)
        finally:
            if self.is_attached:
                self._show_activity("")

    async def _show_error(self, error: ChatAppError) -> None:
        if not isinstance(error, ConversionError) or not error.questions:
            self._say(error_text(error))
            return
        self._questioned = self.query_one("#source", Input).value
        await self.query_one(Answers).ask(error.questions)
        self._say(questions_text(error))

    @on(Button.Pressed, "#cancel")
    async def _cancel(self) -> None:
        self.query_one("#cancel", Button).disabled = True
        self.run_worker(self._converter.stop(), group="cancel")

    @on(Button.Pressed, "#chat")
    def _chat(self) -> None:
        self.dismiss(self._output)

    # The rest

    @property
    def busy(self) -> bool:
        """Whether a conversion would be lost."""
        return self.activity == "converting"

    async def action_close(self) -> None:
        """Close; while a conversion runs, the second time."""
        now = time.monotonic()
        if self.busy and now - self._asked_at > LEAVE_WINDOW_S:
            self._asked_at = now
            self.notify("A conversion is running. Esc again cancels it.", timeout=LEAVE_WINDOW_S)
            return
        await self._converter.stop()
        self.dismiss(None)

    @property
    def _asked(self) -> _Asked:
        source, options = (self.query_one(f"#{name}", Input).value for name in _WRITTEN)
        return source, options, tuple(self.query_one(Answers).words)

    def _read_fields(self) -> tuple[str, list[str]]:
        source, options, answers = self._asked
        if not source.strip():
            raise UsageError("There is no source yet.", "Give a checkpoint, or its folder.")
        try:
            return str(expand_home(source.strip())), [*shlex.split(options), *answers]
        except ValueError as error:
            raise UsageError(f"The options cannot be read: {error}.") from None

    def _say(self, text: Content) -> None:
        self.query_one("#text", Static).update(text)
        self.query_one("#report").scroll_home(animate=False)

    def _show_activity(self, activity: str) -> None:
        """Fields rest while the converter works; only the buttons that do something show."""
        self.activity = activity
        working = activity != ""
        for field in self.query("Input, Select"):
            field.disabled = working
        ready = self._plan is not None and self._planned == self._asked
        convert, chat = self.query_one("#convert", Button), self.query_one("#chat", Button)
        cancel = self.query_one("#cancel", Button)
        self.query_one("#plan", Button).disabled = working
        convert.disabled = working or not ready
        cancel.display, cancel.disabled = working, False
        chat.display = self._output is not None and not working
        if working:
            cancel.focus()
        elif chat.display:
            chat.focus()
        elif ready:
            convert.focus()
        elif not self.query_one(Answers).focus_open():
            self.query_one("#source", Input).focus()


def prepare_output(written: str, paths: Paths) -> Path:
    """The output, absolute; makes the models folder, and refuses a file that is there."""
    output = expand_home(written).absolute()
    if not written:
        raise UsageError("There is no output yet.", "Give a file name.")
    if output.exists():
        raise UsageError(f"{output} exists already.", "Choose another name for the output.")
    if output.parent == paths.models:
        paths.models.mkdir(parents=True, exist_ok=True)
    return output
