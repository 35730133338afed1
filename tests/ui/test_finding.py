"""The find bar, and a hit of the search that opens where it stands."""

import pytest
from textual.widgets import Input, OptionList

from chatapp.conversation import Message
from chatapp.store import Store
from chatapp.ui.chat.finding import Place, choose_first, collect
from chatapp.ui.screens.search import SearchScreen
from chatapp.ui.widgets.item import MessageItem
from chatapp.ui.widgets.message import MessageView

PROSE = "Some words of no interest.\n\n" * 60


def talk(store: Store, *said: tuple[str, str]) -> int:
    conversation = store.create_conversation("long")
    parent = None
    for role, text in said:
        parent = store.add_message(conversation, Message.of(role, text), parent).id
    return conversation


def line(ui) -> str:
    return str(ui.pane.find_bar._line.render())


def seen(ui, style: str) -> list[tuple[int, str]]:
    """Rows of the screen on which characters stand out in a style, with those characters."""
    transcript = ui.pane.transcript
    found = []
    for view in transcript.query(MessageView):
        width = view.content_size.width
        for y in range(view.count_lines(width)):
            text = "".join(
                run.text for run in view.get_line(y, width).runs if style in run.style.split()
            )
            at = view.region.y + view.gutter.top + y - transcript.region.y
            if text and 0 <= at < transcript.region.height:
                found.append((at, text))
    return found


async def test_n_and_shift_n_walk_the_hits(run, paths):
    store = Store.open(paths.history)
    talk(
        store,
        ("user", "needle in the question"),
        ("assistant", f"{PROSE}A **Nee**dle here, and a needle there.\n\n{PROSE}"),
        ("user", "nothing"),
        ("assistant", f"{PROSE}```python\nneedle = 1\n```\n{PROSE}"),
    )
    async with run(store=store) as ui:
        ui.app.chat.chats.open(1)
        await ui.wait(lambda: len(ui.pane.transcript.items) == 4)
        ui.pane.transcript.go_to_start()
        await ui.pilot.pause()
        await ui.write("/find needle")
        await ui.wait(lambda: line(ui).startswith("1 of 4 hits for ‘needle’ – n next, N previous"))
        for number in (2, 3, 4, 1):
            await ui.press("n")
            await ui.wait(lambda number=number: line(ui).startswith(f"{number} of 4"))
            await ui.wait(lambda: len(seen(ui, "hit-current")) == 1)
            assert seen(ui, "hit-current")[0][1].lower() == "needle"
        assert ui.pane.prompt.text == "", "n is a command while the bar is drawn and has the keys"
        await ui.press("N")
        await ui.wait(lambda: line(ui).startswith("4 of 4"))
        await ui.press("x")
        assert ui.pane.prompt.text == "x", "other letters are written"
        await ui.press("n")
        assert ui.pane.prompt.text == "xn"
        await ui.press("escape")
        assert not ui.pane.find_bar.display
        await ui.wait(lambda: seen(ui, "hit-current") == [])
        assert ui.pane.prompt.text == "xn"


async def test_words_are_asked_for_with_a_key(run):
    async with run() as ui:
        await ui.say("alpha beta")
        await ui.press("f7", *"beta", "enter")
        await ui.wait(lambda: line(ui).startswith("1 of 2 hits"))
        await ui.press("slash")
        assert ui.pane.find_bar.query_one(Input).value == "beta"
        ui.pane.find_bar.query_one(Input).value = "nosuch"
        await ui.press("enter")
        await ui.wait(lambda: line(ui).startswith("Nothing in this chat for ‘nosuch’"))
        await ui.press("n", "escape", *"ok")
        assert ui.pane.prompt.text == "ok"
        assert not ui.pane.find_bar.display


async def test_what_is_said_later_is_found_too(run):
    async with run() as ui:
        await ui.say("gamma")
        await ui.write("/find gamma")
        await ui.wait(lambda: "of 2 hits" in line(ui))
        await ui.say("gamma again")
        await ui.wait(lambda: "of 4 hits" in line(ui))
        await ui.press("ctrl+n")
        await ui.wait(lambda: not ui.pane.find_bar.display)


@pytest.mark.parametrize("role", ["user", "assistant"])
async def test_a_hit_opens_where_it_stands_far_down_in_an_old_message(run, paths, role):
    store = Store.open(paths.history)
    long = "\n".join(f"line {number} of it" for number in range(55))
    text = f"{long}\nhere is Zitrone\nmore" if role == "user" else f"{PROSE}Zitrone here\n\n{PROSE}"
    said = [("user", f"message {number}") for number in range(60)]
    said[20] = (role, text)
    talk(store, *said)
    async with run(store=store) as ui:
        await ui.press("ctrl+f")
        await ui.wait(lambda: isinstance(ui.app.screen, SearchScreen) and bool(ui.app.focused))
        for key in [*"zitr", "enter"]:
            ui.app.simulate_key(key)  # Enter before anything was found
        await ui.wait(lambda: line(ui).startswith("1 hit for ‘zitrone’"))
        await ui.wait(lambda: len(seen(ui, "hit-current")) == 1)
        row, words = seen(ui, "hit-current")[0]
        assert words == "Zitrone"
        assert 0 <= row < ui.pane.transcript.region.height
        assert ui.pane.transcript.marked is None
        await ui.press("escape", *"on")
        assert ui.pane.prompt.text == "on"


async def test_the_search_takes_words_from_the_command(run, paths):
    store = Store.open(paths.history)
    talk(store, ("user", "apple pie"))
    async with run(store=store) as ui:
        await ui.write("/search apple")
        await ui.wait(lambda: isinstance(ui.app.screen, SearchScreen))
        hits = ui.app.screen.query_one(OptionList)
        await ui.wait(lambda: hits.option_count == 1)


async def test_hits_are_counted_as_they_are_drawn():
    items = [
        MessageItem(1, "user", "**not** bold"),
        MessageItem(2, "assistant", "**not** bold, `not` code\n\n| not |\n|---|\n| x |"),
        MessageItem(3, "assistant", "knot"),
    ]
    assert await collect(items, ("not",)) == [
        Place(1, 0), Place(2, 0), Place(2, 1), Place(2, 2), Place(3, 0),
    ]  # fmt: skip
    assert await collect(items, ("not bold",)) == [Place(2, 0)]
    assert await collect(items, ("**not**",)) == [Place(1, 0)]
    assert await collect(items, ("NOT", "not")) == await collect(items, ("not",))


def test_the_first_hit_is_below_what_is_seen():
    hits = [Place(1, 0), Place(5, 0), Place(5, 1), Place(9, 0)]
    assert choose_first(hits, 4) == 1
    assert choose_first(hits, 9) == 3
    assert choose_first(hits, 10) == 3
    assert choose_first(hits, None) == 3
    assert choose_first([], 4) == 0


async def test_hits_are_told_in_lines_too(run):
    async with run() as ui:
        await ui.say("one needle, two needles")
        await ui.write("/find needle")
        await ui.wait(lambda: line(ui).startswith("1 of 4 hits"))
        bar = ui.pane.find_bar
        assert bar.plain_entries()[1] == "You: … one needle, two needles …"
        assert bar.plain_entries()[2].startswith("Assistant: ")
        bar.choose_entry(2)
        await ui.wait(lambda: line(ui).startswith("3 of 4 hits"))
        await ui.press("escape")
        assert bar.plain_entries() == []
