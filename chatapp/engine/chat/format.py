"""What a model's output format is, as values: marks of thoughts, of calls, of the turn's end.

`detect.py` finds one in a chat template, `parser.py` reads text by it. Marks are compared as text;
where a mark is written with white space inside (`<tool_call>\\n<function=`), it is a tuple of the
pieces between, and models may write any white space there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Atoms = tuple[str, ...]
"""A mark, divided where it holds white space."""

CallBody = Literal["json", "named", "tagged", "python", "dict"]
"""How a call is written between its marks.

json: `{"name": "f", "arguments": {…}}`; named: the name, then the arguments as JSON; tagged: the
name, then each argument between marks of its own; python: `f(a=1)`; dict: `f{a:1}` with strings
between marks.
"""


@dataclass(frozen=True, slots=True)
class Thoughts:
    """How a thought begins and ends."""

    open: str = ""
    """Empty: nothing opens it but the prompt."""
    close: str = ""
    always_open: bool = False
    """The prompt begins the thought without writing `open`."""


@dataclass(frozen=True, slots=True)
class JsonKeys:
    """The keys of a call that is one JSON object."""

    name: str = "name"
    arguments: str = "arguments"
    id: str = ""
    name_is_key: bool = False
    """`{"f": {…}}`: the key is the name and its value the arguments."""


@dataclass(frozen=True, slots=True)
class ArgumentMarks:
    """Marks of one argument in a call whose arguments are not JSON."""

    key_open: str = ""
    key_close: str = ""
    value_open: str = ""
    """Behind `key_close`; what stands between the two says the type (`string="true"`)."""
    has_type: bool = False
    value_close: str = ""
    """`{key}` in it stands for the argument's name."""
    lead: str = ""
    trail: str = ""
    """White space just inside the value, which is not part of it."""


@dataclass(frozen=True, slots=True)
class Calls:
    """How calls of tools are written."""

    body: CallBody
    section_open: Atoms = ()
    section_close: Atoms = ()
    open: Atoms = ()
    """Before the name, or before the JSON."""
    close: Atoms = ()
    after_name: Atoms = ()
    """Between the name and the arguments."""
    before_id: str = ""
    """Mark behind the name that an id follows; or `open` is followed by an id that this ends."""
    id_first: bool = False
    """The id stands before the name, and `before_id` between them."""
    name_has_id: bool = False
    """`functions.NAME:0`: the name is within the id."""
    keys: JsonKeys = field(default_factory=JsonKeys)
    argument: ArgumentMarks = field(default_factory=ArgumentMarks)
    quote: str = ""
    """What strings stand between, in a body of kind dict."""
    trims: bool = False
    """White space before the section is part of its mark."""
    shown: str = ""
    """One call as the template writes it, for people."""

    @property
    def triggers(self) -> tuple[str, ...]:
        """Marks that one can begin with: the section's, the call's, and what stands just before
        the name, because models leave out the outer ones."""
        inner = self.open[-1:] if len(self.open) > 1 and self.open[-1].startswith("<") else ()
        found = (*self.section_open[:1], *self.open[:1], *inner)
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Headers:
    """Messages within a turn, each with a header that says for whom it is (gpt-oss's harmony)."""

    start: str
    """Begins a header."""
    message: str
    """Ends the header and begins what it is about."""
    ends: tuple[str, ...]
    """End of a message, the ordinary one first."""
    turn_ends: tuple[str, ...] = ()
    """Those of them that end the turn."""
    channel: str = ""
    is_recipient: bool = False
    """The header is the recipient and nothing else, and the prompt has begun the first one."""


@dataclass(frozen=True, slots=True)
class Format:
    """How one model writes its turn."""

    name: str = "text"
    thoughts: Thoughts | None = None
    say_open: Atoms = ()
    say_close: Atoms = ()
    """Marks around what is said."""
    calls: Calls | None = None
    headers: Headers | None = None
    ends: tuple[str, ...] = ()
    """Marks that end the turn."""
    drops: tuple[str, ...] = ()
    """Marks that mean nothing within an answer."""

    @property
    def marks(self) -> tuple[str, ...]:
        """Every mark, for telling whether a control token has a meaning here."""
        found: list[str] = [*self.say_open, *self.say_close, *self.ends, *self.drops]
        if self.thoughts:
            found += [self.thoughts.open, self.thoughts.close]
        if self.headers:
            head = self.headers
            found += [head.start, head.message, head.channel, *head.ends]
        if call := self.calls:
            found += [*call.section_open, *call.section_close, *call.open, *call.close]
            found += [*call.after_name, call.before_id, call.quote, call.argument.value_close]
            found += [call.argument.key_open, call.argument.key_close, call.argument.value_open]
        return tuple(mark for mark in found if mark)


PLAIN = Format()
"""Text, and whatever thought an answer begins with in a way that is widely known."""
