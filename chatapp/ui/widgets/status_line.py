"""One line that is always true: which model, where it runs, how full the context is, how fast.

What does not fit is dropped, the least important first, so the line never wraps.
"""

from dataclasses import dataclass

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from chatapp.ui.wording import clean_line, grouped, rate

CONTEXT_WARNING = 0.85
"""Share of the context from which on the meter is marked."""

CONTEXT_FULL = 0.97

_SEPARATOR = " · "
_NAME_CELLS = 36


@dataclass(frozen=True, slots=True)
class StatusFacts:
    """What the line knows. Zero means: not known yet, leave it out."""

    model: str = ""
    loading: str = ""
    """What is shown in place of the model's device while there is none."""
    layers: int = 0
    """Layers of the model, its output counted as one."""
    gpu_layers: int = 0
    idle_gpu: bool = False
    """There is a GPU, and llama.cpp was built without it."""
    fetching: str = ""
    """How far a download is."""
    host: str = ""
    """The server a remote model runs on."""
    runtime: str = ""
    """What computes the model, where that is not llama.cpp."""
    completion: bool = False
    """The model has no chat template: it completes text."""
    n_past: int = 0
    n_ctx: int = 0
    reused_tokens: int = 0
    prompt_tokens: int = 0
    tokens_per_second: float = 0.0
    first_token_s: float = 0.0
    n_threads: int = 0
    most_threads: int = 0
    """Threads the last answer might have used; with `n_threads` it ended."""
    temporary: bool = False
    offline: bool = False
    own: str = ""
    """What the open conversation sets for itself."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the line; `rank` 0 is dropped last."""

    text: str
    rank: int
    style: str = ""


def parts_of(facts: StatusFacts) -> list[Part]:
    """The line's parts from left to right."""
    parts: list[Part] = []
    if facts.temporary:
        parts.append(Part("temporary", 0, "bold $text-warning"))
    if facts.offline:
        parts.append(Part("offline", 9, "$foreground 70%"))
    name = clean_line(facts.model)
    if len(name) > _NAME_CELLS:
        name = f"{name[: _NAME_CELLS - 10]}…{name[-9:]}"  # the quantisation stands at its end
    parts.append(Part(name or "no model", 1, "bold"))
    if facts.loading:
        parts.append(Part(facts.loading, 2, "$foreground 70%"))
    elif facts.host:
        parts.append(Part(f"text goes to {clean_line(facts.host)}", 2, "$text-warning"))
    elif facts.runtime:
        device = "GPU" if facts.gpu_layers else "CPU"
        parts.append(Part(f"{facts.runtime} ({device})", 2, "$text-warning"))
    elif facts.model and facts.gpu_layers:
        parts.append(Part(f"GPU {facts.gpu_layers}/{facts.layers}", 3, "$text-success"))
    elif facts.model:
        idle = ": a GPU is idle, F1 says how to use it" if facts.idle_gpu else ""
        parts.append(Part(f"CPU only{idle}", 3, "$text-warning"))
    if facts.fetching:
        parts.append(Part(f"fetching {facts.fetching}", 2, "$text-accent"))
    if facts.completion:
        parts.append(Part("completes text", 6, "$text-warning"))
    if facts.n_ctx:
        parts.append(_context_part(facts))
    if facts.own:
        parts.append(Part(facts.own, 4, "$text-accent"))
    if facts.prompt_tokens:
        text = f"reused {grouped(facts.reused_tokens)}/{grouped(facts.prompt_tokens)}"
        parts.append(Part(text, 5, "$foreground 70%"))
    if facts.n_threads < facts.most_threads:
        text = f"{facts.n_threads} of {facts.most_threads} threads: the machine is busy"
        parts.append(Part(text, 4, "$text-warning"))
    if facts.tokens_per_second:
        parts.append(Part(f"{rate(facts.tokens_per_second)} tok/s", 4))
    if facts.first_token_s:
        parts.append(Part(f"first {facts.first_token_s:.2f} s", 7, "$foreground 70%"))
    return parts


def compose_line(facts: StatusFacts, width: int) -> Content:
    """As much of the line as fits `width` cells."""
    parts = parts_of(facts)
    while len(parts) > 1 and _cells(parts) > width:
        parts.remove(max(parts, key=lambda part: part.rank))
    separator = Content.styled(_SEPARATOR, "$foreground 40%")
    return separator.join(Content.styled(part.text, part.style) for part in parts)


def _context_part(facts: StatusFacts) -> Part:
    share = facts.n_past / facts.n_ctx
    text = f"context {grouped(facts.n_past)}/{grouped(facts.n_ctx)}"
    if share < CONTEXT_WARNING:
        return Part(text, 3)
    style = "bold $text-error" if share >= CONTEXT_FULL else "bold $text-warning"
    return Part(f"{text} ▲ {share:.0%}", 2, style)


def _cells(parts: list[Part]) -> int:
    return sum(Content(part.text).cell_length for part in parts) + len(_SEPARATOR) * (
        len(parts) - 1
    )


class StatusLine(Widget):
    """The line, redrawn when its facts or its width change."""

    DEFAULT_CSS = """
    StatusLine { height: 1; padding: 0 1; background: $panel; color: $foreground; }
    """

    facts: reactive[StatusFacts] = reactive(StatusFacts())

    def render(self) -> Content:
        """The line at its present width."""
        return compose_line(self.facts, self.content_size.width)
