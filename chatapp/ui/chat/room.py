"""Room in the context: what fills it, and the way out before something would not fit.

A message that does not fit is in the store already; it is asked when a way was chosen, on a shorter
branch if need be. What goes stays on the branch it stood on.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from textual.message import Message as Fact

from chatapp.chat_settings import ChatSettings, read_chat_settings
from chatapp.compaction import Summary, can_summarise, keep_for_omission, keep_for_summary, split
from chatapp.conversation import Message
from chatapp.engine.protocol import ModelDescription
from chatapp.errors import ChatAppError
from chatapp.fullness import SPARE, WARN_SHARE, Tally, reserve_for, surely_fits, take_tally
from chatapp.heads import make_head
from chatapp.store.rows import ConversationRow, MessageRow
from chatapp.text import cut_text
from chatapp.ui.chat.answering import Asked
from chatapp.ui.chat.commands import Does
from chatapp.ui.chat.desk import Desk
from chatapp.ui.chat.flow import ChatFlow
from chatapp.ui.chat.longer import Longer, find_longer, load_longer
from chatapp.ui.chat.models import Models
from chatapp.ui.forms.context import ContextForm
from chatapp.ui.forms.room import Offer, RoomForm, Way
from chatapp.ui.forms.summary import GIVEN_UP, SummaryForm
from chatapp.ui.messages import AnswerEnded, Problem
from chatapp.ui.meter import meter_lines, shares_line, sum_line
from chatapp.ui.setup import ChatSetup
from chatapp.ui.wording import clean_line, grouped

_WORDS = 30
"""Characters of a message that is named by its beginning."""


@dataclass(frozen=True, slots=True)
class Case:
    """A branch, and what it takes of the context of the model that is loaded."""

    model: ModelDescription
    conversation: ConversationRow
    rows: list[MessageRow]
    settings: ChatSettings
    tally: Tally
    reserve: int


class Room:
    """The meter, compaction, and the choice when the context is full."""

    def __init__(
        self,
        setup: ChatSetup,
        flow: ChatFlow,
        desk: Desk,
        models: Models,
        *,
        written: Callable[[], str],
        set_context: Does,
    ) -> None:
        """`written` gives what stands in the prompt; `set_context` loads a context of a length."""
        self._setup = setup
        self._store = setup.store
        self._client = setup.client
        self._flow = flow
        self._desk = desk
        self._models = models
        self._written = written
        self._set_context = set_context
        self._warned: set[int] = set()
        """Conversations whose user knows that the context fills up."""
        self._squeezed: set[int] = set()
        """Conversations that are answered in what room there is."""
        self._moved: int | None = None
        """A new conversation whose question is asked when the answer that was refused has ended."""
        self.commands: dict[str, Does] = {"context": self.context, "compact": self.compact}

    # Commands

    def context(self, args: str) -> None:
        """`/context [N]`."""
        if args:
            self._set_context(args)
        else:
            waits = self._flow.answering.busy
            self._desk.open(ContextForm(self._count_lines, waits=waits))

    def compact(self, args: str) -> None:
        """`/compact [WHAT MATTERS]`."""
        flow = self._flow
        if flow.answering.busy:
            self._desk.say(flow.why_busy())
        elif flow.conversation is None:
            self._desk.say("There is nothing to summarise yet.")
        else:
            flow.answering.claim()
            flow.answering.place(flow.conversation.id, GIVEN_UP)
            self._desk.work_on(self._compact_chat(flow.conversation.id, args), group="answer")

    async def _count_lines(self, width: int) -> list[str]:
        flow, written = self._flow, self._written()
        model = await self._client.ensure_loaded()
        if (shown := flow.conversation) is not None:
            case = await self._look(model, shown.id, None, written)
            return meter_lines(case.tally, case.reserve, width)
        tally = await take_tally(self._client, model, [], flow.system, written=written)
        return meter_lines(tally, reserve_for(model.n_ctx, [], flow.layers.given), width)

    async def _compact_chat(self, conversation_id: int, matters: str) -> None:
        flow = self._flow
        try:
            model = await self._client.ensure_loaded()
            looking = self._look(model, conversation_id, None)
            if (case := await flow.answering.unless_stopped(looking)) is None:
                return
            if why := can_summarise(model):
                self._desk.say(f"{why} A bigger one can: {self._desk.keys('models')}.")
            elif not (first := self._first_to_keep(case)):
                self._desk.say("There is nothing to summarise but the last turn.")
            else:
                await self._summarise(case, first, matters)
        finally:
            flow.answering.release()
            await flow.go_on()

    def _first_to_keep(self, case: Case) -> int | None:
        return keep_for_summary(case.rows, case.tally, case.reserve)

    # Before an answer

    async def find(self, asked: Asked) -> bool:
        """See to it that what is asked fits. False: it does not, and it waits."""
        model = self._client.model
        if model is None or (not model.n_ctx and not asked.refused):
            return True  # whoever asks says what is wrong
        if await asyncio.to_thread(self._surely_fits, asked, model.n_ctx):
            return True
        try:
            case = await self._look(model, asked.conversation_id, asked.message_id)
        except ChatAppError as error:
            if asked.refused:
                self._desk.tell(Problem(error))
            return not asked.refused
        if asked.goes_on:
            return self._can_go_on(case, asked)
        if not asked.refused and self._fits(case):
            return True
        return await self._choose(asked, case)

    def _surely_fits(self, asked: Asked, n_ctx: int) -> bool:
        if asked.refused:
            return False
        rows = self._store.get_path(asked.conversation_id, asked.message_id)
        conversation = self._store.get_conversation(asked.conversation_id)
        settings, _ = read_chat_settings(conversation.settings)
        params = settings.layers(self._setup.config.sampling).given
        room = n_ctx - reserve_for(n_ctx, rows, params, "on")
        return surely_fits(rows, conversation.system, room)

    def _fits(self, case: Case) -> bool:
        squeezed = case.conversation.id in self._squeezed
        return case.tally.room > (SPARE if squeezed else case.reserve)

    def _can_go_on(self, case: Case, asked: Asked) -> bool:
        if not asked.refused and (not case.tally.n_ctx or case.tally.room > SPARE):
            return True
        self._desk.say(
            f"The context is full ({grouped(case.model.n_ctx)} tokens): this answer cannot go on "
            "here. /compact summarises earlier turns, /context N loads a longer one; then "
            f"{self._desk.keys('continue')} goes on."
        )
        return False

    async def _look(
        self,
        model: ModelDescription,
        conversation_id: int,
        leaf_id: int | None,
        written: str = "",
    ) -> Case:
        in_thread, store, config = asyncio.to_thread, self._store, self._setup.config
        conversation = await in_thread(store.get_conversation, conversation_id)
        rows = await in_thread(store.get_path, conversation_id, leaf_id)
        settings, _ = read_chat_settings(conversation.settings)
        think = settings.choose_think(config.chat.think)
        tally = await take_tally(
            self._client, model, rows, conversation.system, think=think, written=written
        )
        params = settings.layers(config.sampling).given
        reserve = reserve_for(model.n_ctx, rows, params, think)
        return Case(model, conversation, rows, settings, tally, reserve)

    # The choice

    async def _choose(self, asked: Asked, case: Case) -> bool:
        """Ask what is to become of what stands before the question, until one way is gone."""
        facts = [sum_line(case.tally), shares_line(case.tally)]
        if asked.refused:
            facts.insert(0, clean_line(asked.refused))
        elif case.tally.room:
            left, wanted = grouped(case.tally.room), grouped(case.reserve)
            facts[0] += f" {left} are left for the answer, {wanted} are kept for it."
        title = f"No room in “{clean_line(case.conversation.title)[:40]}”"
        wanted_ctx = case.tally.total + 2 * case.reserve
        longer = asyncio.ensure_future(find_longer(case.model, wanted_ctx))
        while True:
            form = RoomForm(title, facts, self._offers(case), lambda: _offer_of(longer))
            way = await self._desk.ask(form)
            if way is None:
                again = self._desk.keys("regenerate")
                self._desk.say(f"Your message is kept, unanswered. {again} asks again.")
                return False
            if await self._go(way, asked, case, longer):
                return self._moved is None

    async def _go(
        self, way: Way, asked: Asked, case: Case, longer: "asyncio.Future[Longer]"
    ) -> bool:
        """Take one way out. False: it led nowhere, and that was said."""
        conversation_id = case.conversation.id
        match way:
            case "anyway":
                self._squeezed.add(conversation_id)
                return True
            case "longer":
                n_ctx = (await longer).n_ctx
                return await load_longer(
                    self._models, self._flow, self._store, conversation_id, case.settings, n_ctx
                )
            case "new chat":
                self._moved = await asyncio.to_thread(self._move, case)
                return True
            case "summarise":
                leaf = await self._summarise(case, self._first_to_keep(case) or 0)
            case "leave out":
                leaf = await self._leave_out(case)
        if leaf is not None:
            asked.message_id, asked.refused = leaf, ""
        return leaf is not None

    def _offers(self, case: Case) -> list[Offer]:
        rows, first = case.rows, self._first_to_keep(case)
        none = "What would stay does not fit: your message is too long."
        if len(rows) == 1:
            none = "Nothing stands before your message."
        why = can_summarise(case.model) or ("" if first else none)
        offers = [
            Offer("summarise", "Summarise the older messages", why, False)
            if why or not first
            else Offer(
                "summarise",
                f"Summarise the {_tokens(case, first)}",
                f"The model does it; your last turns stay. {self._undo}",
            )
        ]
        first = keep_for_omission(rows, case.tally, case.reserve)
        offers.append(
            Offer(
                "leave out",
                f"Leave out the {_tokens(case, first)}",
                f"Up to {_name(split(rows, first).gone[-1])}. {self._undo}",
            )
            if first
            else Offer("leave out", "Leave out the oldest messages", none, False)
        )
        offers.append(
            Offer("longer", "Load a longer context", "looking at the model and memory…", False)
        )
        offers.append(
            Offer("new chat", "Start a new chat with this message", "It knows nothing of this one.")
        )
        if case.tally.room > SPARE:
            left = f"{grouped(case.tally.room)} tokens are left; the answer may end early."
            offers.append(Offer("anyway", "Answer in what room there is", left))
        return offers

    @property
    def _undo(self) -> str:
        return f"{self._desk.keys('previous_version')} brings them back."

    # Ways out

    async def _summarise(self, case: Case, first: int, matters: str = "") -> int | None:
        """Have the model summarise what stands before `first`, and show the shorter branch; its
        last message. None: it was stopped, or did not work."""
        parted = split(case.rows, first)

        async def make(report: Callable[..., object]) -> str:
            summary = Summary(
                self._client,
                case.model,
                case.conversation.system,
                matters=matters,
                report=report,
            )
            return await summary.make(parted.gone)

        made = await self._desk.ask(SummaryForm(parted.n_missing, make))
        if isinstance(made, ChatAppError):
            self._desk.warn(made)
            return None
        if made is None:
            self._desk.say(GIVEN_UP)
            return None
        return await self._shorten(case, first, made)

    async def _leave_out(self, case: Case) -> int | None:
        first = keep_for_omission(case.rows, case.tally, case.reserve)
        return await self._shorten(case, first, "") if first else None

    async def _shorten(self, case: Case, first: int, summary: str) -> int:
        conversation_id, rows = case.conversation.id, case.rows
        parted = split(rows, first)
        leaf = await asyncio.to_thread(
            self._store.branches.fork,
            conversation_id,
            rows[-1].id,
            rows[first].id,
            make_head(parted.n_missing, summary),
            [row.id for row in parted.pinned],
        )
        self._warned.discard(conversation_id)
        self._squeezed.discard(conversation_id)
        if self._is_shown(conversation_id):
            await self._flow.open(conversation_id)
        done = "summarised" if summary else "left out"
        pins = f" {len(parted.pinned)} stay for their pins." if parted.pinned else ""
        self._desk.say(f"{parted.n_missing} earlier messages are {done}.{pins} {self._undo}")
        return leaf

    def _move(self, case: Case) -> int:
        """The question in a conversation of its own, with the same settings; its id."""
        store, old, question = self._store, case.conversation, case.rows[-1]
        new = store.create_conversation(old.title, old.system, beside=old.id)
        if old.settings:
            store.set_settings(new, old.settings)
        store.add_message(new, Message("user", question.parts))
        if store.leaf_below(question.id) == question.id:  # nobody has answered it here
            store.branches.delete_branch(question.id)
        return new

    async def _ask_moved(self, conversation_id: int) -> None:
        await self._flow.open(conversation_id)
        await self._flow.regenerate()

    # After an answer

    def take(self, fact: Fact) -> None:
        """Ask what has moved to a new chat; warn when the context fills up."""
        if not isinstance(fact, AnswerEnded):
            return
        if (moved := self._moved) is not None:
            self._moved = None
            self._desk.work_on(self._ask_moved(moved), group="answer")
        model = self._client.model
        if fact.finished is not None and model is not None and model.n_ctx:
            usage = fact.finished.usage
            n_past = fact.finished.n_past or usage.prompt_tokens + usage.completion_tokens
            self._warn(fact.conversation_id, n_past, model.n_ctx)

    def _warn(self, conversation_id: int, n_past: int, n_ctx: int) -> None:
        if n_past < WARN_SHARE * n_ctx:
            self._warned.discard(conversation_id)
        elif conversation_id not in self._warned and self._is_shown(conversation_id):
            self._warned.add(conversation_id)
            self._desk.say(
                f"{n_past / n_ctx:.0%} of the context is full ({grouped(n_past)} of "
                f"{grouped(n_ctx)} tokens). /compact summarises the older turns; /context shows "
                "what fills it."
            )

    def _is_shown(self, conversation_id: int) -> bool:
        shown = self._flow.conversation
        return shown is not None and shown.id == conversation_id


async def _offer_of(longer: "asyncio.Future[Longer]") -> Offer:
    """The offer when it is known; a dialog that closes before does not end the search."""
    return (await asyncio.shield(longer)).offer


def _tokens(case: Case, first: int) -> str:
    """What stands before a message, in words."""
    parted = split(case.rows, first)
    n, gone = parted.n_missing, {row.id for row in parted.gone}
    counts = zip(case.rows, case.tally.rows, strict=True)
    n_tokens = sum(count for row, count in counts if row.id in gone)
    what = "oldest message" if n == 1 else f"{n} oldest messages"
    return f"{what} ({grouped(n_tokens)} tokens)"


def _name(row: MessageRow) -> str:
    """A message by its beginning."""
    said = clean_line(row.content[: 4 * _WORDS])
    return f"“{cut_text(said, _WORDS)}{'…' if len(said) > _WORDS else ''}”"
