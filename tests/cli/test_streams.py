"""Closed, full and silent standard streams; files that begin with a byte order mark."""

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chatapp.store import Store
from tests.cli.conftest import COMMAND, Run
from tests.cli.test_tui import Terminal

ROOT = Path(__file__).parents[2]
BOM = "\ufeff"


@pytest.fixture
def shell(environment: dict[str, str], tmp_path: Path):
    """Run `chatapp ARGUMENTS` by a shell that does `redirections` to it."""

    def run(arguments: str, redirections: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", "-c", f"{sys.executable} -m chatapp {arguments} {redirections}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment | {"PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            timeout=120,
            check=False,
        )

    return run


COMMANDS = ["ask hi", "models list", "history list", "--help", "doctor --json"]


@pytest.mark.parametrize("arguments", COMMANDS)
@pytest.mark.parametrize("redirections", ["2>&-", "2>/dev/full", "<&-", "<&- 2>&-"])
def test_missing_talk_changes_no_answer(shell, arguments: str, redirections: str) -> None:
    plain, odd = shell(arguments, ""), shell(arguments, redirections)
    assert odd.returncode == plain.returncode
    assert len(odd.stdout) > 0 or arguments == "history list"
    assert "Traceback" not in odd.stderr


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_full_disk_is_one_sentence(shell, arguments: str) -> None:
    if arguments == "history list":
        shell("ask hi", "")
    done = shell(arguments, ">/dev/full")
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize(
    "arguments", ["ask hi", "bogus", "models info nowhere", "history delete 1"]
)
def test_nothing_at_all_may_be_open(shell, arguments: str) -> None:
    expected = shell(arguments, "").returncode
    assert shell(arguments, "<&- >&- 2>&-").returncode == expected
    assert shell("history list", "").returncode == 0  # nothing was written into the database


def test_a_silent_pipe_is_said(environment: dict[str, str], tmp_path: Path) -> None:
    child = subprocess.Popen(
        [*COMMAND, "ask", "one"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
    )
    assert child.stderr
    assert b"waiting for standard input" in child.stderr.readline()
    out, _ = child.communicate(b"two", timeout=120)
    assert child.returncode == 0
    assert b"one" in out
    assert b"two" in out


def test_a_byte_order_mark_is_no_part_of_a_file(chatapp: Run, home: Path, tmp_path: Path) -> None:
    home.mkdir(exist_ok=True)
    settings = home / "config.toml"
    settings.write_text(f'{BOM}[chat]\nsystem = "be brief"\n', encoding="utf-8")
    (tmp_path / "s.json").write_text(BOM + '{"type": "integer"}', encoding="utf-8")
    (tmp_path / "g.gbnf").write_text(BOM + 'root ::= "yes"', encoding="utf-8")
    real = {"CHATAPP_BACKEND": "llama"}
    done = chatapp("ask", "hi", "--grammar", "g.gbnf", **real)
    assert (done.returncode, done.stdout) == (0, "yes\n"), done.stderr
    done = chatapp("ask", "hi", "--schema", "s.json", "--max-tokens", "4", **real)
    assert done.returncode == 0, done.stderr
    assert chatapp("ask", "hi", stdin=BOM + "there").returncode == 0
    export = chatapp("history", "export", "-f", "json").stdout
    (tmp_path / "e.json").write_text(BOM + export, encoding="utf-8")
    assert "3 known already" in chatapp("history", "import", "e.json").stderr
    chatapp("models", "default", "builtin")
    assert settings.read_bytes().startswith(b"[chat]")
    shown = json.loads(chatapp("history", "show", "--json").stdout)
    assert shown["system"] == "be brief"


def test_files_in_utf_16_are_read_where_they_say_so(chatapp: Run, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"type": "integer"}', encoding="utf-16")
    real = {"CHATAPP_BACKEND": "llama"}
    done = chatapp("ask", "hi", "--schema", "s.json", "--max-tokens", "4", **real)
    assert done.returncode == 0, done.stderr
    export = chatapp("history", "export", "-f", "json").stdout
    (tmp_path / "e.json").write_text(export, encoding="utf-16")
    assert "1 known already" in chatapp("history", "import", "e.json").stderr
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe{")
    bad = chatapp("ask", "hi", "--schema", "bad.json")
    assert (bad.returncode, "not UTF-8" in bad.stderr) == (2, True)


SETTING = '[engine]\nmodel = "gone.gguf"\n'


def test_a_setting_whose_model_is_gone_is_named(chatapp: Run, home: Path) -> None:
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(SETTING)
    done = chatapp("ask", "hi", CHATAPP_BACKEND="llama")
    assert done.returncode == 1
    assert f"([engine] model in {home / 'config.toml'})" in done.stderr
    assert "There is no model gone.gguf" in done.stderr
    assert chatapp(
        "ask", "--max-tokens", "2", "-m", "builtin", "hi", CHATAPP_BACKEND="llama"
    ).stdout


def test_the_chat_opens_with_the_choice_when_the_settings_model_is_gone(
    environment: dict[str, str], tmp_path: Path, home: Path
) -> None:
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(SETTING)
    terminal = Terminal([], environment | {"CHATAPP_BACKEND": "llama"}, tmp_path)
    terminal.read_until(b"gone.gguf")
    assert b"\x1b[?1049h" in terminal.seen
    terminal.read_until(b"fits")  # the list of models has been read
    assert b"[engine] model" in terminal.seen
    terminal.press(b"\r")  # the built-in model
    with ThreadPoolExecutor() as pool:
        code = pool.submit(terminal.read_all)
        while (home / "config.toml").read_text() == SETTING and not code.done():
            time.sleep(0.05)
        terminal.press(b"\x11")
        assert code.result() == 0, terminal.seen[-2000:]
    assert (home / "config.toml").read_text() == '[engine]\nmodel = "builtin"\n'


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_an_answer_in_order(
    environment: dict[str, str], tmp_path: Path, home: Path, number: signal.Signals
) -> None:
    child = subprocess.Popen(
        [*COMMAND, "ask", "/words 5000"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
    )
    assert child.stdout
    assert child.stdout.read(4) == b"word"
    child.send_signal(number)
    _, said = child.communicate(timeout=120)
    assert child.returncode == 128 + number
    assert b"Traceback" not in said
    with Store.open(home / "history.db") as store:
        assert store.recover() == [], "the answer was closed"
        [_, answer] = store.get_path(1)
    assert answer.status in ("stopped", "interrupted")
    assert "word1 word2 ".startswith(answer.content[:12])
    assert [
        path.name for path in home.iterdir() if "tmp" in path.name or ".part" in path.name
    ] == []
