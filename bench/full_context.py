"""A chat of three times its context, by every way out: what fell out, what is still known, undo.

    python -m bench.full_context --model builtin
    python -m bench.full_context --model smollm2 --n-ctx 1024

A fact is told at the beginning; then so much is said and answered (the answers are given, so that
every run says the same) that three contexts are full. Whenever the next prompt leaves no room for
an answer, the same way out is taken. At the end the model is asked for the fact, with the prompt as
it is then, and once more with the fact put into the head of the branch by hand, as an edit does.
All of it runs in memory.
"""

import argparse
import asyncio
from dataclasses import dataclass, field

from bench.models import find_model
from chatapp.compaction import (
    Summary,
    can_summarise,
    edit_head,
    keep_for_omission,
    keep_for_summary,
)
from chatapp.conversation import Message
from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import LoadOptions, ModelDescription
from chatapp.fullness import Tally, reserve_for, take_tally
from chatapp.heads import count_missing, make_head, read_head
from chatapp.paths import BUILTIN_MODEL
from chatapp.sampling import SamplingParams
from chatapp.store import Store
from chatapp.turn import Turn

SYSTEM = "You are a helpful assistant."
FACT = "My name is Anna and I have a dog called Rex."
NOTED = "The user is called Anna. The user has a dog called Rex."
QUESTION, KNOWN = "What is the name of my dog?", "Rex"
TOPICS = ("rain", "trains", "apples", "the sea", "winter", "books", "bread", "music", "stars")
TIMES = 3
WAYS = ("summarise", "leave out", "longer", "new chat")


@dataclass(slots=True)
class Story:
    """What happened to one chat."""

    way: str
    said: int = 0
    """Tokens of everything that was said, in whichever branch."""
    turns: int = 0
    taken: int = 0
    """How often the way was taken."""
    missing: int = 0
    """Messages that the last prompt does not have word for word."""
    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    """Tokens of the prompts before and after each time."""
    undone: bool = True
    """Going back showed the same messages every time."""
    answer: str = ""
    answer_by_hand: str = ""
    n_ctx: int = 0


class Chat:
    """One conversation with a model that is loaded with a short context."""

    def __init__(self, client: EngineClient, options: LoadOptions, way: str) -> None:
        self._client = client
        self._options = options
        self._store = Store.in_memory()
        self._id = self._store.create_conversation("full", SYSTEM)
        self.story = Story(way)

    @property
    def _model(self) -> ModelDescription:
        assert self._client.model is not None
        return self._client.model

    async def run(self) -> Story:
        """All of it."""
        story = self.story
        await self._client.load(self._options)
        n_ctx = self._model.n_ctx
        await self._say(FACT, "Nice to meet you, Anna! Rex is a lovely name for a dog.")
        while story.said < TIMES * n_ctx:
            topic = TOPICS[story.turns % len(TOPICS)]
            given = f"Many people like {topic}. Here is one more thing about {topic}: it is old. "
            await self._say(f"Tell me something about {topic}.", given * 3)
        rows = self._store.get_path(self._id)
        story.answer = await self._say(QUESTION)
        if head := read_head(rows[0]):
            story.missing = head.n_messages
            self._store.select_leaf(self._id, rows[-1].id)
            edit_head(self._store, rows[0], make_head(head.n_messages, NOTED).content)
            story.answer_by_hand = await self._say(QUESTION)
        story.n_ctx = self._model.n_ctx
        return story

    async def _say(self, text: str, given: str = "") -> str:
        """Say something; without a given answer the model answers."""
        leaf = self._store.get_conversation(self._id).active_leaf_id
        asked = self._store.add_message(self._id, Message.of("user", text), leaf).id
        tally = await self._count()
        params = SamplingParams(temperature=0, max_tokens=48)
        if tally.room <= (reserve := reserve_for(tally.n_ctx, (), params)):
            asked = await self._make_room(tally, reserve)
        if given:
            self._store.add_message(self._id, Message.of("assistant", given), asked)
        else:
            turn = Turn(self._store, self._client, params=params)
            async for _event in turn.answer(self._id, asked):
                given = turn.state.text
        self.story.turns += 1
        self.story.said += (await self._count()).rows[-1] + tally.rows[-1]
        return given

    async def _count(self) -> Tally:
        rows = self._store.get_path(self._id)
        return await take_tally(self._client, self._model, rows, SYSTEM)

    async def _make_room(self, tally: Tally, reserve: int) -> int:
        story, store = self.story, self._store
        rows = store.get_path(self._id)
        story.taken += 1
        story.before.append(tally.total)
        leaf = rows[-1].id
        match story.way:
            case "longer":
                longer = self._model.n_ctx * 2
                await self._client.load(LoadOptions(path=self._options.path, n_ctx=longer))
            case "new chat":
                story.missing += len(rows) - 1
                self._id = store.create_conversation("new", SYSTEM)
                leaf = store.add_message(self._id, Message("user", rows[-1].parts)).id
            case way:
                keep = keep_for_summary if way == "summarise" else keep_for_omission
                first = keep(rows, tally, reserve) or 0
                summary = ""
                if way == "summarise":
                    summary = await Summary(self._client, self._model, SYSTEM).make(rows[:first])
                head = make_head(count_missing(rows, first), summary)
                leaf = store.branches.fork(self._id, leaf, rows[first].id, head)
                story.undone &= self._goes_back(rows[-1].id, leaf, [row.id for row in rows])
        story.after.append((await self._count()).total)
        return leaf

    def _goes_back(self, old: int, new: int, ids: list[int]) -> bool:
        self._store.select_leaf(self._id, old)
        same = [row.id for row in self._store.get_path(self._id)] == ids
        self._store.select_leaf(self._id, new)
        return same


def _tell(story: Story) -> None:
    before, after = story.before, story.after
    print(f"\n{story.way}: {story.said} tokens said in {story.turns} turns", end="; ")
    print(f"taken {story.taken} times, context {story.n_ctx} at the end")
    print(f"  prompts before {before}, after {after}")
    print(f"  not in the last prompt: {story.missing} messages; going back works: {story.undone}")
    for name, said in (("asked", story.answer), ("fact edited in", story.answer_by_hand)):
        if said:
            known = "knows" if KNOWN in said else "does not know"
            print(f"  {QUESTION} ({name}) {known}: {' '.join(said.split())[:90]!r}")


async def _run(path: str, n_ctx: int) -> None:
    client = EngineClient()
    options = LoadOptions(path=path, n_ctx=n_ctx)
    try:
        model = await client.load(options)
        print(f"{model.name}, context {model.n_ctx}")
        for way in WAYS:
            if way == "summarise" and (why := can_summarise(model)):
                print(f"\n{way}: {why}")
            elif way == "longer" and model.n_ctx >= model.n_ctx_train:
                print(f"\n{way}: it was trained for {model.n_ctx_train}, and has them.")
            else:
                _tell(await Chat(client, options, way).run())
    finally:
        await client.stop()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="smollm2", help="a name of bench.models, or a path")
    parser.add_argument("--n-ctx", type=int, default=1024)
    given = parser.parse_args()
    path = str(BUILTIN_MODEL) if given.model == "builtin" else find_model(given.model)
    asyncio.run(_run(path, given.n_ctx))


if __name__ == "__main__":
    main()
