"""The loss over a run, as a picture beside the checkpoint.

Needs matplotlib, and does nothing without it.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

from chatapp.gguf.replacing import replacement
from chatapp.train.metering import read_log

PLOT_FILE = "loss.png"


def draw_losses(folder: Path) -> Path | None:
    """Draw `log.jsonl` as `loss.png`; None where matplotlib, or anything to draw, is missing."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    lines = [line for line in read_log(folder) if isinstance(line.get("loss"), float)]
    if not lines:
        return None
    figure: Any = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([line["step"] for line in lines], [line["loss"] for line in lines], label="training")
    held = [line for line in lines if isinstance(line.get("val_loss"), float)]
    axes.plot(
        [line["step"] for line in held], [line["val_loss"] for line in held], label="held-out"
    )
    axes.set(xlabel="step", ylabel="loss, nats a token", title=_title(folder))
    axes.legend()
    axes.grid(alpha=0.3)
    with suppress(OSError):
        with replacement(folder / PLOT_FILE, None) as part:
            figure.savefig(part, format="png", dpi=150)
        return folder / PLOT_FILE
    return None


def _title(folder: Path) -> str:
    """The folder's name; matplotlib's font has no letters but those of Europe."""
    name = folder.resolve().name
    return name if all(ord(letter) < 0x500 for letter in name) else ""
