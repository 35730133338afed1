"""What was measured, in words: one evaluation in a line or in full, and two side by side."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from chatapp.errors import ChatAppError
from chatapp.evaluate.bootstrap import SEED
from chatapp.evaluate.compare import Compared, compare_kept, keep_common
from chatapp.evaluate.kept import EACH, read_results
from chatapp.gguf.naming import name_source
from chatapp.paths import BUILTIN_MODEL
from chatapp.remotes import PREFIX
from chatapp.store.evaluations import EvaluationRow

_MOST_NUMBERS = 12
_MOST_ABOVE = 4
"""Folders above a file that may give it its name."""


def summarise(results: Mapping[str, Any]) -> str:
    """The first numbers among the results, which are what was asked for."""
    return ", ".join(f"{name} {value:.4g}" for name, value in list(_numbers(results))[:2])


def name_model(row: EvaluationRow) -> str:
    """The model without its folders, but those without which its name would tell nothing:
    `my-gpt/best`, `my-gpt/model.gguf`."""
    if row.kind == "compare" or row.model.startswith(PREFIX):
        return row.model
    path = Path(row.model)
    if path.parts[-3:] == BUILTIN_MODEL.parts[-3:]:
        return "built-in"
    told = name_source(path)
    if told in (path.name, path.stem):
        return path.name
    for above in list(path.parents)[:_MOST_ABOVE]:
        if above.name.endswith(told):  # `models--owner--name` of the hub's cache
            return f"{told}/{path.relative_to(above)}"
    return path.name


def name_subject(row: EvaluationRow) -> str:
    """What it was measured at, and how much of it where that was not all."""
    parts = {"limit": "examples", "most_windows": "windows", "most_pieces": "pieces"}
    for name, what in parts.items():
        if most := row.settings.get(name):
            first = f"{most:,} {what}" if most > 1 else what.removesuffix("s")
            return f"{row.subject}, first {first}"
    return row.subject


def describe(row: EvaluationRow) -> Iterator[tuple[str, str]]:
    """(what, its value), of one evaluation: the scores with their intervals, then how."""
    if row.kind == "compare":
        yield from _describe_compare(row)
        return
    intervals = row.results.get("intervals", {})
    for name, value in row.results.items():
        if name in intervals:
            low, high = intervals[name]
            yield name, f"{value:.4g}   95 %: {low:.4g} – {high:.4g}"
        elif name not in (EACH, "intervals", "signatures"):
            yield name, _say(value)
    yield "model", row.model
    yield "model hash", row.model_hash or "none"
    yield "measured at", name_subject(row)
    for name, value in row.settings.items():
        if value not in ("", None, [], {}):
            yield name, _say(value)


def _describe_compare(row: EvaluationRow) -> Iterator[tuple[str, str]]:
    for name, value in row.results.get("metrics", {}).items():
        fields = {field: each for field, each in value.items() if field != "better"}
        yield name, _describe_compared(Compared(**fields)).removeprefix(f"{name}: ")
    yield "A", str(row.settings.get("a", ""))
    yield "B", str(row.settings.get("b", ""))
    yield "measured at", name_subject(row)
    for one in row.results.get("differ_most", []):
        yield f"at {one.get('id')}", f"{one.get('a', 0):.4g} and {one.get('b', 0):.4g}"


def compare_rows(a: EvaluationRow, b: EvaluationRow) -> list[str]:
    """Sentences on two evaluations: each score of both, and whether chance would do as much."""
    same = a.subject_sha256 == b.subject_sha256 and a.kind == b.kind
    if same and a.kind == "tasks":
        try:
            kept = (read_results(row.results, f"Evaluation {row.id}") for row in (a, b))
            compared, _ = compare_kept(*keep_common(*kept), SEED)
        except ChatAppError as error:
            return [*_put_beside(a, b), error.message]
        return [_describe_compared(one) for one in compared]
    said = "" if same else "They were not measured at the same: nothing follows from this."
    return [*_put_beside(a, b), *([said] if said else [])]


def _describe_compared(one: Compared) -> str:
    d = one.digits
    verdict = f"{one.better} is better" if one.better else "may be chance"
    return (
        f"{one.name}: {one.a:.{d}f} → {one.b:.{d}f} ({one.difference:+.{d}f}, 95 %: "
        f"{one.low:+.{d}f} – {one.high:+.{d}f}): {verdict}; B better at {one.wins}, worse at "
        f"{one.losses}, the same at {one.ties}"
    )


def _put_beside(a: EvaluationRow, b: EvaluationRow) -> list[str]:
    theirs = dict(_numbers(b.results))
    both = [(name, value, theirs[name]) for name, value in _numbers(a.results) if name in theirs]
    if not both:
        return ["They have no figure in common."]
    return [f"{name}: {of_a:.4g} → {of_b:.4g}" for name, of_a, of_b in both[:_MOST_NUMBERS]]


def _numbers(results: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in results.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield name, value


def _say(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
