"""What the open conversation sets for itself: the commands that change it, and what they say.

Without widgets. Every change is kept with the conversation, holds from its next answer on, and is
said in a sentence with what it was before.
"""

import asyncio
import shlex
from collections.abc import Callable
from pathlib import Path

import msgspec

from chatapp.chat_changes import (
    N_CTX,
    THINK,
    Change,
    Reset,
    ShowAll,
    change,
    leave_preset,
    read_set,
    reset,
    take_preset,
)
from chatapp.chat_rows import Row, Surroundings, explain
from chatapp.chat_settings import ChatSettings
from chatapp.errors import ChatAppError, UsageError
from chatapp.input_file import read_text
from chatapp.library.local import resolve_model
from chatapp.presets.preset import Filled
from chatapp.presets.shelf import OFF, read_shelf
from chatapp.ui.chat.commands import Does
from chatapp.ui.chat.desk import Desk
from chatapp.ui.chat.flow import ChatFlow
from chatapp.ui.chat.models import Models
from chatapp.ui.chat.status import ChatStatus
from chatapp.ui.setup import ChatSetup
from chatapp.ui.wording import clean_line, grouped

_RESET = ("reset", "default")
_NONE = ("none", "off")
_SHOWN = 200
"""Characters of a text that are shown in a sentence."""


class OwnSettings:
    """The conversation's settings, system prompt and preset."""

    def __init__(
        self,
        setup: ChatSetup,
        flow: ChatFlow,
        desk: Desk,
        models: Models,
        status: ChatStatus,
        *,
        write: Callable[[str], object],
    ) -> None:
        """`write` puts a text into the prompt."""
        self._setup = setup
        self._flow = flow
        self._desk = desk
        self._models = models
        self._write = write
        self._status = status
        self.commands: dict[str, Does] = {
            "system": self.system,
            "set": self.set,
            "preset": self.preset,
            "model": self.model,
            "think": self.think,
            "schema": lambda args: self.form("json_schema", args),
            "grammar": lambda args: self.form("grammar", args),
            "template": self.template,
        }

    async def begin(self) -> None:
        """Take the preset that the settings name for new conversations."""
        name = self._setup.config.chat.preset
        if not name:
            return
        try:
            shelf = await asyncio.to_thread(read_shelf, self._setup.paths.presets)
            filled = shelf.find(name).fill({})
        except ChatAppError as error:
            where = f"[chat] preset in {self._setup.paths.settings}"
            raise UsageError(f"{where}: {error.message}", error.hint) from error
        await self._flow.begin_with(ChatSettings(preset=filled))

    def rows(self) -> list[Row]:
        """Every setting of the open conversation, explained."""
        model = self._models.host.model
        around = Surroundings(
            config=self._setup.config,
            recommended=None if model is None or model.host else model.sampling,
            model_name=model.name if model else "",
            n_ctx=model.n_ctx if model else 0,
        )
        return explain(self._flow.settings, self._flow.system, around)

    @property
    def summary(self) -> str:
        """What is set here, in a few words for the status line; empty: nothing."""
        changed = [row for row in self.rows() if row.changed]
        named = [row.value for row in changed if row.name == "preset"]
        others = [row for row in changed if row.name not in ("preset", "model")]
        words = [f"{row.name} {row.value}" for row in others if row.name != "system"]
        words += ["own system prompt"] if any(row.name == "system" for row in others) else []
        if len(words) > 2:
            words = [f"{len(words)} settings of its own"]
        return clean_line(" · ".join([*named, *words]))

    # Commands

    def set(self, args: str) -> None:
        """`/set [NAME [VALUE]]`."""
        match read_set(args):
            case ShowAll():
                self._desk.say(self.summary or "This chat sets nothing of its own.")
            case Reset(name):
                self._change(name, reset(self._flow.settings, name))
            case Change(name, text):
                self._change(name, change(self._flow.settings, name, text))

    def system(self, args: str) -> None:
        """`/system [TEXT | none | reset]`."""
        if not args:
            text = self._flow.system
            shown = f"The system prompt of this chat: {text[:_SHOWN]}" if text else ""
            self._desk.say(shown or "This chat has no system prompt. /system TEXT gives it one.")
            return
        text = "" if args.lower() in _NONE else args
        if args.lower() in _RESET:
            text = self._setup.config.chat.system
        self._desk.work_on(self._change_system(text), group="settings")

    def think(self, args: str) -> None:
        """`/think [on | off | low | medium | high | N | reset]`."""
        if not args:
            row = self._row(THINK)
            value = row.value or "as the model does by itself"
            self._desk.say(f"Thinking: {value} (from: {row.source}). It may be: {row.bounds}.")
        elif args.lower() in _RESET:
            self._change(THINK, reset(self._flow.settings, THINK))
        else:
            self._change(THINK, change(self._flow.settings, THINK, args))

    def form(self, name: str, args: str) -> None:
        """`/schema [FILE | off]` and `/grammar [FILE | off]`; `name` is the parameter."""
        if not args:
            row = self._row(name)
            self._desk.say(f"{name}: {row.value or 'none'} (from: {row.source}).")
        elif args.lower() in (*_NONE, *_RESET):
            self._change(name, reset(self._flow.settings, name))
        else:
            self._desk.work_on(self._read_form(name, Path(args).expanduser()), group="settings")

    def context(self, n_ctx: str) -> None:
        """`/context N`."""
        self._change(N_CTX, change(self._flow.settings, N_CTX, n_ctx))

    def preset(self, args: str) -> None:
        """`/preset [NAME [VARIABLE=VALUE ...] | off]`."""
        self._desk.work_on(self._take_preset(args), group="settings")

    def model(self, args: str) -> None:
        """`/model [NAME]`."""
        if args:
            self._desk.work_on(self._take_model(args), group="settings")
        else:
            self._models.choose()

    def template(self, args: str) -> None:
        """`/template NAME [VARIABLE=VALUE ...] [TEXT]`."""
        self._desk.work_on(self._write_template(args), group="settings")

    async def _write_template(self, args: str) -> None:
        filled, rest = await asyncio.to_thread(self._fill, args)
        if not filled.prompt:
            raise UsageError(
                f"The preset {filled.name} has no prompt.",
                f"/preset {filled.name} takes all of it.",
            )
        asks = rest or not filled.wants_text
        self._write(filled.compose(rest) if asks else filled.prompt)

    # What they do

    def _row(self, name: str) -> Row:
        return next(row for row in self.rows() if row.name == name)

    def _change(self, name: str, settings: ChatSettings) -> None:
        self._desk.work_on(self._put(name, settings), group="settings")

    async def _put(self, name: str, settings: ChatSettings) -> None:
        before = self._row(name)
        await self._flow.change(settings)
        now = self._row(name)
        value, was = now.value or "none", before.value or "none"
        same = "as before" if value == was else f"it was {was}"
        self._desk.say(f"{name} is {value} in this chat ({now.source}); {same}.")
        if name == N_CTX:
            self._models.reload(self._flow.settings.n_ctx)

    async def _change_system(self, text: str) -> None:
        await self._flow.change_system(text)
        self._say_system()

    def _say_system(self) -> None:
        text, n_past = self._flow.system, self._status.line.n_past
        said = f"The system prompt of this chat is now: {text[:_SHOWN]}" if text else ""
        again = f" The next answer reads {grouped(n_past)} tokens again." if n_past else ""
        self._desk.say(f"{said or 'This chat has no system prompt now.'}{again}")

    async def _read_form(self, name: str, path: Path) -> None:
        text = await asyncio.to_thread(read_text, path)
        await self._put(name, change(self._flow.settings, name, text))

    async def _take_preset(self, args: str) -> None:
        flow, usual = self._flow, self._setup.config.chat.system
        if not args:
            shelf = await asyncio.to_thread(read_shelf, self._setup.paths.presets)
            names = ", ".join(shelf.presets)
            now = flow.settings.preset_name
            has = f"This chat has the preset {now}. " if now else ""
            self._desk.say(f"{has}There are: {names}. Your own are files in {shelf.folder}.")
            return
        if args.lower() in (OFF, *_RESET, "none"):
            changed = leave_preset(flow.settings, flow.system, usual_system=usual)
            said = "This chat has no preset now."
        else:
            filled, rest = await asyncio.to_thread(self._fill, args)
            if rest:
                raise UsageError(
                    f"/preset takes values for variables, not {rest[:40]!r}.",
                    f"/template {filled.name} puts a text into its prompt.",
                )
            changed = take_preset(flow.settings, flow.system, filled, usual_system=usual)
            said = f"This chat has the preset {filled.name} now."
        await flow.change(changed.settings)
        if changed.system != flow.system:
            await flow.change_system(changed.system)
        self._desk.say(said)

    def _fill(self, args: str) -> tuple[Filled, str]:
        """(the preset with its variables filled, the text behind them)."""
        name = args.split(maxsplit=1)[0]
        preset = read_shelf(self._setup.paths.presets).find(name)
        rest = args[len(name) :].strip()
        values: dict[str, str] = {}
        while rest:
            word = _first_word(rest)
            key, equals, value = word.partition("=")
            if not equals or not key.isidentifier():
                break
            values[key] = _unquote(value)
            rest = rest[len(word) :].lstrip()
        return preset.fill(values), rest

    async def _take_model(self, name: str) -> None:
        setup = self._setup
        path = await asyncio.to_thread(resolve_model, name, setup.config, setup.paths)
        await self._flow.change(msgspec.structs.replace(self._flow.settings, model=str(path)))
        self._models.switch_to(path)


def _first_word(text: str) -> str:
    """The first word; what stands in quotes belongs to it."""
    quote = ""
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character.isspace():
            return text[:place]
    return text


def _unquote(value: str) -> str:
    try:
        return " ".join(shlex.split(value))
    except ValueError:  # an open quote: it is part of the value
        return value
