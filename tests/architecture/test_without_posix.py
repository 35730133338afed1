"""Chatting needs nothing that Windows lacks, at import or in its main path.

There is no Windows here. What it lacks is hidden from our code in real processes, the engine and
the template's included; what differs in behaviour (files that are open cannot be replaced, paths,
the console) stays untried.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HIDING = Path(__file__).parent / "without_posix"

CHATTING = """
import importlib, pkgutil, sys
import chatapp
skipped = ("chatapp.train", "chatapp.__main__")
for found in pkgutil.walk_packages(chatapp.__path__, "chatapp."):
    if not found.name.startswith(skipped):
        importlib.import_module(found.name)
        print(found.name)
"""


def run(home: Path, *command: str, given: str = "") -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HIDING), str(ROOT)]),
        "CHATAPP_HOME": str(home),
    }
    return subprocess.run(
        [sys.executable, *command],
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=home,
    )


def test_the_hiding_hides(tmp_path: Path) -> None:
    script = (
        "__name__ = 'chatapp.x'\nimport os, signal\nprint(hasattr(os, 'sysconf'))\nimport fcntl"
    )
    done = run(tmp_path, "-c", script)
    assert done.stdout == "False\n"
    assert "No module named 'fcntl'" in done.stderr


def test_every_module_of_chatting_can_be_imported(tmp_path: Path) -> None:
    done = run(tmp_path, "-c", CHATTING)
    assert done.returncode == 0, done.stderr
    assert "chatapp.ui.chat.screen" in done.stdout.split()


def test_a_question_is_answered_and_kept(tmp_path: Path) -> None:
    asked = run(tmp_path, "-m", "chatapp", "ask", "--max-tokens", "8", "hello")
    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.strip()
    again = run(tmp_path, "-m", "chatapp", "ask", "--continue", "--max-tokens", "8", "and more")
    assert again.returncode == 0, again.stderr
    listed = run(tmp_path, "-m", "chatapp", "history", "list")
    assert "hello" in listed.stdout


def test_a_template_that_never_ends_is_ended(tmp_path: Path) -> None:
    script = """
from chatapp.gguf.sandbox import TemplateProcess
with TemplateProcess(seconds=0.5) as process:
    print(process.render("{{ messages[0] }}", ["fine"]))
    try:
        process.render("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}"
                       "{% endfor %}", [])
    except Exception as error:
        print(error)
"""
    done = run(tmp_path, "-c", script)
    assert done.stdout.splitlines()[0] == "fine", done.stderr
    assert "ran for more than" in done.stdout


def test_the_machine_is_described(tmp_path: Path) -> None:
    done = run(tmp_path, "-m", "chatapp", "doctor")
    assert "Traceback" not in done.stderr, done.stderr


SCREEN = """
import asyncio
from pathlib import Path
from chatapp.config import Config
from chatapp.engine.client import EngineClient
from chatapp.paths import find_paths
from chatapp.store import Store
from chatapp.ui.app import ChatApp

async def main():
    paths = find_paths()
    store, client = Store.open(paths.history), EngineClient(backend="echo")
    app = ChatApp(Config(), paths, store, client, model=Path("echo.gguf"))
    async with app.run_test(size=(80, 24)) as pilot:
        flow = app.chat.flow
        app.chat.pane.prompt.set_prompt("hello there")
        await pilot.press("enter")
        while len(flow.rows) < 2 or flow.answering.busy:
            await asyncio.sleep(0.02)
        print([row.content for row in flow.rows])
        await pilot.press("ctrl+q")
    store.close()

asyncio.run(asyncio.wait_for(main(), 120))
"""


def test_a_chat_on_the_screen(tmp_path: Path) -> None:
    done = run(tmp_path, "-c", SCREEN)
    assert done.stdout == "['hello there', 'hello there']\n", done.stderr
