"""What is written becomes rows: which files go with another version of a message."""

from pathlib import Path

import pytest

from chatapp.conversation import Message
from chatapp.parts import File, Image, Text
from chatapp.store import Store
from chatapp.ui.chat.storing import Storing
from chatapp.ui.messages import Queued

PICTURE = Image(b"12345", name="cat.png")
BROUGHT = File("brought.txt", "came with an import")


class Desk:
    """A message with files, and its next version."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._storing = Storing(store, lambda _fact: None)
        self._chat = store.create_conversation("files")

    async def edit(self, said: str, files: list, text: str) -> list:
        parts = (*files, Text(said))
        row = self._store.add_message(self._chat, Message("user", parts), None)
        new = await self._storing.replace(row, Queued(row.conversation_id, text, row.id))
        assert self._store.get_message(row.id).parts == parts, "nothing said is overwritten"
        assert new.parts[-1] == Text(text)
        return list(new.parts[:-1])


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("a is this now")
    (tmp_path / "b.txt").write_text("b")
    with Store.in_memory() as store:
        yield Desk(store)


A, A_NOW, B = File("a.txt", "a was this"), File("a.txt", "a is this now"), File("b.txt", "b")


@pytest.mark.parametrize(
    ("said", "files", "text", "left"),
    [
        ("@a.txt and @b.txt", [A, B], "only @b.txt", [B]),
        ("@a.txt", [A], "nothing any more", []),
        ("@a.txt", [A], "what of @a.txt?", [A_NOW]),
        ("see (@./a.txt).", [A], "@a.txt", [A_NOW]),
        ("@gone.txt", [File("gone.txt", "x")], "why @gone.txt?", [File("gone.txt", "x")]),
        ("@gone.txt", [File("gone.txt", "x")], "why?", []),
        ("look", [PICTURE, BROUGHT], "look again @b.txt", [PICTURE, BROUGHT, B]),
        ("look", [A], "look at @a.txt", [A_NOW]),
        ("look", [A], "a.txt", [A]),
    ],
)
async def test_a_file_comes_and_goes_with_its_name(desk, said, files, text, left):
    assert await desk.edit(said, files, text) == left


async def test_it_does_from_another_folder_too(desk, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert await desk.edit("@b.txt", [B], "and @b.txt?") == [B]
    assert await desk.edit("@b.txt", [B], "and?") == []
    assert await desk.edit(f"@{tmp_path}/a.txt", [A], f"@{tmp_path}/a.txt") == [
        File(f"{tmp_path}/a.txt", "a is this now")
    ]
