"""A block of code is saved, seen in a pager and run, each when it is asked for."""

import asyncio
import sys
from pathlib import Path

import pytest
from textual.widgets import Input, Static

from chatapp.config import Config, UiConfig
from chatapp.conversation import Message
from chatapp.store import Store
from chatapp.ui.code_files import free_path, suggest_name
from chatapp.ui.forms.save_code import SaveForm
from chatapp.ui.screens.run import RunScreen
from chatapp.ui.widgets.code_walk import CodeBlock
from tests.running.test_run import ESCAPES, is_gone
from tests.ui.terminal import open_terminal
from tests.ui.test_messages_mode import fill, opened
from tests.ui.widgets.test_transcript import screen_rows


def fenced(code: str, language: str = "python") -> str:
    return f"Here:\n\n```{language}\n{code}\n```\n"


def text_of(ui, name: str) -> str:
    return str(ui.app.screen.query_one(f"#{name}", Static).visual)


async def ask_to_run(ui, *keys: str) -> RunScreen:
    await ui.press(*(keys or ("tab", "x")))
    await ui.wait(lambda: isinstance(ui.app.screen, RunScreen))
    await ui.pilot.pause()
    return ui.app.screen


def ended(ui) -> bool:
    return "C copies the output" in ui.app.screen.query_one("#reading-dialog").border_subtitle


# Saving


@pytest.mark.parametrize(
    ("language", "source", "near", "name"),
    [
        ("python", "x = 1", "Put this into `src/tools.py`:", "tools.py"),
        ("python", "# main.py\nx = 1", "Put this into `tools.py`:", "main.py"),
        ("python", "x = 1", "It reads `data.json`:", "code.py"),
        ("python", "class DataLoader:\n    pass", "", "data_loader.py"),
        ("js", "export async function load() {}", "", "load.js"),
        ("", "FROM x", "the `deploy.yaml`", "deploy.yaml"),
        ("", "plain", "../../etc/evil.sh", "evil.sh"),
        ("rust", "fn main() {}", "", "main.rs"),
        ("", "plain", "", "code.txt"),
    ],
)
def test_a_name_is_suggested_from_what_stands_near(tmp_path, language, source, near, name):
    block = CodeBlock(language, source, near)
    assert suggest_name(block, tmp_path) == name
    (tmp_path / name).touch()
    stem, _, ending = name.rpartition(".")
    assert suggest_name(block, tmp_path) == f"{stem}-2.{ending}"


def test_only_a_new_file_in_a_folder_that_is_there_is_written_unasked(tmp_path):
    assert free_path(str(tmp_path / "new.py")) == tmp_path / "new.py"
    assert free_path(str(tmp_path / "gone" / "new.py")) is None
    assert free_path(str(tmp_path)) is None
    assert free_path("") is None


async def test_a_block_is_saved_and_nothing_is_replaced_unasked(run, paths, tmp_path, monkeypatch):
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    chat = fill(paths, fenced("def greet():\n\treturn 1"))
    async with run(conversation_id=chat) as ui:
        await opened(ui, 2)
        await ui.press("tab", "s")
        await ui.wait(lambda: isinstance(ui.app.screen, SaveForm))
        await ui.press("enter")
        await ui.wait((folder / "greet.py").exists)
        await ui.wait(lambda: any("in greet.py (2 lines)" in said for said in ui.notices()))
        assert (folder / "greet.py").read_bytes() == b"def greet():\n\treturn 1\n"
        assert ui.pane.transcript.has_focus
        await ui.press("s")
        await ui.wait(lambda: isinstance(ui.app.screen, SaveForm))
        assert ui.app.screen.query_one(Input).value == "greet-2.py"
        (folder / "mine.py").write_text("mine")
        ui.app.screen.query_one(Input).value = "mine.py"
        await ui.press("enter")
        assert "mine.py is there already" in text_of(ui, "save-note")
        await ui.press("escape", "escape")
        assert (folder / "mine.py").read_text() == "mine"
        await ui.write("/save mine.py")
        await ui.wait(lambda: isinstance(ui.app.screen, SaveForm))
        await ui.wait(lambda: "mine.py is there already" in text_of(ui, "save-note"))
        await ui.press("enter")
        await ui.wait(lambda: (folder / "mine.py").read_text().startswith("def greet"))
        await ui.write("/save third.py")
        await ui.wait((folder / "third.py").exists)
        await ui.write("/save nowhere/x.py")
        await ui.wait(lambda: isinstance(ui.app.screen, SaveForm))
        await ui.wait(lambda: "There is no folder nowhere" in text_of(ui, "save-note"))


async def test_where_no_code_is_it_is_said(run):
    async with run() as ui:
        await ui.write("/run")
        await ui.wait(lambda: any("There is no answer yet" in said for said in ui.notices()))
        ui.pane.prompt.set_prompt("")
        await ui.say("no code")
        await ui.press("tab", "s", "x", "o", "y")
        await ui.wait(
            lambda: any(
                "There is no block of code" in said and "×4" in said for said in ui.notices()
            )
        )


@pytest.mark.parametrize("number", ["3", "0", "-1", "²", "9" * 5000, "1 2"])
async def test_a_block_that_is_not_there_is_said_whatever_its_number(run, paths, number):
    chat = fill(paths, fenced("print(1)") + fenced("print(2)"))
    async with run(conversation_id=chat) as ui:
        await opened(ui, 2)
        await ui.write(f"/copy {number}")
        await ui.wait(lambda: any("There is no code block" in said for said in ui.notices()))
        assert ui.pane.prompt.prompt == f"/copy {number}", "to be mended"
        await ui.write("/copy 02")
        await ui.wait(lambda: ui.app.clipboard == "print(2)")


# Running


async def test_code_runs_when_it_is_told_to_and_its_output_can_be_used(run, paths):
    chat = fill(paths, fenced("print('out' * 2)"))
    async with run(conversation_id=chat) as ui:
        await opened(ui, 2)
        screen = await ask_to_run(ui)
        facts = text_of(ui, "run-facts")
        assert "Python, 1 line: " in facts
        assert "main.py" in facts
        assert "chatapp-run-" in facts
        assert "10 s at most" in facts
        assert "print('out' * 2)" in text_of(ui, "run-text")
        await ui.press("c", "q")
        assert ui.app.screen is screen, "there is no output yet"
        await ui.press("enter")
        await ui.wait(lambda: ended(ui))
        assert text_of(ui, "run-text").strip() == "outout"
        assert text_of(ui, "run-note").startswith("Done after")
        await ui.press("c")
        assert ui.app.clipboard.strip() == "outout"
        await ui.press("enter")
        assert ended(ui), "once is once"
        folder = screen._code.folder
        await ui.press("q")
        await ui.wait(lambda: ui.pane.prompt.text == "```\noutout\n```\n")
        assert not folder.exists()


async def test_nothing_runs_when_it_is_not_told_to(run, paths, tmp_path):
    mark = tmp_path / "ran"
    chat = fill(paths, fenced(f"open({str(mark)!r}, 'w')"))
    async with run(conversation_id=chat) as ui:
        await opened(ui, 2)
        screen = await ask_to_run(ui)
        await ui.press("escape")
        assert ui.pane.transcript.has_focus
        await ui.press("escape")
        await ui.write("/run 1")
        await ui.wait(lambda: isinstance(ui.app.screen, RunScreen))
        await ui.press("escape")
        assert not mark.exists()
        assert not screen._code.folder.exists()


@pytest.mark.parametrize("key", ["escape", "ctrl+c"])
@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found by Linux only")
async def test_a_key_stops_it_with_all_that_it_started(run, paths, key):
    chat = fill(paths, fenced(ESCAPES + "\ntime.sleep(600)"))
    async with run(conversation_id=chat, config=Config(ui=UiConfig(run_seconds=600))) as ui:
        await opened(ui, 2)
        screen = await ask_to_run(ui)
        await ui.press("enter")
        await ui.wait(lambda: screen._code.output.strip().isdecimal())
        assert not is_gone(int(screen._code.output))
        await ui.press(key)
        await ui.wait(lambda: ended(ui))
        assert text_of(ui, "run-note").startswith("Stopped.")
        assert is_gone(int(screen._code.output))
        await ui.press(key)
        assert ui.app.screen is not screen


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found by Linux only")
async def test_nothing_runs_on_when_chatapp_is_left(run, paths):
    chat = fill(paths, fenced(ESCAPES + "\ntime.sleep(600)"))
    async with run(conversation_id=chat, config=Config(ui=UiConfig(run_seconds=600))) as ui:
        await opened(ui, 2)
        screen = await ask_to_run(ui)
        await ui.press("enter")
        await ui.wait(lambda: screen._code.output.strip().isdecimal())
    pid = int(screen._code.output)
    for _ in range(6000):
        if is_gone(pid):
            break
        await asyncio.sleep(0.01)
    assert is_gone(pid)


@pytest.mark.parametrize(
    ("code", "seconds", "said"),
    [
        ("import time\ntime.sleep(600)", 1, "Stopped after 1 s, the limit"),
        ("while True: print('x' * 999)", 600, "Stopped: more output than 64 kB"),
        ("raise SystemExit(3)", 600, "Ended with status 3"),
    ],
)
async def test_how_it_ended_is_said(run, paths, code, seconds, said):
    chat = fill(paths, fenced(code))
    async with run(conversation_id=chat, config=Config(ui=UiConfig(run_seconds=seconds))) as ui:
        await opened(ui, 2)
        await ask_to_run(ui)
        await ui.press("enter")
        await ui.wait(lambda: ended(ui))
        assert text_of(ui, "run-note").startswith(said)


async def test_a_language_that_cannot_be_run_says_so(run, paths):
    chat = fill(paths, fenced("x", "cobol"))
    async with run(conversation_id=chat) as ui:
        await opened(ui, 2)
        await ui.press("tab", "x")
        await ui.wait(lambda: any("how to run cobol" in said for said in ui.notices()))


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (200, 50)])
async def test_the_dialogs_fit_the_screen(run, paths, size):
    chat = fill(paths, fenced("\n".join(f"print({n})" for n in range(60))))
    config = Config(ui=UiConfig(run_seconds=600, sidebar=False))
    async with run(conversation_id=chat, size=size, config=config) as ui:
        await opened(ui, 2)
        screen = await ask_to_run(ui)
        region = screen.query_one("#reading-dialog").region
        assert region.x >= 0
        assert region.right <= size[0]
        assert region.bottom <= size[1]
        assert screen.query_one("#run-scroll").region.bottom < region.bottom
        await ui.press("enter")
        await ui.wait(lambda: ended(ui))
        await ui.wait(lambda: any("59" in row.split() for row in screen_rows(ui.app)))
        assert any("Done after" in row for row in screen_rows(ui.app))
        await ui.press("escape", "s")
        await ui.wait(lambda: isinstance(ui.app.screen, SaveForm))
        await ui.pilot.pause()
        assert ui.app.screen.query_one("#reading-dialog").region.right <= size[0]


# The pager, in a real terminal


def test_the_pager_has_the_terminal_and_gives_it_back(home: Path, tmp_path: Path):
    log = tmp_path / "log"
    pager = tmp_path / "my pager"
    pager.write_text(f'#!/bin/sh\necho "$2" > {log}; stat -c %a "$2" >> {log}; cat "$2" >> {log}\n')
    pager.chmod(0o755)
    home.mkdir(parents=True)
    with Store.open(home / "history.db") as store:
        conversation = store.create_conversation("filled")
        asked = store.add_message(conversation, Message.of("user", "and?"), None).id
        store.add_message(conversation, Message.of("assistant", fenced("a\tb")), asked)
    with open_terminal(home, folder=tmp_path, PAGER=f"'{pager}' -R") as terminal:
        terminal.type(b"\x02")  # the list of chats
        terminal.read_until(b"filled")
        terminal.type(b"\r")
        terminal.read_until(b"Here:")
        terminal.type(b"\t")
        terminal.read_until(b" Again")
        terminal.type(b"o")
        terminal.until(log.exists, "the pager was not opened")
        terminal.until(lambda: len(log.read_text().splitlines()) == 3, "the code was not seen")
        terminal.until(lambda: terminal.is_raw, "the terminal was not taken back")
        name, _, code = log.read_text().splitlines()
        terminal.until(lambda: not Path(name).exists(), "the file was not removed")
    assert name.endswith("/code.py")
    assert code == "a\tb"


def test_a_name_that_no_file_can_have_is_asked_about(tmp_path):
    """Looking for such a file fails in other ways than one that is not there."""
    name = "f" * 300
    block = CodeBlock("python", f"def {name}():\n    pass\n", "")
    assert suggest_name(block, tmp_path).endswith(".py")
    assert free_path(f"{tmp_path}/{name}/x.py") is None
