"""From a draft to a tree of ours: parents found, circles cut, order made, names given.

Promises a tree for any draft: every message stands once, behind its parent, the rest in the order
of time. Names are made of the program's and its ids, so the same message has the same name in
every export that holds it.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush

from chatapp.conversation import make_title
from chatapp.export.imports.draft import Draft, Reading, Said
from chatapp.export.names import gist, make_uid
from chatapp.export.reading import MAX_TIME
from chatapp.parts import Part, Reasoning, Text, ToolCall, ToolResult, text_of
from chatapp.store.rows import ConversationRow, ConversationTree, GenerationRow, MessageRow


def chain(said: Sequence[Said]) -> list[Said]:
    """Messages of a program that gives them no ids, one under the other, each named by all that
    was said up to it. So a list that has grown holds the messages of the list it was."""
    named: list[Said] = []
    before = ""
    for one in said:
        before = make_uid(before, one.role, gist(one.parts))
        named.append(replace(one, id=before, parent=named[-1].id if named else None))
    return named


_THOUGHT = re.compile(r"\s*<(think|thinking)>(.*?)</\1>\s*", re.DOTALL)


def name_by_beginning(said: Sequence[Said]) -> str:
    """A name for a conversation that has none: what was said up to the first answer."""
    beginning: list[str] = []
    for one in said:
        beginning += [one.role, gist(one.parts)]
        if one.role == "assistant":
            break
    return make_uid(*beginning)


def build(program: str, draft: Draft, reading: Reading) -> ConversationTree | None:
    """The tree of a draft; None where nothing was said in it."""
    forest = _Forest(draft, reading)
    forest.cut_circles()
    forest.find_thoughts()
    forest.fold_thoughts()
    forest.drop_empty()
    forest.name_calls()
    forest.divide_turns()
    system = forest.lift_system()
    if not forest.nodes:
        return None
    times = forest.fill_times()
    ordered = forest.order(times)
    numbers = {one.id: number for number, one in enumerate(ordered, start=1)}
    rows = _make_rows(program, draft, ordered, numbers, times)
    first = next((row.content for row in rows if row.role == "user" and row.content), "")
    newest = max(row.created_at for row in rows)
    created = draft.created_at or min(row.created_at for row in rows)
    updated = max(draft.updated_at or newest, created)
    conversation = ConversationRow(
        id=0,
        title=draft.title or make_title(first or text_of(rows[0].parts)),
        system=system,
        created_at=created,
        updated_at=updated,
        active_leaf_id=numbers.get(forest.current or "", len(rows)),
        deleted_at=None,
        uid=make_uid(program, draft.id),
        pinned_at=updated if draft.pinned else None,
        archived_at=updated if draft.archived else None,
        tags=draft.tags,
    )
    return ConversationTree(conversation, rows)


class _Forest:
    """The messages by id, each with a parent that is there or none."""

    def __init__(self, draft: Draft, reading: Reading) -> None:
        self.nodes: dict[str, Said] = {}
        self.current = draft.current
        self._draft = draft
        self._reading = reading
        for number, one in enumerate(draft.said):
            name = one.id
            if name in self.nodes:  # nothing may be lost for a double name
                name = f"{name}#{number}"
            self.nodes[name] = replace(one, id=name)
        for one in self.nodes.values():
            if one.parent not in self.nodes:
                one.parent = None

    def cut_circles(self) -> None:
        """A message that is its own ancestor becomes a first message."""
        sound: set[str] = set()
        for one in self.nodes.values():
            way: dict[str, None] = {}
            place: str | None = one.id
            while place is not None and place not in sound:
                if place in way:
                    self.nodes[place].parent = None
                    self._reading.lose("circles of messages, which were cut")
                    break
                way[place] = None
                place = self.nodes[place].parent
            sound.update(way)

    def find_thoughts(self) -> None:
        """Answers that begin with a thought between marks, as programs used to keep it."""
        for one in self.nodes.values():
            first = one.parts[0] if one.parts and one.role == "assistant" else None
            if isinstance(first, Text) and (found := _THOUGHT.match(first.text)):
                said = first.text[found.end() :]
                thought = Reasoning(found[2].strip("\n"))
                answer = (Text(said),) if said else ()
                one.parts = (*((thought,) if thought.text else ()), *answer, *one.parts[1:])

    def fold_thoughts(self) -> None:
        """Thoughts that are a message of their own go into the answers that follow from them."""
        below: dict[str, list[Said]] = {}
        for one in self._from_the_top():
            if one.parent is not None and one.role == "assistant":
                below.setdefault(one.parent, []).append(one)
        for one in self._from_the_top():
            heirs = below.get(one.id)
            thought = one.role == "assistant" and one.parts and not one.error
            if heirs and thought and all(isinstance(part, Reasoning) for part in one.parts):
                for heir in heirs:
                    heir.parts = one.parts + heir.parts
                one.parts = ()

    def drop_empty(self) -> None:
        """Messages that say nothing go; what is below them moves up."""
        empty = {one.id for one in self.nodes.values() if not one.parts and not one.error}
        self._remove(empty)

    def _remove(self, names: set[str]) -> None:
        for one in self._from_the_top():
            # The one above was seen before, so its own parent is one that stays.
            if one.parent in names:
                one.parent = self.nodes[one.parent].parent if one.parent else None
        if self.current in names and self.current:
            self.current = self.nodes[self.current].parent
        self.nodes = {name: one for name, one in self.nodes.items() if name not in names}

    def name_calls(self) -> None:
        """Calls without an id get one, and results without one answer the oldest open call."""
        open_calls: dict[str, list[str]] = {}
        for one in self._from_the_top():
            waiting = list(open_calls.get(one.parent or "", []))
            parts: list[Part] = []
            for number, part in enumerate(one.parts):
                if isinstance(part, ToolCall):
                    call = (
                        part
                        if part.id
                        else ToolCall(f"{one.id}/{number}", part.name, part.arguments)
                    )
                    waiting.append(call.id)
                    parts.append(call)
                elif isinstance(part, ToolResult):
                    call_id = part.call_id or (waiting[0] if waiting else one.id)
                    waiting = [name for name in waiting if name != call_id]
                    parts.append(ToolResult(call_id, part.parts, part.is_error))
                else:
                    parts.append(part)
            one.parts = tuple(parts)
            open_calls[one.id] = waiting

    def divide_turns(self) -> None:
        """An answer that holds what its tools gave back is three messages with us, and more."""
        last: dict[str, str] = {}
        divided: dict[str, Said] = {}
        for one in self._from_the_top():
            one.parent = last.get(one.parent or "", one.parent)
            for number, parts in enumerate(_runs(one)):
                role = "tool" if parts and _gives(parts) else one.role
                name = f"{one.id}/{number}" if number else one.id
                piece = replace(one, id=name, role=role, parts=parts)
                if number:
                    piece.parent = last.get(one.id, one.id)
                divided[name] = piece
                last[one.id] = name
        self.nodes = divided
        if self.current is not None:
            self.current = last.get(self.current, self.current)

    def lift_system(self) -> str:
        """The system prompt: the draft's, or the one message that all others are below."""
        if self._draft.system:
            return self._draft.system
        roots = [one for one in self.nodes.values() if one.parent is None]
        if len(roots) != 1 or len(self.nodes) == 1 or roots[0].role != "system":
            return ""
        if not all(isinstance(part, Text) for part in roots[0].parts):
            return ""
        self._remove({roots[0].id})
        return text_of(roots[0].parts)

    def fill_times(self) -> dict[str, float]:
        """When each was said: as it says, or as the one above it."""
        start = self._draft.created_at or self._draft.updated_at or self._reading.made_at
        times: dict[str, float] = {}
        for one in self._from_the_top():
            known = 0 < one.created_at <= MAX_TIME  # not so for NaN
            times[one.id] = one.created_at if known else times.get(one.parent or "", start)
        return times

    def order(self, times: dict[str, float]) -> list[Said]:
        """Parents before children, and apart from that as time and the file have it."""
        places = {name: place for place, name in enumerate(self.nodes)}
        below = self._children()
        ready = [(times[one.id], places[one.id], one.id) for one in below.get(None, [])]
        heapify(ready)
        ordered = []
        while ready:
            _, _, name = heappop(ready)
            ordered.append(self.nodes[name])
            for child in below.get(name, []):
                heappush(ready, (times[child.id], places[child.id], child.id))
        return ordered

    def _children(self) -> dict[str | None, list[Said]]:
        below: dict[str | None, list[Said]] = {}
        for one in self.nodes.values():
            below.setdefault(one.parent, []).append(one)
        return below

    def _from_the_top(self) -> list[Said]:
        below = self._children()
        found = list(below.get(None, []))
        for one in found:  # grows while it is walked
            found += below.get(one.id, [])
        return found


def _gives(parts: tuple[Part, ...]) -> bool:
    return isinstance(parts[0], ToolResult)


def _runs(one: Said) -> list[tuple[Part, ...]]:
    """The parts of an answer, cut where tools begin and end to speak."""
    if one.role != "assistant" or not any(isinstance(part, ToolResult) for part in one.parts):
        return [one.parts]
    runs: list[tuple[Part, ...]] = []
    for part in one.parts:
        if runs and _gives(runs[-1]) == isinstance(part, ToolResult):
            runs[-1] = (*runs[-1], part)
        else:
            runs.append((part,))
    return runs


def _make_rows(
    program: str,
    draft: Draft,
    ordered: Sequence[Said],
    numbers: dict[str, int],
    times: dict[str, float],
) -> tuple[MessageRow, ...]:
    return tuple(
        MessageRow(
            id=numbers[one.id],
            conversation_id=0,
            parent_id=None if one.parent is None else numbers[one.parent],
            role=one.role,
            parts=one.parts,
            status=one.status,
            created_at=times[one.id],
            tokens=(),
            sibling_index=0,  # the store counts siblings itself
            sibling_count=1,
            generations=_make_runs(one, times[one.id]),
            uid=make_uid(program, draft.id, one.id),
        )
        for one in ordered
    )


def _make_runs(one: Said, time: float) -> tuple[GenerationRow, ...]:
    if one.role != "assistant" or not (one.model or one.error or one.n_tokens):
        return ()
    run = GenerationRow(
        id=0,
        message_id=0,
        model_path="",
        model_name=one.model,
        fingerprint="",
        template_hash="",
        params_json="{}",
        seed=-1,
        prompt_tokens=0,
        reused_tokens=0,
        completion_tokens=one.n_tokens,
        load_s=0.0,
        ttft_s=0.0,
        prefill_tps=0.0,
        decode_tps=0.0,
        finish_reason="",
        error=one.error,
        created_at=time,
    )
    return (run,)
