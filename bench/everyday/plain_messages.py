"""Writing, answers and reading with `--plain`, in the order of the actions of the screen."""

import time

from bench.everyday.plain import PlainDesk, plain_action
from chatapp.parts import File

_CODE = "```python\nprint(1)\n```\n[a link](https://example.org)"


@plain_action("send a message")
def _(desk: PlainDesk) -> None:
    desk.line(own="first question")
    desk.answered("first question")


@plain_action("start a line in a message", "its end, which sends it, is counted too")
def _(desk: PlainDesk) -> None:
    desk.line('"""')
    desk.line(own="one")
    desk.line(own="two")
    desk.line('"""')
    desk.answered("one\ntwo")


@plain_action("throw away what was written", "written, and not yet sent")
def _(desk: PlainDesk) -> None:
    desk.quietly('"""')
    desk.hears("Several lines")
    desk.quietly("three")
    time.sleep(0.3)  # nothing tells that it was read
    desk.interrupt()
    desk.hears("Thrown away")


@plain_action("bring it back")
def _(desk: PlainDesk) -> None:
    desk.key("Ctrl+_")
    desk.hears("Written, not sent: three")
    desk.quietly(".")


@plain_action("use the last prompt again")
def _(desk: PlainDesk) -> None:
    desk.key("Up")
    desk.hears("Written, not sent: one")
    desk.quietly(".")


@plain_action("write in the editor")
def _(desk: PlainDesk) -> None:
    desk.line("/edit")
    desk.hears("Written, not sent: from the editor")
    desk.quietly(".")


@plain_action("find an earlier prompt of any chat")
def _(desk: PlainDesk) -> None:
    desk.line("/prompts ", "first")
    desk.line(desk.number_of("first question"))
    desk.hears("Written, not sent: first question")
    desk.quietly(".")


@plain_action("put a file before the model")
def _(desk: PlainDesk) -> None:
    desk.line("@", "notes.md what is in it?")
    desk.until(lambda: any(isinstance(part, File) for part in desk.rows[-2].parts))


@plain_action("use a prompt template")
def _(desk: PlainDesk) -> None:
    desk.line("/template translate to=German ", "Good morning")
    desk.hears("Good morning")
    desk.quietly(".")


@plain_action("queue a message during an answer")
def _(desk: PlainDesk) -> None:
    for line in ('"""', "/words 3000", "/delay 20", '"""'):
        desk.quietly(line)
    desk.hears("Assistant:")
    desk.line(own="and then")
    desk.hears("1 message waits")


@plain_action("take the queued message back")
def _(desk: PlainDesk) -> None:
    desk.key("Up")
    desk.hears("Nothing waits")
    desk.hears("Written, not sent: and then")
    desk.quietly(".")


@plain_action("stop an answer")
def _(desk: PlainDesk) -> None:
    desk.interrupt()
    desk.until(lambda: desk.rows[-1].status == "stopped")


@plain_action("go on with it")
def _(desk: PlainDesk) -> None:
    desk.line("/continue")
    desk.hears("Assistant:")
    desk.quietly(".")
    desk.until(lambda: len(desk.rows[-1].generations) == 2)


@plain_action("ask for another answer")
def _(desk: PlainDesk) -> None:
    desk.quietly("again")
    desk.answered("again")
    desk.line("/retry")
    desk.until(lambda: desk.rows[-1].sibling_count == 2)
    desk.answered("again")


@plain_action("see the version before")
def _(desk: PlainDesk) -> None:
    desk.key("Alt+Left")
    desk.hears("version 1 of 2")


@plain_action("see the version after")
def _(desk: PlainDesk) -> None:
    desk.key("Alt+Right")
    desk.hears("version 2 of 2")


@plain_action("edit the last message", "all of it is written anew")
def _(desk: PlainDesk) -> None:
    desk.quietly(".")
    desk.key("Ctrl+E")
    desk.hears("Editing your message")
    desk.line(own="again!")
    desk.answered("again!")


@plain_action("edit the model's words", "all of it is written anew")
def _(desk: PlainDesk) -> None:
    desk.key("Alt+Up Ctrl+E")
    desk.hears("Editing the answer")
    desk.line(own="again!?")
    desk.answered("again!?")


@plain_action("delete a message")
def _(desk: PlainDesk) -> None:
    desk.key("Alt+Up")
    desk.hears("Marked: the answer")
    desk.line("/delete message")
    desk.hears("Deleted the answer")


@plain_action("bring it back again")
def _(desk: PlainDesk) -> None:
    desk.line("/undo")
    desk.hears("back again")
    desk.quietly(".")


@plain_action("see the tree of the chat")
def _(desk: PlainDesk) -> None:
    desk.line("/tree")
    desk.hears("[Branches]")
    desk.quietly(".")
    desk.hears("Back in the chat")


@plain_action("scroll up a page", "the four messages before")
def _(desk: PlainDesk) -> None:
    desk.key("PgUp")
    desk.hears("Message ")


@plain_action("scroll up a line", "the message before")
def _(desk: PlainDesk) -> None:
    desk.key("Shift+Up")
    desk.hears("Message ")


@plain_action("go to the first message")
def _(desk: PlainDesk) -> None:
    desk.key("Ctrl+Home")
    desk.hears("Message 1 to 4")


@plain_action("go to the end")
def _(desk: PlainDesk) -> None:
    desk.key("Ctrl+End")
    count = len(desk.rows)
    desk.hears(f"to {count} of {count}")


@plain_action("copy the last answer")
def _(desk: PlainDesk) -> None:
    desk.line("/copy")
    desk.hears("Copied the answer")


@plain_action("copy an earlier message")
def _(desk: PlainDesk) -> None:
    desk.key("Alt+Up Alt+Up Alt+C")
    desk.hears("Copied your message")
    desk.quietly(".")


@plain_action("copy a block of code")
def _(desk: PlainDesk) -> None:
    for line in ('"""', *_CODE.split("\n"), '"""'):
        desk.quietly(line)
    desk.answered(_CODE)
    desk.line("/copy 1")
    desk.hears("Copied the code")


@plain_action("save a block of code")
def _(desk: PlainDesk) -> None:
    desk.line("/save")
    desk.hears("Field")
    desk.line()
    desk.until(lambda: [*desk.home.glob("*.py")])


@plain_action("run a block of code")
def _(desk: PlainDesk) -> None:
    desk.line("/run")
    desk.hears("[Run the code")
    desk.line()
    desk.hears("Done after")
    desk.quietly(".")


@plain_action("see a message as it was written", "messages are told so; the mark tells one again")
def _(desk: PlainDesk) -> None:
    desk.key("Alt+Up")
    desk.hears("```python")
    desk.quietly(".")


@plain_action("see the links of an answer")
def _(desk: PlainDesk) -> None:
    desk.key("Tab l")
    desk.hears("https://example.org")
    desk.quietly(".")
    desk.hears("Back in the chat")
    desk.quietly(".")


@plain_action("show what was thought")
def _(desk: PlainDesk) -> None:
    desk.quietly("/think deeply")
    desk.hears("(thinking)")
    desk.until(lambda: desk.rows[-1].status == "complete")
    desk.key("Alt+T")
    desk.hears("Thought in the answer")
