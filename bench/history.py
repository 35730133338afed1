"""How long the everyday reads of a large history take.

Writes a history of 1,000,000 messages in 10,000 chats (one of them of 10,000 messages), the same
one each time, with branches, pins, tags, thoughts, tokens, three scripts and words as frequent as
those of a language; then reads it as the screen and the command line do, each thing with many
inputs. The words of searches are named by how many messages they are in.

    python -m bench.history [MESSAGES] [FILE]

With FILE the history is kept there and used again.
"""

import itertools
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import NamedTuple

from sqlite_utils import Database

from chatapp.store import Store
from chatapp.store.messages import pack_tokens
from chatapp.store.words import join_words

PER_CHAT = 99
LIMIT_MS = 50.0
_N_WORDS = 50_000
_N_SENTENCES = 60_000
_N_CHINESE = 20_000
_BATCH = 2_000
_FIRST_TIME = 1_500_000_000.0

TEN = "zyxwonce"
"""A word of about ten messages in a million."""
MANNERS = "xregards"
"""A word of nearly every answer and of no prompt."""

Read = Callable[[Store], object]


class Language:
    """Words that are made up, as frequent as their rank says."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.words = _make_words(rng)
        weights = [1 / (rank + 2.7) for rank in range(_N_WORDS)]
        sums = list(itertools.accumulate(weights))
        self.sentences = [
            " ".join(rng.choices(self.words, cum_weights=sums, k=rng.randrange(6, 18))) + "."
            for _ in range(_N_SENTENCES)
        ]
        characters = [chr(0x4E00 + 7 * number) for number in range(2_900)]
        sums = list(itertools.accumulate(1 / (rank + 2.7) for rank in range(len(characters))))
        self.chinese = [
            "".join(rng.choices(characters, cum_weights=sums, k=rng.randrange(8, 30))) + "。"
            for _ in range(_N_CHINESE)
        ]
        self.character = characters[0]
        self.phrase = self.chinese[0][2:4]


def _make_words(rng: random.Random) -> list[str]:
    made: dict[str, None] = {}
    while len(made) < _N_WORDS:
        size = rng.randrange(1, 4)
        word = "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(size))
        made[word + rng.choice(("", "", "n", "s", "r"))] = None
    return list(made)


class _Message(NamedTuple):
    id: int
    conversation_id: int
    parent_id: int | None
    text: str
    thought: str
    n_tokens: int


def write_history(store: Store, language: Language, messages: int, seed: int = 1) -> None:
    """Fill an empty store; a commit every `_BATCH` messages."""
    rng = random.Random(seed)
    sizes = [min(10_000, messages // 10)]
    while sum(sizes) < messages:
        sizes.append(min(PER_CHAT, messages - sum(sizes)))
    done = 0
    made = _make_messages(rng, language, sizes)
    while batch := list(itertools.islice(made, _BATCH)):
        with store.session.writing() as db:
            _insert_chats(db, rng, language, batch, done)
            _insert_messages(db, batch)
        done += len(batch)
        print(f"\r{done} messages", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    with store.session.writing() as db:
        _give_places(db, rng)


def _make_messages(rng: random.Random, language: Language, sizes: list[int]) -> Iterator[_Message]:
    """Chat after chat; at the end one in twenty is gone on with."""
    numbers = itertools.count(1)
    gone_on = [id_ for id_, size in enumerate(sizes, start=1) if id_ % 20 == 0 and size > 20]
    last: dict[int, int] = {}
    for conversation_id, size in enumerate(sizes, start=1):
        now = size // 2 if conversation_id in set(gone_on) else size
        for place in range(now):
            row = _make_message(rng, language, next(numbers), conversation_id, place, last)
            yield row
    for conversation_id in gone_on:
        size = sizes[conversation_id - 1]
        for place in range(size // 2, size):
            yield _make_message(rng, language, next(numbers), conversation_id, place, last)


def _make_message(
    rng: random.Random,
    language: Language,
    number: int,
    conversation_id: int,
    place: int,
    last: dict[int, int],
) -> _Message:
    parent = last.get(conversation_id)
    answer = place % 2 == 1
    pool = language.chinese if rng.random() < 0.05 else language.sentences
    text = " ".join(rng.choices(pool, k=rng.randrange(2, 9) if answer else 2))
    if rng.random() < 1e-5:
        text += f" {TEN}"
    if answer and rng.random() < 0.9:
        text += f" {MANNERS}"
    thought = rng.choice(language.sentences) if answer and rng.random() < 0.2 else ""
    if rng.random() < 0.9 or parent is None:  # else the next one is another version of this
        last[conversation_id] = number
    return _Message(number, conversation_id, parent, text, thought, 90 if answer else 0)


def _insert_chats(
    db: Database, rng: random.Random, language: Language, batch: list[_Message], done: int
) -> None:
    titles = {
        message.conversation_id: rng.choice(language.sentences)[:60]
        for message in batch
        if message.parent_id is None
    }
    rows = [
        (id_, title, _FIRST_TIME + done + place)
        for place, (id_, title) in enumerate(titles.items())
    ]
    db.conn.executemany(
        "INSERT OR IGNORE INTO conversations (id, title, created_at, updated_at, system)"
        " VALUES (?1, ?2, ?3, ?3, '')",
        rows,
    )
    db.conn.executemany(
        "INSERT INTO title_fts (rowid, text) VALUES (?, ?)",
        [(id_, join_words(title)) for id_, title, _ in rows],
    )


def _insert_messages(db: Database, batch: list[_Message]) -> None:
    tokens = pack_tokens(range(1000, 1090))
    db.conn.executemany(
        "INSERT INTO messages (id, conversation_id, parent_id, role, status, created_at, tokens)"
        " VALUES (?, ?, ?, ?, 'complete', ?, ?)",
        [
            (
                *(row.id, row.conversation_id, row.parent_id),
                "assistant" if row.n_tokens else "user",
                _FIRST_TIME + row.id,
                tokens if row.n_tokens else b"",
            )
            for row in batch
        ],
    )
    db.conn.executemany(
        "INSERT INTO parts (message_id, position, kind, text) VALUES (?, ?, ?, ?)",
        [
            part
            for row in batch
            for part in (
                *([(row.id, 0, "reasoning", row.thought)] if row.thought else []),
                (row.id, 1 if row.thought else 0, "text", row.text),
            )
        ],
    )
    db.conn.executemany(
        "INSERT INTO generations (message_id, model_path, model_name, fingerprint, template_hash,"
        " params_json, seed, created_at) VALUES (?, '/models/a.gguf', 'a', ?, ?, '{}', 1, 0)",
        [(row.id, "f" * 64, "t" * 64) for row in batch if row.n_tokens],
    )
    for index, texts in (
        ("message_fts", [(row.id, join_words(row.text)) for row in batch]),
        ("reasoning_fts", [(row.id, join_words(row.thought)) for row in batch if row.thought]),
    ):
        db.conn.executemany(f"INSERT INTO {index} (rowid, text) VALUES (?, ?)", texts)


def _give_places(db: Database, rng: random.Random) -> None:
    """Active leaves, and pins, tags, an archive and a bin as somebody tidy has them."""
    db.execute(
        "UPDATE conversations SET (active_leaf_id, updated_at) ="
        " (SELECT id, created_at FROM messages WHERE conversation_id = conversations.id"
        " ORDER BY id DESC LIMIT 1)"
    )
    ids = [row[0] for row in db.execute("SELECT id FROM conversations WHERE id > 1")]
    for column, share in (("pinned_at", 50), ("archived_at", 10), ("deleted_at", 50)):
        db.conn.executemany(
            f"UPDATE conversations SET {column} = 2e9 WHERE id = ?",
            [(id_,) for id_ in rng.sample(ids, len(ids) // share)],
        )
    db.conn.executemany(
        "INSERT INTO tags (conversation_id, tag) VALUES (?, ?)",
        [(id_, "work") for id_ in rng.sample(ids, len(ids) // 2)]
        + [(id_, "recipes") for id_ in rng.sample(ids, len(ids) // 100)],
    )


def list_reads(language: Language, chats: int) -> Iterator[tuple[str, list[Read]]]:
    """What is read, under a name, with all its inputs."""
    rng = random.Random(7)
    some = [rng.randrange(2, chats + 1) for _ in range(20)]
    yield "open a chat", [partial(_open, id_=id_) for id_ in some]
    yield "open the end of a chat of 10,000", [partial(_open, id_=1, limit=40)] * 20
    yield "outline of a chat", [partial(_outline, id_=id_) for id_ in some]
    yield "list, first page", [methodcaller("list_conversations", 50)] * 20
    offsets = [place * chats // 21 for place in range(20)]
    yield "list, a later page", [methodcaller("list_conversations", 50, at) for at in offsets]
    yield "list of the archive", [methodcaller("list_conversations", 50, archived=True)] * 20
    for tag in ("work", "recipes"):
        yield f"list, tag {tag}", [methodcaller("list_conversations", 50, tag=tag)] * 20
    yield "tags", [_list_tags] * 20
    yield "what was sent", [_list_sent] * 20
    yield "drafts", [_list_drafts] * 20
    for name, query in list_queries(language):
        yield f"filter: {name}", [methodcaller("list_conversations", 50, 0, query)] * 10
        yield f"filter, page 4: {name}", [methodcaller("list_conversations", 50, 150, query)] * 5
        yield f"search: {name}", [methodcaller("search", query)] * 10
        inside: list[Read] = [methodcaller("search", query, 50, id_) for id_ in [*some[:9], 1]]
        yield f"search in a chat: {name}", inside
        yield f"sent: {name}", [partial(_list_sent, query=query)] * 10
    thoughts: Read = methodcaller("search", language.words[0], reasoning=True)
    yield "search thoughts", [thoughts] * 10
    yield "jump to a hit", [partial(_jump, id_=id_) for id_ in some]
    yield "jump to the first of 10,000", [partial(_jump, id_=1)] * 10


def list_queries(language: Language) -> Iterator[tuple[str, str]]:
    """A name and the words that are looked for."""
    words = language.words
    yield "most common word", words[0]
    yield "most common word, quoted", f'"{words[0]}"'
    yield "common word", words[40]
    yield "word of every answer", MANNERS
    yield "rare word", words[45_000]
    yield "word of ten messages", TEN
    yield "word that is nowhere", "qqqqq"
    yield "two letters", words[0][:2]
    yield "three letters", "mar"
    yield "four letters", next(word for word in words if len(word) > 4)[:4]
    yield "two common words", f"{words[3]} {words[9]}"
    yield "a common and a rare word", f"{words[0]} {words[45_000]}"
    yield "two rare words", f"{words[20_000]} {words[30_001]}"
    yield "eight common words", " ".join(words[2:10])
    yield "phrase", f'"{" ".join(language.sentences[5].split()[:3])}"'
    yield "one Chinese character", language.character
    yield "two Chinese characters", language.phrase
    yield "words of two languages", f"{words[0]} {language.character}"


def _open(store: Store, id_: int, limit: int | None = None) -> object:
    return store.get_conversation(id_), store.get_path(id_, limit=limit)


def _outline(store: Store, id_: int) -> object:
    return store.branches.outline(id_)


def _list_tags(store: Store) -> object:
    return store.labels.list_tags()


def _list_sent(store: Store, query: str = "") -> object:
    return store.prompts.list_sent(query)


def _list_drafts(store: Store) -> object:
    return store.prompts.list_drafts()


def _jump(store: Store, id_: int) -> object:
    """From the end of a chat to its first message, in its newest branch."""
    with store.session.reading() as db:
        (first,) = db.execute(
            "SELECT min(id) FROM messages WHERE conversation_id = ?", (id_,)
        ).fetchone()
    leaf = store.leaf_below(first)
    store.select_leaf(id_, leaf)
    return store.get_path(id_, leaf, 40)


def measure(store: Store, reads: list[Read]) -> list[tuple[float, float]]:
    """Milliseconds of each: by the clock, and of this process alone."""
    took = []
    for read in reads:
        began, worked = time.perf_counter(), time.process_time()
        read(store)
        ended = time.process_time()
        took.append(((time.perf_counter() - began) * 1000, (ended - worked) * 1000))
    return took


def print_figures(name: str, took: list[tuple[float, float]]) -> bool:
    """A line; whether the work of one was more than `LIMIT_MS`."""
    clock, work = zip(*took, strict=True)
    is_over = bool(max(work) > LIMIT_MS)
    print(
        f"{name:44} {statistics.median(clock):7.1f} worst {max(clock):7.1f}"
        f"   work {statistics.median(work):7.1f} worst {max(work):7.1f}"
        f"{'  <- over' if is_over else ''}",
        flush=True,
    )
    return is_over


def main() -> None:
    """Print the figures."""
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(folder) / "history.db"
        language = Language(1)
        began = time.perf_counter()
        with Store.open(path) as store:
            if not store.list_conversations(1):
                write_history(store, language, messages)
                print(f"written in {time.perf_counter() - began:.0f} s")
        began = time.perf_counter()
        with Store.open(path) as store:
            opened = (time.perf_counter() - began) * 1000
            with store.session.reading() as db:
                counts = [
                    db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                    for table in ("messages", "conversations")
                ]
            size = store.disk_usage() / 1e6
            print(f"{counts[0]} messages in {counts[1]} chats, {size:.0f} MB")
            print(f"opened in {opened:.0f} ms")
            print("milliseconds by the clock, and of processor time, which others do not lengthen")
            over = sum(
                print_figures(name, measure(store, reads))
                for name, reads in list_reads(language, counts[1])
            )
        print(f"over {LIMIT_MS:.0f} ms of processor time: {over}")


if __name__ == "__main__":
    main()
