"""`chatapp history import` in a real child process: what it says, and what Ctrl+C leaves."""

import json
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.conftest import COMMAND, Run

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "tests" / "export" / "programs"


def test_what_an_import_says(chatapp: Run, tmp_path: Path) -> None:
    done = chatapp("history", "import", str(PROGRAMS / "chatgpt"))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        "Imported from ChatGPT: 2 conversations, 7 messages; 1 without a message left out.",
        "To read: chatapp history show 1",
        (
            "Not carried over: attached files whose text the export does not hold (1);"
            " notes of how long ChatGPT thought (1)."
        ),
        "Passed over 1 file: user.json (it holds no chats of a program that is known).",
    ]
    again = chatapp("history", "import", str(PROGRAMS / "chatgpt"))
    assert again.stderr.startswith(
        "Imported from ChatGPT: 0 conversations, 0 messages; 2 known already"
    )
    chatapp("history", "delete", "-y", "2")
    deleted = chatapp("history", "import", str(PROGRAMS / "chatgpt")).stderr
    assert "Known but deleted here: 1 conversation; to bring it back: chatapp" in deleted
    assert "chatapp history undelete 2" in deleted
    assert "Which river is this?" in chatapp("history", "show", "1").stdout


def test_standard_input_and_names(chatapp: Run, tmp_path: Path) -> None:
    text = (PROGRAMS / "openai" / "messages.json").read_text(encoding="utf-8")
    done = chatapp("history", "import", "-", "--from", "openai", stdin=text)
    assert "Imported from a list of messages: 1 conversation, 4 messages." in done.stderr
    wrong = chatapp("history", "import", "-", "--from", "chatgtp", stdin=text)
    assert wrong.returncode == 2
    assert "no program 'chatgtp'" in wrong.stderr
    assert "chatgpt, claude, openwebui" in wrong.stderr
    other = chatapp("history", "import", "-", "--from", "oterm", stdin=text)
    assert other.returncode == 2
    assert "standard input: it holds no chats" in other.stderr


def test_the_help_names_every_program(chatapp: Run) -> None:
    shown = " ".join(chatapp("history", "import", "--help").stdout.split())
    for words in ("ChatGPT", "~/.lmstudio/conversations", "store.db", "llm logs path"):
        assert words in shown


@pytest.mark.parametrize("name", ["gone.json", "empty.json", "folder"])
def test_an_error_is_one_sentence_and_a_hint(chatapp: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.json").touch()
    (tmp_path / "folder").mkdir()
    done = chatapp("history", "import", name)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert name in done.stderr.splitlines()[0]


def test_control_characters_of_names_are_not_printed(chatapp: Run, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a\x1b[31m.txt").write_text("x")
    (folder / "b.json").write_text('[{"role": "\\u001b[2Jx", "content": "hi"}]')
    done = chatapp("history", "import", str(folder))
    assert done.returncode == 0
    assert "roles called" in done.stderr
    assert "\x1b" not in done.stderr


def count(history: Path) -> int:
    """Conversations in a history that another process is writing."""
    try:
        db = sqlite3.connect(f"file:{history}?mode=ro", uri=True)
        try:
            return int(db.execute("SELECT count(*) FROM conversations").fetchone()[0])
        finally:
            db.close()
    except sqlite3.Error:
        return 0


def test_ctrl_c_leaves_whole_conversations(
    chatapp: Run, environment: dict[str, str], tmp_path: Path, home: Path
) -> None:
    file = tmp_path / "many.json"
    said = [{"role": "user", "content": "word " * 40}, {"role": "assistant", "content": "x " * 40}]
    lines = [{"messages": [{"role": "user", "content": str(n)}, *said]} for n in range(20_000)]
    file.write_text("\n".join(map(json.dumps, lines)))
    child = subprocess.Popen(
        [*COMMAND, "history", "import", str(file)],
        stderr=subprocess.PIPE,
        text=True,
        env=environment | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
    )
    while count(home / "history.db") == 0:
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, said_of_it = child.communicate(timeout=60)
    assert child.returncode == 130
    kept = count(home / "history.db")
    assert 0 < kept < 20_000
    assert f"Stopped. Imported from a list of messages: {kept:,} conversations" in said_of_it
    assert f"{3 * kept:,} messages" in said_of_it
    first = tmp_path / "first.json"
    first.write_text("\n".join(map(json.dumps, lines[: kept + 5])))
    again = chatapp("history", "import", str(first)).stderr
    assert f": 5 conversations, 15 messages; {kept:,} known already" in again
