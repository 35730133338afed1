"""Every schema that was ever released is opened and used."""

import sqlite3
from pathlib import Path

import pytest
from sqlite_utils import Database

from chatapp.conversation import Message
from chatapp.parts import parts_of
from chatapp.store import Store
from chatapp.store.migrations import APPLICATION_ID, MIGRATIONS

SCHEMAS = sorted((Path(__file__).parent / "schemas").glob("v*.sql"))


def test_every_migration_has_its_old_schema_kept() -> None:
    assert len(SCHEMAS) == len(MIGRATIONS.pending(Database(memory=True)))


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.stem)
def test_an_old_file_is_opened_and_used(path: Path, schema: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as conn:
        conn.executescript(schema.read_text(encoding="utf-8"))
    conn.close()
    with Store.open(path) as store:
        assert store.schema_version == len(SCHEMAS)
        assert store.recover() == [3]
        (listed,) = store.list_conversations()
        assert (listed.title, listed.system, listed.created_at) == ("Old chat", "be brief", 1000.5)
        assert [row.content for row in store.get_path(1)] == ["Wie heißt 北京?", "Beij"]
        old = store.get_message(2)
        assert (old.status, old.tokens, old.reasoning) == ("stopped", (1, 2), "hm")
        assert old.generation is not None
        assert (old.generation.seed, old.generation.decode_tps) == (7, 30)
        assert [hit.message_id for hit in store.search("heisst 京")] == [1]
        assert [row.id for row in store.list_conversations(query="old")] == [1]
        store.rename_conversation(1, "New name")
        assert store.list_conversations(query="old") == []
        store.resume_answer(2)
        store.finish_answer(2, parts_of("Beijing"), [4], "complete")
        assert store.search("peking") == []
        assert store.add_message(1, Message.of("user", "thanks"), 2).id == 4
        kept = schema.stem not in ("v1", "v2")
        measured = [row.results for row in store.evaluations.find()]
        assert measured == [{"perplexity": 2.5}] * (schema.stem == "v4")
        assert listed.settings == ('{"model": "a"}' if kept else "")
        assert (listed.tags, listed.pinned) == ((("work",), True) if kept else ((), False))
        assert [draft.text for draft in store.prompts.list_drafts()] == ["an und"] * kept
        store.branches.undelete(store.branches.delete_branch(2).id)
        assert [prompt.text for prompt in store.prompts.list_sent()] == [
            "thanks",
            "Wie heißt 北京?",
        ]
        assert store.find_damage() == []


def outline(path: Path) -> dict[str, str]:
    db = sqlite3.connect(path)
    rows = db.execute(
        "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE '\\_sqlite%' ESCAPE '\\'"
    ).fetchall()
    db.close()
    return {name: " ".join((sql or "").split()) for name, sql in rows if "migrations" not in name}


def test_an_old_file_ends_with_the_schema_of_a_new_one(path: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    Store.open(new).close()
    wanted = outline(new)
    for schema in SCHEMAS:
        old = tmp_path / f"{schema.stem}.db"
        with sqlite3.connect(old) as conn:
            conn.executescript(schema.read_text(encoding="utf-8"))
        conn.close()
        Store.open(old).close()
        assert outline(old) == wanted


def test_the_file_says_what_it_is(path: Path) -> None:
    Store.open(path).close()
    assert path.read_bytes()[68:72] == b"cHAT"
    assert APPLICATION_ID.to_bytes(4, "big") == b"cHAT"


def test_a_failing_migration_leaves_the_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(db: Database) -> None:
        db.execute("CREATE TABLE half_done (id)")
        raise sqlite3.OperationalError("database or disk is full")

    Store.open(path).close()
    before = outline(path)
    kept = list(MIGRATIONS._migrations)
    MIGRATIONS(name="m998_fails")(fail)
    try:
        with pytest.raises(Exception, match="disk is full"):
            Store.open(path)
    finally:
        MIGRATIONS._migrations[:] = kept
    assert outline(path) == before
    with Store.open(path) as store:
        assert store.schema_version == 4
