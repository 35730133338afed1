"""The report on two models as lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from convert.witness import name_of

_NAMES = 8  # shown of a list of names


def describe(report: dict[str, Any], n_tensors: int | None) -> Iterator[str]:
    """The report; of its tensors the `n_tensors` that differ most, None for all."""
    for side in ("a", "b"):
        facts = report[side]
        yield f"{side.upper()}: {facts['path']}"
        yield (
            f"   {facts['format']}, {facts['arch']}, {facts['n_tensors']:,} tensors, "
            f"{facts['n_weights'] / 1e6:,.1f} M weights"
        )
        if facts["note"]:
            yield f"   {facts['note']} Tokenizers are not compared."
    yield from _metadata(report["metadata"])
    yield from _names("Only in A", report["only_a"])
    yield from _names("Only in B", report["only_b"])
    yield from _names("Other shape", [f"{name} {a} and {b}" for name, a, b in report["shapes"]])
    yield from _tensors(report["tensors"], n_tensors)
    yield from _logits(report["logits"])
    yield "No differences beyond rounding." if report["same"] else "The models differ."


def _metadata(differing: list[list[str]]) -> Iterator[str]:
    if not differing:
        yield "Metadata: the same"
        return
    yield f"Metadata: {len(differing)} differences"
    for key, a, b in differing:
        yield f"   {key}: {a} and {b}"


def _names(label: str, names: list[str]) -> Iterator[str]:
    if names:
        more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
        yield f"{label}: {', '.join(name[:100] for name in names[:_NAMES])}{more}"


def _tensors(tensors: list[dict[str, Any]], n_tensors: int | None) -> Iterator[str]:
    differing = sum(not tensor["same"] for tensor in tensors)
    yield f"Tensors: {len(tensors):,} compared, {differing:,} differ beyond rounding"
    shown = [tensor for tensor in tensors if n_tensors is None or tensor["relative"] != 0.0]
    if shown:
        yield "   relative    largest   types          name"
    for tensor in shown[:n_tensors]:
        types = " ".join(dict.fromkeys(tensor["types"]))
        figures = f"{_figure(tensor['relative'])} {_figure(tensor['max_abs'])}"
        yield f" {figures}   {types:<14} {tensor['name'][:100]}"
    if n_tensors is not None and len(shown) > n_tensors:
        yield f"   and {len(shown) - n_tensors} more; --all lists them"


def _figure(value: float | None) -> str:
    return f"{'-':>10}" if value is None else f"{value:>10.3g}"


def _logits(logits: dict[str, Any]) -> Iterator[str]:
    if logits["status"] != "measured":
        yield f"Logits: not compared: {logits['reason']}"
        return
    behind = " behind BOS" if logits["bos"] else ""
    if "reference" in logits:
        yield f"Logits: against {name_of(logits)}"
    yield from (f"   {note}" for note in logits.get("notes", []))
    yield (
        f"Logits: {logits['tokens']} tokens{behind}, top-1 {logits['top1']:.2%}, "
        f"KL mean {logits['kl_mean']:.2g}, max {logits['kl_max']:.2g}, "
        f"max |dlogit| {logits['logit_gap_max']:.2g}, "
        f"perplexity {logits['perplexity_a']:.5g} and {logits['perplexity_b']:.5g}"
    )
