"""Our own JSON loses nothing: trees of every shape and kind are the same after a round trip."""

import json
import math
import string
from dataclasses import replace
from typing import Any, get_args

import hypothesis.strategies as st
from hypothesis import given, settings

from chatapp.conversation import Role
from chatapp.export import export
from chatapp.export.reading import MAX_TIME, parse_document
from chatapp.parts import File, Image, Reasoning, Text, ToolCall, ToolResult
from chatapp.store import Store
from chatapp.store.rows import (
    ConversationRow,
    ConversationTree,
    FinalStatus,
    GenerationRow,
    MessageRow,
)

TEXTS = st.text(max_size=20)  # with controls and NUL; half surrogates are no text
NAMES = st.text(alphabet=string.ascii_letters + " .-é北", max_size=12)
INNER = st.one_of(
    st.builds(Text, TEXTS),
    st.builds(File, NAMES, TEXTS, st.integers(0, 2**40)),
    st.builds(Image, st.binary(max_size=20), st.just("image/png"), NAMES),
)
PARTS = st.lists(
    st.one_of(
        INNER,
        st.builds(Reasoning, TEXTS),
        st.builds(ToolCall, NAMES, NAMES, TEXTS),
        st.builds(ToolResult, NAMES, st.lists(INNER, max_size=3).map(tuple), st.booleans()),
    ),
    max_size=4,
).map(tuple)
TIMES = st.floats(0, MAX_TIME)
RATES = st.floats(0, 1e9)
COUNTS = st.integers(0, 2**31)
RUNS = st.builds(
    GenerationRow,
    id=st.just(0),
    message_id=st.just(0),
    model_path=NAMES,
    model_name=NAMES,
    fingerprint=NAMES,
    template_hash=NAMES,
    params_json=st.just('{"top_p": 0.9}'),
    seed=st.integers(-1, 2**32),
    prompt_tokens=COUNTS,
    reused_tokens=COUNTS,
    completion_tokens=COUNTS,
    load_s=RATES,
    ttft_s=RATES,
    prefill_tps=RATES,
    decode_tps=RATES,
    finish_reason=NAMES,
    error=TEXTS,
    created_at=TIMES,
    offset=COUNTS,
)


@st.composite
def trees(draw: st.DrawFn) -> ConversationTree:
    """Up to eight messages, each below any that stands before it or below none."""
    count = draw(st.integers(0, 8))
    rows = []
    for number in range(1, count + 1):
        above = draw(st.integers(0, number - 1))
        rows.append(
            MessageRow(
                id=number,
                conversation_id=0,
                parent_id=above or None,
                role=draw(st.sampled_from(get_args(Role))),
                parts=draw(PARTS),
                status=draw(st.sampled_from(get_args(FinalStatus))),
                created_at=draw(TIMES),
                tokens=tuple(draw(st.lists(st.integers(0, 2**31 - 1), max_size=4))),
                sibling_index=0,
                sibling_count=1,
                generations=tuple(draw(st.lists(RUNS, max_size=2))),
                uid=f"{draw(st.integers(0, 2**32)):028x}{number:04x}",
                by_hand=draw(st.booleans()),
                pinned=draw(st.booleans()),
            )
        )
    conversation = ConversationRow(
        id=0,
        title=draw(NAMES),
        system=draw(TEXTS),
        created_at=draw(TIMES),
        updated_at=draw(TIMES),
        active_leaf_id=draw(st.sampled_from([row.id for row in rows])) if rows else None,
        deleted_at=None,
        uid=f"{draw(st.integers(0, 2**64)):032x}",
        settings=draw(st.sampled_from(["", '{"model": "tiny.gguf", "n_ctx": 512}'])),
        pinned_at=draw(st.none() | TIMES),
        archived_at=draw(st.none() | TIMES),
        tags=tuple(sorted(draw(st.sets(st.sampled_from(["poems", "work", "北京"]))))),
    )
    return ConversationTree(conversation, tuple(rows))


def bare(tree: ConversationTree) -> Any:
    """A tree without the ids that are a store's own."""
    places = {row.id: place for place, row in enumerate(tree.messages, start=1)}
    rows = [
        replace(
            row,
            id=places[row.id],
            conversation_id=0,
            parent_id=None if row.parent_id is None else places[row.parent_id],
            generations=tuple(replace(run, id=0, message_id=0) for run in row.generations),
        )
        for row in tree.messages
    ]
    leaf = tree.conversation.active_leaf_id
    shown = None if leaf is None else places[leaf]
    return replace(tree.conversation, id=0, active_leaf_id=shown), rows


@given(trees())
@settings(deadline=None)
def test_a_tree_is_the_same_after_export_and_import(tree: ConversationTree) -> None:
    with Store.in_memory() as one, Store.in_memory() as two:
        (added,) = one.add_trees([tree])
        stored = one.get_tree(added.conversation_id)
        assert [row.parts for row in stored.messages] == [row.parts for row in tree.messages]
        assert stored.conversation.tags == tree.conversation.tags
        assert stored.conversation.settings == tree.conversation.settings
        text = "".join(export("json", one, [added.conversation_id]))
        again = parse_document(json.loads(text))
        (came,) = two.add_trees(again)
        assert came.is_new
        assert bare(two.get_tree(came.conversation_id)) == bare(stored)
        assert "".join(export("json", two, [came.conversation_id])) == text
        (known,) = two.add_trees(again)
        assert (known.is_new, known.messages) == (False, 0)
        assert all(math.isfinite(row.created_at) for row in stored.messages)
