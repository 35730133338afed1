"""What the open conversation sets for itself: the commands that change it, and what they say.

Without widgets. Every change is kept with the conversation, holds from its next answer on, and is
said in a sentence with what it was before.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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
from chatapp.commands.arguments import read_preset_call, refuse_text
from chatapp.errors import ChatAppError, UsageError
from chatapp.input_file import read_text
from chatapp.library.local import resolve_model
from chatapp.paths import expand_home, spell_path
from chatapp.presets.preset import Filled, Preset
from chatapp.presets.saving import preset_path, save_preset
from chatapp.presets.shelf import OFF, Shelf, read_shelf
from chatapp.sampling import SamplingParams
from chatapp.sampling_input import spell_value
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
            recommended=self._recommended,
            model_name=model.name if model else "",
            n_ctx=model.n_ctx if model else 0,
        )
        return explain(self._flow.settings, self._flow.system, around)

    @property
    def _recommended(self) -> Mapping[str, Any] | None:
        """By the model file; None: a server has the model, or none is loaded."""
        model = self._models.host.model
        return None if model is None or model.host else model.sampling

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

    @property
    def _usual_system(self) -> str:
        """The system prompt without one of the chat's own."""
        preset = self._flow.settings.preset
        return (preset.system if preset else "") or self._setup.config.chat.system

    # The panel

    def action_settings(self) -> None:
        """Show every setting of this chat, to be changed."""
        from chatapp.ui.screens.settings import SettingsScreen

        self._desk.clear_notifications()  # they would lie over the list
        self._desk.open(SettingsScreen(self))

    def spell(self, name: str) -> str:
        """The whole value of a setting, as it is typed."""
        if name == "system":
            return self._flow.system
        if name in (THINK, N_CTX):
            return self._row(name).value
        value = self._flow.layers.explain(self._recommended)[name].value
        return value if isinstance(value, str) else spell_value(value)

    def check(self, name: str, text: str) -> None:
        """`UsageError` if the setting cannot have that value."""
        if name != "system":
            change(self._flow.settings, name, text)

    async def put(self, name: str, text: str) -> str:
        """Set it; a sentence on what it is now."""
        if name == "system":
            return await self._keep_system(text)
        return await self._keep(name, change(self._flow.settings, name, text))

    async def put_back(self, name: str) -> str:
        """As it is without this chat's own value; a sentence on it."""
        if name == "preset":
            return await self._take(None)
        if name == "system":
            return await self._keep_system(self._usual_system)
        if name == "model":
            await self._flow.change(msgspec.structs.replace(self._flow.settings, model=""))
            return "This chat is answered by whatever model is loaded."
        return await self._keep(name, reset(self._flow.settings, name))

    async def list_presets(self) -> Shelf:
        """Every preset there is."""
        return await asyncio.to_thread(read_shelf, self._setup.paths.presets)

    async def take(self, preset: Preset, values: Mapping[str, str]) -> str:
        """Let this chat have a preset; a sentence on it."""
        return await self._take(preset.fill(values))

    def choose_model(self) -> None:
        """Open the list of models."""
        self._models.choose()

    def place_for(self, name: str) -> Path:
        """The file that a preset of that name has; `UsageError` if none can be called so."""
        return preset_path(self._setup.paths.presets, name)

    async def save(self, path: Path) -> str:
        """Write what this chat sets as a preset; a sentence on it. What was there is replaced."""
        flow = self._flow
        preset = flow.settings.preset or Filled(name="")
        made = Filled(
            name=path.stem,
            system=flow.system,
            prompt=preset.prompt,
            sampling=flow.settings.layers(SamplingParams()).given,
            think=flow.settings.choose_think(""),
            model=flow.settings.choose_model(""),
            n_ctx=flow.settings.choose_n_ctx(),
        )
        await asyncio.to_thread(save_preset, path, made, replace=True)
        return f"Saved as {path}. /preset {path.stem} takes it in any chat."

    # Commands

    def set(self, args: str) -> None:
        """`/set [NAME [VALUE]]`."""
        match read_set(args):
            case ShowAll():
                self.action_settings()
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
        if args.lower() in _RESET:
            text = self._usual_system
        else:
            text = "" if args.lower() in _NONE else args
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
            self._desk.work_on(self._read_form(name, expand_home(args)), group="settings")

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
        filled, rest = await asyncio.to_thread(self._fill, args, wants_text=True)
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
        self._desk.say(await self._keep(name, settings))

    async def _keep(self, name: str, settings: ChatSettings) -> str:
        """Let the chat have these settings, of which `name` has changed; a sentence on it."""
        before = self._row(name)
        await self._flow.change(settings)
        now = self._row(name)
        value, was = now.value or "none", before.value or "none"
        same = "as before" if value == was else f"it was {was}"
        if name == N_CTX:
            self._models.reload(self._flow.settings.choose_n_ctx())
        return f"{name} is {value} in this chat ({now.source}); {same}."

    async def _change_system(self, text: str) -> None:
        self._desk.say(await self._keep_system(text))

    async def _keep_system(self, text: str) -> str:
        await self._flow.change_system(text)
        n_past = self._status.line.n_past
        said = f"The system prompt of this chat is now: {text[:_SHOWN]}" if text else ""
        again = f" The next answer reads {grouped(n_past)} tokens again." if n_past else ""
        return f"{said or 'This chat has no system prompt now.'}{again}"

    async def _read_form(self, name: str, path: Path) -> None:
        text = await asyncio.to_thread(read_text, path)
        await self._put(name, change(self._flow.settings, name, text))

    async def _take_preset(self, args: str) -> None:
        if not args:
            shelf = await self.list_presets()
            names = ", ".join(shelf.presets)
            now = self._flow.settings.preset_name
            has = f"This chat has the preset {now}. " if now else ""
            self._desk.say(f"{has}There are: {names}. Your own are files in {shelf.folder}.")
        elif args.lower() in (OFF, *_RESET, "none"):
            self._desk.say(await self._take(None))
        else:
            filled, _ = await asyncio.to_thread(self._fill, args, wants_text=False)
            self._desk.say(await self._take(filled))

    async def _take(self, preset: Filled | None) -> str:
        """Let the chat have a preset, or none; a sentence on it."""
        flow, usual = self._flow, self._setup.config.chat.system
        if preset is None:
            changed = leave_preset(flow.settings, flow.system, usual_system=usual)
        else:
            changed = take_preset(flow.settings, flow.system, preset, usual_system=usual)
        n_ctx = flow.settings.choose_n_ctx()
        await flow.change(changed.settings)
        if changed.settings.choose_n_ctx() != n_ctx:
            self._models.reload(changed.settings.choose_n_ctx())
        if changed.system != flow.system:
            await flow.change_system(changed.system)
        has = f"the preset {preset.name}" if preset else "no preset"
        return f"This chat has {has} now."

    def _fill(self, args: str, *, wants_text: bool) -> tuple[Filled, str]:
        """(the preset with its variables filled, the text behind them)."""
        call = read_preset_call(args)
        if not wants_text:
            refuse_text(call)
        shelf = read_shelf(self._setup.paths.presets)
        return shelf.find(call.name).fill(call.values), call.text

    async def _take_model(self, name: str) -> None:
        setup = self._setup
        path = await asyncio.to_thread(resolve_model, name, setup.config, setup.paths)
        await self._keep_model(path)
        self._models.switch_to(path)

    def remember_model(self, path: Path) -> None:
        """Let the open conversation, a new one too, be answered by this model from now on."""
        self._desk.work_on(self._keep_model(path), group="settings")

    async def _keep_model(self, path: Path) -> None:
        name = spell_path(path)
        await self._flow.change(msgspec.structs.replace(self._flow.settings, model=name))
