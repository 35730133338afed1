"""An older file becomes a new one: whole or not at all, alone, with a copy beside it."""

import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from bench.migration import (
    export_all,
    import_old_export,
    is_old,
    kill_in_the_middle,
    render_old_export,
    write_old_history,
)
from chatapp.errors import StoreError
from chatapp.store import Store
from chatapp.store.rows import Purged
from chatapp.store.upgrade import copy_of


@pytest.fixture
def old(path: Path) -> Path:
    write_old_history(path, 300)
    return path


def digest(path: Path) -> bytes:
    return path.read_bytes()


def test_nothing_is_lost(old: Path) -> None:
    wanted = import_old_export(render_old_export(old))
    with Store.open(old) as store:
        assert export_all(store) == wanted
        assert store.find_damage() == []
        assert store.search("bread weather") != []
        assert store.search("hm thought", reasoning=True) != []
        with store.session.reading() as db:
            assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    with Store.open(old) as store:
        assert export_all(store) == wanted


def test_what_is_found_is_what_was_indexed(old: Path) -> None:
    with Store.open(old) as store:
        for row in store.list_conversations(limit=3):
            store.rename_conversation(row.id, "renamed")
            for message in store.read_tree(row.id):
                if message.role == "assistant" and message.status == "complete":
                    store.resume_answer(message.id)
                    store.finish_answer(message.id, (), [], "stopped")
            store.delete_conversation(row.id)
        with store.session.reading() as db:
            db.execute("INSERT INTO message_fts (message_fts) VALUES ('integrity-check')")
        store.empty_bin()
        assert store.list_conversations(query="renamed") == []


def test_numbers_go_on_where_they_were(old: Path) -> None:
    conn = sqlite3.connect(old)
    last = dict(conn.execute("SELECT name, seq FROM sqlite_sequence"))
    assert last["conversations"] > conn.execute("SELECT max(id) FROM conversations").fetchone()[0]
    conn.close()
    with Store.open(old) as store:
        assert store.create_conversation("new") == last["conversations"] + 1
        with store.session.reading() as db:
            after = dict(db.execute("SELECT name, seq FROM sqlite_sequence"))
    assert after == last | {"conversations": last["conversations"] + 1}


def test_whoever_is_killed_leaves_the_old_file_or_the_new(old: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.db"
    shutil.copy(old, kept)
    wanted = import_old_export(render_old_export(kept))
    began = time.perf_counter()
    Store.open(old).close()
    took = time.perf_counter() - began
    rng = random.Random(3)
    for number in range(8):
        shutil.rmtree(old.parent)
        old.parent.mkdir()
        shutil.copy(kept, old)
        # The first is killed before it has begun.
        kill_in_the_middle(old, took * rng.random() if number else 0.0)
        if is_old(old):
            assert import_old_export(render_old_export(old)) == wanted
        with Store.open(old) as store:
            assert export_all(store) == wanted
            assert store.find_damage() == []


# How an older chatapp has it: a connection in WAL mode that has read, and rests.
RESTING = """
    import sqlite3, sys
    conn = sqlite3.connect(sys.argv[1], isolation_level=None)
    conn.execute("SELECT * FROM messages").fetchall()
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_it_is_refused_while_another_has_the_file_open(old: Path) -> None:
    before = digest(old)
    command = [sys.executable, "-c", textwrap.dedent(RESTING), str(old)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        with pytest.raises(StoreError, match="open in another program") as caught:
            Store.open(old, busy_timeout_s=0.1)
        assert "Close the other chatapp" in caught.value.hint
        assert digest(old) == before
        assert not copy_of(old).exists()
        other.communicate()
    Store.open(old).close()
    assert not is_old(old)


def test_it_is_refused_without_room(old: Path) -> None:
    # Zeros behind the last page are no part of the database, and take no room themselves.
    size = old.stat().st_size
    os.truncate(old, shutil.disk_usage(old.parent).free // 2)
    with pytest.raises(StoreError, match=r"no room .* takes \d+\.\d MB .* \d+\.\d MB are free"):
        Store.open(old)
    assert is_old(old)
    assert not copy_of(old).exists()
    os.truncate(old, size)
    Store.open(old).close()


def test_the_copy_is_the_old_file_and_private(old: Path) -> None:
    before = render_old_export(old)
    Store.open(old).close()
    copy = copy_of(old)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert is_old(copy)
    assert render_old_export(copy) == before
    assert sorted(file.name for file in old.parent.iterdir()) == [old.name, copy.name]


@pytest.mark.parametrize(
    ("age_days", "keep_days", "stays"),
    [(6.9, 30, True), (7.1, 30, False), (2.9, 3, True), (3.1, 3, False), (0, 0, False)],
)
def test_nothing_is_purged_while_the_copy_is_there(
    old: Path, age_days: float, keep_days: float, *, stays: bool
) -> None:
    with Store.open(old) as store:
        deleted = len(store.list_deleted())
        assert deleted > 0
        then = time.time() - age_days * 86_400
        os.utime(copy_of(old), (then, then))
        purged = store.purge_deleted(keep_days)
        assert purged == Purged(0 if stays else deleted, swept=True)
        assert copy_of(old).exists() == stays
        store.empty_bin()
        assert not copy_of(old).exists()
        assert store.list_deleted() == []


def test_a_damaged_old_file_is_left_as_it_is(old: Path) -> None:
    conn = sqlite3.connect(old)
    root = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = 'messages'").fetchone()[0]
    conn.close()
    broken = bytearray(digest(old))
    broken[(root - 1) * 4096 : (root - 1) * 4096 + 200] = b"\xa5" * 200
    old.write_bytes(broken)
    with pytest.raises(StoreError, match="damaged"):
        Store.open(old)
    assert digest(old) == broken
    assert not copy_of(old).exists()


def test_a_copy_that_cannot_be_removed_is_said(old: Path) -> None:
    with Store.open(old) as store:
        copy_of(old).unlink()
        copy_of(old).mkdir()
        with pytest.raises(StoreError, match="cannot be removed"):
            store.empty_bin()
