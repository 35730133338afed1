"""What is found, in which order, and how it is shown."""

import random
import sys
import unicodedata
from collections.abc import Callable

import pytest

from chatapp.conversation import Message
from chatapp.parts import parts_of
from chatapp.store import Store
from chatapp.store.rows import HIT_START
from chatapp.store.words import MAX_WORD, compose, cut_words, join_words

TEXTS = {
    "chinese": "我住在北京市，今天天气很好。",
    "japanese": "東京タワーへ行きます。ひらがなとカタカナ、ﾊﾝｶｸ。",
    "korean": "오늘은 한국어를 공부했습니다.",
    "thai": "ผมชอบกินข้าวผัด",
    "hindi": "मुझे हिन्दी किताब पढ़ना पसंद है",
    "russian": "Съешь ещё этих мягких французских булок",
    "accents": "A naïve café owner, Straße, ŒUVRE, İstanbul",
    "plain": "A naive performance of foo_bar() in C++ & don't stop",
    "emoji": "good🙂 luck 👍🏽 ❤️ 👩‍👩‍👧 🇩🇪 日🙂本",
    "symbols": "x² + y³ ≤ 5 € and ∑ of ½",
    "decomposed": unicodedata.normalize("NFD", "résumé 한글 ガギ"),
    "nul": "before\x00after \x1b[31mred",
    "rare": "𠀀𪜶 ꦱꦏ",
}


@pytest.fixture
def texts(store: Store) -> dict[int, str]:
    ids = {}
    for name, text in TEXTS.items():
        conversation = store.create_conversation(name)
        ids[store.add_message(conversation, Message.of("user", text)).id] = name
    return ids


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("北京", "chinese"),
        ("京", "chinese japanese"),
        ("京市", "chinese"),
        ("京北", ""),
        ("天气 北京", "chinese"),
        ("北京天气", ""),
        ("，今天", "chinese"),
        ("タワ", "japanese"),
        ("た", ""),
        ("ひら", "japanese"),
        ("ハンカク", "japanese"),
        ("ﾀﾜｰ", "japanese"),
        ("국어", "korean"),
        ("한국", "korean"),
        ("공부", "korean"),
        ("한글", "decomposed"),
        ("ガ", "decomposed"),
        ("カ", "japanese"),
        ("กิน", "thai"),
        ("ข้าว", "thai"),
        ("हिन्दी", "hindi"),
        ("किता", "hindi"),
        ("еще", "russian"),
        ("МЯГК", "russian"),
        ("naive", "accents plain"),
        ("naïve", "accents plain"),
        ("NAÏVE", "accents plain"),
        ("nai\u0308ve", "accents plain"),
        ("cafe", "accents"),
        ("strasse", "accents"),
        ("istanbul", "accents"),
        ("œuvre", "accents"),
        ("resume", "decomposed"),
        ("perf", "plain"),
        ("formance", ""),
        ("perf naive", "plain"),
        ("perf cafe", ""),
        ("foo_bar", "plain"),
        ("foo_b", "plain"),
        ('"foo b"', ""),
        ('"naive performance"', "plain"),
        ('"naive owner"', ""),
        ("don't", "plain"),
        ("c++", "plain"),
        ("🙂", "emoji"),
        ("good🙂", "emoji"),
        ("👍", "emoji"),
        ("👍🏽", "emoji"),
        ("❤", "emoji"),
        ("❤️", "emoji"),
        ("👧", "emoji"),
        ("👩‍👩‍👧", "emoji"),
        ("🇩🇪", "emoji"),
        ("日🙂", "emoji"),
        ("x2", "symbols"),
        ("€", "symbols"),
        ("∑", "symbols"),
        ("after", "nul"),
        ("before\x00aft", "nul"),
        ("𪜶", "rare"),
        ("a AND b OR NOT c", ""),
    ],
)
def test_what_is_found(store: Store, texts: dict[int, str], query: str, names: str) -> None:
    found = sorted(texts[hit.message_id] for hit in store.search(query))
    assert found == names.split()
    for hit in store.search(query):
        assert HIT_START in hit.snippet
        assert hit.title == texts[hit.message_id]
    listed = sorted(row.title for row in store.list_conversations(query=query))
    assert set(names.split()) <= set(listed)


@pytest.mark.parametrize("query", ["", " ", '"', '""', "\x00", "*", "():", "^-+{}", "?!", "。"])
def test_a_query_without_words(store: Store, texts: dict[int, str], query: str) -> None:
    assert store.search(query) == []
    assert len(store.list_conversations(query=query)) == len(TEXTS)


def test_no_query_is_an_error(store: Store, texts: dict[int, str]) -> None:
    rng = random.Random(3)
    pieces = [
        *"\"'*()^:+-{}[]~|&<>\\/,.;!?@#$%=_` \t\n\x00\x01\x1b\ud800\udfff\u200d\ufe0f\u0301",
        *"北京한🙂é²½ก𠀀\ufffd\U0010ffff\ue000",
        *["AND", "OR", "NOT", "NEAR", "NEAR(a b, 2)", "text:", "rowid", "message_fts", "naive"],
        *["a" * 500, "'; DROP TABLE messages; --", "%s", "{0}", "北" * 300],
    ]
    for _ in range(1000):
        query = "".join(rng.choice(pieces) for _ in range(rng.randrange(40)))
        assert len(store.search(query, limit=5)) <= 5
        assert len(store.list_conversations(limit=5, query=query)) <= 5
    assert store.count_messages() == len(TEXTS)


def test_any_piece_of_a_text_finds_it(store: Store, texts: dict[int, str]) -> None:
    rng = random.Random(5)
    for message_id, name in texts.items():
        text = compose(TEXTS[name])
        words = list(cut_words(text))
        for _ in range(10):
            first = rng.randrange(len(words))
            last = rng.randrange(first, min(first + 5, len(words)))
            piece = text[words[first].start : words[last].end]
            assert message_id in [hit.message_id for hit in store.search(f'"{piece}"')], piece


def test_no_character_escapes_from_a_word() -> None:
    characters = map(chr, range(sys.maxunicode + 1))
    special = [char for char in characters if unicodedata.normalize("NFKD", char) != char]
    assert len(special) > 10_000
    for char in special:
        for word in join_words(char).split(" "):
            assert '"' not in word
            assert not word or any(inside.isalnum() or not inside.isascii() for inside in word)


def test_long_words_are_cut_alike_in_text_and_query(store: Store, say: Callable[..., int]) -> None:
    message = say("key " + "A1" * 5000 + " end")
    assert [hit.message_id for hit in store.search("a1" * 5000)] == [message]
    assert [hit.message_id for hit in store.search("a1a1")] == [message]
    assert max(len(word.text) for word in cut_words("ab" * 500)) == MAX_WORD


def test_prompts_come_before_answers(store: Store, say: Callable[..., int]) -> None:
    prompts, answers = [], []
    for number in range(3):
        prompts.append(say("a long question that mentions an elephant once " + "filler " * number))
        conversation = store.get_message(prompts[-1]).conversation_id
        answers.append(store.begin_answer(conversation, prompts[-1]).id)
        store.finish_answer(answers[-1], parts_of("elephant elephant elephant"), [], "complete")
    hits = [hit.message_id for hit in store.search("elephant")]
    assert sorted(hits[:3]) == prompts
    assert sorted(hits[3:]) == answers
    assert hits[0] == prompts[0], "the shorter text is the better match"
    assert [hit.message_id for hit in store.search("elephant", limit=2)] == hits[:2]
    other = store.get_message(prompts[1]).conversation_id
    within = store.search("elephant", conversation_id=other)
    assert [hit.message_id for hit in within] == [prompts[1], answers[1]]


def test_titles_are_searched_in_the_list(store: Store) -> None:
    conversation = store.create_conversation("Größe der 北京 Häuser")
    for query in ("grosse", "grö", "京", "hauser"):
        assert [row.id for row in store.list_conversations(query=query)] == [conversation]
    store.rename_conversation(conversation, "elephants")
    assert store.list_conversations(query="hauser") == []
    assert [row.id for row in store.list_conversations(query="eleph")] == [conversation]


def test_snippets_mark_hits_in_one_line(store: Store, say: Callable[..., int]) -> None:
    say(
        "start\n"
        + "filler words here " * 50
        + "the\x02 naïve\x1b[0m\telephant\r\nsleeps"
        + " z" * 99
    )
    (hit,) = store.search("naive eleph")
    assert "the \x02naïve\x03 [0m \x02elephant\x03 sleeps" in hit.snippet
    assert hit.snippet.startswith("…")
    assert hit.snippet.endswith("…")
    assert len(hit.snippet) < 200
    say("我住在北京市，北京很大")
    (hit,) = store.search("北京")
    assert hit.snippet == "我住在\x02北京\x03市，\x02北京\x03很大"


def test_a_hit_far_inside_a_huge_message_still_has_a_snippet(
    store: Store, say: Callable[..., int]
) -> None:
    message = say("haystack " * 60_000 + "needle")
    (hit,) = store.search("needle")
    assert hit.message_id == message
    assert hit.snippet.startswith("haystack haystack")
    assert len(hit.snippet) < 200


def test_sqlite_itself_would_not_do(store: Store) -> None:
    # The reason for words.py: should this ever fail, SQLite has learnt it.
    with store.session.writing() as db:
        db.execute("CREATE VIRTUAL TABLE temp.tri USING fts5 (text, tokenize='trigram')")
        db.execute("INSERT INTO temp.tri VALUES (?)", (TEXTS["chinese"],))
        assert db.execute("SELECT count(*) FROM temp.tri('\"北京\"')").fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM temp.tri('\"北京市\"')").fetchone() == (1,)
