"""Every program's documented format, as it stands in `programs/`: trees, parts, titles, times."""

from pathlib import Path

import pytest

from chatapp.export.imports import PROGRAMS
from chatapp.store import Store
from tests.export.importers import FIXTURES, bring_in, heads, make_database, outline, shown

IMAGE = ("image", "image/png")


def models(store: Store, conversation: int) -> list[str]:
    messages = store.get_tree(conversation).messages
    return [row.generation.model_name for row in messages if row.generation is not None]


def test_chatgpt_in_shards(store: Store) -> None:
    report = bring_in(store, FIXTURES / "chatgpt")
    assert heads(store, report) == [("Rivers", "I am a geographer.\n\nBe brief."), ("Hello", "")]
    assert outline(store, report.new[0]) == [
        (None, "user", [IMAGE, "Which river is this?", ("file", "notes.txt", "Rhine = long")]),
        (0, "assistant", ["The Elbe."]),
        (
            0,
            "assistant",
            [
                ("thought", "**Looking at the map**\n\nIt bends twice."),
                ("call", "call", "python", '{"input": "print(6*7)"}'),
            ],
        ),
        (2, "tool", [("result", "call", "42")]),
        (3, "assistant", ["The Rhine, 42 of them."]),
    ]
    assert shown(store, report.new[0])[-1] == ["The Rhine, 42 of them."]
    assert models(store, report.new[0]) == ["gpt-4o", "gpt-5-thinking", "gpt-5-thinking"]
    row = store.get_conversation(report.new[0])
    assert (row.created_at, row.updated_at) == (1700000000.5, 1700000100.25)
    assert [one.created_at for one in store.get_path(report.new[1])] == [1700000200.5, 1700000201]
    assert store.get_path(report.new[1])[-1].status == "stopped"
    assert (report.messages, report.empty) == (7, 1)
    assert report.losses == {
        "attached files whose text the export does not hold": 1,
        "notes of how long ChatGPT thought": 1,
    }
    assert [*report.passed_over] == ["user.json"], "pictures and files that are shown are not"


def test_claude(store: Store) -> None:
    report = bring_in(store, FIXTURES / "claude" / "conversations.json")
    assert heads(store, report) == [("A letter", ""), ("An older export without blocks", "")]
    assert outline(store, report.new[0]) == [
        (None, "user", ["Read this.", ("file", "letter.txt", "Dear reader")]),
        (
            0,
            "assistant",
            [
                ("thought", "Let me search."),
                "I search.",
                ("call", "toolu_1", "web_search", '{"query": "letters"}'),
            ],
        ),
        (1, "tool", [("result", "toolu_1", "Letters are long.")]),
        (2, "assistant", ["It is a letter."]),
        (0, "assistant", ["Another answer."]),
        (3, "user", ["Thanks"]),
    ]
    assert shown(store, report.new[0])[-1] == ["Thanks"], "the newest, for none is said to be shown"
    assert store.get_conversation(report.new[0]).created_at == 1748772000.0
    assert [parent for parent, *_ in outline(store, report.new[1])] == [None, 0]
    assert report.losses == {"files that the export only names": 1, "lists of sources": 1}


def test_open_webui(store: Store) -> None:
    report = bring_in(store, FIXTURES / "openwebui" / "chats.json")
    assert heads(store, report) == [("Numbers", "Count well."), ("Broken", "")]
    assert outline(store, report.new[0]) == [
        (None, "user", ["Count the lines.", ("file", "list.txt", "one\ntwo"), IMAGE]),
        (
            0,
            "assistant",
            [
                ("thought", "two lines & no more\nso two"),
                "Two.",
                ("call", "call_9", "count", '{"of": 1}'),
            ],
        ),
        (1, "tool", [("result", "call_9", "2 lines")]),
        (2, "assistant", ["Yes, two."]),
        (0, "assistant", [("thought", "hm"), ("call", "call_7", "count", "{}")]),
        (4, "tool", [("result", "call_7", "2")]),
        (5, "assistant", ["two"]),
    ]
    assert shown(store, report.new[0])[-1] == ["two"]
    times = [row.created_at for row in store.get_tree(report.new[0]).messages]
    assert times[0] == 1720000001.0, "seconds"
    assert times[-1] == 1720000003.0, "milliseconds"
    failed = store.get_path(report.new[1])[-1]
    assert failed.status == "failed"
    assert failed.generation is not None
    assert (failed.generation.model_name, failed.generation.error) == ("m", "model not found")


def test_llamacpp(store: Store) -> None:
    report = bring_in(store, FIXTURES / "llamacpp")
    assert heads(store, report) == [
        ("Rhymes", "Rhyme."),
        ("Second", ""),
        ("Legacy", ""),
        ("No ids", ""),
    ]
    assert outline(store, report.new[0]) == [
        (None, "user", ["A line, please", ("file", "ode.txt", "O wind"), IMAGE]),
        (
            0,
            "assistant",
            [
                ("thought", "wind, kind"),
                "I look.",
                ("call", "t1", "rhymes", '{"word":"wind"}'),
            ],
        ),
        (1, "tool", [("result", "t1", "kind, mind")]),
        (2, "assistant", ["The wind is kind."]),
        (0, "assistant", ["Another line."]),
    ]
    assert shown(store, report.new[0])[-1] == ["The wind is kind."]
    answer = store.get_path(report.new[0])[1]
    assert answer.generation is not None
    assert answer.generation.completion_tokens == 17
    assert outline(store, report.new[2]) == [
        (None, "user", ["old", ("file", "Pasted", "pasted text")]),
        (0, "assistant", [("thought", "very old"), "older"]),
    ]
    assert shown(store, report.new[3]) == [["a"], ["b"]]
    assert report.losses == {"attachments that are neither text nor images": 1}


def test_lm_studio(store: Store) -> None:
    report = bring_in(store, FIXTURES / "lmstudio")
    assert heads(store, report) == [("Tools", "Use tools.")]
    assert outline(store, report.new[0]) == [
        (None, "user", ["What time is it?", IMAGE]),
        (0, "assistant", ["Noon."]),
        (
            0,
            "assistant",
            [("thought", "I need a clock."), ("call", "req-11", "clock", '{"zone": "UTC"}')],
        ),
        (2, "tool", [("result", "req-11", "12:34")]),
        (3, "assistant", ["It is 12:34."]),
        (4, "user", ["Thanks"]),
    ]
    assert shown(store, report.new[0])[-1] == ["Thanks"]
    assert store.get_conversation(report.new[0]).created_at == 1750000000.0
    assert report.losses == {}


def test_lists_of_messages(store: Store) -> None:
    report = bring_in(store, FIXTURES / "openai")
    assert heads(store, report) == [
        ("What is in the picture?", "Answer in French."),
        ("1+1", "S"),
        ("1+1", "S"),
    ]
    assert outline(store, report.new[0]) == [
        (None, "user", ["What is in the picture?", IMAGE]),
        (0, "assistant", [("thought", "a dot?"), ("call", "call_1", "look", '{"at": "dot"}')]),
        (1, "tool", [("result", "call_1", "a dot")]),
        (2, "assistant", ["Un point."]),
    ]
    assert models(store, report.new[0]) == ["gpt-4o-mini", "gpt-4o-mini"]
    assert [shown(store, id_)[-1] for id_ in report.new[1:]] == [["2"], ["two"]]
    assert report.losses == {"images that the export only names": 1}


def test_llm_with_responses(store: Store, tmp_path: Path) -> None:
    file = make_database(FIXTURES / "llm" / "responses.sql", tmp_path / "logs.db")
    report = bring_in(store, file)
    assert heads(store, report) == [
        ("What is in this", "Be kind."),
        ("alone", ""),
        ("Without a conversation", ""),
    ]
    assert outline(store, report.new[0]) == [
        (None, "user", [("file", "notes.md", "the file"), "What is in this?", IMAGE]),
        (
            0,
            "assistant",
            [("thought", "I call a tool"), ("call", "call_a", "dice", '{"sides": 6}')],
        ),
        (1, "tool", [("result", "call_a", "7")]),
        (2, "assistant", ["It says 7."]),
    ]
    assert models(store, report.new[0]) == ["gpt-4o-2024-08-06", "gpt-4o"]
    assert report.losses == {"attachments that are no images in the file": 1}
    assert [*tmp_path.iterdir()] == [file], "nothing is left beside the file"


def test_llm_with_the_first_table(store: Store, tmp_path: Path) -> None:
    file = make_database(FIXTURES / "llm" / "logs.sql", tmp_path / "log.db")
    report = bring_in(store, file)
    assert heads(store, report) == [("First", "Sys"), ("Apart", "")]
    assert shown(store, report.new[0]) == [["First"], ["One"], ["Second"], ["Two"]]
    assert store.get_conversation(report.new[0]).created_at == 1685613600.1


def test_llm_with_threads(store: Store, tmp_path: Path) -> None:
    file = make_database(FIXTURES / "llm" / "threads.sql", tmp_path / "logs.db")
    report = bring_in(store, file)
    assert heads(store, report) == [("Sums", "Be exact."), ("Sums again", "Be exact.")]
    asked = [("file", "numbers.txt", "1 2"), "Sum it", IMAGE]
    assert outline(store, report.new[0]) == [
        (None, "user", asked),
        (0, "assistant", [("thought", "add them"), ("call", "k", "add", '{"a": 1}')]),
        (1, "tool", [("result", "k", "3")]),
        (2, "assistant", ["Three."]),
    ]
    assert shown(store, report.new[1]) == [asked, ["Four?"]], "what threads share is in each"


def test_oterm(store: Store, tmp_path: Path) -> None:
    file = make_database(FIXTURES / "oterm" / "store.sql", tmp_path / "store.db")
    report = bring_in(store, file)
    assert heads(store, report) == [("first chat", "Be nice.")]
    assert shown(store, report.new[0]) == [["See this", IMAGE], ["A dot."], ["Sure?"], ["Yes."]]
    assert models(store, report.new[0]) == ["llama3.2:latest"] * 2
    assert report.empty == 1


def test_pins_archives_and_tags_come_along(store: Store) -> None:
    report = bring_in(store, FIXTURES / "openwebui")
    first, second = (store.get_conversation(id_) for id_ in report.new)
    assert (first.archived_at, first.pinned, first.tags) == (1720000500.0, False, ("maths",))
    assert (second.archived, second.pinned, second.tags) == (False, False, ())
    rhymes, other, *_ = bring_in(store, FIXTURES / "llamacpp").new
    assert store.get_conversation(rhymes).pinned_at == 1767348000.0
    assert not store.get_conversation(other).pinned


FOLDERS = {
    "chatgpt": 2,
    "claude": 2,
    "openwebui": 2,
    "llamacpp": 4,
    "lmstudio": 1,
    "openai": 3,
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_program_can_be_named(store: Store, name: str) -> None:
    report = bring_in(store, FIXTURES / name, name)
    assert len(report.new) == FOLDERS[name]
    assert {*report.programs} == {PROGRAMS[name].title}


@pytest.mark.parametrize("name", [*FOLDERS, "llm", "oterm"])
def test_importing_twice_adds_nothing(store: Store, name: str, tmp_path: Path) -> None:
    folder = FIXTURES / name
    for script in folder.glob("*.sql"):
        make_database(script, tmp_path / f"{script.stem}.db")
        folder = tmp_path
    first = bring_in(store, folder)
    before = [store.get_tree(id_) for id_ in first.new]
    again = bring_in(store, folder)
    assert (again.new, again.grown, again.messages) == ([], [], 0)
    assert again.known == len(first.new)
    assert [store.get_tree(id_) for id_ in first.new] == before


def test_the_documents_name_every_program() -> None:
    page = (FIXTURES.parents[2] / "docs/COMMAND_LINE.md").read_text(encoding="utf-8")
    table = page[page.index("| Program | `--from` |") :].split("\n\n")[0]
    assert [line.split("`")[1] for line in table.splitlines()[2:]] == [*PROGRAMS]
