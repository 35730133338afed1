"""The messages in focus: a mode that is drawn, where letters are commands, and that Esc ends."""

from datetime import datetime

from textual import actions
from textual.events import Paste

from chatapp.config import Config, UiConfig
from chatapp.conversation import Message
from chatapp.store import Store
from chatapp.ui.chat.acting import name_message
from chatapp.ui.keymap import keys_in
from chatapp.ui.screens.links import LinksScreen
from chatapp.ui.widgets.code_walk import CodePlace
from chatapp.ui.widgets.hint_line import HintLine
from chatapp.ui.widgets.new_text import NewText
from tests.ui.widgets.test_transcript import screen_rows

CODE = """Here is `first.py`:

```python
print("one")
```

then, indented in a list:

- so
  ```bash
  echo	two
  ```

See [the page](https://example.org/a?b=1) and <mailto:a@example.org>.
"""


def fill(paths, *answers: str) -> int:
    """A chat with a question before each answer."""
    with Store.open(paths.history) as store:
        conversation, parent = store.create_conversation("filled"), None
        for answer in answers:
            for role, text in (("user", "and?"), ("assistant", answer)):
                parent = store.add_message(conversation, Message.of(role, text), parent).id
    return conversation


def hints(ui) -> str:
    return ui.app.chat.query_one(HintLine).render().plain


async def opened(ui, count: int) -> None:
    await ui.wait(lambda: len(ui.flow.rows) == count)
    await ui.pilot.pause()


async def test_tab_goes_to_the_messages_and_esc_back(run):
    async with run(size=(120, 30)) as ui:
        await ui.say("one")
        await ui.press("tab")
        transcript = ui.pane.transcript
        assert transcript.has_focus
        assert transcript.marked == ui.path()[1].id
        assert not ui.pane.prompt.has_focus
        assert hints(ui).startswith("Esc Back  c Copy  e Edit  r Again")
        await ui.press("up")
        assert transcript.marked == ui.path()[0].id
        await ui.press("down", "down", "down")
        assert transcript.marked == ui.path()[1].id
        await ui.press("q", "Z", "7")  # no commands here
        assert (transcript.has_focus, ui.pane.prompt.text) == (True, "")
        await ui.press("escape")
        assert (transcript.marked, ui.pane.prompt.has_focus) == (None, True)
        await ui.press("c", "e")
        assert ui.pane.prompt.text == "ce"


async def test_tab_goes_on_to_the_chats_and_back_to_the_prompt(run):
    async with run(size=(120, 30)) as ui:
        await ui.say("one")
        await ui.press("tab", "tab")
        assert ui.app.chat.sidebar in ui.app.focused.ancestors
        await ui.press("shift+tab")
        assert ui.pane.transcript.has_focus


async def test_enter_takes_the_mark_along(run):
    async with run() as ui:
        await ui.say("one")
        await ui.press("tab", "up", "enter")
        assert ui.pane.prompt.has_focus
        assert ui.pane.transcript.marked == ui.path()[0].id
        await ui.press("c")
        assert ui.pane.prompt.text == "c"
        await ui.press("alt+c")
        assert ui.app.clipboard == "one"


async def test_a_paste_in_the_messages_is_the_prompts(run):
    async with run() as ui:
        await ui.say("one")
        await ui.press("tab")
        ui.app.post_message(Paste("pasted"))
        await ui.wait(lambda: ui.pane.prompt.text == "pasted")
        assert ui.pane.prompt.has_focus


async def test_letters_act_on_the_marked_message(run):
    async with run() as ui:
        await ui.say("one")
        await ui.say("two")
        await ui.press("tab", "up", "up", "c")
        assert ui.app.clipboard == "one"
        await ui.wait(lambda: any(name_message(ui.path()[1]) in said for said in ui.notices()))
        await ui.press("r")
        await ui.wait(lambda: len(ui.path()) == 2 and ui.path()[1].sibling_count == 2)
        await ui.idle()
        assert ui.pane.prompt.has_focus, "the mark has done its work"
        await ui.press("tab", "left")
        await ui.wait(lambda: len(ui.path()) == 4)
        await ui.wait(lambda: ui.pane.transcript.marked == ui.path()[1].id)
        await ui.press("up", "e")
        assert ui.pane.prompt.text == "one"
        assert ui.pane.prompt.has_focus


async def test_every_key_of_the_messages_does_something(run):
    async with run() as ui:
        names = [actions.parse(key.action)[1] for key in keys_in("message")]
        owners = (ui.app.chat, ui.app)
        done = {name for name in names for one in owners if hasattr(one, f"action_{name}")}
        assert set(names) == done


async def test_a_message_is_deleted_and_brought_back(run):
    async with run() as ui:
        await ui.say("one")
        await ui.say("two")
        await ui.press("tab", "up", "d")
        await ui.wait(lambda: ui.said() == ["one", "one", "two"])
        await ui.wait(lambda: ui.pane.prompt.has_focus)
        await ui.press("tab", "u")
        await ui.wait(lambda: ui.said() == ["one", "one", "two", "two"])


async def test_a_new_chat_or_a_click_ends_the_mode(run):
    async with run() as ui:
        await ui.say("one")
        await ui.press("tab", "ctrl+n")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        await ui.press("c")
        assert ui.pane.prompt.text == "c"


async def test_a_message_is_shown_raw_and_its_thought_unfolds(run, paths):
    chat = fill(paths, "**bold** and `code`", "# Second")
    async with run(conversation_id=chat) as ui:
        await opened(ui, 4)
        await ui.press("tab", "w")
        await ui.wait(lambda: any("# Second" in row for row in screen_rows(ui.app)))
        assert not any("**bold**" in row for row in screen_rows(ui.app))
        await ui.press("w", "escape")
        await ui.write("/raw on")
        await ui.wait(lambda: any("**bold** and `code`" in row for row in screen_rows(ui.app)))
        await ui.write("/raw")
        await ui.wait(lambda: not any("**bold**" in row for row in screen_rows(ui.app)))


async def test_blocks_of_code_are_walked_through_the_whole_chat(run, paths):
    chat = fill(paths, CODE, *(["no code"] * 60), "    indented\n\ntext", "last")
    async with run(conversation_id=chat) as ui:
        await opened(ui, 126)
        answers = [row.id for row in ui.flow.rows if row.role == "assistant"]
        code = ui.pane.transcript.code
        await ui.press("alt+k")
        assert code.place == CodePlace(answers[-2], 0)
        await ui.press("alt+k")
        assert code.place == CodePlace(answers[0], 1)
        assert ui.pane.transcript.marked == answers[0]
        await ui.wait(lambda: any("echo" in row and "┃" in row for row in screen_rows(ui.app)))
        await ui.press("alt+c")
        assert ui.app.clipboard == "echo\ttwo"
        said = f"code block 2 of 2 of {name_message(ui.flow.rows[1])}"
        assert said in ui.status.activity
        await ui.wait(lambda: any(f"Copied {said} (8 characters)" in n for n in ui.notices()))
        await ui.press("tab", "k", "y")
        assert ui.app.clipboard == 'print("one")'
        await ui.press("k")
        await ui.wait(lambda: any("no block of code above" in said for said in ui.notices()))
        await ui.press("right_square_bracket", "j")
        assert code.place == CodePlace(answers[-2], 0)
        await ui.press("escape")
        assert (code.place, ui.pane.transcript.marked) == (None, None)


async def test_commands_copy_the_answer_or_one_of_its_blocks(run, paths):
    chat = fill(paths, CODE)
    async with run(conversation_id=chat) as ui:
        await opened(ui, 2)
        await ui.write("/copy 1")
        await ui.wait(lambda: ui.app.clipboard == 'print("one")')
        await ui.write("/copy all")
        await ui.wait(lambda: ui.app.clipboard == CODE)
        await ui.write("/copy 3")
        await ui.wait(lambda: any("There is no code block 3" in said for said in ui.notices()))
        assert ui.pane.prompt.text == "/copy 3", "to be mended"


async def test_a_click_on_a_link_shows_it_and_opens_nothing(run, paths, tmp_path, monkeypatch):
    record = tmp_path / "opened"
    programs = tmp_path / "programs"
    programs.mkdir()
    fake = programs / "xdg-open"
    fake.write_text(f'#!/bin/sh\nprintf %s "$1" >> {record}\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("DISPLAY", ":7")
    chat = fill(paths, CODE)
    async with run(conversation_id=chat) as ui:
        await opened(ui, 2)
        await ui.press("tab", "l")
        await ui.wait(lambda: isinstance(ui.app.screen, LinksScreen))
        rows = "\n".join(screen_rows(ui.app))
        assert "https://example.org/a?b=1" in rows
        assert "mailto:a@example.org" in rows
        await ui.press("escape")
        assert ui.pane.transcript.has_focus, "back where one was"
        await ui.press("l", "enter")
        await ui.wait(record.exists)
        await ui.wait(lambda: any(said.startswith("Opened http") for said in ui.notices()))
        assert record.read_text() == "https://example.org/a?b=1"
        ui.app.chat.reading.show_link("javascript:alert(1)")
        await ui.press("enter")
        await ui.wait(lambda: any("of the web and of mail only" in said for said in ui.notices()))
        monkeypatch.delenv("DISPLAY")
        ui.app.chat.reading.show_link("https://example.org")
        await ui.press("enter")
        await ui.wait(lambda: any("no desktop here" in said for said in ui.notices()))
        assert record.read_text() == "https://example.org/a?b=1"


async def test_each_message_says_when_it_was_written(run):
    async with run() as ui:
        await ui.say("one")
        row = ui.path()[1]
        clock = datetime.fromtimestamp(row.created_at).astimezone().strftime("%H:%M")
        await ui.wait(lambda: any(f"Assistant · {clock}" in line for line in screen_rows(ui.app)))


async def test_new_text_below_is_told_while_one_reads_above(run, paths):
    chat = fill(paths, "line\n\n" * 60)
    async with run(conversation_id=chat) as ui:
        await opened(ui, 2)
        await ui.write("/words 400\n/delay 5")
        await ui.streaming()
        await ui.press("pageup", "pageup", "shift+up")
        mark = ui.pane.new_text
        await ui.wait(lambda: mark.shown)
        await ui.wait(
            lambda: screen_rows(ui.app)[ui.pane.prompt.region.y - 1].endswith("↓ new text")
        )
        await ui.press("ctrl+end")
        await ui.wait(lambda: not mark.shown)
        await ui.press("pageup", "pageup")
        await ui.wait(lambda: mark.shown)
        assert await ui.pilot.click(NewText)
        await ui.wait(lambda: not mark.shown)
        await ui.press("escape")
        await ui.idle()


async def test_keys_scroll_from_the_prompt(run, paths):
    chat = fill(paths, "line\n\n" * 60)
    async with run(conversation_id=chat) as ui:
        await opened(ui, 2)
        transcript = ui.pane.transcript
        ui.pane.prompt.set_prompt("a\nb\nc")
        await ui.wait(lambda: transcript.scroll_y == transcript.max_scroll_y > 50)
        await ui.pilot.pause()
        end = transcript.scroll_y
        await ui.press("shift+up")
        await ui.wait(lambda: transcript.scroll_y == end - 1)
        await ui.press("shift+down", "pageup")
        await ui.wait(lambda: transcript.scroll_y < end - 5)
        await ui.press("ctrl+home")
        await ui.wait(lambda: transcript.scroll_y == 0)
        await ui.press("ctrl+end")
        await ui.wait(lambda: transcript.scroll_y == transcript.max_scroll_y)
        assert (ui.pane.prompt.text, ui.pane.prompt.selected_text) == ("a\nb\nc", "")


async def test_prose_keeps_to_its_measure_and_may_stand_in_the_middle(run, paths):
    chat = fill(paths, "word " * 100)
    for align, margin in (("left", 0), ("centre", 20)):
        config = Config(ui=UiConfig(measure=60, align=align, sidebar=False))
        async with run(conversation_id=chat, size=(106, 30), config=config) as ui:
            await opened(ui, 2)
            await ui.wait(lambda: any("word" in row for row in screen_rows(ui.app)))
            rows = [row for row in screen_rows(ui.app) if row.count("word") > 5]
            assert max(len(row.strip()) for row in rows) <= 60
            assert {len(row) - len(row.lstrip()) - margin for row in rows} == {3}
            head = next(row for row in screen_rows(ui.app) if "Assistant" in row)
            assert len(head) - len(head.lstrip()) - margin == 3
