"""Finding words: in all chats (the search screen), and in the open one (the find bar).

A hit of the search opens where it stands, with its words marked, and the find bar goes on from it.
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual.message import Message as Fact

from chatapp.store import Store
from chatapp.store.rows import HIT_END, HIT_START, SearchHit
from chatapp.ui.chat.commands import Does
from chatapp.ui.chat.desk import Desk
from chatapp.ui.messages import AnswerEnded, BranchCut, ConversationOpened, MessageStored
from chatapp.ui.widgets.find_bar import FindBar
from chatapp.ui.widgets.hits import Looked, may_hold
from chatapp.ui.widgets.item import MessageItem
from chatapp.ui.widgets.message import count_hits
from chatapp.ui.widgets.pane import ConversationPane
from chatapp.ui.wording import clean_line

SLICE_S = 0.01
"""So long messages are read at a time, before keys have their turn."""

MAX_LISTED = 200
"""Hits that are told in lines."""

_MARKED = re.compile(f"{HIT_START}([^{HIT_END}]*){HIT_END}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a hit stands."""

    message_id: int
    number: int
    """Which of the hits in that message it is, from 0."""


@dataclass(slots=True)
class Quest:
    """What is looked for in the open chat, and what was found."""

    label: str
    """As the user wrote it."""
    wanted: tuple[str, ...]
    conversation_id: int | None
    hits: Sequence[Place] = ()
    at: int = 0
    """The hit that is looked at."""


class Finding:
    """The search screen's jump, the find bar's steps."""

    def __init__(
        self,
        store: Store,
        desk: Desk,
        pane: ConversationPane,
        open_at: Callable[[int, int], None],
    ) -> None:
        """`open_at` opens a conversation at a message."""
        self._store = store
        self._desk = desk
        self._pane = pane
        self._bar = pane.find_bar
        self._bar.entries = self._list_hits
        self._open_at = open_at
        self._quest: Quest | None = None
        self._awaited: tuple[SearchHit, Quest] | None = None
        """A hit of the search whose chat is being opened."""
        self.commands: dict[str, Does] = {"find": self.find, "search": self.search}

    # Asking

    def action_find(self) -> None:
        """Ask for words to look for in this chat."""
        self._bar.ask(self._quest.label if self._quest else "")

    def action_search(self) -> None:
        """Search all messages."""
        self.search("")

    def find(self, words: str) -> None:
        """`/find [WORDS]`."""
        wanted = words.strip()
        if len(wanted) > 1 and wanted[0] == wanted[-1] == '"':
            wanted = wanted[1:-1].strip()
        if not wanted:
            self.action_find()
            return
        quest = Quest(wanted, (wanted,), self._pane.conversation_id)
        self._begin(quest, None)

    def search(self, words: str) -> None:
        """`/search [WORDS]`."""
        from chatapp.ui.screens.search import SearchScreen

        self._desk.open(SearchScreen(self._store, words), self._jump)

    def _jump(self, hit: SearchHit | None) -> None:
        if hit is None:
            return
        wanted = tuple(dict.fromkeys(_MARKED.findall(hit.snippet)))
        label = " ".join(dict.fromkeys(word.lower() for word in wanted))
        self._awaited = hit, Quest(label, wanted, hit.conversation_id)
        self._open_at(hit.conversation_id, hit.message_id)

    # Steps

    def step(self, step: int) -> None:
        """To another hit; from an end to the other."""
        quest = self._quest
        if quest is not None and quest.hits:
            quest.at = (quest.at + step) % len(quest.hits)
            self._look(quest, take_keys=True)

    def close(self) -> bool:
        """Look for nothing any more. False: nothing was looked for."""
        was_open = self._bar.display
        had_keys = self._bar.has_keys
        self._quest = None
        self._bar.close()
        self._pane.transcript.look_for(Looked())
        if had_keys:
            self._pane.prompt.focus()
        return was_open

    def do(self, wish: Fact) -> None:
        """What is asked for in the find bar."""
        match wish:
            case FindBar.Asked(words):
                self.find(words)
            case FindBar.Stepped(step):
                self.step(step)
            case FindBar.Chosen(place) if self._quest is not None:
                self.step(place - self._quest.at)
            case FindBar.Closed():
                self.close()

    def take(self, fact: Fact) -> None:
        """Go on in the chat that was opened for a hit; follow what is said in this one."""
        if isinstance(fact, ConversationOpened):
            opened = fact.conversation.id if fact.conversation else None
            if self._awaited and self._awaited[0].conversation_id == opened:
                hit, quest = self._awaited
                self._awaited = None
                self._begin(quest, hit.message_id)
            elif self._quest is not None and self._quest.conversation_id != opened:
                self.close()
            else:
                self._recount()
        elif isinstance(fact, MessageStored | AnswerEnded | BranchCut):
            self._recount()

    # Looking

    def _begin(self, quest: Quest, message_id: int | None) -> None:
        self._quest = quest
        self._bar.tell(f"Looking for ‘{quest.label}’ …", take_keys=True)
        self._desk.work_on(self._find(quest, message_id), group="find", alone=True)

    def _recount(self) -> None:
        if self._quest is not None and self._quest.wanted:
            self._desk.work_on(self._count_again(self._quest), group="find", alone=True)

    async def _find(self, quest: Quest, message_id: int | None) -> None:
        transcript = self._pane.transcript
        quest.hits = await collect(transcript.items, quest.wanted)
        if quest is not self._quest:
            return
        first = message_id if message_id is not None else transcript.first_in_view()
        quest.at = choose_first(quest.hits, first)
        if any(hit.message_id == message_id for hit in quest.hits):
            transcript.marked = None  # its words are marked instead
        self._look(quest, take_keys=True)

    async def _count_again(self, quest: Quest) -> None:
        """What was said since may hold the words too; what is looked at stays."""
        before = quest.hits[quest.at] if quest.hits else None
        hits = await collect(self._pane.transcript.items, quest.wanted)
        if quest is not self._quest:
            return
        quest.hits = hits
        quest.at = hits.index(before) if before in hits else 0
        self._bar.tell(describe(quest, self._desk.keys, self._pane.size.width - 2), take_keys=False)

    def _list_hits(self) -> list[str]:
        if self._quest is None:
            return []
        items = {item.id: item for item in self._pane.transcript.items}
        return [
            describe_hit(items[hit.message_id], hit.number, self._quest.wanted)
            for hit in self._quest.hits[:MAX_LISTED]
            if hit.message_id in items
        ]

    def _look(self, quest: Quest, *, take_keys: bool) -> None:
        place = quest.hits[quest.at] if quest.hits else None
        looked = Looked(quest.wanted)
        if place is not None:
            looked = Looked(quest.wanted, place.message_id, place.number)
        self._pane.transcript.look_for(looked)
        self._bar.tell(
            describe(quest, self._desk.keys, self._pane.size.width - 2), take_keys=take_keys
        )


async def collect(items: Sequence[MessageItem], wanted: tuple[str, ...]) -> list[Place]:
    """Every hit in these messages, oldest first. Keys have their turn meanwhile."""
    hits: list[Place] = []
    began = time.monotonic()
    for item in items:
        if may_hold(item.content, wanted):
            hits += [Place(item.id, number) for number in range(count_hits(item, wanted))]
        if time.monotonic() - began > SLICE_S:
            await asyncio.sleep(0)
            began = time.monotonic()
    return hits


def describe_hit(item: MessageItem, number: int, wanted: tuple[str, ...]) -> str:
    """`assistant: … the words around it …`, as near as the text without its marks allows."""
    pattern = "|".join(re.escape(words) for words in wanted)
    found = list(re.finditer(pattern, item.content, re.IGNORECASE))
    at = found[min(number, len(found) - 1)] if found else None
    start, end = at.span() if at else (0, 0)
    around = item.content[max(start - 40, 0) : end + 40]
    who = "You" if item.role == "user" else item.role.capitalize()
    return f"{who}: … {clean_line(around)} …"


def choose_first(hits: Sequence[Place], message_id: int | None) -> int:
    """The first hit at or below a message, else the last one. Ids rise along a branch."""
    if message_id is not None:
        for number, hit in enumerate(hits):
            if hit.message_id >= message_id:
                return number
    return max(len(hits) - 1, 0)


def describe(quest: Quest, keys: Callable[[str], str], width: int) -> str:
    """`3 of 12 hits for ‘words’ – n next, N previous, Esc ends`, shorter where that is too wide."""
    ends = f"{keys('end_find')} ends"
    if not quest.hits:
        other = keys("change_words")
        return f"Nothing in this chat for ‘{quest.label}’ – {other} other words, {ends}"
    count = len(quest.hits)
    hits = "1 hit" if count == 1 else f"{quest.at + 1} of {count} hits"
    forth, back = (keys(name).split(" / ")[0] for name in ("next_hit", "previous_hit"))
    whole = f"{hits} for ‘{quest.label}’ – {forth} next, {back} previous, {ends}"
    if cell_len(whole) <= width:
        return whole
    return f"{quest.at + 1}/{count} – {forth} next, {back} previous, {ends} – ‘{quest.label}’"
