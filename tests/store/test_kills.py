"""Changes that are broken off: by `kill -9` before any statement, by a full disk, by each other."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from chatapp.conversation import Message
from chatapp.errors import StoreError
from chatapp.parts import File, Text, parts_of
from chatapp.store import Store

# A new process for every statement of every change would take minutes; forks of one take seconds.
KILLS = """
    import json, os, shutil, signal, sqlite3, sys
    from pathlib import Path
    from chatapp.conversation import Message
    from chatapp.parts import parts_of
    from chatapp.store import Store

    whole, path = Path(sys.argv[1]), Path(sys.argv[2])
    head = Message.of("system", "in short")
    CHANGES = {
        "settings": lambda store: store.set_settings(1, '{"model": "b"}'),
        "pin": lambda store: store.labels.pin(1),
        "archive": lambda store: store.labels.archive(1),
        "tags": lambda store: store.labels.set_tags(1, ["b", "c", "d"]),
        "tag": lambda store: store.labels.add_tag(1, "e"),
        "draft": lambda store: store.prompts.save_draft(1, "begun"),
        "take": lambda store: store.prompts.take_draft(None),
        "edit": lambda store: store.branches.edit(2, parts_of("by hand")),
        "delete branch": lambda store: store.branches.delete_branch(2),
        "delete message": lambda store: store.branches.delete_message(2),
        "undelete": lambda store: store.branches.undelete(2),
        "fork": lambda store: store.branches.fork(1, 5, 3, head),
        "purge": lambda store: store.empty_bin(),
    }

    def change(name, place):
        store = Store.open(path)
        seen = []
        def note(statement):
            seen.append(statement)
            if len(seen) == place:
                os.kill(os.getpid(), signal.SIGKILL)
        with store.session.reading() as db:
            db.conn.set_trace_callback(note)
        CHANGES[name](store)
        with store.session.reading() as db:
            db.conn.set_trace_callback(None)
        store.close()

    def look():
        # What is there, but for names and times that are never twice the same.
        conn = sqlite3.connect(path)
        rows = {}
        for table in ("conversations", "messages", "parts", "blobs", "generations", "tags",
                      "drafts", "cuts"):
            fields = [row[1] for row in conn.execute(f"PRAGMA table_info({table})")]
            kept = [name for name in fields if name not in ("uid", "owner")
                    and not name.endswith("_at") and name != "heartbeat"]
            kept += [f"{name} IS NULL" for name in fields if name.endswith("ed_at")]
            rows[table] = conn.execute(f"SELECT {', '.join(kept)} FROM {table}").fetchall()
        assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert conn.execute("PRAGMA foreign_key_check").fetchall() == []
        conn.execute("INSERT INTO message_fts (message_fts) VALUES ('integrity-check')")
        conn.close()
        with Store.open(path) as store:
            rows["found"] = sorted(hit.message_id for hit in store.search("word"))
            for id_ in (1, 3):
                tree = store.get_tree(id_).messages
                assert all(row.parent_id is None or row.parent_id < row.id for row in tree)
                assert (store.get_path(id_) == []) == (tree == ())
        return repr(rows)

    def run(name, place):
        # Whether it was killed, and what is there then.
        for file in path.parent.iterdir():
            file.unlink()
        shutil.copy(whole, path)
        child = os.fork()
        if not child:
            change(name, place)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        assert status in (0, signal.SIGKILL), (name, place, status)
        return status != 0, look()

    for name in CHANGES:
        _, before = run(name, 1)
        killed, place, states = True, 1, []
        while killed:
            place += 1
            killed, state = run(name, place)
            states.append(state)
        print(json.dumps([name, place, before != states[-1],
                          sorted({(state != before) + (state == states[-1]) for state in states})]))
"""


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A history with something for every change, closed."""
    path = tmp_path / "whole.db"
    with Store.open(path) as store:
        chat = store.create_conversation("chat")
        asked = store.add_message(chat, Message.of("user", "word asked")).id
        answer = store.begin_answer(chat, asked).id
        store.finish_answer(answer, parts_of("word two"), [1], "complete")
        more = store.add_message(
            chat, Message("user", (File("a", "word file"), Text("word more"))), answer
        ).id
        away, end = (row.id for row in store.begin_answers(chat, more, n=2))
        store.finish_answer(away, parts_of("word away"), [2], "complete")
        store.finish_answer(end, parts_of("word end", "hm"), [3], "stopped")
        store.select_leaf(chat, store.leaf_below(asked))
        store.branches.delete_branch(away)
        store.labels.set_tags(chat, ["a", "b"])
        store.prompts.save_draft(None, "new")
        with store.session.writing() as db:  # by a process that is gone
            db.execute("UPDATE drafts SET owner = '1 1 gone', updated_at = 0")
        other = store.create_conversation("other")
        store.add_message(other, Message.of("user", "word other"))
    return path


def test_whoever_is_killed_has_changed_all_or_nothing(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    command = [
        sys.executable,
        "-c",
        textwrap.dedent(KILLS),
        str(whole),
        str(tmp_path / "home" / "h.db"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        name, places, changes, states = json.loads(line)
        assert places > 3, name
        assert changes, name
        if name != "purge":  # which removes one conversation after the other
            assert states == [0, 2], f"{name} is half done somewhere"


CHANGES: dict[str, Callable[[Store], object]] = {
    "settings": lambda store: store.set_settings(1, f'{{"model": "{"x" * 400_000}"}}'),
    "tags": lambda store: store.labels.set_tags(1, [f"tag {n}" for n in range(9000)]),
    "draft": lambda store: store.prompts.save_draft(1, "x" * 400_000),
    "edit": lambda store: store.branches.edit(2, parts_of("x" * 400_000)),
    "fork": lambda store: store.branches.fork(1, 5, 1, Message.of("system", "x" * 400_000)),
    "delete": lambda store: store.branches.delete_branch(100),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_full_disk_is_said_and_changes_nothing(whole: Path, name: str) -> None:
    with Store.open(whole) as store:
        with store.session.writing() as db:
            db.execute(
                "WITH RECURSIVE n (i) AS"
                " (VALUES (100) UNION ALL SELECT i + 1 FROM n WHERE i < 9000)"
                " INSERT INTO messages (id, conversation_id, parent_id, role, status, created_at)"
                " SELECT i, 1, iif(i = 100, 1, i - 1), 'user', 'complete', 0 FROM n"
            )
        change = CHANGES[name]
        before = (store.get_tree(1), store.prompts.list_drafts(), store.search("word"))
        with store.session.reading() as db:
            pages = db.execute("PRAGMA page_count").fetchone()[0]
            db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="disk is full") as caught:
            change(store)
        assert "Free some space" in caught.value.hint
        assert (store.get_tree(1), store.prompts.list_drafts(), store.search("word")) == before
        with store.session.reading() as db:
            db.execute("PRAGMA max_page_count = 1000000")
        change(store)
        assert store.find_damage() == []


RIVAL = """
    import random, sys
    from pathlib import Path
    from chatapp.conversation import Message
    from chatapp.errors import StoreError
    from chatapp.parts import parts_of
    from chatapp.store import Store

    rng = random.Random(sys.argv[2])
    store = Store.open(Path(sys.argv[1]), busy_timeout_s=60)
    for number in range(60):
        ids = [row.id for row in store.branches.outline(1)]
        one = rng.choice(ids) if ids else 1
        cuts = [cut.id for cut in store.branches.list_deleted(1)] or [1]
        change = rng.choice([
            lambda: store.branches.delete_branch(one),
            lambda: store.branches.delete_message(one),
            lambda: store.branches.undelete(rng.choice(cuts)),
            lambda: store.branches.edit(one, parts_of(f"edited {number}")),
            lambda: store.branches.fork(1, one, one, Message.of("system", "head")),
            lambda: store.labels.set_tags(1, [sys.argv[2], str(number)]),
            lambda: store.prompts.save_draft(1, f"draft {number}"),
            lambda: store.add_message(1, Message.of("user", f"word {number}"), one),
        ])
        try:
            change()
        except StoreError as error:  # the other was quicker
            if not any(words in str(error) for words in ("no message", "deleted", "undo")):
                raise
        path = store.get_path(1)
        assert all(a.id == b.parent_id for a, b in zip(path, path[1:]))
    store.prompts.save_draft(1, "the last")
"""


def test_instances_that_delete_and_undo_beside_each_other_lose_nothing(whole: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(RIVAL), str(whole)]
    children = [
        subprocess.Popen([*command, name], stderr=subprocess.PIPE, text=True)
        for name in ("one", "two", "three")
    ]
    assert [child.communicate()[1] for child in children] == [""] * 3
    with Store.open(whole) as store:
        while cuts := store.branches.list_deleted(1):
            store.branches.undelete(cuts[0].id)
        rows = store.get_tree(1).messages
        assert {1, 2, 3, 4, 5} <= {row.id for row in rows}
        assert all(row.parent_id is None or row.parent_id < row.id for row in rows)
        with store.session.reading() as db:
            counts = [
                db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in ("messages", "message_fts_docsize", "conversations", "cuts")
            ]
            db.execute("INSERT INTO message_fts (message_fts) VALUES ('integrity-check')")
        assert counts == [len(rows) + 1, len(rows) + 1, 2, 0]
        assert [draft.text for draft in store.prompts.list_drafts()].count("the last") == 3
        assert store.find_damage() == []
