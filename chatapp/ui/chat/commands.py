"""What is written into the prompt: a message for the model, or a command that is done here.

The table of commands is `chatapp.commands`; this is who does them. A command that fails says why,
and its text stays in the prompt, to be mended.
"""

from collections.abc import Callable, Collection, Mapping

from chatapp.commands import Invocation, Misused, Text, Unknown, parse
from chatapp.errors import ChatAppError, UsageError
from chatapp.ui.chat.desk import Desk

Does = Callable[[str], object]
"""Does a command, given what stands behind its name."""


class Commands:
    """Does commands; `table` names who does each of them that is not the app's."""

    def __init__(
        self,
        table: Mapping[str, Does],
        desk: Desk,
        *,
        send: Callable[[str], object],
        give_back: Callable[[str], object],
        ask_help: Callable[[str], object],
        passes: Callable[[], Collection[str]],
    ) -> None:
        """`send` sends a message, `give_back` puts what was wrong back into the prompt, `ask_help`
        asks a question about chatapp, `passes` are the words with a slash that the engine
        obeys itself."""
        self._table = {
            "theme": lambda args: desk.act(f"switch_theme({args!r})"),
            "keys": lambda _: desk.act("help"),
            "help": self.help,
            "quit": lambda _: desk.act("quit"),
            **table,
        }
        self._desk = desk
        self._send = send
        self._ask_help = ask_help
        self.give_back = give_back
        self._passes = passes

    @property
    def names(self) -> Collection[str]:
        """The commands that can be done here."""
        return self._table.keys()

    def help(self, args: str) -> None:
        """`/help [COMMAND | QUESTION]`; a question has more than one word, or is no word."""
        from chatapp.ui.screens.help import explain_command  # what few open is loaded then

        if is_question(args):
            self._ask_help(args)
        elif args:
            self._desk.say(explain_command(args))
        else:
            self._desk.act("help('commands')")

    def sends(self, text: str) -> bool:
        """Whether a text would be sent, and is no command."""
        return isinstance(parse(text, passes=self._passes()), Text)

    def take(self, text: str) -> bool:
        """Do or send what was written. True: it was sent."""
        match parse(text, passes=self._passes()):
            case Text(message):
                self._send(message)
                return True
            case Invocation(command, args):
                try:
                    self._table[command.name](args)
                except ChatAppError as error:
                    self._refuse(text, error)
            case Unknown() | Misused() as wrong:
                self._refuse(text, UsageError(wrong.message, wrong.hint))
        return False

    def _refuse(self, text: str, error: ChatAppError) -> None:
        self.give_back(text)
        self._desk.warn(error)


def is_question(args: str) -> bool:
    """Whether what stands behind `/help` asks something, and names no command: it has several
    words, a question mark, or is in a script that has no spaces."""
    return len(args.split()) > 1 or args.endswith(("?", "？")) or not args.isascii()
