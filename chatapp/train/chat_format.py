"""How a conversation becomes text: the chat template of the models trained here.

Promises that what `render` returns is what the template gives in the engine, and that the pieces
of a longer conversation start with those of the shorter one (its token prefix is stable). May not
add a beginning-of-text token: the template is all there is. The role markers are single tokens and
have a type of their own, because content may spell one out and must stay text all the same.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chatapp.errors import UsageError

END_OF_TEXT = "<|endoftext|>"
END_OF_TURN = "<|end|>"
ROLES = ("system", "user", "assistant")
SPECIAL_TOKENS = (END_OF_TEXT, *(f"<|{role}|>" for role in ROLES), END_OF_TURN)

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)
"""Jinja, as `tokenizer_config.json` and the GGUF carry it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation."""

    role: str
    content: str
    is_learned: bool = True
    """False for an answer that is only read."""

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise UsageError(f"Role {self.role!r} is unknown.", f"Use one of {', '.join(ROLES)}.")


@dataclass(frozen=True, slots=True)
class Marker:
    """A special token. Text that reads the same is never one."""

    token: str


Piece = str | Marker
"""Text, or a special token between texts."""


def lay_out(turns: Sequence[Turn], add_generation_prompt: bool = False) -> tuple[Piece, ...]:
    """The conversation as `CHAT_TEMPLATE` has it, its markers apart from what people wrote."""
    pieces: list[Piece] = []
    for turn in turns:
        pieces += [Marker(f"<|{turn.role}|>"), f"\n{turn.content}", Marker(END_OF_TURN), "\n"]
    if add_generation_prompt:
        pieces += [Marker("<|assistant|>"), "\n"]
    return tuple(pieces)


def spell(pieces: Iterable[Piece]) -> str:
    """Pieces as one text, where markers and text can no longer be told apart."""
    return "".join(piece.token if isinstance(piece, Marker) else piece for piece in pieces)


def render(turns: Sequence[Turn], add_generation_prompt: bool = False) -> str:
    """The conversation as text, equal to `CHAT_TEMPLATE` applied to it."""
    return spell(lay_out(turns, add_generation_prompt))
