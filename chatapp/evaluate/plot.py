"""Evaluations as a picture: a bar for each of them and each figure, with its interval."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chatapp.errors import ChatAppError, UsageError
from chatapp.evaluate.wording import name_model, name_subject
from chatapp.store.evaluations import EvaluationRow

_MAIN = {
    "perplexity": ("perplexity",),
    "bench": ("prefill_tokens_per_second", "decode_tokens_per_second"),
}
"""What is drawn of a kind that has no intervals."""
_WIDTH, _HEIGHT = 4.0, 0.5


def draw_evaluations(rows: Sequence[EvaluationRow], path: Path) -> list[str]:
    """Write a picture of `rows`; the figures that are in it. The suffix says its format.

    Raises `UsageError` where there is nothing to draw, or no matplotlib.
    """
    figures = find_figures(rows)
    if not figures:
        raise _refuse(rows)
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ChatAppError(
            "Plots are drawn by the package matplotlib, which is not installed.",
            "pip install '.[eval]' (in the folder of chatapp's sources)",
        ) from None
    size = (max(6.0, _WIDTH * len(figures)), 1.5 + _HEIGHT * len(rows))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(figures), squeeze=False)[0]
    names = [f"{row.id}  {name_model(row)}" for row in rows]
    for axis, name in zip(axes, figures, strict=True):
        _draw_one(axis, name, rows)
        axis.set_yticks(range(len(rows)), names if axis is axes[0] else [""] * len(rows))
    figure.suptitle(", ".join(dict.fromkeys(map(name_subject, rows))))
    try:
        figure.savefig(path, dpi=150)
    except ValueError as error:  # a suffix that it does not know
        raise UsageError(f"{path} cannot be written: {error}.") from None
    except OSError as error:
        raise ChatAppError(f"{path} cannot be written: {error}.") from None
    return figures


def _refuse(rows: Sequence[EvaluationRow]) -> UsageError:
    """Why no figure can be drawn of all of `rows`."""
    for row in rows:
        if not find_figures([row]):
            return UsageError(
                f"Evaluation {row.id} ({row.kind}) has no figure that can be drawn.",
                "Tasks, perplexities and speeds have.",
            )
    said = "; ".join(f"{row.id} has {', '.join(find_figures([row]))}" for row in rows)
    return UsageError(
        f"These evaluations have no figure in common: {said}.", "Draw those of one kind together."
    )


def find_figures(rows: Sequence[EvaluationRow]) -> list[str]:
    """The figures that every one of `rows` has, and that say something."""
    names = [[*row.results.get("intervals", ()), *_MAIN.get(row.kind, ())] for row in rows]
    return [name for name in (names[0] if names else []) if all(name in each for each in names)]


def _draw_one(axis: Any, name: str, rows: Sequence[EvaluationRow]) -> None:
    values = [row.results[name] for row in rows]
    axis.barh(range(len(rows)), values, color="#4c72b0")
    for place, row in enumerate(rows):
        low, high = row.results.get("intervals", {}).get(name, (values[place],) * 2)
        axis.plot([low, high], [place, place], color="black", linewidth=2)
        axis.annotate(
            f" {values[place]:.4g}", (max(high, values[place]), place), va="center", fontsize=8
        )
    axis.invert_yaxis()
    axis.margins(x=0.2)
    axis.set_title(name, fontsize=10)
