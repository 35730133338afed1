"""Files that mean harm, or are not what they seem: one sentence, or what can be read of them."""

import json
import math
import random
import sqlite3
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from chatapp.errors import UsageError
from chatapp.export.imports import PROGRAMS
from chatapp.export.imports.draft import Draft, Reading, Said
from chatapp.export.imports.fields import seconds
from chatapp.export.imports.forest import build
from chatapp.parts import Text
from chatapp.store import Store
from tests.export.importers import FIXTURES, bring_in, make_database, outline


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "is empty"),
        (" \n", "neither an object or a list in JSON"),
        ("nonsense", "neither an object or a list in JSON"),
        ("null", "neither an object or a list in JSON"),
        ("[]", "holds no chats"),
        ("{}", "holds no chats"),
        ("[1, 2]", "holds no chats"),
        ('{"a": 1}', "holds no chats"),
        ("[" * 200_000, "nested too deep"),
        ('{"a":' * 200_000, "nested too deep"),
        ('[{"mapping": {}}', "ends too early"),
        ('[{"mapping": {}} {"mapping": {}}]', "comma or the end of the list"),
        ('{"mapping": {"a": ]}', r"line 1, column 19"),
        ('{"a": ' + "9" * 100_000 + "}", "not valid JSON"),
        ('[{"a": ' + "9" * 100_000 + "}]", "not valid JSON"),
        ('[{"a": ' + "[" * 100_000 + "]" * 100_000 + "}]", "nested too deep"),
        (b'[{"a": "\xff\xff"}]', "not UTF-8"),
        (b'[{"a": "\x01"}]', "not valid JSON"),
        (b"{\xff\xff}", "not UTF-8"),
        (b"SQLite format 3\x00" + bytes(200), "cannot be read as a database"),
        (b"PK\x03\x04" + bytes(200), "cannot be unpacked"),
        ('{"format": "chatapp-conversations", "version": 1, "conversations": [', "too early"),
        ('{"format": "chatapp-conversations", "version": NaN}', 'no "version"'),
        ('{"format": "chatapp-conversations", "version": 9}', "newer version"),
    ],
    ids=range(24),
)
def test_what_cannot_be_imported(
    store: Store, tmp_path: Path, content: str | bytes, complaint: str
) -> None:
    file = write(tmp_path / "file.json", content)
    with pytest.raises(UsageError, match=complaint) as caught:
        bring_in(store, file)
    assert "file.json" in caught.value.message
    assert store.count_messages() == 0


def test_a_file_that_is_cut_gives_what_stands_before(store: Store, tmp_path: Path) -> None:
    text = (FIXTURES / "claude" / "conversations.json").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match=r"ends too early\. What stands before .* \(1\)"):
        bring_in(store, write(tmp_path / "cut.json", text[:-40]))
    assert len(store.list_conversations()) == 1


def chain(*links: tuple[str, str | None]) -> Draft:
    said = [Said(name, parent, "user", (Text(name),)) for name, parent in links]
    return Draft("one", said)


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ([("a", "a")], [("a", None)]),
        ([("a", "b"), ("b", "a")], [("a", None), ("b", "a")]),
        ([("a", "c"), ("b", "a"), ("c", "b"), ("d", "c")], None),
        ([("a", "gone"), ("b", "a")], [("a", None), ("b", "a")]),
        ([("b", "a"), ("a", None)], [("a", None), ("b", "a")]),
        ([("a", None), ("a", None), ("b", "a")], [("a", None), ("a#1", None), ("b", "a")]),
        ([("", ""), ("b", "")], None),
    ],
    ids=range(7),
)
def test_parents_in_circles_missing_or_double(
    store: Store, links: list[tuple[str, str | None]], expected: list[tuple[str, str | None]] | None
) -> None:
    tree = build("test", chain(*links), Reading(made_at=1.0))
    assert tree is not None
    assert len(tree.messages) == len(links)
    (added,) = store.add_trees([tree])
    assert added.messages == len(links)
    if expected is not None:
        names = {row.id: row.uid for row in tree.messages}
        wanted = build("test", chain(*expected), Reading(made_at=1.0))
        assert wanted is not None
        assert [(row.uid, names.get(row.parent_id or 0)) for row in tree.messages] == [
            (row.uid, {r.id: r.uid for r in wanted.messages}.get(row.parent_id or 0))
            for row in wanted.messages
        ]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("<think>\nhm\n</think>\n\nYes.", [("thought", "hm"), "Yes."]),
        ("<thinking>a</thinking>b", [("thought", "a"), "b"]),
        ("<think></think>b", ["b"]),
        ("<think>only", ["<think>only"]),
        ("<think>a</thinking>b", ["<think>a</thinking>b"]),
        ("The tag <think>a</think>", ["The tag <think>a</think>"]),
    ],
)
def test_thoughts_between_marks(store: Store, said: str, expected: list[Any]) -> None:
    asked = Said("a", None, "user", (Text(said),))
    tree = build("test", Draft("x", [asked, Said("b", "a", "assistant", (Text(said),))]), Reading())
    assert tree is not None
    (added,) = store.add_trees([tree])
    assert [parts for *_, parts in outline(store, added.conversation_id)] == [[said], expected]


def test_random_links_always_make_a_tree() -> None:
    numbers = random.Random(5)
    for _ in range(300):
        names = [str(n) for n in range(numbers.randrange(1, 12))]
        said = [
            Said(
                name,
                numbers.choice([None, "gone", *names]),
                numbers.choice(["user", "assistant", "system", "tool"]),
                tuple(Text(name) for _ in range(numbers.randrange(2))),
                numbers.choice([0.0, 5.0, math.nan, math.inf, -3.0, 1e300]),
            )
            for name in names
        ]
        tree = build("test", Draft("x", said, numbers.choice([None, *names])), Reading())
        if tree is None:
            assert not any(one.parts for one in said)
            continue
        seen: set[int] = set()
        for row in tree.messages:
            assert row.parent_id is None or row.parent_id in seen
            assert math.isfinite(row.created_at)
            seen.add(row.id)
        assert tree.conversation.active_leaf_id in seen


def test_a_chain_that_is_longer_than_the_stack(store: Store) -> None:
    links = [(str(n), str(n - 1)) for n in range(20_000)]
    tree = build("test", chain(*links), Reading())
    assert tree is not None
    assert len(tree.messages) == 20_000
    assert build("test", chain(*reversed(links)), Reading()) == tree


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1700000000, 1700000000.0),
        (1700000000.5, 1700000000.5),
        (1700000000500, 1700000000.5),
        (1700000000500000, 1700000000.5),
        ("2025-06-01T10:00:00Z", 1748772000.0),
        ("2025-06-01T12:00:00+02:00", 1748772000.0),
        ("2025-06-01 10:00:00.5", 1748772000.5),
        (math.nan, 0.0),
        (math.inf, 0.0),
        (-1, 0.0),
        (True, 0.0),
        (None, 0.0),
        ("yesterday", 0.0),
        ("0001-01-01T00:00:00+00:00", 0.0),
        (10**400, 0.0),
        ({"a": 1}, 0.0),
    ],
)
def test_times_of_any_kind(value: object, expected: float) -> None:
    assert seconds({"at": value}, "at") == expected


JSON_FIXTURES = [path for path in FIXTURES.rglob("*.json*") if path.name != "user.json"]
WRONG: list[Any] = [None, True, 7, -1.5, math.nan, "x", "", [], [None], {}, {"a": []}, [[["x"]]]]


def spoil(value: Any, numbers: random.Random) -> Any:
    """A copy of a JSON value in which some places hold something else."""
    if numbers.random() < 0.04:
        return numbers.choice(WRONG)
    if isinstance(value, dict):
        return {key: spoil(held, numbers) for key, held in value.items() if numbers.random() > 0.02}
    if isinstance(value, list):
        return [spoil(held, numbers) for held in value]
    return value


@pytest.mark.parametrize("path", JSON_FIXTURES, ids=lambda path: path.name)
def test_wrong_types_anywhere(path: Path, tmp_path: Path) -> None:
    numbers = random.Random(3)
    text = path.read_text(encoding="utf-8")
    documents = [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else []
    file = tmp_path / path.name
    name = path.relative_to(FIXTURES).parts[0]
    for turn in range(60):
        if documents:
            spoilt = "\n".join(json.dumps(spoil(line, numbers)) for line in documents)
        else:
            spoilt = json.dumps(spoil(json.loads(text), numbers))
        file.write_text(spoilt, encoding="utf-8")
        with Store.in_memory() as store:
            try:
                report = bring_in(store, file, PROGRAMS[name] if turn % 3 == 0 else None)
            except UsageError:
                continue
            again = bring_in(store, file, PROGRAMS[name] if turn % 3 == 0 else None)
            assert (again.new, again.messages) == ([], 0), spoilt
            assert store.count_messages() == report.messages


def test_text_that_utf8_cannot_hold(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "half.json"
    file.write_text('[{"role": "user", "content": "half \\ud83d and \\u0000", "id": "\\udfff"}]')
    report = bring_in(store, file)
    assert outline(store, report.new[0]) == [(None, "user", ["half \ufffd and \0"])]
    assert bring_in(store, file).messages == 0


def test_a_database_runs_nothing(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    db = sqlite3.connect(file)
    db.executescript(
        "CREATE TABLE chat (id, name, model, system);"
        "CREATE VIEW message AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n)"
        " SELECT id, 1 AS chat_id, 'me' AS author, 'x' AS text, '[]' AS images FROM n;"
    )
    db.close()
    with pytest.raises(UsageError, match="no database of a program that is known"):
        bring_in(store, file)


def test_a_column_that_would_call_a_function_is_left_alone(store: Store, tmp_path: Path) -> None:
    file = make_database(FIXTURES / "oterm" / "store.sql", tmp_path / "store.db")
    with sqlite3.connect(file) as db:
        db.execute("ALTER TABLE chat ADD COLUMN evil AS (abs(id))")
        db.execute("CREATE TABLE evil (a, b AS (abs(a)))")
    db.close()
    assert len(bring_in(store, file).new) == 1


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_database_that_is_open_elsewhere(store: Store, tmp_path: Path, mode: str) -> None:
    file = make_database(FIXTURES / "oterm" / "store.sql", tmp_path / "store.db")
    db = sqlite3.connect(file, isolation_level=None)
    db.execute(f"PRAGMA journal_mode={mode}")
    db.execute("INSERT INTO message (chat_id, author, text) VALUES (1, 'me', 'newest')")
    db.execute("BEGIN IMMEDIATE")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    report = bring_in(store, file)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    db.execute("ROLLBACK")
    assert [row.content for row in store.get_path(report.new[0])][-1] == "newest"
    db.close()


def test_damaged_databases(tmp_path: Path) -> None:
    sound = make_database(FIXTURES / "llm" / "responses.sql", tmp_path / "sound.db").read_bytes()
    numbers = random.Random(8)
    file = tmp_path / "broken.db"
    for _ in range(150):
        data = bytearray(sound[: numbers.choice([len(sound), len(sound), 5000, 200])])
        for _ in range(numbers.randrange(1, 40)):
            data[numbers.randrange(16, len(data))] = numbers.randrange(256)
        file.write_bytes(data)
        with Store.in_memory() as store:
            try:
                report = bring_in(store, file)
            except UsageError:
                continue
            assert store.count_messages() == report.messages


def test_wrong_types_in_a_database(store: Store, tmp_path: Path) -> None:
    file = make_database(FIXTURES / "llm" / "responses.sql", tmp_path / "logs.db")
    with sqlite3.connect(file) as db:
        db.execute("UPDATE responses SET datetime_utc = x'00ff', prompt = 7 WHERE id = '03'")
        db.execute("UPDATE prompt_fragments SET \"order\" = 'last'")
        db.execute("UPDATE tool_calls SET arguments = NULL, tool_call_id = x'00'")
        db.execute("UPDATE conversations SET name = x'ff'")
    db.close()
    assert len(bring_in(store, file).new) == 3


def test_many_conversations_are_not_all_in_memory(store: Store, tmp_path: Path) -> None:
    text = "x" * 2000
    file = tmp_path / "many.json"
    with file.open("w", encoding="utf-8") as out:
        for number in range(3000):
            messages = [
                {"id": f"🙂 {number}.{n}", "role": "user", "content": text} for n in range(4)
            ]
            chat = {"conv": {"id": f"c{number}"}, "messages": messages}
            out.write("[" if number == 0 else ",\n")
            out.write(json.dumps(chat, ensure_ascii=False))
        out.write("]")
    size = file.stat().st_size
    tracemalloc.start()
    report = bring_in(store, file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(report.new) == 3000
    assert peak < 1.5 * size


@pytest.mark.parametrize(
    "unfinished",
    ['<details type="reasoning">', '<details type="reasoning" ', "<details type=", "<details>"],
)
@pytest.mark.parametrize("end", ["", "</details>"])
def test_folds_that_never_end_are_text(
    store: Store, tmp_path: Path, unfinished: str, end: str
) -> None:
    """A search from each of them to the end of the text would take minutes."""
    said = unfinished * 40_000 + end
    message = {"id": "a", "role": "assistant", "content": said}
    chat = {"id": "c", "chat": {"history": {"messages": {"a": message}, "currentId": "a"}}}
    bring_in(store, write(tmp_path / "chats.json", json.dumps([chat])))
    (conversation,) = store.list_conversations()
    (row,) = store.get_path(conversation.id)
    assert unfinished in row.content + str(row.parts)
