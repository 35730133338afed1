"""A grammar that an answer follows, beside llama.cpp's own sampler for it.

llama.cpp filters a whole vocabulary quickly, but ends the process on a token that does not fit,
and cannot say whether the answer may end. So the answer is followed here too, token by token:
nothing is accepted there that does not fit here. A transition is worked out once, then looked up.

Source: `llama_grammar_accept_token` and `llama_grammar_advance_stack` in `src/llama-grammar.cpp`.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache

import llama_cpp.llama_cpp as lib
import numpy as np
from numpy.typing import NDArray

from chatapp.engine.llama import native
from chatapp.engine.llama.gbnf import Chars, Item, Ref, Rules, Token, read_grammar
from chatapp.engine.llama.recursion import check_recursion
from chatapp.engine.llama.vocab import Vocab
from chatapp.errors import UsageError

TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""`llama_token_data`."""
_MAX_STACKS = 10_000
_MAX_KNOWN = 50_000
_LENGTHS = (1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 2, 2, 3, 4)
"""Bytes of a character by the upper half of its first; 0: it is no first byte."""

Stack = tuple[int, ...]
"""Places in `_Automaton.items`, the next one last; empty: the answer may end."""
State = tuple[Stack, ...]
Partial = tuple[int, int]
"""A character's bits so far, and the bytes it lacks; -1: it can be none."""


class Grammar:
    """Where an answer stands in a grammar. `close` frees the C side."""

    filters_exactly = False

    def __init__(self, vocab: Vocab, text: str) -> None:
        self._vocab = vocab
        text = text.encode("utf-8", "replace").decode()
        self._automaton = _Automaton(_read(vocab, text))
        self._state = self._automaton.start
        self._partial: Partial = (0, 0)
        native.forget_problems()
        made = lib.llama_sampler_init_grammar(vocab.handle, text.encode(), b"root")
        if not made:
            reason = native.first_problem("llama.cpp gave no reason")
            raise UsageError(f"The grammar is not valid GBNF: {reason}.")
        self._sampler: int = made

    @property
    def is_complete(self) -> bool:
        """Whether the answer may end here."""
        return () in self._state

    def fits(self, token: int) -> bool:
        """Whether the constraint lets `token` come next."""
        if self._vocab.is_end(token):
            return self.is_complete
        single = np.array([(token, 1.0, 0.0)], dtype=TOKEN_DATA)
        self._apply(single)
        return bool(single["logit"][0] > -np.inf) and bool(self._follow(token)[0])

    def filter(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits with -inf for every token that does not fit."""
        rows = np.empty(len(logits), dtype=TOKEN_DATA)
        rows["id"], rows["logit"], rows["p"] = np.arange(len(logits)), logits, 0.0
        self._apply(rows)
        filtered = rows["logit"].copy()
        for end in self._vocab.extra_ends:  # to llama.cpp tokens like any other
            filtered[end] = logits[end] if self.is_complete else -np.inf
        if self._automaton.has_tokens:  # llama.cpp lets a token pass that only begins as it should
            for token in np.flatnonzero(filtered > -np.inf):
                if not self._vocab.is_end(int(token)) and not self._follow(int(token))[0]:
                    filtered[token] = -np.inf
        return filtered

    def accept(self, token: int) -> None:
        """Go on behind `token`, which fits."""
        if self._vocab.is_end(token):
            return
        self._state, self._partial = self._follow(token)
        lib.llama_sampler_accept(self._sampler, token)

    def only_token(self) -> int | None:
        """Not known without looking at all tokens."""
        return None

    def close(self) -> None:
        """Free llama.cpp's side of the grammar."""
        lib.llama_sampler_free(self._sampler)

    def _apply(self, rows: NDArray[np.void]) -> None:
        lib.llama_sampler_apply(self._sampler, ctypes.byref(view(rows)))

    def _follow(self, token: int) -> tuple[State, Partial]:
        piece = self._vocab.piece(token, special=True)
        code_points, partial = _decode(piece, self._partial)
        return self._automaton.follow(self._state, token, tuple(code_points)), partial


def view(rows: NDArray[np.void]) -> lib.llama_token_data_array:
    """`rows` as llama.cpp's samplers take them."""
    pointer = rows.ctypes.data_as(lib.llama_token_data_p)
    return lib.llama_token_data_array(data=pointer, size=len(rows), selected=-1, sorted=False)


def _read(vocab: Vocab, text: str) -> Rules:
    def find_token(name: str) -> int:
        if name.startswith("<[") and name.endswith("]>") and name[2:-2].isdecimal():
            number = int(name[2:-2][:10])
            if number >= vocab.n_tokens:
                raise UsageError(f"this model has the tokens 0 to {vocab.n_tokens - 1}")
            return number
        tokens = vocab.tokenize(name, special=True)
        if len(tokens) != 1:
            raise UsageError(f"{name[:40]} is no token of this model")
        return tokens[0]

    rules = read_grammar(text, find_token)
    check_recursion(rules)
    return rules


class _Automaton:
    """The grammar as a machine with stacks; a state is the set of those an answer may be in."""

    def __init__(self, rules: Rules) -> None:
        self.items: list[Item | None] = []
        """All sequences one after the other, each closed by None."""
        self._begins: list[list[int]] = []
        for number in range(len(rules.names)):
            begins = []
            for sequence in rules.of(number):
                begins.append(len(self.items))
                self.items += [*sequence, None]
            self._begins.append(begins)
        self.has_tokens = any(isinstance(item, Token) for item in self.items)
        self._known: dict[tuple[State, int], State] = {}
        self.start: State = self._expand(
            [self._enter((), begin) for begin in self._begins[rules.root]]
        )

    def follow(self, state: State, token: int, code_points: tuple[int, ...]) -> State:
        """The state behind a token: of its characters, or of the token as a whole."""
        found = state
        for code_point in code_points:
            found = self._step(found, code_point)
        if not code_points:  # a piece of a character: what may end here may not end in it
            found = tuple(stack for stack in state if stack)
        if not self.has_tokens:
            return found
        whole = [self._leave(stack) for stack in state if self._is_token(stack, token)]
        if not code_points:
            found = tuple(stack for stack in found if not self._is_token(stack))
        return tuple(dict.fromkeys((*found, *self._expand(whole))))

    def _is_token(self, stack: Stack, token: int | None = None) -> bool:
        item = self.items[stack[-1]] if stack else None
        return isinstance(item, Token) and (token is None or item.fits(token))

    def _step(self, state: State, code_point: int) -> State:
        known = self._known.get((state, code_point))
        if known is None:
            behind = []
            for stack in state:
                item = self.items[stack[-1]] if stack else None
                if isinstance(item, Chars) and item.fits(code_point):
                    behind.append(self._leave(stack))
            known = self._expand(behind)
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[state, code_point] = known
        return known

    def _enter(self, stack: Stack, place: int) -> Stack:
        return stack if self.items[place] is None else (*stack, place)

    def _leave(self, stack: Stack) -> Stack:
        return self._enter(stack[:-1], stack[-1] + 1)

    def _expand(self, stacks: list[Stack]) -> State:
        """Replace rules by what they begin with, until characters or tokens are on top."""
        seen: set[Stack] = set()
        found: dict[Stack, None] = {}
        todo = stacks[::-1]
        while todo:
            stack = todo.pop()
            if stack in seen:
                continue
            seen.add(stack)
            if len(seen) > _MAX_STACKS:
                raise UsageError(
                    "The grammar cannot be used: it can be read in too many ways at once.",
                    "Two alternatives that begin with the same are best written as one.",
                )
            item = self.items[stack[-1]] if stack else None
            if not isinstance(item, Ref):
                found[stack] = None
                continue
            rest = self._leave(stack)
            todo += [self._enter(rest, begin) for begin in self._begins[item.rule]]
        return tuple(found)


@lru_cache(maxsize=4096)
def _decode(piece: bytes, partial: Partial) -> tuple[list[int], Partial]:
    """The characters that a token completes, and what it begins; as lenient as llama.cpp's."""
    piece = piece.partition(b"\0")[0]
    value, lacking = partial
    found: list[int] = []
    at = 0
    while at < len(piece) and lacking > 0:
        if piece[at] >> 6 != 2:
            return [], (0, -1)
        value, lacking, at = (value << 6) + (piece[at] & 0x3F), lacking - 1, at + 1
    if partial[1] > 0 and lacking == 0:
        found.append(value)
    while at < len(piece):
        lacking = _LENGTHS[piece[at] >> 4] - 1
        if lacking < 0:
            return [], (0, -1)
        value, at = piece[at] & ((1 << (7 - lacking)) - 1), at + 1
        while at < len(piece) and lacking > 0:
            value, lacking, at = (value << 6) + (piece[at] & 0x3F), lacking - 1, at + 1
        if lacking == 0:
            found.append(value)
    return found, (value, lacking)
