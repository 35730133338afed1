"""What fills the context, in lines of plain text: for a dialog, and for who has no screen."""

from chatapp.fullness import Tally
from chatapp.ui.wording import grouped

_BAR_CELLS = 30
_SHORTEST_BAR = 4
_NAME_CELLS = 15
_NUMBER_CELLS = 9


def meter_lines(tally: Tally, reserve: int = 0, width: int = 72) -> list[str]:
    """A line for what takes tokens of the next prompt, with a bar, and what is left."""
    cells = min(_BAR_CELLS, max(_SHORTEST_BAR, width - _NAME_CELLS - _NUMBER_CELLS - 2))
    scale = max(tally.n_ctx, tally.total, 1) / cells
    lines = [sum_line(tally), ""]
    lines += [_line(name, n, scale) for name, n in tally.shares]
    if tally.n_ctx:
        lines += [_line("room left", tally.room, scale, "░"), ""]
        lines.append(_left_line(tally, reserve))
    return lines


def sum_line(tally: Tally) -> str:
    """How much the next prompt takes."""
    about = "about " if tally.is_estimate else ""
    of = f" of {grouped(tally.n_ctx)}" if tally.n_ctx else ""
    why = " (an estimate: the tokenizer is the server's)" if tally.is_estimate else ""
    return f"The next prompt takes {about}{grouped(tally.total)}{of} tokens{why}."


def shares_line(tally: Tally) -> str:
    """What takes how much, on one line, what takes nothing left out."""
    return " · ".join(f"{name} {grouped(n)}" for name, n in tally.shares if n)


def _line(name: str, n: int, scale: float, cell: str = "█") -> str:
    """`scale` is how many tokens a cell of the bar stands for."""
    bar = cell * (max(1, round(n / scale)) if n else 0)
    return f"{name:<{_NAME_CELLS}}{grouped(n):>{_NUMBER_CELLS}}  {bar}".rstrip()


def _left_line(tally: Tally, reserve: int) -> str:
    if tally.room <= reserve:
        return "Too little is left for an answer: /compact makes room."
    left = f"{grouped(tally.room)} tokens are left for the answer and its thoughts"
    return f"{left}; below {grouped(reserve)} you are asked what is to go."
