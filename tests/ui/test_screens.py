"""Model picker, help, palette, keys, themes, Ctrl+C, copying."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from textual.color import Color
from textual.widgets import OptionList, Static

from bench.synthetic import TINY, write_model
from chatapp.commands.table import COMMANDS
from chatapp.config import Config, load_config
from chatapp.conversation import Message
from chatapp.remotes import make_remote, save_remotes
from chatapp.store import Store
from chatapp.ui.chat.acting import name_message
from chatapp.ui.forms.long_text import LongTextForm
from chatapp.ui.forms.save_code import SaveForm
from chatapp.ui.keymap import KEYS, bindings, key_of, movable_ids, shown_keys
from chatapp.ui.screens.help import HelpScreen
from chatapp.ui.screens.links import LinksScreen
from chatapp.ui.screens.models import ModelsScreen
from chatapp.ui.screens.plan import PlanScreen
from chatapp.ui.screens.settings import SettingsScreen
from chatapp.ui.widgets.message_requests import LinkClicked


def texts(options: OptionList) -> list[str]:
    return [str(option.prompt) for option in options.options]


async def test_the_picker_describes_files_and_switches(run, paths, tiny_model, monkeypatch):
    monkeypatch.chdir(paths.data)
    paths.models.mkdir()
    shutil.copy(tiny_model, paths.models / "tiny.gguf")
    (paths.models / "broken.gguf").write_bytes(b"GGUF nonsense")
    async with run() as ui:
        engine = ui.client.pid
        await ui.press("ctrl+o")
        await ui.wait(lambda: isinstance(ui.app.screen, ModelsScreen))
        options = ui.app.screen.query_one(OptionList)
        await ui.wait(lambda: any("broken:" in text for text in texts(options)))
        await ui.wait(lambda: any("tiny.gguf" in t and "context" in t for t in texts(options)))
        index = next(i for i, text in enumerate(texts(options)) if "tiny.gguf" in text)
        options.highlighted = index
        await ui.press("enter")
        wanted = str(paths.models / "tiny.gguf")
        await ui.wait(lambda: ui.client.model is not None and ui.client.model.path == wanted)
        assert ui.client.pid != engine
        await ui.wait(lambda: load_config(paths).engine.model == wanted)
        await ui.say("hello")
        assert ui.said() == ["hello", "hello"]


async def test_a_file_that_is_dropped_in_appears(run, paths, tiny_model, monkeypatch):
    monkeypatch.setattr("chatapp.ui.screens.models.WATCH_S", 0.05)
    monkeypatch.chdir(paths.data)
    paths.models.mkdir()
    async with run() as ui:
        await ui.press("ctrl+o")
        await ui.wait(lambda: isinstance(ui.app.screen, ModelsScreen))
        options = ui.app.screen.query_one(OptionList)
        await ui.wait(lambda: len(options.options) == 1)
        (paths.models / "half.gguf").write_bytes(tiny_model.read_bytes()[:100_000])
        await ui.wait(lambda: any("half.gguf" in t and "broken" in t for t in texts(options)))
        shutil.copy(tiny_model, paths.models / "half.gguf")
        await ui.wait(lambda: any("half.gguf" in t and "context" in t for t in texts(options)))
        (paths.models / "half.gguf").unlink()
        await ui.wait(lambda: len(options.options) == 1)


async def test_switching_stops_the_answer_and_keeps_it(run):
    async with run() as ui:
        await ui.write("/words 5000\n/delay 20")
        await ui.streaming()
        await ui.app.chat.models.load(Path("other.gguf"))
        assert ui.path()[1].status == "stopped"
        assert ui.client.model.path == "other.gguf"


async def test_a_failed_switch_goes_back(run, monkeypatch):
    from chatapp.errors import ModelError

    async with run() as ui:
        load = ui.client.load

        async def fail_once(options, on_progress=None):
            if options.path == "bad.gguf":
                raise ModelError("bad.gguf is broken.", "Choose another.")
            return await load(options, on_progress)

        monkeypatch.setattr(ui.client, "load", fail_once)
        assert not await ui.app.chat.models.load(Path("bad.gguf"))
        assert ui.client.model.path == "echo.gguf"
        await ui.wait(lambda: any("bad.gguf is broken" in text for text in ui.notices()))
        await ui.say("hello")
        assert ui.said() == ["hello", "hello"]


async def test_help_has_keys_and_commands_and_a_filter_over_all(run):
    def shown(screen) -> str:
        console = Console(width=80)
        with console.capture() as capture:
            console.print(screen.query_one("#help-text").content)
        return capture.get()

    async with run() as ui:
        await ui.write("/help")
        await ui.wait(lambda: isinstance(ui.app.screen, HelpScreen))
        screen = ui.app.screen
        assert all(command.spelled.split()[0] in shown(screen) for command in COMMANDS)
        await ui.press("shift+tab")
        assert "Ctrl+R" in shown(screen)
        assert "/regenerate" not in shown(screen)
        await ui.press(*"branch")
        await ui.wait(lambda: "/tree" in shown(screen) and "Ctrl+E" in shown(screen))
        assert "Ctrl+Q" not in shown(screen)
        await ui.press("escape")
        assert "Ctrl+Q" in shown(screen)
        await ui.press("escape")
        assert ui.app.screen is ui.app.chat
        await ui.write("/help tag")
        await ui.wait(lambda: any("/tag [TAG ...]: " in notice for notice in ui.notices()))
        await ui.write("/help tga")
        await ui.wait(lambda: any("Did you mean /tag?" in notice for notice in ui.notices()))
        await ui.write("/keys")
        await ui.wait(lambda: isinstance(ui.app.screen, HelpScreen))
        assert ui.app.screen.section == "keys"


async def test_help_opens_and_closes(run):
    async with run() as ui:
        await ui.press("f1")
        await ui.wait(lambda: isinstance(ui.app.screen, HelpScreen))
        await ui.press("f1")
        await ui.wait(lambda: len(ui.app.screen_stack) == 1)


async def test_a_theme_by_its_name(run, paths):
    async with run() as ui:
        await ui.write("/theme contrast")
        await ui.wait(lambda: ui.app.theme == "chatapp-contrast")
        await ui.wait(lambda: load_config(paths).ui.theme == "contrast")
        await ui.write("/theme gruvbax")
        await ui.wait(lambda: any("There is no theme 'gruvbax'" in one for one in ui.notices()))
        assert any("gruvbox" in one for one in ui.notices())
    async with run(config=load_config(paths)) as ui:
        assert ui.app.theme == "chatapp-contrast"


@pytest.mark.parametrize("size", [(40, 10), (50, 20)])
async def test_dialogs_take_the_whole_width_of_a_narrow_terminal(run, size):
    async with run(size=size) as ui:
        for key in ("f1", "ctrl+o", "ctrl+f", "f6", "f4"):
            await ui.press(key)
            await ui.wait(lambda: len(ui.app.screen_stack) > 1)
            await ui.wait(lambda: bool(ui.app.screen.query("#dialog")))
            await ui.pilot.pause(0.1)
            dialog = ui.app.screen.query_one("#dialog")
            assert dialog.region.width == size[0], key
            assert ui.app.screen.region.contains_region(dialog.region), key
            await ui.press("escape")
            await ui.wait(lambda: len(ui.app.screen_stack) == 1)


async def test_a_key_of_the_users_own(run):
    async with run(config=Config(keys={"help": "f8"})) as ui:
        await ui.press("f8")
        await ui.wait(lambda: isinstance(ui.app.screen, HelpScreen))


async def test_the_theme_is_switched_and_remembered(run, paths):
    async with run() as ui:
        assert ui.app.current_theme.dark
        await ui.press("ctrl+t")
        await ui.wait(lambda: not ui.app.current_theme.dark)
        await ui.wait(lambda: load_config(paths).ui.theme == "light")


async def test_control_c_stops_then_clears_then_quits(run):
    async with run() as ui:
        await ui.write("/words 5000\n/delay 20")
        await ui.streaming()
        ui.pane.prompt.set_prompt("a draft")
        await ui.press("ctrl+c")
        await ui.idle()
        assert ui.path()[1].status == "stopped"
        assert ui.pane.prompt.prompt == "a draft"
        await ui.press("ctrl+c")
        assert ui.pane.prompt.prompt == ""
        await ui.press("ctrl+c")
        await ui.wait(lambda: any("again to quit" in text for text in ui.notices()))
        assert ui.app.return_code is None
        await ui.press("ctrl+c")
        await ui.wait(lambda: ui.app.return_code is not None)


async def test_copy_takes_the_last_answer(run):
    async with run() as ui:
        await ui.press("alt+c")
        await ui.wait(lambda: any("no answer to copy" in text for text in ui.notices()))
        await ui.say("to be copied")
        await ui.press("alt+c")
        assert ui.app.clipboard == "to be copied"
        await ui.wait(lambda: any(text.startswith("Copied") for text in ui.notices()))
        said = next(text for text in ui.notices() if text.startswith("Copied"))
        assert said.startswith(f"Copied {name_message(ui.path()[1])} (12 characters). It was sent")


EVIL = "\x1b]52;c;aGk=\x07# A\t*b*\n\x9b31m\u202ec \x1b[2J\x00- d\u2066 👩\u200d👧"
HARMLESS = "# A\t*b*\nc - d 👩\u200d👧"


async def test_what_is_copied_is_harmless_to_paste(run, paths):
    store = Store.open(paths.history)
    conversation = store.create_conversation("evil")
    asked = store.add_message(conversation, Message.of("user", EVIL), None).id
    async with run(store=store, conversation_id=conversation) as ui:
        await ui.wait(lambda: len(ui.flow.rows) == 1)
        await ui.press("ctrl+r")  # the echo engine says it, too
        await ui.wait(lambda: len(ui.flow.rows) == 2)
        await ui.idle()
        assert "\x1b" in ui.path()[1].content
        await ui.press("alt+c")
        assert ui.app.clipboard == HARMLESS
        ui.app.copy_to_clipboard("")
        ui.pane.transcript.reveal(asked)
        await ui.press("alt+c")
        assert ui.app.clipboard == HARMLESS
        ui.pane.post_message(LinkClicked(f"http://b/{EVIL}"))
        await ui.wait(lambda: isinstance(ui.app.screen, LinksScreen))
        await ui.press("c")
        assert ui.app.clipboard == f"http://b/{HARMLESS}"
        await ui.wait(lambda: ui.app.focused is ui.pane.prompt)
        ui.pane.prompt.load_text(EVIL)
        ui.pane.prompt.select_all()
        await ui.press("ctrl+x")
        assert ui.app.clipboard.startswith("# A\t*b*\nc - d")
        assert "\u202e" not in ui.app.clipboard


async def test_the_welcome_gives_way_to_the_conversation(run):
    async with run() as ui:
        switcher = ui.pane.query_one("ContentSwitcher")
        assert switcher.current == "welcome"
        await ui.say("hello")
        assert switcher.current == "transcript"
        await ui.press("ctrl+n")
        await ui.wait(lambda: switcher.current == "welcome")


async def test_everything_fits_80_by_24(run):
    async with run(size=(80, 24)) as ui:
        await ui.say("hello")
        screen = ui.app.chat
        for selector in ("#pane", "#status", "#hints", "#prompt"):
            region = screen.query_one(selector).region
            assert region.right <= 80
            assert region.bottom <= 24
            assert region.height >= 1
        # laid out a frame after the answer is known
        await ui.wait(lambda: ui.pane.transcript.region.height >= 16)


def test_ids_and_keys_are_unique_within_reach():
    assert len({key.id for key in KEYS}) == len(KEYS)
    reach = [key for key in KEYS if key.scope in ("app", "chat")]
    keys = [part for key in reach for part in key.keys.split(",")]
    assert len(set(keys)) == len(keys)


def test_every_row_is_explained():
    for key in KEYS:
        assert key.tooltip.endswith(".")
        assert key.label
        assert key.fixed or key.action
    assert "send" not in movable_ids()
    assert len(bindings("chat")) == len([key for key in KEYS if key.scope == "chat"])


@pytest.mark.parametrize(
    ("key_id", "shown"),
    [
        ("stop", "Esc"),
        ("regenerate", "Ctrl+R"),
        ("newline", "Shift+Enter / Alt+Enter / Ctrl+J"),
        ("rename", "F2"),
        ("previous_version", "Alt+←"),
    ],
)
def test_keys_are_spelt_for_people(key_id, shown):
    assert shown_keys(key_of(key_id), {}) == shown


def test_a_users_key_is_shown():
    assert shown_keys(key_of("help"), {"help": "f8,ctrl+h"}) == "F8 / Ctrl+H"


async def test_the_planner_moves_and_its_choice_is_loaded(run, paths, monkeypatch):
    monkeypatch.chdir(paths.data)
    paths.models.mkdir()
    halves = replace(TINY, n_embd=256, n_head=8)  # heads of 32 numbers fit blocks of q8_0
    write_model(paths.models / "tiny.gguf", halves)
    async with run() as ui:
        await ui.ready()
        await ui.press("ctrl+o")
        await ui.wait(lambda: isinstance(ui.app.screen, ModelsScreen))
        options = ui.app.screen.query_one(OptionList)
        await ui.wait(lambda: any("fits" in text for text in texts(options)))
        options.highlighted = next(i for i, t in enumerate(texts(options)) if "tiny.gguf" in t)
        await ui.press("alt+m")
        await ui.wait(lambda: isinstance(ui.app.screen, PlanScreen))

        def shown() -> str:
            return str(ui.app.screen.query_one("#plan").render())

        await ui.wait(lambda: "8 192" in shown())
        await ui.press("left")
        await ui.wait(lambda: "◂ 4 096 ▸" in shown())
        before = shown()
        await ui.press("k")
        await ui.wait(lambda: "in q8_0" in shown() and shown() != before)
        await ui.press("end")
        await ui.wait(lambda: "◂ 16 384 ▸" in shown())
        await ui.press("left", "enter")
        wanted = str(paths.models / "tiny.gguf")
        await ui.wait(lambda: ui.client.model is not None and ui.client.model.path == wanted)
        assert ui.client.options.n_ctx == 8192
        assert ui.client.options.kv_type == "q8_0"


async def test_remotes_are_in_the_list(run, paths):
    save_remotes({"lab": make_remote("lab", "lab.example:8000")}, paths)
    async with run() as ui:
        await ui.press("ctrl+o")
        await ui.wait(lambda: isinstance(ui.app.screen, ModelsScreen))
        options = ui.app.screen.query_one(OptionList)
        await ui.wait(lambda: any("runs on that server" in text for text in texts(options)))
        (entry,) = (text for text in texts(options) if "lab" in text)
        assert "text goes to lab.example:8000" in entry


async def test_ctrl_c_ends_a_dialog_as_escape_does_and_nothing_waits_for_it(run):
    async with run() as ui:
        await ui.say("```python\nprint(1)\n```")
        await ui.write("/save")
        await ui.wait(lambda: isinstance(ui.app.screen, SaveForm))
        await ui.press("ctrl+c")
        await ui.wait(lambda: ui.app.screen is ui.app.chat)
        await ui.wait(lambda: not any(w.group == "save" and w.is_running for w in ui.app.workers))


async def test_ctrl_c_does_not_throw_a_changed_text_away_in_silence(run):
    async with run() as ui:
        await ui.press("f6")
        await ui.wait(lambda: isinstance(ui.app.screen, SettingsScreen))
        await ui.press("enter")
        await ui.wait(lambda: isinstance(ui.app.screen, LongTextForm))
        form = ui.app.screen
        await ui.press(*"abc", "ctrl+c")
        assert "was changed" in str(form.query_one("#dialog-note", Static).content)
        assert ui.app.screen is form
        await ui.press("ctrl+c")
        await ui.wait(lambda: isinstance(ui.app.screen, SettingsScreen))


def luminance(color: Color) -> float:
    """Relative luminance as WCAG 2 has it."""
    parts = (part / 255 for part in (color.r, color.g, color.b))
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("theme", "least"), [("dark", 4.5), ("light", 4.5), ("contrast", 7.0)])
async def test_words_in_colour_can_be_read(run, theme, least):
    config = replace(Config(), ui=replace(Config().ui, theme=theme))
    async with run(config=config) as ui:
        colours = ui.app.theme_variables
        for ground in ("background", "surface"):
            below = luminance(Color.parse(colours[ground]))
            for name in ("text-accent", "text-warning", "text-success", "text-primary"):
                above = luminance(Color.parse(colours[name]))
                ratio = (max(above, below) + 0.05) / (min(above, below) + 0.05)
                assert ratio >= least, f"{name} on {ground}: {ratio:.1f}"
