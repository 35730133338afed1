"""What a fine-tuning run is told, and `finetune.json`, which tells it again when it goes on."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from chatapp.errors import ChatAppError
from chatapp.gguf.replacing import write_whole
from chatapp.train.checkpoint import CHECKPOINT_FILE
from chatapp.train.keeping import BEST_FOLDER
from chatapp.train.record import find_above
from chatapp.train.settings import FinetuneSettings

TUNING_FILE = "finetune.json"
STATE_FOLDER = "training"
"""Beside the model or adapter: what going on needs."""
_WITHIN = (STATE_FOLDER, BEST_FOLDER, CHECKPOINT_FILE)


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """How large an adapter is."""

    rank: int = 16
    alpha: float = 0.0
    """Over the rank, what it is multiplied with; 0 is twice the rank."""
    dropout: float = 0.0


@dataclass(frozen=True, slots=True)
class Tuning:
    """A fine-tuning run. What is None is chosen from the chats and the model."""

    base: Path
    sources: tuple[Path, ...]
    heldout: tuple[Path, ...] = ()
    """Chats to measure on; without them some of the others are held out."""
    lora: LoraSettings | None = None
    """None: all weights are trained."""
    context: int = 0
    """Tokens of a chat at most; 0: what the model was trained for."""
    template: str = ""
    """A chat template, as Jinja, in place of the model's own."""
    skip_bad: bool = False
    """Leave out lines that cannot be learned from, instead of refusing all."""
    epochs: float | None = None
    """How often each chat is seen."""
    steps: int | None = None
    minutes: float | None = None
    """How long it may take."""
    batch_tokens: int | None = None
    learning_rate: float | None = None
    seed: int = 1337
    settings: FinetuneSettings | None = None
    """What was chosen; None: nothing yet."""


def find_tuning(place: Path) -> Path | None:
    """The folder of the run of this kind that `place`, its state, the best model or a checkpoint,
    belongs to; None where that is of another kind."""
    return find_above(place, TUNING_FILE, _WITHIN)


def write_tuning(tuning: Tuning, folder: Path) -> None:
    """Write `finetune.json`, with whole paths; raises `OSError`."""
    table = asdict(tuning)
    table["base"] = str(tuning.base.absolute())
    for name in ("sources", "heldout"):
        table[name] = [str(path.absolute()) for path in table[name]]
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps(table, indent=1, ensure_ascii=False).encode("utf-8", "surrogateescape")
    write_whole(folder / TUNING_FILE, content, mode=None)


def read_tuning(folder: Path) -> Tuning:
    """The run in `folder`; raises `ChatAppError` where its record is no such record."""
    path = folder / TUNING_FILE
    try:
        table: Any = json.loads(path.read_bytes().decode("utf-8", "surrogateescape"))
        made = {entry.name: table[entry.name] for entry in fields(Tuning)}
        made["base"] = Path(made["base"])
        for name in ("sources", "heldout"):
            made[name] = tuple(map(Path, made[name]))
        for name, kind in (("lora", LoraSettings), ("settings", FinetuneSettings)):
            if made[name] is not None:
                made[name] = _make(kind, made[name])
        return Tuning(**made)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ChatAppError(
            f"{path} is no record of a run: {error!r:.100}.", "Begin anew in another folder."
        ) from error


def _make(kind: type[Any], table: dict[str, Any]) -> Any:
    """`kind` of plain values of its own types; raises `TypeError`, `KeyError`."""
    for entry in fields(kind):
        if type(table[entry.name]) not in (type(entry.default), int):
            raise TypeError(entry.name)
    return kind(**table)
