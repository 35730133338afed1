"""One step of training: forward and backward over a batch, in parts where memory is short.

Promises the gradient of the whole batch whatever the number of parts, and that running out of
memory halves a part and tries again, down to one row.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch

from chatapp.errors import ChatAppError
from chatapp.train.data import Batch
from chatapp.train.device import autocast
from chatapp.train.language_model import IGNORED, LanguageModel
from chatapp.train.parallel import Ranks


@dataclass(slots=True)
class Stepper:
    """Forward and backward, with what was learned about this machine's memory."""

    model: LanguageModel
    say: Callable[[str], None]
    ranks: Ranks
    rows: int = 0
    """At once; 0 is all of a batch."""
    loss: Callable[..., torch.Tensor] | None = None
    """A compiled `model.loss`."""

    def backward(self, batch: Batch) -> torch.Tensor:
        """Add the gradients of a batch to the weights'; its loss, still on the device."""
        while True:
            try:
                return self._backward(batch)
            except RuntimeError as error:
                if not is_out_of_memory(error) or self.ranks.world > 1:
                    raise
            rows = min(self.rows or len(batch.tokens), len(batch.tokens))
            if rows == 1:
                raise ChatAppError(
                    "There is not enough memory to train on a single row of "
                    f"{batch.tokens.shape[1]} tokens.",
                    "Take a smaller model or a shorter context.",
                )
            self.rows = rows // 2
            self.model.zero_grad(set_to_none=True)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self.say(f"Memory was too small: {self.rows} rows at once now, as many in a step.")

    def _backward(self, batch: Batch) -> torch.Tensor:
        device = next(self.model.parameters()).device
        parts = list(divide(self.ranks.take(batch), self.rows))
        wanted = sum(count_targets(part) for part in parts) if len(parts) > 1 or batch.masked else 0
        scale = 1.0
        if batch.masked and self.ranks.world > 1:  # FSDP takes the mean over processes
            scale = self.ranks.world * wanted / max(1, count_targets(batch))
        total: torch.Tensor | None = None
        for part in parts:
            inputs = part.tokens.to(device), part.targets.to(device)
            with autocast(device):
                loss = (self.loss or self.model.loss)(*inputs, part.offset, part.masked)
            weight = scale * (count_targets(part) / max(1, wanted) if len(parts) > 1 else 1.0)
            if weight != 1.0:
                loss = loss * weight
            loss.backward()  # type: ignore[no-untyped-call]
            total = loss.detach() if total is None else total + loss.detach()
        assert total is not None
        return total


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether PyTorch, on a GPU or on the CPU, found no memory."""
    known = getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)
    return isinstance(error, known) or "not enough memory" in str(error)


def divide(batch: Batch, rows: int) -> Iterator[Batch]:
    """Parts of at most `rows` rows (0: all at once), without those that carry no loss."""
    if not rows or rows >= len(batch.tokens):
        yield batch
        return
    for first in range(0, len(batch.tokens), rows):
        some = slice(first, first + rows)
        part = replace(batch, tokens=batch.tokens[some], targets=batch.targets[some])
        if not part.masked or count_targets(part):
            yield part


def count_targets(batch: Batch) -> int:
    """How many targets carry loss."""
    return int((batch.targets != IGNORED).sum()) if batch.masked else batch.targets.numel()
