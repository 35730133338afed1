"""Chats, their settings and the program with `--plain`, in the order of those of the screen."""

from bench.everyday.plain import PlainDesk, plain_action


@plain_action("start a new chat")
def _(desk: PlainDesk) -> None:
    desk.line("/new")
    desk.hears("A new chat")


@plain_action("go to the chat before")
def _(desk: PlainDesk) -> None:
    desk.quietly("second chat")
    desk.until(lambda: desk.rows[-1].content == "second chat")
    desk.answered("second chat")
    desk.line("/chats")
    desk.line(desk.number_of("first question"))
    desk.hears("Chat: first question")


@plain_action("open a chat by its title")
def _(desk: PlainDesk) -> None:
    desk.line("/chats")
    desk.hears("1. ")
    desk.line(own="second")
    desk.hears("Chat: second chat")


@plain_action("search all chats and open a hit")
def _(desk: PlainDesk) -> None:
    desk.line("/search ", "question")
    desk.line(desk.number_of("first question"))
    desk.hears("Chat: first question")
    desk.quietly(".")


@plain_action("find words in the chat")
def _(desk: PlainDesk) -> None:
    desk.line("/find ", "again")
    desk.hears("hits for")


@plain_action("go to the next hit")
def _(desk: PlainDesk) -> None:
    desk.line("n")
    desk.hears("2 of ")
    desk.quietly(".")


@plain_action("rename the chat")
def _(desk: PlainDesk) -> None:
    desk.line("/title ", "Better")
    desk.until(lambda: any(row.title == "Better" for row in desk.store.list_conversations()))


@plain_action("pin the chat")
def _(desk: PlainDesk) -> None:
    desk.line("/pin")
    desk.until(lambda: any(row.pinned for row in desk.store.list_conversations()))


@plain_action("tag the chat")
def _(desk: PlainDesk) -> None:
    desk.line("/tag ", "work")
    desk.until(lambda: any(row.tags for row in desk.store.list_conversations()))


@plain_action("archive the chat")
def _(desk: PlainDesk) -> None:
    desk.line("/archive")
    desk.until(lambda: len(desk.store.list_conversations()) == 1)


@plain_action("take it out of the archive")
def _(desk: PlainDesk) -> None:
    desk.line("/archive")
    desk.until(lambda: len(desk.store.list_conversations()) == 2)


@plain_action("export the chat")
def _(desk: PlainDesk) -> None:
    desk.line("/export")
    desk.until(lambda: len([*desk.home.glob("*.md")]) == 2)


@plain_action("delete the chat")
def _(desk: PlainDesk) -> None:
    desk.line("/delete")
    desk.until(desk.store.list_deleted)


@plain_action("bring the chat back")
def _(desk: PlainDesk) -> None:
    desk.line("/undo")
    desk.until(lambda: not desk.store.list_deleted())


@plain_action("delete several chats")
def _(desk: PlainDesk) -> None:
    desk.line("/chats")
    desk.hears("2. ")
    desk.key("Shift+Down Del")
    desk.until(lambda: len(desk.store.list_deleted()) == 2)


@plain_action("bring them all back")
def _(desk: PlainDesk) -> None:
    desk.line("/undo")
    desk.hears("2 chats: back again")
    desk.until(lambda: not desk.store.list_deleted())


@plain_action("set a sampling parameter for this chat")
def _(desk: PlainDesk) -> None:
    desk.line("/set temperature 0.7")
    desk.hears("temperature is 0.7")


@plain_action("set it back")
def _(desk: PlainDesk) -> None:
    desk.line("/set temperature")
    desk.hears("temperature is 0.8")


@plain_action("see every setting")
def _(desk: PlainDesk) -> None:
    desk.line("/set")
    desk.hears("repeat_penalty")
    desk.quietly(".")
    desk.hears("Back in the chat")


@plain_action("give the chat a system prompt")
def _(desk: PlainDesk) -> None:
    desk.line("/system ", "Be brief.")
    desk.hears("system prompt")


@plain_action("take a persona")
def _(desk: PlainDesk) -> None:
    desk.line("/persona converse")
    desk.hears("converse")


@plain_action("say how much to think")
def _(desk: PlainDesk) -> None:
    desk.line("/set think low")
    desk.hears("low")


@plain_action("see what fills the context")
def _(desk: PlainDesk) -> None:
    desk.line("/ctx")
    desk.hears("room left")
    desk.quietly(".")
    desk.hears("Back in the chat")


@plain_action("choose another model")
def _(desk: PlainDesk) -> None:
    desk.line("/model")
    desk.line(desk.number_of("builtin"))
    desk.hears("Back in the chat")


@plain_action("light or dark", "it is kept for the screen")
def _(desk: PlainDesk) -> None:
    desk.line("/theme")
    settings = desk.home / "data" / "config.toml"
    desk.until(lambda: settings.exists() and "light" in settings.read_text())


@plain_action("see every key")
def _(desk: PlainDesk) -> None:
    desk.line("/keys")
    desk.hears("Ctrl+R")
    desk.quietly(".")
    desk.hears("Back in the chat")


@plain_action("find a command by its name")
def _(desk: PlainDesk) -> None:
    desk.key("Ctrl+P")
    desk.hears("Search for commands")
    desk.quietly(".")
    desk.hears("Back in the chat")


@plain_action("leave")
def _(desk: PlainDesk) -> None:
    desk.line("/q")
    desk.until(lambda: desk.child.poll() is not None)
