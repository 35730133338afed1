"""What bringing an old history up to date costs, and whether it loses anything.

Writes a history as the first chatapp did (its schema, by SQL), with every role, status and kind of
text; opens it with today's store; compares the export with that of a new store that imported the
old export. Then kills the process that migrates, at random moments, and looks at what is left.

    python -m bench.migration [MESSAGES] [KILLS]
"""

import json
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from chatapp.export import export
from chatapp.export.reading import parse_document
from chatapp.store import Store
from chatapp.store.conversations import clean_title
from chatapp.store.migrations import MIGRATIONS
from chatapp.store.words import join_words

STATUSES = ("complete", "stopped", "interrupted", "failed", "streaming")
ODD = (
    *("nul \x00 inside", "\x1b[31mred\x9b", "北京欢迎你", "naïve ﬁ ligature", "👩‍👩‍👧 \u202e rtl"),
    *("", " ", "\r\n\u2028 ends", "\ufffd\uffff", "q'uo\"te; DROP TABLE", "x" * 9000),
)
UID = re.compile('"uid": "[0-9a-f]{32}"')


def write_old_history(path: Path, messages: int, seed: int = 1) -> None:
    """A history of the first schema at `path`: conversations of about 40 messages, in trees."""
    rng = random.Random(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    conn = sqlite3.connect(path, isolation_level=None)
    db = Database(conn, execute_plugins=False)
    db.execute("PRAGMA journal_mode = WAL").fetchall()
    db.execute("BEGIN")
    MIGRATIONS.apply(db, stop_before="m002_parts")
    done = 0
    while done < messages:
        done += _write_conversation(db, rng, min(40, messages - done))
    db.execute("COMMIT")
    conn.close()


def _write_conversation(db: Database, rng: random.Random, messages: int) -> int:
    title = clean_title(f"chat {rng.choice(ODD)}")
    deleted = 1e9 if rng.random() < 0.1 else None
    cursor = db.execute(
        "INSERT INTO conversations (title, created_at, updated_at, deleted_at, system)"
        " VALUES (?, ?, ?, ?, ?)",
        (title, rng.random() * 1e9, rng.random() * 1e9, deleted, rng.choice(ODD)),
    )
    conversation = cursor.lastrowid or 0
    db.execute(
        "INSERT INTO title_fts (rowid, text) VALUES (?, ?)", (conversation, join_words(title))
    )
    ids: list[int | None] = [None]
    for number in range(messages):
        # Mostly below the last message, sometimes beside an older one.
        parent = ids[-1] if rng.random() < 0.85 else rng.choice(ids)
        ids.append(_write_message(db, rng, conversation, parent, number))
    db.execute(
        "UPDATE conversations SET active_leaf_id = ? WHERE id = ?",
        (rng.choice(ids[1:]), conversation),
    )
    # One more that is removed again: its number may never be used twice.
    db.execute(
        "INSERT INTO conversations (title, created_at, updated_at, system) VALUES ('', 0, 0, '')"
    )
    db.execute("DELETE FROM conversations WHERE id = last_insert_rowid()")
    return messages


def _write_message(
    db: Database, rng: random.Random, conversation: int, parent: int | None, number: int
) -> int:
    answer = number % 2 == 1
    words = " ".join(
        rng.choice(("bread", "weather", "price", "quick", "thought", "fox")) for _ in range(80)
    )
    content = f"{rng.choice(ODD)} {words}" if rng.random() < 0.9 else rng.choice(ODD)
    reasoning = f"{rng.choice(ODD)} hm {words}" if answer and rng.random() < 0.3 else ""
    status = rng.choice(STATUSES) if answer else "complete"
    tokens = rng.randbytes(4 * rng.randrange(200)) if answer else b""
    tokens = bytes(byte & 0x7F if place % 4 == 3 else byte for place, byte in enumerate(tokens))
    cursor = db.execute(
        "INSERT INTO messages (conversation_id, parent_id, role, status, created_at, owner,"
        " heartbeat, tokens, reasoning, content) VALUES (?, ?, ?, ?, ?, '1 1 gone', 0, ?, ?, ?)",
        (
            conversation,
            parent,
            "assistant" if answer else rng.choice(("user", "user", "user", "system")),
            status,
            rng.random() * 1e9,
            tokens,
            reasoning,
            content,
        ),
    )
    message = cursor.lastrowid or 0
    if status != "streaming":
        db.execute(
            "INSERT INTO message_fts (rowid, text) VALUES (?, ?)", (message, join_words(content))
        )
    if answer and rng.random() < 0.9:
        figures = [rng.randrange(1000) for _ in range(3)] + [rng.random() * 100 for _ in range(4)]
        values = (
            "/m/ü.gguf",
            rng.choice(ODD)[:9],
            "ff",
            "tt",
            '{"top_p": 0.9}',
            rng.randrange(-1, 99),
        )
        db.execute(
            f"INSERT INTO generations VALUES (NULL, {', '.join('?' * 17)})",
            (message, *values, *figures, "stop", rng.choice(("", "out of memory")), rng.random()),
        )
    return message


def render_old_export(path: Path) -> str:
    """What the first chatapp exported as JSON: every conversation of a file it wrote."""
    conn = sqlite3.connect(path)
    conn.row_factory = sqlite3.Row
    entries = [dict(row) for row in conn.execute("SELECT * FROM conversations ORDER BY id")]
    for entry in entries:
        rows = conn.execute(
            "SELECT * FROM messages WHERE conversation_id = ? ORDER BY id", (entry["id"],)
        ).fetchall()
        numbers = {row["id"]: number for number, row in enumerate(rows, start=1)}
        entry["active"] = numbers.get(entry["active_leaf_id"])
        entry["messages"] = [_describe_old(conn, row, numbers) for row in rows]
    conn.close()
    document = {"format": "chatapp-conversations", "version": 1, "conversations": entries}
    return json.dumps(document, ensure_ascii=False)


def _describe_old(
    conn: sqlite3.Connection, row: sqlite3.Row, numbers: dict[int, int]
) -> dict[str, Any]:
    run = conn.execute("SELECT * FROM generations WHERE message_id = ?", (row["id"],)).fetchone()
    tokens = row["tokens"]
    return {
        "id": numbers[row["id"]],
        "parent": numbers.get(row["parent_id"]),
        "role": row["role"],
        "status": "interrupted" if row["status"] == "streaming" else row["status"],
        "created_at": row["created_at"],
        "content": row["content"],
        "reasoning": row["reasoning"],
        "tokens": [
            int.from_bytes(tokens[at : at + 4], "little") for at in range(0, len(tokens), 4)
        ],
        "generation": None if run is None else dict(run),
    }


def export_all(store: Store) -> str:
    """The JSON export of every conversation, deleted ones too, without their random names."""
    with store.session.reading() as db:
        ids = [row[0] for row in db.execute("SELECT id FROM conversations ORDER BY id")]
    return UID.sub("", "".join(export("json", store, ids)))


def import_old_export(text: str) -> str:
    """What a new store exports that imported the old export."""
    with Store.in_memory() as store:
        store.add_trees(parse_document(json.loads(text)))
        return export_all(store)


class _Watch(threading.Thread):
    """The most disk that a folder took, in bytes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self.ended = threading.Event()
        self.most = 0

    def run(self) -> None:
        while not self.ended.wait(0.002):
            self.most = max(self.most, measure_folder(self._folder))


def measure_folder(folder: Path) -> int:
    """Bytes of the files in a folder that others change meanwhile."""
    size = 0
    for file in folder.iterdir():
        try:
            size += file.stat().st_size
        except FileNotFoundError:
            continue
    return size


OPEN = """
import sys
from pathlib import Path
from chatapp.store import Store
from chatapp.store.conversations import clean_title
print("ready", flush=True)
Store.open(Path(sys.argv[1])).close()
print("done", flush=True)
"""


def kill_in_the_middle(path: Path, after_s: float) -> bool:
    """Migrate in a child that is killed `after_s` seconds after it began; whether it had ended."""
    command = [sys.executable, "-c", OPEN, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(after_s)
        child.kill()
        return child.stdout.read() == "done\n"


def is_old(path: Path) -> bool:
    """Whether the file has the first schema; it must be sound in either case."""
    conn = sqlite3.connect(path)
    steps = conn.execute("SELECT count(*) FROM _sqlite_migrations").fetchone()[0]
    assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    conn.close()
    return bool(steps == 1)


def main() -> None:
    """Print the figures."""
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / "old.db"
        write_old_history(old, messages)
        before = render_old_export(old)
        wanted = import_old_export(before)
        size = old.stat().st_size
        path = Path(folder) / "home" / "history.db"
        path.parent.mkdir()
        shutil.copy(old, path)
        watch = _Watch(path.parent)
        watch.start()
        began = time.perf_counter()
        store = Store.open(path)
        took = time.perf_counter() - began
        store.close()
        watch.ended.set()
        with Store.open(path) as store:
            same = export_all(store) == wanted
            damage = store.find_damage()
        print(f"{messages} messages, {size / 1e6:.1f} MB, of the first schema")
        print(
            f"brought up to date in {took:.2f} s: {took * 1e6 / messages:.1f} ms per 1,000 messages"
        )
        print(f"export equals that of a new store with the old export: {same}; damage: {damage}")
        print(f"disk at most: {watch.most / size:.2f} times the file, itself included")
        whole = {True: 0, False: 0}
        rng = random.Random(2)
        for _ in range(kills):
            shutil.rmtree(path.parent)
            path.parent.mkdir()
            shutil.copy(old, path)
            kill_in_the_middle(path, rng.random() * took * 1.2)
            untouched = is_old(path)
            assert not untouched or render_old_export(path) == before
            with Store.open(path) as store:
                assert export_all(store) == wanted
            whole[untouched] += 1
        print(f"killed {kills} times: {whole[True]} files were old, {whole[False]} new, all whole")


if __name__ == "__main__":
    main()
