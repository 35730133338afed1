"""The list of chats: groups, pins, tags, archive, several at once, what is marked in it."""

from datetime import UTC, datetime, timedelta

from textual.widgets import Input

from chatapp.conversation import Message
from chatapp.store import Store
from chatapp.store.rows import ConversationRow
from chatapp.ui.forms.tags import TagsForm
from chatapp.ui.widgets.chat_groups import lay_out, short_when
from chatapp.ui.widgets.hint_line import HintLine

NOW = datetime(2026, 11, 28, 12, 0).astimezone()  # a Saturday


def row(hours_ago: float, *, pinned: bool = False) -> ConversationRow:
    at = (NOW - timedelta(hours=hours_ago)).timestamp()
    return ConversationRow(1, "t", "", at, at, None, None, pinned_at=at if pinned else None)


def test_rows_stand_under_their_days():
    rows = [row(400, pinned=True), row(1), row(13), row(30), row(24 * 3), row(24 * 8)]
    rows += [row(24 * 40), row(24 * 41), row(24 * 400)]
    assert lay_out(rows, NOW) == [
        "Pinned", 0, "Today", 1, "Yesterday", 2, 3, "This week", 4, "This month", 5,
        "October 2026", 6, 7, "October 2025", 8,
    ]  # fmt: skip
    assert lay_out([], NOW) == []
    assert short_when(row(24 * 3), NOW) == "Wed"
    assert short_when(row(24 * 8), NOW) == "20"
    assert short_when(row(13), NOW) == "23:00"


def test_what_is_said_tomorrow_is_today():
    assert lay_out([row(-50)], NOW) == ["Today", 0]


def fill(store: Store, *titles: str) -> list[int]:
    ids = []
    for title in titles:
        conversation = store.create_conversation(title)
        store.add_message(conversation, Message.of("user", f"said in {title}"), None)
        ids.append(conversation)
    return ids


def drawn(ui) -> list[str]:
    chats = ui.app.chat.sidebar.chats
    lines = [chats.render_line(y).text.rstrip() for y in range(chats.size.height)]
    return [line for line in lines if line]


async def test_a_pin_goes_to_the_top_and_back(run, paths):
    store = Store.open(paths.history)
    old, *_ = fill(store, "old", "middle", "new")
    async with run(store=store, size=(120, 30)) as ui:
        chats = ui.app.chat.sidebar.chats
        await ui.wait(lambda: len(chats.rows) == 3)
        await ui.press("ctrl+b", "end", "ctrl+k")
        await ui.wait(lambda: drawn(ui)[0] == "Pinned" and chats.rows[0].id == old)
        assert chats.chosen_id == old
        await ui.press("ctrl+k")
        await ui.wait(lambda: drawn(ui)[0] == "Today" and chats.rows[-1].id == old)


async def test_several_are_marked_and_deleted_and_come_back_at_once(run, paths):
    store = Store.open(paths.history)
    ids = fill(store, "a", "b", "c", "d", "e")[::-1]
    async with run(store=store, size=(120, 30)) as ui:
        chats = ui.app.chat.sidebar.chats
        await ui.wait(lambda: len(chats.rows) == 5)
        await ui.press("ctrl+b", "home", "space", "down", "shift+down")
        assert list(chats.marked) == [ids[0], ids[2], ids[3]]
        assert sum(line.startswith("✓") for line in drawn(ui)) == 3
        await ui.press("delete")
        await ui.wait(lambda: [one.id for one in chats.rows] == [ids[1], ids[4]])
        assert chats.marked == ()
        await ui.wait(lambda: any("Deleted 3 chats" in text for text in ui.notices()))
        await ui.press("U")
        await ui.wait(lambda: [one.id for one in chats.rows] == ids)
        assert len(store.list_conversations()) == 5


async def test_escape_takes_the_marks_then_the_filter_then_leaves(run, paths):
    store = Store.open(paths.history)
    fill(store, "apple", "pear")
    async with run(store=store, size=(120, 30)) as ui:
        chats, sidebar = ui.app.chat.sidebar.chats, ui.app.chat.sidebar
        await ui.wait(lambda: len(chats.rows) == 2)
        await ui.press("ctrl+b", "home", *"pear")
        await ui.wait(lambda: [one.title for one in chats.rows] == ["pear"])
        await ui.press("down", "space", "escape")
        assert (chats.marked, sidebar.filter.value) == ((), "pear")
        await ui.press("escape")
        await ui.wait(lambda: len(chats.rows) == 2)
        assert chats.has_focus
        await ui.press("escape")
        assert ui.pane.prompt.has_focus


async def test_enter_opens_what_the_filter_will_find(run, paths):
    store = Store.open(paths.history)
    ids = fill(store, *(f"chat {number}" for number in range(30)), "needle", "other")
    async with run(store=store, size=(120, 30)) as ui:
        await ui.wait(lambda: len(ui.app.chat.sidebar.chats.rows) == 32)
        await ui.press("ctrl+b")
        for key in [*"needle", "enter"]:
            ui.app.simulate_key(key)
        await ui.wait(lambda: ui.app.chat.open_id == ids[30])
        await ui.wait(lambda: len(ui.app.chat.sidebar.chats.rows) == 32)


async def test_tags_are_given_to_all_that_are_marked_and_filter(run, paths):
    store = Store.open(paths.history)
    one, two, three = fill(store, "one", "two", "three")
    store.labels.add_tag(one, "keep")
    async with run(store=store, size=(120, 30)) as ui:
        chats = ui.app.chat.sidebar.chats
        await ui.wait(lambda: len(chats.rows) == 3)
        await ui.press("ctrl+b", "end", "shift+up", "ctrl+l")
        await ui.wait(lambda: isinstance(ui.app.screen, TagsForm) and bool(ui.app.focused))
        assert ui.app.screen.query_one(Input).value == ""
        ui.app.screen.query_one(Input).value = "#Work, play"
        await ui.press("enter")
        await ui.wait(lambda: set(store.get_conversation(two).tags) == {"work", "play"})
        await ui.wait(lambda: set(store.get_conversation(one).tags) == {"keep", "work", "play"})
        await ui.press("escape", *"#wo")
        await ui.wait(lambda: [row.id for row in chats.rows] == [two, one])
        ui.app.chat.sidebar.filter.value = "#wo #ke"
        await ui.wait(lambda: [row.id for row in chats.rows] == [one])
        await ui.press("escape", *"#nosuch")
        await ui.wait(lambda: drawn(ui) == ["Nothing is found."])
        assert store.get_conversation(three).tags == ()


async def test_the_archive_is_a_shelf_of_its_own(run, paths):
    store = Store.open(paths.history)
    kept, gone = fill(store, "kept", "gone")
    async with run(store=store, size=(120, 30)) as ui:
        chats, sidebar = ui.app.chat.sidebar.chats, ui.app.chat.sidebar
        await ui.wait(lambda: len(chats.rows) == 2)
        await ui.press("ctrl+b", "home", "ctrl+d")
        await ui.wait(lambda: [row.id for row in chats.rows] == [kept])
        await ui.press("ctrl+s")
        await ui.wait(lambda: [row.id for row in chats.rows] == [gone])
        assert sidebar.query_one("#shelf").display
        await ui.press("home", "ctrl+d")
        await ui.wait(lambda: chats.rows == [])
        await ui.press("escape")
        await ui.wait(lambda: [row.id for row in chats.rows] == [gone, kept])
        assert not sidebar.query_one("#shelf").display


async def test_drafts_the_open_chat_and_the_answering_one_are_marked(run, paths):
    store = Store.open(paths.history)
    first, second = fill(store, "first", "second")
    async with run(store=store, size=(120, 30)) as ui:
        await ui.wait(lambda: len(ui.app.chat.sidebar.chats.rows) == 2)
        ui.app.chat.chats.open(first)
        await ui.wait(lambda: ui.app.chat.open_id == first)
        await ui.press(*"begun")
        ui.app.chat.chats.open(second)
        await ui.wait(lambda: any(line.startswith("✎ first") for line in drawn(ui)))
        await ui.wait(lambda: any(line.startswith("▸ second") for line in drawn(ui)))
        await ui.write("/words 3000\n/delay 20")
        await ui.streaming()
        await ui.wait(lambda: any(line.startswith("● second") for line in drawn(ui)))
        ui.flow.answering.stop()
        await ui.idle()
        await ui.wait(lambda: any(line.startswith("▸ second") for line in drawn(ui)))
        ui.app.chat.chats.open(first)
        await ui.wait(lambda: any(line.startswith("▸ first") for line in drawn(ui)))


async def test_the_list_is_as_wide_as_the_terminal_allows(run, paths):
    store = Store.open(paths.history)
    title = "a title of thirty-two letters here"
    (only,) = fill(store, title)
    widths = {}
    for columns in (40, 80, 200):
        async with run(store=Store.open(paths.history), size=(columns, 24)) as ui:
            sidebar = ui.app.chat.sidebar
            sidebar.display = False
            await ui.press("ctrl+b")
            await ui.wait(lambda: len(ui.app.chat.sidebar.chats.rows) == 1)
            await ui.pilot.pause()
            widths[columns] = sidebar.size.width
            assert (title in "\n".join(drawn(ui))) == (columns != 80)
            await ui.press("home", "enter")
            await ui.wait(lambda: ui.app.chat.open_id == only)
            assert sidebar.display == (columns != 40), "it makes room where it covers all"
            await ui.wait(lambda: ui.pane.prompt.has_focus)
    assert widths[40] == 40
    assert 28 <= widths[80] <= 32
    assert 46 <= widths[200] <= 48
    store.close()


async def test_deleting_the_open_chat_opens_the_one_below_and_undo_opens_it_again(run, paths):
    store = Store.open(paths.history)
    low, mid, top = fill(store, "low", "mid", "top")
    async with run(store=store, size=(120, 30)) as ui:
        await ui.wait(lambda: len(ui.app.chat.sidebar.chats.rows) == 3)
        ui.app.chat.chats.open(mid)
        await ui.wait(lambda: ui.app.chat.open_id == mid)
        await ui.write("/delete")
        await ui.wait(lambda: ui.app.chat.open_id == low)
        await ui.wait(lambda: any("/undo brings it back" in text for text in ui.notices()))
        await ui.write("/undo")
        await ui.wait(lambda: ui.app.chat.open_id == mid)
        ui.app.chat.chats.open(low)
        await ui.wait(lambda: ui.app.chat.open_id == low)
        await ui.write("/delete")
        await ui.wait(lambda: ui.app.chat.open_id == mid)
        await ui.write("/delete")
        await ui.wait(lambda: ui.app.chat.open_id == top)
        await ui.write("/delete")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        await ui.write("/undo")
        await ui.wait(lambda: ui.app.chat.open_id == top)


async def test_ten_thousand_chats_are_grouped_and_walked(run):
    async with run(size=(120, 30)) as ui:
        chats = ui.app.chat.sidebar.chats
        now = datetime.now(UTC).timestamp()
        rows = [
            ConversationRow(n, f"title {n}", "", now, now - n * 9000.0, None, None)
            for n in range(10_000)
        ]
        chats.show(rows, None)
        assert len([line for line in chats._lines if isinstance(line, str)]) < 60
        chats.highlighted = 9_999
        await ui.wait(lambda: drawn(ui)[-1].startswith("  title 9999"))


async def test_the_footer_shows_the_keys_of_the_list_and_of_its_filter(run):
    async with run(size=(120, 30)) as ui:
        hints = ui.app.chat.query_one(HintLine)
        await ui.press("ctrl+b")
        await ui.wait(lambda: "Space Mark" in str(hints.render()))
        await ui.press("slash")
        await ui.wait(lambda: "Esc Empty" in str(hints.render()))
        await ui.press("escape", "escape")
        await ui.wait(lambda: "Ctrl+N New chat" in str(hints.render()))
