"""Other processes: killed while they write, alive while we look, writing while we write."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from chatapp.conversation import Message
from chatapp.parts import parts_of
from chatapp.store import Store

WRITER = """
    import sys
    from pathlib import Path
    from chatapp.conversation import Message
    from chatapp.parts import parts_of
    from chatapp.store import Store

    store = Store.open(Path(sys.argv[1]))
    conversation = store.create_conversation("crash")
    prompt = store.add_message(conversation, Message.of("user", "count")).id
    answer = store.begin_answer(conversation, prompt).id
    tokens = []
    while True:
        tokens.append(len(tokens))
        store.journal_answer(answer, parts_of(" ".join(map(str, tokens))), tokens)
        print(answer, len(tokens), flush=True)
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def read_count(child: subprocess.Popen[str]) -> tuple[int, int]:
    assert child.stdout is not None
    answer, count = child.stdout.readline().split()
    return int(answer), int(count)


def test_a_killed_writer_leaves_its_last_journal(path: Path) -> None:
    child = start(WRITER, path)
    try:
        while read_count(child)[1] < 25:
            pass
        with Store.open(path) as living:
            assert living.recover() == [], "its writer is alive"
    finally:
        child.kill()
    assert child.stdout is not None
    reported = [line.split() for line in child.stdout.read().splitlines()]
    child.wait()
    answer, count = (int(number) for number in reported[-1]) if reported else (2, 25)

    with Store.open(path) as store:
        assert store.get_message(answer).status == "streaming"
        assert store.recover() == [answer]
        assert store.recover() == []
        row = store.get_message(answer)
        assert row.status == "interrupted"
        # The last commit may have come between the last report and the kill.
        assert len(row.tokens) in (count, count + 1)
        assert row.tokens == tuple(range(len(row.tokens)))
        assert row.content == " ".join(map(str, row.tokens))
        assert store.find_damage() == []
        assert [hit.message_id for hit in store.search('"17 18 19"')] == [answer]
        store.resume_answer(answer)
        store.finish_answer(answer, parts_of(row.content + " end"), [*row.tokens, 99], "complete")
        assert store.get_message(answer).tokens[-1] == 99


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="macOS has no waitid before Python 3.13")
def test_a_dead_process_that_nobody_waited_for_is_dead(path: Path) -> None:
    child = start(WRITER, path)
    answer, _ = read_count(child)
    child.kill()
    # WNOWAIT: it has ended, and stays a zombie until wait().
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    with Store.open(path) as store:
        recovered = store.recover()
    child.wait()
    assert recovered == [answer]


BULK_WRITER = """
    import sys
    from pathlib import Path
    from chatapp.conversation import Message
    from chatapp.parts import parts_of
    from chatapp.store import Store

    store = Store.open(Path(sys.argv[1]))
    conversation = store.create_conversation(sys.argv[2])
    parent = None
    for number in range(60):
        parent = store.add_message(conversation, Message.of("user", f"word{number}"), parent).id
"""


def test_instances_that_start_and_write_at_once(path: Path) -> None:
    children = [start(BULK_WRITER, path, name) for name in ("one", "two", "three")]
    assert [child.wait() for child in children] == [0, 0, 0]
    with Store.open(path) as store:
        assert store.schema_version == 4
        assert {row.title for row in store.list_conversations()} == {"one", "two", "three"}
        for row in store.list_conversations():
            contents = [message.content for message in store.get_path(row.id)]
            assert contents == [f"word{number}" for number in range(60)]
        assert len(store.search("word59")) == 3
        assert store.find_damage() == []


def test_a_second_instance_sees_what_the_first_commits(path: Path) -> None:
    with Store.open(path) as one, Store.open(path) as two:
        conversation = one.create_conversation("shared")
        first = two.add_message(conversation, Message.of("user", "from two")).id
        one.add_message(conversation, Message.of("user", "from one"), first)
        assert [row.content for row in two.get_path(conversation)] == ["from two", "from one"]
