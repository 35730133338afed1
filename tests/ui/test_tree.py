"""The tree of a chat: drawn, walked, shown, deleted from."""

from chatapp.conversation import Message
from chatapp.store import Store
from chatapp.store.rows import OutlineRow
from chatapp.ui.branches import draw_tree
from chatapp.ui.screens.tree import BranchTree, TreeScreen


def rows(*pairs: tuple[int, int | None]) -> list[OutlineRow]:
    return [OutlineRow(id_, parent, "user", "complete", 0.0, f"m{id_}") for id_, parent in pairs]


def drawn(pairs, leaf: int | None) -> list[str]:
    return [
        f"{'*' if twig.is_shown else ' '}{twig.guide}{twig.row.text} {twig.version}".rstrip()
        for twig in draw_tree(rows(*pairs), leaf)
    ]


def test_a_line_is_not_indented_and_branches_are():
    tree = [(1, None), (2, 1), (3, 2), (4, 3), (5, 2), (6, 5), (7, 5), (8, 7)]
    assert drawn(tree, 8) == [
        "*m1",
        "*m2",
        " ├ m3 1/2",
        " │ m4",
        "*└ m5 2/2",
        "   ├ m6 1/2",
        "*  └ m7 2/2",
        "*    m8",
    ]


def test_several_beginnings_are_branches_too():
    assert drawn([(1, None), (2, None), (3, 1)], 3) == ["*├ m1 1/2", "*│ m3", " └ m2 2/2"]
    assert drawn([], None) == []


def test_a_chat_of_thousands_is_drawn_whatever_its_shape():
    deep = [(number, number - 1 or None) for number in range(1, 6001)]
    assert len(drawn(deep, 6000)) == 6000
    comb = [(1, None)]
    for number in range(1, 2000):  # every question asked twice, the second gone on with
        comb += [(2 * number, 2 * number - 1), (2 * number + 1, 2 * number - 1)]
    lines = drawn(comb, 3999)
    assert len(lines) == 3999
    assert max(map(len, lines)) < 60


async def open_tree(ui) -> BranchTree:
    await ui.write("/tree")
    await ui.wait(lambda: isinstance(ui.app.screen, TreeScreen) and bool(ui.app.screen.focused))
    tree = ui.app.screen.tree_view
    await ui.wait(lambda: tree.twigs != [])
    return tree


async def test_arrows_walk_and_enter_shows_the_branch(run):
    async with run() as ui:
        await ui.say("pear")
        await ui.press("ctrl+e")
        await ui.write("plum")
        await ui.wait(lambda: len(ui.flow.rows) == 2 and ui.said()[0] == "plum")
        await ui.idle()
        await ui.wait(lambda: ui.said() == ["plum", "plum"])
        tree = await open_tree(ui)
        assert [twig.is_shown for twig in tree.twigs] == [False, False, True, True]
        assert tree.highlighted == 3
        await ui.press("up", "up")
        line = tree.render_line(1).text
        assert line.startswith("  │ Assistant: pear")
        await ui.press("enter")
        await ui.wait(lambda: len(ui.app.screen_stack) == 1 and ui.said() == ["pear", "pear"])
        await ui.wait(lambda: ui.pane.transcript.marked == ui.path()[1].id)


async def test_d_deletes_and_u_brings_back(run):
    async with run() as ui:
        await ui.say("one")
        await ui.say("two")
        tree = await open_tree(ui)
        await ui.press("home", "down", "d")
        await ui.wait(lambda: len(tree.twigs) == 3)
        assert ui.said() == ["one", "two", "two"]
        await ui.press("D")
        await ui.wait(lambda: len(tree.twigs) == 1)
        note = ui.app.screen.query_one("#dialog-note")
        await ui.wait(lambda: "and all below it" in str(note.render()))
        await ui.press("u", "u")
        await ui.wait(lambda: len(tree.twigs) == 4)
        await ui.press("u")
        await ui.wait(lambda: "Nothing was deleted" in str(note.render()))
        await ui.press("escape")
        await ui.wait(lambda: len(ui.app.screen_stack) == 1)
        assert ui.said() == ["one", "one", "two", "two"]
        await ui.wait(lambda: len(ui.pane.transcript.items) == 4)


async def test_a_chat_of_a_thousand_messages_opens_at_its_end(run, paths):
    store = Store.open(paths.history)
    conversation = store.create_conversation("long")
    parent = None
    for number in range(1000):
        said = Message.of("assistant" if number % 2 else "user", f"message {number}")
        parent = store.add_message(conversation, said, parent).id
    async with run(store=store, size=(60, 16)) as ui:
        ui.app.chat.chats.open(conversation)
        await ui.wait(lambda: ui.app.chat.open_id == conversation)
        await ui.wait(lambda: len(ui.pane.transcript.items) == 1000)
        tree = await open_tree(ui)
        assert len(tree.twigs) == 1000
        await ui.wait(lambda: tree.scroll_offset.y > 900)
        await ui.press("home", "pagedown", "down", "enter")
        await ui.wait(lambda: ui.pane.transcript.marked is not None)
        assert ui.pane.transcript.items[0].content == "message 0"


async def test_the_tree_is_told_in_lines_too(run):
    async with run() as ui:
        await ui.say("pear")
        await ui.press("ctrl+r")
        await ui.idle()
        tree = await open_tree(ui)
        assert tree.plain_entries() == [
            "You: pear, shown",
            "Assistant: pear (version 1 of 2)",
            "Assistant: pear (version 2 of 2), shown",
        ]
        tree.choose_entry(1)
        await ui.wait(lambda: len(ui.app.screen_stack) == 1)
        await ui.wait(lambda: ui.path()[1].sibling_index == 0)
