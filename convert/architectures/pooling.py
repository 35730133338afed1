"""What sentence-transformers says beside a model: how the vectors of tokens become one.

`modules.json` lists what a text runs through. llama.cpp has the model, and a mean, the first or the
last token; whoever asks normalises. What else stands there changes the embedding, and is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from convert.errors import ArchitectureError

MEAN = 1
# llama.cpp's enum llama_pooling_type, by sentence-transformers' switches.
_MODES = {"mean_tokens": MEAN, "cls_token": 2, "lasttoken": 3}
_PREFIX = "pooling_mode_"
_STEPS = ("Transformer", "Pooling", "Normalize")
_MAX_BYTES = 1 << 20


def find_pooling(folder: Path) -> int | None:
    """llama.cpp's number of the pooling that the folder asks for; None where it asks for none.

    Raises `ArchitectureError` for what llama.cpp does not do.
    """
    place = folder / "1_Pooling"
    for step in _read(folder / "modules.json", list):
        kind = str(step.get("type") if isinstance(step, dict) else step).rpartition(".")[2]
        if kind not in _STEPS:
            raise ArchitectureError(
                f"modules.json puts a step {kind[:40]!r} behind the model, which llama.cpp does "
                "not have: the embeddings would be others.",
                "Without modules.json beside it the model alone is converted.",
            )
        name = step.get("path")
        if kind == "Pooling" and isinstance(name, str) and Path(name).name == name:
            place = folder / name
    said = _read(place / "config.json", dict)
    modes = [
        key.removeprefix(_PREFIX) for key, on in said.items() if key.startswith(_PREFIX) and on
    ]
    if not modes:
        return None
    if len(modes) > 1 or modes[0] not in _MODES:
        raise ArchitectureError(
            f"The embedding is made by {' and '.join(modes)[:80]}; llama.cpp has one of "
            f"{', '.join(_MODES)}."
        )
    return _MODES[modes[0]]


def find_length(folder: Path) -> int | None:
    """Tokens of a text that sentence-transformers reads, where it says so."""
    found = _read(folder / "sentence_bert_config.json", dict).get("max_seq_length")
    return found if type(found) is int and found > 0 else None


def note_length(folder: Path, n_ctx: int) -> tuple[str, ...]:
    """A note where sentence-transformers cuts texts before the model's end."""
    length = find_length(folder)
    if length is None or length >= n_ctx:
        return ()
    said = f"sentence-transformers reads the first {length} tokens of a text, the file {n_ctx}: "
    return (f"{said}chatapp embed --n-ctx {length} does the same.",)


def _read(path: Path, kind: type) -> Any:
    """The JSON in a file, if it is there and of that kind; else an empty one."""
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return kind()
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return kind()
    return value if isinstance(value, kind) else kind()
