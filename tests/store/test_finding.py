"""What is found in a history where words are common, chats are long and beginnings cost."""

import itertools
import random
from collections.abc import Iterator

import pytest

from chatapp.store import Store, filtering, search, sent, spans
from chatapp.store.session import Session
from chatapp.store.words import join_words

WORDS = ("anna", "annabel", "annal", "bread", "bridge", "bridges", "北京", "京都", "zoë", "x1")


def fill(session: Session, chats: int, messages: int) -> dict[int, list[tuple[int, str, str]]]:
    """Messages of some words each, chats gone on with at any time; what each chat says."""
    rng = random.Random(5)
    said: dict[int, list[tuple[int, str, str]]] = {id_: [] for id_ in range(1, chats + 1)}
    with session.writing() as db:
        for id_ in said:
            title = rng.choice(WORDS) if rng.random() < 0.2 else "title"
            db.execute(
                "INSERT INTO conversations (id, title, created_at, updated_at, system, pinned_at,"
                " archived_at, deleted_at) VALUES (?, ?, 0, 0, '', ?, ?, ?)",
                (id_, title, *(5.0 if rng.random() < 0.15 else None for _ in range(3))),
            )
            db.execute(
                "INSERT INTO title_fts (rowid, text) VALUES (?, ?)", (id_, join_words(title))
            )
            said[id_].append((0, "title", title))
        for number in range(1, messages + 1):
            # Mostly the newest chats, sometimes any.
            newest = max(1, number * chats // messages)
            id_ = newest if rng.random() < 0.9 else rng.randrange(1, chats + 1)
            text = " ".join(rng.sample(WORDS, 3))
            role = rng.choice(("user", "assistant"))
            db.execute(
                "INSERT INTO messages (id, conversation_id, role, status, created_at)"
                " VALUES (?, ?, ?, 'complete', 0)",
                (number, id_, role),
            )
            db.execute(
                "INSERT INTO parts (message_id, position, kind, text) VALUES (?, 0, 'text', ?)",
                (number, text),
            )
            db.execute(
                "INSERT INTO message_fts (rowid, text) VALUES (?, ?)", (number, join_words(text))
            )
            db.execute("UPDATE conversations SET updated_at = ? WHERE id = ?", (number, id_))
            said[id_].append((number, role, text))
    return said


Said = dict[int, list[tuple[int, str, str]]]


@pytest.fixture(scope="module")
def filled() -> Iterator[tuple[Store, Said]]:
    with Store.in_memory() as store:
        yield store, fill(store.session, 60, 1500)


@pytest.fixture(params=["small", "large"])
def bounds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With small bounds a few hundred messages are very many."""
    if request.param == "small":
        monkeypatch.setattr(filtering, "MOST", 40)
        monkeypatch.setattr(search, "COMMON", 20)
        monkeypatch.setattr(spans, "MAX_SPANS", 3)
    return str(request.param)


def matches(text: str, query: str, *, common: bool) -> bool:
    """What the words of `query` find; a common word is no beginning of others."""
    words = join_words(text).split()
    for wanted in query.split():
        folded = join_words(wanted).split()
        if len(folded) > 1:  # a phrase of characters
            if not any(words[at : at + 2] == folded for at in range(len(words))):
                return False
        elif folded[0] in words:
            continue
        elif (common and folded[0] in words_of_history()) or not any(
            word.startswith(folded[0]) for word in words
        ):
            return False
    return True


def words_of_history() -> set[str]:
    return {word for word in WORDS if len(word) > 3}


QUERIES = [
    "anna",
    "annabel",
    "an",
    "bridges",
    "bread anna",
    "北京",
    "京",
    "zoe bread",
    "x1",
    "brea",
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_filter_finds_the_conversations_in_the_order_of_the_list(
    filled: tuple[Store, Said], bounds: str, query: str
) -> None:
    store, said = filled
    if query == "brea" and bounds == "small":
        pytest.skip("a beginning that is costly finds the newest only")
    found = [row.id for row in store.list_conversations(200, query=query)]
    wanted = {
        id_
        for id_, texts in said.items()
        if any(
            matches(text, query, common=bounds == "small" and role != "title")
            for _, role, text in texts
        )
    }
    assert found == [row.id for row in store.list_conversations(200) if row.id in wanted]
    pages = [store.list_conversations(7, at, query) for at in range(0, len(found) + 7, 7)]
    assert [row.id for row in itertools.chain(*pages)] == found
    archived = {row.id for row in store.list_conversations(200, archived=True)}
    shown = {row.id for row in store.list_conversations(200, query=query, archived=True)}
    assert shown == archived & wanted


@pytest.mark.parametrize("query", QUERIES)
def test_a_search_in_a_chat_finds_all_that_it_says(
    filled: tuple[Store, Said], bounds: str, query: str
) -> None:
    store, said = filled
    alive = {row.id for row in store.list_conversations(200, archived=None)}
    for id_, texts in said.items():
        hits = {hit.message_id for hit in store.search(query, 2000, id_)}
        common = bounds == "small"
        wanted = {one for one, _, text in texts[1:] if matches(text, query, common=common)}
        assert hits == (wanted if id_ in alive else set()), id_


def test_prompts_stand_first_and_then_what_is_more_about_the_words(
    filled: tuple[Store, Said],
) -> None:
    store, _ = filled
    roles = [hit.role for hit in store.search("bread", 1000)]
    assert roles == sorted(roles, key=lambda role: role != "user")


def test_a_costly_beginning_finds_the_newest(
    filled: tuple[Store, Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, said = filled
    monkeypatch.setattr(filtering, "MOST", 10)
    newest = sorted(
        ((one, id_) for id_, texts in said.items() for one, _, text in texts[1:] if "brea" in text),
        reverse=True,
    )[:10]
    titled = {id_ for id_, texts in said.items() if "bread" in texts[0][2]}
    found = {row.id for row in store.list_conversations(200, query="brea")}
    alive = {row.id for row in store.list_conversations(200)}
    assert found == alive & ({id_ for _, id_ in newest} | titled)


def test_what_only_models_said_ends_the_search_of_prompts(
    filled: tuple[Store, Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, said = filled
    whole = [prompt.message_id for prompt in store.prompts.list_sent("bread", 2000)]
    alive = {row.id for row in store.list_conversations(200, archived=None)}
    texts: dict[str, int] = {}
    for id_ in alive:
        for one, role, text in said[id_]:
            if role == "user" and "bread" in text:
                texts[text] = max(one, texts.get(text, 0))
    assert whole == sorted(texts.values(), reverse=True)
    monkeypatch.setattr(sent, "MAX_LOOKED_AT", 20)
    monkeypatch.setattr(sent, "_BATCH", 4)
    few = [prompt.message_id for prompt in store.prompts.list_sent("bread", 2000)]
    assert few == whole[: len(few)]
    assert 0 < len(few) < len(whole)


def test_spans_hold_all_messages_and_are_not_too_many(filled: tuple[Store, Said]) -> None:
    store, said = filled
    with store.session.reading() as db:
        for id_, texts in said.items():
            found = spans.find_spans(db, id_)
            assert len(found) <= spans.MAX_SPANS
            assert found == sorted(found, reverse=True)
            for one, _, _ in texts[1:]:
                assert sum(first <= one <= last for first, last in found) == 1
