"""What a model takes in memory, by context length and KV type, before it is loaded.

Figures come from `chatapp.gguf.fit`, which reads the header alone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from chatapp.gguf.fit import (
    DEFAULT_N_CTX,
    Fit,
    KvType,
    Machine,
    count_needs,
    kv_types,
    largest_context,
    plan,
)
from chatapp.gguf.model_info import ModelInfo
from chatapp.gguf.size import size_text
from chatapp.ui.wording import clean_line, grouped

_BAR_CELLS = 36
_SHORTEST = 512


@dataclass(frozen=True, slots=True)
class Choice:
    """How a model is to be loaded. `n_ctx` 0 and `kv_type` None: as the settings say."""

    path: Path
    n_ctx: int = 0
    kv_type: KvType | None = None


class PlanScreen(ModalScreen[Choice | None]):
    """Dismissed with how to load it, or None."""

    CSS_PATH = "dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", "Shorter context"),
        Binding("right", "step(1)", "Longer context"),
        Binding("home", "longest(False)", "Shortest", show=False),
        Binding("end", "longest(True)", "Longest that fits"),
        Binding("k", "toggle_kv", "KV type"),
        Binding("enter", "load", "Load it so"),
        Binding("escape", "dismiss(None)", "Back"),
    ]

    def __init__(self, info: ModelInfo, machine: Machine) -> None:
        super().__init__()
        self._info = info
        self._machine = machine
        most = info.n_ctx_train or DEFAULT_N_CTX
        self._contexts = sorted({most, *(n for n in _powers() if n < most)})
        chosen = plan(info, machine)  # what loading it without a word would take
        self.n_ctx = chosen.n_ctx
        self.kv_type: KvType = chosen.kv_type

    def compose(self) -> ComposeResult:
        """One text."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Memory"
            dialog.border_subtitle = "←→ context · k KV type · End longest · Enter loads · Esc back"
            yield Static(id="plan")

    def on_mount(self) -> None:
        """Show the usual context first."""
        self._show()

    def action_step(self, step: int) -> None:
        """The next longer or shorter context."""
        if step > 0:
            longer = [n for n in self._contexts if n > self.n_ctx]
            self.n_ctx = longer[0] if longer else self.n_ctx
        else:
            shorter = [n for n in self._contexts if n < self.n_ctx]
            self.n_ctx = shorter[-1] if shorter else self.n_ctx
        self._show()

    def action_longest(self, wanted: bool) -> None:
        """The longest context that fits as well as a short one, or the shortest."""
        longest = largest_context(self._info, self._machine, kv_type=self.kv_type)
        self.n_ctx = longest if wanted and longest else self._contexts[0]
        self._show()

    def action_toggle_kv(self) -> None:
        """Keys and values in 16 or in 8 bits, where the model can."""
        if len(kv_types(self._info)) == 1:
            self.app.bell()
            return
        self.kv_type = "q8_0" if self.kv_type == "f16" else "f16"
        self._show()

    def action_load(self) -> None:
        """Load it so."""
        self.dismiss(Choice(self._info.path, self.n_ctx, self.kv_type))

    def _show(self) -> None:
        fit = plan(self._info, self._machine, n_ctx=self.n_ctx, kv_type=self.kv_type)
        longest = tuple(
            largest_context(self._info, self._machine, kv_type=kind)
            for kind in kv_types(self._info)
        )
        text = plan_text(self._info, self._machine, fit, longest)
        self.query_one("#plan", Static).update(text)


def plan_text(info: ModelInfo, machine: Machine, fit: Fit, longest: tuple[int, ...]) -> Content:
    """Bars for weights, keys and values, and buffers, against what is free."""
    free = machine.free_bytes + machine.gpu_bytes
    # the bars' full length is the model with all the context it was trained for
    scale = max(fit.needs.total, count_needs(info, info.n_ctx_train or fit.n_ctx).total)
    lines = [
        Content.assemble(
            (clean_line(info.name), "bold"),
            (f"  {info.size_label} · {info.quantisation}", "dim"),
        ),
        Content(f"context  ◂ {grouped(fit.n_ctx)} ▸  of {grouped(info.n_ctx_train)} trained")
        + Content.styled(f"   keys and values in {fit.kv_type}", "dim"),
        Content(""),
    ]
    rows = (
        ("weights", fit.needs.weights, "$primary"),
        ("keys, values", fit.needs.kv, "$accent"),
        ("buffers", fit.needs.compute + fit.needs.overhead, "$secondary"),
    )
    for label, n_bytes, style in rows:
        cells = max(1, round(_BAR_CELLS * n_bytes / scale))
        bar = Content.styled("█" * cells, style)
        lines.append(Content(f"{label:<13}") + bar + Content(f" {size_text(n_bytes)}"))
    style = "$text-error" if fit.verdict == "too large" else "$text-success"
    style = "$text-warning" if fit.reason and fit.verdict != "too large" else style
    lines += [
        Content(""),
        Content(f"{'together':<13}{size_text(fit.needs.total)} of {size_text(free)} free: ")
        + Content.styled(fit.mark, f"bold {style}"),
    ]
    if fit.reason:
        lines.append(Content.styled(clean_line(fit.reason), style))
    halved = f", with q8_0 {grouped(longest[1])}" if len(longest) > 1 else ""
    lines.append(
        Content.styled(f"Longest context that fits: {grouped(longest[0])}{halved}.", "dim")
    )
    return Content("\n").join(lines)


def _powers() -> list[int]:
    return [_SHORTEST << step for step in range(14)]
