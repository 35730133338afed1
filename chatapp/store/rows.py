"""What the store gives and takes: frozen values, no SQL.

Times are seconds since 1970 UTC, as floats. Ids are the store's own and never used again, not
even after a conversation is purged. Nothing here imports sqlite_utils, so the UI may name these
types at no cost.
"""

from dataclasses import dataclass
from typing import Literal

from chatapp.conversation import Role
from chatapp.parts import Parts, reasoning_of, text_of

Status = Literal["streaming", "complete", "stopped", "interrupted", "failed"]
FinalStatus = Literal["complete", "stopped", "interrupted", "failed"]

HIT_START = "\x02"
"""Stands before a found word in a snippet. Snippets hold no other control characters."""
HIT_END = "\x03"
"""Stands behind a found word in a snippet."""

FIRST_TEMPORARY = 2**48
"""Ids from here on are in memory alone. A file that gets a million rows a second is there in eight
years."""

TEMPORARY_IDS = 2**24
"""Ids that each database in memory has for itself."""

TEMPORARY_TITLE = "Temporary chat"


def temporary_range(row_id: int | None) -> int:
    """Which database in memory has the conversations and messages with such ids; 0: the file."""
    return max((row_id or 0) - FIRST_TEMPORARY + TEMPORARY_IDS, 0) // TEMPORARY_IDS


def is_temporary(row_id: int | None) -> bool:
    """Whether a conversation or message is kept in memory alone; None is the new chat."""
    return temporary_range(row_id) > 0


@dataclass(frozen=True, slots=True)
class ConversationRow:
    """One conversation without its messages."""

    id: int
    title: str
    system: str
    """The system prompt; empty: none."""
    created_at: float
    updated_at: float
    """When something was last said; renaming does not count."""
    active_leaf_id: int | None
    """The last message of the branch that is shown; None: nothing was said yet."""
    deleted_at: float | None
    uid: str = ""
    """Names the conversation everywhere, in exports too: random, made by the store."""
    settings: str = ""
    """The chat's own settings, a JSON object; empty: none."""
    pinned_at: float | None = None
    """None: not pinned."""
    archived_at: float | None = None
    """None: not archived."""
    tags: tuple[str, ...] = ()
    """In order; each one line as `labels.clean_tag` makes it."""

    @property
    def pinned(self) -> bool:
        """It stands before what is not pinned."""
        return self.pinned_at is not None

    @property
    def archived(self) -> bool:
        """It is put away: in no list but the archive's, and still found."""
        return self.archived_at is not None


@dataclass(frozen=True, slots=True)
class NewGeneration:
    """What is known of an answer before its first token: enough to run it again."""

    model_path: str = ""
    model_name: str = ""
    fingerprint: str = ""
    """Hash of the model file: stored tokens are valid in a model of this fingerprint only."""
    template_hash: str = ""
    params_json: str = "{}"
    """The sampling parameters as they were asked for, as a JSON object: null where nobody asked;
    under `used` what took its place, under `sources` where values that are no default are from."""
    seed: int = -1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of an answer after its last token. Rates are tokens per second."""

    finish_reason: str = ""
    error: str = ""
    seed: int = -1
    """The seed that was used; -1 keeps the one given at the beginning."""
    prompt_tokens: int = 0
    reused_tokens: int = 0
    completion_tokens: int = 0
    load_s: float = 0.0
    ttft_s: float = 0.0
    prefill_tps: float = 0.0
    decode_tps: float = 0.0


@dataclass(frozen=True, slots=True)
class GenerationRow:
    """How one run of an answer was made. Rates are tokens per second."""

    id: int
    message_id: int
    model_path: str
    model_name: str
    fingerprint: str
    template_hash: str
    params_json: str
    seed: int
    prompt_tokens: int
    reused_tokens: int
    completion_tokens: int
    load_s: float
    ttft_s: float
    prefill_tps: float
    decode_tps: float
    finish_reason: str
    error: str
    created_at: float
    offset: int = 0
    """Characters in the texts of all parts that stood before this run: where it went on."""


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message and its place in the tree."""

    id: int
    conversation_id: int
    parent_id: int | None
    role: Role
    parts: Parts
    status: Status
    created_at: float
    tokens: tuple[int, ...]
    """The sampled tokens of an answer, in the model of its first generation; empty for a prompt.
    They end where another model went on."""
    sibling_index: int
    """Place among the messages with the same parent, oldest first, from 0."""
    sibling_count: int
    generations: tuple[GenerationRow, ...] = ()
    """The runs that wrote an answer, oldest first: more than one when it was continued."""
    uid: str = ""
    """Names the message everywhere, in exports too: random, made by the store."""
    by_hand: bool = False
    """The user wrote these words in another's role: an answer that was edited."""
    pinned: bool = False
    """It stays word for word when others are summarised or left out for want of room."""

    @property
    def content(self) -> str:
        """What was said: the text parts joined."""
        return text_of(self.parts)

    @property
    def reasoning(self) -> str:
        """What the model thought aloud."""
        return reasoning_of(self.parts)

    @property
    def generation(self) -> GenerationRow | None:
        """The last run that wrote the answer; None: nobody knows how it was made."""
        return self.generations[-1] if self.generations else None


@dataclass(frozen=True, slots=True)
class OutlineRow:
    """One message of a tree that is drawn, without its whole text."""

    id: int
    parent_id: int | None
    role: Role
    status: Status
    created_at: float
    text: str
    """The beginning of what was said, or else thought, on one line; empty: neither."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Something the user once said."""

    message_id: int
    conversation_id: int
    text: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Draft:
    """A text that was begun and not sent."""

    conversation_id: int | None
    """None: in the new chat."""
    text: str
    cursor: int
    """Characters before the cursor."""
    updated_at: float
    replaces: int | None = None
    """The message that `text` is to be another version of; None: it is to be a new one."""
    waits: str = ""
    """What was begun before that, and is gone on with when the version was sent or given up."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A message or a branch that was deleted, and can be brought back."""

    id: int
    conversation_id: int
    """Where it stood."""
    message_id: int
    """The deleted message; of a branch, its first."""
    leaf_id: int | None
    """What the conversation showed after it, the active leaf."""


@dataclass(frozen=True, slots=True)
class Purged:
    """What became of deleted conversations."""

    conversations: int
    """So many were removed for good."""
    swept: bool
    """No trace of them is left in the file. False: it was in use, and a later start sweeps it."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of a conversation that came in from a file."""

    conversation_id: int
    messages: int
    """So many messages were added."""
    is_new: bool
    """False: the history had the conversation, and got at most what was new in it."""
    is_deleted: bool = False
    """The history has it among what was deleted, and it stays there."""


@dataclass(frozen=True, slots=True)
class ConversationTree:
    """A conversation with every branch; parents stand before their children."""

    conversation: ConversationRow
    messages: tuple[MessageRow, ...]


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A message that matches a query."""

    conversation_id: int
    message_id: int
    title: str
    role: Role
    snippet: str
    """One line around the first hit; hits stand between `HIT_START` and `HIT_END`."""
    created_at: float
