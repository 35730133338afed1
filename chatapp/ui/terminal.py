"""The terminal's driver on POSIX: Textual's, but what comes at once is looked at as a whole.

Elsewhere Textual's own is used, and an unbracketed paste is as many keys as it has characters.
"""

import os
import selectors
from codecs import getincrementaldecoder
from contextlib import suppress

from textual._parser import ParseEOF, ParseError
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Paste

from chatapp.ui.bursts import Brackets, divide_noise, gather, is_paste

_AT_A_TIME = 4096
_TICK_S = 0.1
"""How often the parser is told that time passes: an Escape that nothing follows is a key then."""


class PasteDriver(LinuxDriver):
    """Keys and pastes of a terminal, pastes without brackets among them."""

    enters = "\r"
    """Characters that send the message when they are typed."""

    def run_input_thread(self) -> None:
        """Read until the app leaves the terminal or lends it to another program."""
        parser, brackets = XTermParser(self._debug), Brackets()
        # not strict: a byte of another encoding would end the thread, and the keyboard with it
        decode = getincrementaldecoder("utf-8")("replace").decode
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)

            def more(seconds: float) -> str:
                if not selector.select(seconds):
                    return ""
                data = os.read(self.fileno, _AT_A_TIME)
                if not data:  # the other end is closed: it would be readable for ever
                    self.exit_event.wait(_TICK_S)
                return decode(data)

            while not self.exit_event.is_set():
                first = more(_TICK_S)
                bursts = [first] if brackets.open else gather(first, more, self.enters)
                for burst in bursts:
                    self._take(parser, brackets, burst)
                for event in parser.tick():
                    self.process_message(event)
        with suppress(ParseEOF, ParseError):
            for _ in parser.feed(""):
                pass

    def _take(self, parser: XTermParser, brackets: Brackets, burst: str) -> None:
        if not burst:
            return
        text, noise = divide_noise(burst)
        if not brackets.open and is_paste(text, self.enters):
            self._read(parser, noise)
            self.process_message(Paste(text))
        else:
            self._read(parser, brackets.feed(burst))

    def _read(self, parser: XTermParser, data: str) -> None:
        if data:  # to the parser, nothing is the end of all
            for event in parser.feed(data):
                self.process_message(event)


class NewlineDriver(PasteDriver):
    """For the setting that Enter starts a line: Ctrl+J, which is a line feed, sends then."""

    enters = "\r\n"
