"""How a conversation becomes text: the chat template of the models trained here.

Promises that what `render` returns is what the template gives in the engine, and that the text
of a longer conversation starts with the text of the shorter one (its token prefix is stable). May
not add a beginning-of-text token: the template is all there is. The role markers are single
tokens, so content that spells one out is told apart only by escaping it, which `clean` does.
"""

from collections.abc import Sequence
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

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise UsageError(f"Role {self.role!r} is unknown.", f"Use one of {', '.join(ROLES)}.")


def clean(content: str) -> str:
    """`content` without the markers that would end its turn early."""
    for token in SPECIAL_TOKENS:
        content = content.replace(token, "")
    return content


def header(role: str) -> str:
    """What comes before a message's content."""
    return f"<|{role}|>\n"


def render(turns: Sequence[Turn], add_generation_prompt: bool = False) -> str:
    """The conversation as text, equal to `CHAT_TEMPLATE` applied to it."""
    text = "".join(f"{header(turn.role)}{clean(turn.content)}{END_OF_TURN}\n" for turn in turns)
    return text + header("assistant") if add_generation_prompt else text
