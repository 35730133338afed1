"""`chatapp history` in a real child process, on a real database."""

import json
import os
import pty
import stat
import subprocess
from pathlib import Path

import pytest

from chatapp.conversation import Message
from chatapp.paths import find_paths
from chatapp.store import Store
from tests.cli.conftest import COMMAND, Run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ids(home: Path) -> list[int]:
    """Two conversations: one English, one Chinese with a hostile title."""
    with Store.open(find_paths().history) as store:
        first = store.create_conversation("Weather")
        asked = store.add_message(first, Message.of("user", "Will it rain in Paris?"), None).id
        store.add_message(first, Message.of("assistant", "Rarely.\x1b[2J"), asked)
        second = store.create_conversation("北京 \x1b[31mred")
        store.add_message(second, Message.of("user", "我爱北京天安门"), None)
    return [first, second]


def test_an_empty_history_says_so(chatapp: Run) -> None:
    done = chatapp("history", "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no conversations" in done.stderr
    assert chatapp("history", "show").returncode == 1
    assert chatapp("history", "export").returncode == 1


def test_list_shows_the_last_used_first(chatapp: Run, ids: list[int]) -> None:
    lines = chatapp("history", "list").stdout.splitlines()
    assert lines[0].split() == ["ID", "LAST", "USED", "TITLE"]
    assert lines[1].startswith(str(ids[1]))
    assert "北京" in lines[1]
    assert "\x1b" not in lines[1]
    assert lines[2].endswith("Weather")
    rows = json.loads(chatapp("history", "list", "--json", "--limit", "1").stdout)
    assert [row["id"] for row in rows] == [ids[1]]
    found = json.loads(chatapp("history", "list", "--json", "--query", "rain").stdout)
    assert [row["id"] for row in found] == [ids[0]]


def test_show_prints_without_escapes(chatapp: Run, ids: list[int]) -> None:
    shown = chatapp("history", "show", str(ids[0])).stdout
    assert "Will it rain in Paris?" in shown
    assert "Rarely." in shown
    assert "\x1b" not in shown
    last = json.loads(chatapp("history", "show", "--json").stdout)
    assert last["id"] == ids[1]
    assert [row["content"] for row in last["messages"]] == ["我爱北京天安门"]


def test_show_of_what_is_not_there(chatapp: Run, ids: list[int]) -> None:
    done = chatapp("history", "show", "999")
    assert done.returncode == 1
    assert "999" in done.stderr
    assert chatapp("history", "show", "abc").returncode == 2


def test_search_finds_words_and_chinese(chatapp: Run, ids: list[int]) -> None:
    done = chatapp("history", "search", "北京")
    assert done.returncode == 0
    assert "我爱北京天安门" in done.stdout
    assert not set(done.stdout) & {"\x02", "\x03", "\x1b"}
    hits = json.loads(chatapp("history", "search", "--json", "rai").stdout)
    assert [(hit["conversation_id"], hit["role"]) for hit in hits] == [(ids[0], "user")]
    assert "\x02" not in hits[0]["snippet"]
    nothing = chatapp("history", "search", "zebra")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert chatapp("history", "search", '"* AND (').returncode == 1


def test_search_marks_hits_on_a_terminal(
    environment: dict[str, str], tmp_path: Path, ids: list[int]
) -> None:
    leader, follower = pty.openpty()
    done = subprocess.run(
        [*COMMAND, "history", "search", "rain"],
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
        check=True,
    )
    os.close(follower)
    seen = os.read(leader, 65536).decode()
    os.close(leader)
    assert done.stderr == b""
    assert "\x1b[1mrain\x1b[0m in Paris" in seen


def test_export_and_import_bring_everything_back(
    chatapp: Run, ids: list[int], tmp_path: Path, home: Path
) -> None:
    file = tmp_path / "saved.json"
    done = chatapp("history", "export", "-f", "json", "-o", str(file))
    assert (done.returncode, done.stdout) == (0, "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (home / "history.db").unlink()
    done = chatapp("history", "import", str(file))
    assert done.returncode == 0, done.stderr
    assert "Imported from chatapp: 2 conversations, 3 messages." in done.stderr
    rows = json.loads(chatapp("history", "list", "--json").stdout)
    assert [row["title"] for row in rows][1] == "Weather"
    again = chatapp("history", "import", "-", stdin=file.read_text(encoding="utf-8"))
    assert "0 conversations, 0 messages; 2 known already" in again.stderr


@pytest.mark.parametrize("name", ["markdown", "html", "json"])
def test_export_to_stdout(chatapp: Run, ids: list[int], name: str) -> None:
    text = chatapp("history", "export", str(ids[0]), "--format", name).stdout
    assert "Will it rain in Paris?" in text
    assert "天安门" not in text
    assert "\x1b" not in text


def test_wrong_exports_and_imports(chatapp: Run, ids: list[int], tmp_path: Path) -> None:
    done = chatapp("history", "export", "--format", "word")
    assert done.returncode == 2
    assert "markdown, json, html" in done.stderr
    done = chatapp("history", "export", "-o", str(tmp_path / "no" / "where.md"))
    assert done.returncode == 1
    assert "No such file" in done.stderr
    for content in ("{}", "nonsense", "[" * 100_000):
        done = chatapp("history", "import", "-", stdin=content)
        assert done.returncode == 2, content[:10]
        assert "Traceback" not in done.stderr
    binary = tmp_path / "x.bin"
    binary.write_bytes(b"{\xff\xff}")
    assert "not UTF-8" in chatapp("history", "import", str(binary)).stderr


def test_delete_asks_and_can_be_undone(chatapp: Run, ids: list[int]) -> None:
    number = str(ids[0])
    refused = chatapp("history", "delete", number, stdin="n\n")
    assert refused.returncode == 130
    assert "Weather" in refused.stderr
    assert "Weather" in chatapp("history", "list").stdout
    done = chatapp("history", "delete", number, "--yes")
    assert done.returncode == 0
    assert f"chatapp history undelete {number}" in done.stderr
    assert "Weather" not in chatapp("history", "list").stdout
    assert chatapp("history", "undelete", number).returncode == 0
    assert "Weather" in chatapp("history", "list").stdout
    assert chatapp("history", "delete", "999", "--yes").returncode == 1
    assert chatapp("history", "delete").returncode == 2


def test_purge_asks_and_removes_for_good(chatapp: Run, ids: list[int], home: Path) -> None:
    number = str(ids[0])
    chatapp("history", "delete", number, "--yes")
    done = chatapp("history", "purge", "--yes")
    assert (done.returncode, "0 conversations removed" in done.stderr) == (0, True)
    refused = chatapp("history", "purge", "--now", stdin="n\n")
    assert refused.returncode == 130
    assert "Weather" in refused.stderr
    assert b"Will it rain" in (home / "history.db").read_bytes()
    done = chatapp("history", "purge", "--now", "--yes")
    assert (done.returncode, done.stdout) == (0, "")
    assert "1 conversation removed for good" in done.stderr
    assert b"Will it rain" not in (home / "history.db").read_bytes()
    assert chatapp("history", "undelete", number).returncode == 1
    assert [row["id"] for row in json.loads(chatapp("history", "list", "--json").stdout)] == [
        ids[1]
    ]


def test_purge_keeps_for_as_long_as_the_settings_say(
    chatapp: Run, ids: list[int], home: Path
) -> None:
    (home / "config.toml").write_text("[history]\nkeep_deleted_days = 0\n")
    chatapp("history", "delete", str(ids[0]), "--yes")
    assert "1 conversation removed" in chatapp("history", "purge", "-y").stderr


def test_thoughts_are_searched_when_asked(chatapp: Run, ids: list[int], home: Path) -> None:
    with Store.open(home / "history.db") as store:
        said = Message.of("assistant", "Rarely.", "An umbrella, perhaps")
        store.add_message(ids[0], said)
    assert chatapp("history", "search", "umbrella").returncode == 1
    found = chatapp("history", "search", "--reasoning", "umbr")
    assert (found.returncode, "umbrella, perhaps" in found.stdout) == (0, True)


def test_backup_is_a_history(chatapp: Run, ids: list[int], tmp_path: Path) -> None:
    file = tmp_path / "copy.db"
    assert chatapp("history", "backup", str(file)).returncode == 0
    with Store.open(file) as store:
        assert len(store.list_conversations()) == 2


def test_a_damaged_history_is_one_sentence(chatapp: Run, home: Path) -> None:
    home.mkdir()
    (home / "history.db").write_bytes(b"no database" * 1000)
    done = chatapp("history", "list")
    assert done.returncode == 1
    assert "history.db" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_is_no_error(
    environment: dict[str, str], tmp_path: Path, ids: list[int]
) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*COMMAND, "history", "export"],
        stdin=subprocess.DEVNULL,
        stdout=write,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")
