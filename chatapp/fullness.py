"""What fills the context of a conversation, as the engine counts it, and what an answer needs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import ChatMessage, Measure, Measured, ModelDescription
from chatapp.heads import read_head
from chatapp.parts import File, Text
from chatapp.remotes import PREFIX
from chatapp.sampling import SamplingParams
from chatapp.store.rows import MessageRow
from chatapp.thinking import BUDGETS
from chatapp.turn import chat_messages

WARN_SHARE = 0.8
"""Share of the context from which on the user is told that it fills up."""
_RESERVE_PART = 10
"""A tenth of the context is kept free for an answer, and one for its thoughts."""
_MOST_RESERVE, _MOST_THOUGHT = 1024, 2048
SPARE = 16
"""Tokens that going on with an answer needs at least."""
WRITTEN = "being written"
"""The share of what the user is about to say."""
_ALWAYS = ("system", "files", "thoughts", "what you said", "answers", "tools")
"""Shares that are named even where they are nothing."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What a prompt takes of a context, in tokens."""

    n_ctx: int
    """0: not known."""
    total: int
    shares: tuple[tuple[str, int], ...]
    """What takes it, in words, and how much; together the total."""
    rows: tuple[int, ...] = ()
    """Of every message of the branch, with its marks."""
    rest: int = 0
    """Of everything else: the system prompt, tools, what is being written."""
    is_estimate: bool = False

    @property
    def room(self) -> int:
        """What is left for the answer and its thoughts."""
        return max(0, self.n_ctx - self.total)


async def take_tally(
    client: EngineClient,
    model: ModelDescription,
    rows: Sequence[MessageRow],
    system: str,
    *,
    think: str = "",
    tools: Sequence[dict[str, Any]] = (),
    written: str = "",
) -> Tally:
    """Count the next prompt of a branch; `written` is what the user is about to say."""
    messages = chat_messages(rows, system, model.fingerprint)
    said = len(messages)
    if written:
        messages.append(ChatMessage.of("user", written))
    if not messages:
        return Tally(model.n_ctx, 0, ())
    measured = await client.measure(Measure(messages=messages, think=think, tools=list(tools)))
    tally = _sum_up(messages, measured, model.n_ctx, rows, said)
    return trust_usage(tally, rows, model.fingerprint) if tally.is_estimate else tally


def trust_usage(tally: Tally, rows: Sequence[MessageRow], fingerprint: str) -> Tally:
    """An estimate made better by what the server counted for the last answer of the branch: only
    what was said since is still estimated. Shares are stretched or shrunk alike."""
    for place in range(len(rows) - 1, -1, -1):
        run = rows[place].generation
        if run is not None and run.fingerprint == fingerprint and run.prompt_tokens:
            break
    else:
        return tally
    known = run.prompt_tokens + run.completion_tokens
    since = sum(tally.rows[place + 1 :])
    written = dict(tally.shares).get(WRITTEN, 0)
    total = known + since + written
    scale = total / max(1, tally.total)
    shares = [(name, round(n * scale)) for name, n in tally.shares]
    shares[-1] = (shares[-1][0], max(0, total - sum(n for _, n in shares[:-1])))
    of_rows = tuple(round(n * scale) for n in tally.rows)
    return replace(
        tally, total=total, shares=tuple(shares), rows=of_rows, rest=total - sum(of_rows)
    )


def _sum_up(
    messages: Sequence[ChatMessage],
    measured: Measured,
    n_ctx: int,
    rows: Sequence[MessageRow],
    said: int,
) -> Tally:
    has_head = bool(rows) and read_head(rows[0]) is not None
    counts: Counter[str] = Counter(thoughts=measured.thoughts, tools=measured.tools)
    for place, (message, tokens) in enumerate(zip(messages, measured.parts, strict=True)):
        for index, (part, n) in enumerate(zip(message.parts, tokens, strict=True)):
            if place >= said:
                name = WRITTEN
            elif isinstance(part, File):
                name = "files"
            elif message.role == "system":
                last = index == len(message.parts) - 1
                name = "earlier turns" if has_head and last else "system"
            else:
                name = {"user": "what you said", "assistant": "answers"}.get(message.role, "tools")
                name = name if isinstance(part, Text) else "tools"
            counts[name] += n
    marks = max(0, measured.total - counts.total())
    names = ("system", "earlier turns", "files", "thoughts", "what you said", "answers", "tools")
    shares = [(name, counts[name]) for name in (*names, WRITTEN)]
    shares.append(("chat format", marks))
    each = -(-marks // max(1, len(messages)))
    of_rows = [sum(tokens) + each for tokens in measured.parts[:said]]
    if rows and len(of_rows) > len(rows):
        del of_rows[0]
    elif rows and messages[0].role == "system" and len(messages[0].parts) > 1:
        of_rows[0] = measured.parts[0][-1]
    return Tally(
        n_ctx,
        measured.total,
        tuple((name, n) for name, n in shares if n or name in _ALWAYS),
        tuple(of_rows),
        measured.total - sum(of_rows),
        measured.is_estimate,
    )


def surely_fits(rows: Sequence[MessageRow], system: str, room: int) -> bool:
    """Whether the branch fits `room` tokens whatever the tokenizer: none is shorter than a byte."""
    marks = 64 * (len(rows) + 2)
    n_bytes = len(system.encode("utf-8", "replace")) + marks
    for row in rows:
        if any(not isinstance(part, Text) for part in row.parts):
            return False
        n_bytes += len(row.content.encode("utf-8", "replace"))
    return n_bytes <= room


def ended_at_context(row: MessageRow) -> bool:
    """Whether an answer of a model on this machine ended because its context was full: no limit
    was asked for, or it was not reached. A server may have limits of its own."""
    run = row.generation
    if run is None or run.finish_reason != "length" or run.model_path.startswith(PREFIX):
        return False
    try:
        limit = msgspec.json.decode(run.params_json, type=_Limit).max_tokens
    except msgspec.MsgspecError:
        return False
    return limit is None or limit < 0 or run.completion_tokens < limit


def fills_context(row: MessageRow, n_ctx: int) -> bool:
    """Whether an answer that was cut off and what stands before it leave no room in a context of so
    many tokens, so that it cannot go on there."""
    run = row.generation
    if run is None or not n_ctx or row.status not in ("stopped", "interrupted"):
        return False
    is_here = not run.model_path.startswith(PREFIX)
    return is_here and run.prompt_tokens + run.completion_tokens + SPARE >= n_ctx


class _Limit(msgspec.Struct):
    max_tokens: int | None = None


def reserve_for(
    n_ctx: int, rows: Sequence[MessageRow], params: SamplingParams, think: str = ""
) -> int:
    """Tokens to keep free for an answer and its thoughts: a tenth of the context for each, or what
    was asked for."""
    answer = min(n_ctx // _RESERVE_PART, _MOST_RESERVE)
    thinks = think not in ("", "off") or any(row.reasoning for row in rows)
    if thinks and think != "off":
        asked = int(think) if think.isdigit() else BUDGETS.get(think, _MOST_THOUGHT)
        answer += min(n_ctx // _RESERVE_PART, _MOST_THOUGHT, asked)
    limit = params.max_tokens
    return answer if limit is None or limit < 0 else min(answer, limit)
