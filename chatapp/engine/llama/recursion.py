"""Which grammars llama.cpp cannot follow: those with a rule that begins with itself.

llama.cpp refuses a left recursion that it sees. It does not see one behind a rule that is empty
only through another, and then follows it until memory ends; and it looks so thoroughly that a
hundred lines can keep it busy for ever, or overflow its stack. All of these are refused here.
"""

from __future__ import annotations

from collections.abc import Iterator

from chatapp.engine.llama.gbnf import Ref, Rules
from chatapp.errors import UsageError

_MAX_STEPS = 1_000_000
"""Visits of llama.cpp's search, which forgets what it has seen; about 0.1 s there."""
_MAX_CHAIN = 5000
"""Rules that begin with each other; llama.cpp's stack overflows beyond some 20,000."""


def check_recursion(rules: Rules) -> None:
    """`UsageError` with the name of a rule that llama.cpp could not follow."""
    empty = _find_empty(rules)
    edges = _edges(rules, empty)
    group = _group(edges, _order(edges))
    for number in range(len(rules.names)):
        for target, is_last in _begins_with(rules, number, empty):
            if group[target] == group[number] and not is_last:  # what stands behind it grows
                raise _refusal(rules.names[number])
    _check_search(rules)


def _refusal(name: str) -> UsageError:
    return UsageError(
        f"The grammar cannot be used: its rule {name[:80]} begins with itself (left recursion).",
        'Write what repeats with a star: sum ::= term ("+" term)*',
    )


def _find_empty(rules: Rules) -> list[bool]:
    """For each rule whether it derives the empty text."""
    empty = [False] * len(rules.names)
    users: list[list[int]] = [[] for _ in rules.names]
    for number in range(len(rules.names)):
        for sequence in rules.of(number):
            for item in sequence:
                if isinstance(item, Ref):
                    users[item.rule].append(number)
    todo = list(range(len(rules.names)))
    while todo:
        number = todo.pop()
        if not empty[number] and any(
            all(isinstance(item, Ref) and empty[item.rule] for item in sequence)
            for sequence in rules.of(number)
        ):
            empty[number] = True
            todo += users[number]
    return empty


def _begins_with(rules: Rules, number: int, empty: list[bool]) -> Iterator[tuple[int, bool]]:
    """Rules that rule `number` may begin with, and whether nothing stands behind them there."""
    for sequence in rules.of(number):
        for index, item in enumerate(sequence):
            if not isinstance(item, Ref):
                break
            yield item.rule, index == len(sequence) - 1
            if not empty[item.rule]:
                break


def _edges(rules: Rules, empty: list[bool]) -> list[list[int]]:
    numbers = range(len(rules.names))
    return [[target for target, _ in _begins_with(rules, n, empty)] for n in numbers]


def _order(edges: list[list[int]]) -> list[int]:
    """Every rule after those that it begins with, but for cycles."""
    order: list[int] = []
    seen = [False] * len(edges)
    for start in range(len(edges)):
        path = [] if seen[start] else [(start, iter(edges[start]))]
        seen[start] = True
        while path:
            number, rest = path[-1]
            step = next((target for target in rest if not seen[target]), None)
            if step is None:
                order.append(number)
                path.pop()
            else:
                seen[step] = True
                path.append((step, iter(edges[step])))
    return order


def _group(edges: list[list[int]], order: list[int]) -> list[int]:
    """For each rule its cycle's number (Kosaraju); a rule in no cycle is alone in its own."""
    back: list[list[int]] = [[] for _ in edges]
    for number, targets in enumerate(edges):
        for target in targets:
            back[target].append(number)
    group = [-1] * len(edges)
    for start in reversed(order):
        todo = [start] if group[start] < 0 else []
        while todo:
            number = todo.pop()
            if group[number] < 0:
                group[number] = start
                todo += back[number]
    return group


def _check_search(rules: Rules) -> None:
    """Count the visits and the depth of llama.cpp's search, and see what it would refuse.

    It takes a rule for empty only where an alternative has nothing in it at all.
    """
    bare = [any(not sequence for sequence in rules.of(n)) for n in range(len(rules.names))]
    edges = _edges(rules, bare)
    steps, depth = [0] * len(edges), [0] * len(edges)
    for number in _order(edges):
        if any(not steps[target] for target in edges[number]):
            raise _refusal(rules.names[number])
        steps[number] = 1 + sum(steps[target] for target in edges[number])
        depth[number] = 1 + max((depth[target] for target in edges[number]), default=0)
        if steps[number] > _MAX_STEPS or depth[number] > _MAX_CHAIN:
            raise UsageError(
                "The grammar cannot be used: too many of its rules begin with each other "
                f"(from {rules.names[number][:80]} on)."
            )
