"""What a file can be like when it is opened, and what we say then."""

import os
import random
import sqlite3
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from chatapp.conversation import Message
from chatapp.errors import StoreError
from chatapp.parts import parts_of
from chatapp.store import Store


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_new_file_is_private_and_in_wal_mode(path: Path) -> None:
    with Store.open(path) as store:
        store.create_conversation("one")
        assert mode(path.parent) == 0o700
        assert {mode(file) for file in path.parent.iterdir()} == {0o600}
        assert {file.name for file in path.parent.iterdir()} == {
            "history.db",
            "history.db-wal",
            "history.db-shm",
        }
    with sqlite3.connect(path) as conn:
        assert conn.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_everything_is_there_again_after_reopening(path: Path) -> None:
    with Store.open(path) as store:
        conversation = store.create_conversation("one", "be brief")
        store.add_message(conversation, Message.of("user", "hello"))
        before = store.get_tree(conversation)
    with Store.open(path) as store:
        assert store.get_tree(conversation) == before
        assert store.schema_version == 4
        assert store.path == path


def test_a_file_others_can_read_is_closed_to_them(path: Path) -> None:
    Store.open(path).close()
    path.chmod(0o644)
    Store.open(path).close()
    assert mode(path) == 0o600


def test_memory_leaves_nothing_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Store.in_memory() as store:
        conversation = store.create_conversation("secret")
        store.add_message(conversation, Message.of("user", "hello"))
        assert [hit.snippet for hit in store.search("hello")] == ["\x02hello\x03"]
        assert store.path is None
        assert store.disk_usage() > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", ["file/history.db", "file/deeper/history.db"])
def test_a_folder_that_cannot_be(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be made or opened") as caught:
        Store.open(tmp_path / below)
    assert "CHATAPP_HOME" in caught.value.hint
    assert "--temporary" in caught.value.hint


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_folder_nobody_can_write() -> None:
    with pytest.raises(StoreError, match="cannot be made or opened"):
        Store.open(Path("/proc/history.db"))


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="Permission denied"):
        Store.open(tmp_path / "history.db")


def test_a_folder_in_place_of_the_file(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreError, match="is not a file"):
        Store.open(path)


def test_a_database_that_turns_read_only(path: Path) -> None:
    with Store.open(path) as store:
        with store.session.reading() as db:
            db.execute("PRAGMA query_only = ON")
        with pytest.raises(StoreError, match="is not writable"):
            store.create_conversation("one")


@pytest.mark.parametrize(
    "content", [b"not a database at all " * 50, b"SQLite format 3\0" + b"\xff" * 4080, b"\0" * 512]
)
def test_garbage_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged or not a database") as caught:
        Store.open(path)
    assert "backup" in caught.value.hint
    assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == ["history.db"]


def test_every_flipped_page_is_an_error_or_harmless(path: Path) -> None:
    with Store.open(path) as store:
        conversation = store.create_conversation("one")
        leaf = None
        for number in range(40):
            leaf = store.add_message(
                conversation, Message.of("user", f"word{number} " * 300), leaf
            ).id
    sound = path.read_bytes()
    rng = random.Random(7)
    refused = []
    for page in range(len(sound) // 4096):
        broken = bytearray(sound)
        broken[page * 4096 : page * 4096 + 512] = rng.randbytes(512)
        path.write_bytes(broken)
        try:
            with Store.open(path, busy_timeout_s=0.1) as store:
                store.find_damage()
                store.list_conversations(query="word1")
                store.search("word3")
                store.get_path(conversation)
                store.get_tree(conversation)
        except StoreError as error:
            refused.append(error.message)
        finally:
            for side in ("-wal", "-shm"):
                path.with_name(path.name + side).unlink(missing_ok=True)
    assert len(refused) > 10
    assert [text for text in refused if "damaged" not in text and "There is no" not in text] == []


def test_damage_is_found(path: Path) -> None:
    with Store.open(path) as store:
        conversation = store.create_conversation("one")
        store.add_message(conversation, Message.of("user", "word " * 5000))
        assert store.find_damage() == []
        with store.session.reading() as db:
            db.execute("PRAGMA ignore_check_constraints = ON")
            db.execute("UPDATE messages SET role = 'nobody'")
            db.execute("PRAGMA ignore_check_constraints = OFF")
        assert store.find_damage() == ["CHECK constraint failed in messages"]


def test_somebody_elses_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as conn:
        conn.execute("CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not a history of chatapp"):
        Store.open(path)
    assert path.read_bytes() == before


def test_a_newer_schema_is_left_alone(path: Path) -> None:
    Store.open(path).close()
    with sqlite3.connect(path) as conn:
        conn.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('chatapp', 'm999_telepathy', '')"
        )
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer version of chatapp") as caught:
        Store.open(path)
    assert "Update chatapp" in caught.value.hint
    assert path.read_bytes() == before


def test_missing_tables_are_damage(path: Path) -> None:
    Store.open(path).close()
    with sqlite3.connect(path) as conn:
        conn.execute("DROP TABLE generations")
    with pytest.raises(StoreError, match="tables are missing"):
        Store.open(path)


def test_locked_by_another_process(path: Path) -> None:
    with Store.open(path, busy_timeout_s=0.05) as store:
        code = f"""if True:
            import sqlite3, sys
            conn = sqlite3.connect({str(path)!r}, isolation_level=None)
            conn.execute("BEGIN IMMEDIATE")
            print("held", flush=True)
            sys.stdin.read()
        """
        holder = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match="locked by another program") as caught:
            store.create_conversation("one")
        assert "Close the program" in caught.value.hint
        with pytest.raises(StoreError, match="locked by another program"):
            Store.open(path, busy_timeout_s=0.05)
        assert store.list_conversations() == []
        holder.communicate()
        store.create_conversation("two")
        assert [row.title for row in store.list_conversations()] == ["two"]


def test_full_disk_keeps_what_was_saved(store: Store) -> None:
    conversation = store.create_conversation("one")
    saved = store.add_message(conversation, Message.of("user", "saved")).id
    answer = store.begin_answer(conversation, saved).id
    with store.session.reading() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreError, match="disk is full") as caught:
        store.add_message(conversation, Message.of("user", "x" * 1_000_000), saved)
    assert "Free some space" in caught.value.hint
    with pytest.raises(StoreError, match="disk is full"):
        store.journal_answer(answer, parts_of("y" * 1_000_000), [])
    store.journal_answer(answer, parts_of("short"), [1])
    assert [row.content for row in store.get_path(conversation)] == ["saved", "short"]
    with store.session.reading() as db:
        db.execute("PRAGMA max_page_count = 1000000")
    store.finish_answer(answer, parts_of("y" * 1_000_000), [1], "complete")
    assert len(store.get_message(answer).content) == 1_000_000
    assert store.find_damage() == []


def test_a_file_that_cannot_grow_from_the_start(path: Path) -> None:
    code = f"""
        import resource, signal
        from pathlib import Path
        from chatapp.errors import StoreError
        from chatapp.store import Store
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
        try:
            Store.open(Path({str(path)!r}))
        except StoreError as error:
            print(error)
    """
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert "history" in child.stdout
    assert "disk" in child.stdout
    assert child.stderr == ""
    with Store.open(path) as store:
        assert store.list_conversations() == []


def test_a_closed_store_says_so(path: Path) -> None:
    store = Store.open(path)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.list_conversations()
