"""`run.json` beside a checkpoint: the recipe of a run, so that it goes on without being told again.

Promises that `read_record` gives the recipe that was written, with whole paths, through the same
checks that a recipe in TOML passes.
"""

import json
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chatapp.errors import ChatAppError, UsageError
from chatapp.gguf.replacing import write_whole
from chatapp.train.checkpoint import CHECKPOINT_FILE
from chatapp.train.keeping import BEST_FOLDER
from chatapp.train.pretrain import PRETRAIN_FOLDER
from chatapp.train.settings import Recipe, build_recipe

RECORD_FILE = "run.json"
_WITHIN = (PRETRAIN_FOLDER, BEST_FOLDER, CHECKPOINT_FILE)


def write_record(recipe: Recipe, folder: Path) -> None:
    """Write a run's settings to `run.json`, for going on with it; raises `OSError`."""
    table = asdict(recipe)
    for name in ("text", "chat"):
        table[name] = [
            {"path": str(entry["path"].absolute()), "repeat": entry["repeat"]}
            for entry in table[name]
        ]
    table["heldout"] = str(recipe.heldout.absolute()) if recipe.heldout else ""
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps(table, indent=1, ensure_ascii=False).encode("utf-8", "surrogateescape")
    write_whole(folder / RECORD_FILE, content, mode=None)


def find_run(place: Path) -> Path:
    """The folder of the run that `place`, a stage, the best model or a checkpoint, belongs to."""
    return find_above(place, RECORD_FILE, _WITHIN) or place


def find_above(place: Path, file: str, within: Collection[str]) -> Path | None:
    """The folder that holds `file`: `place`, or one that it lies in by nothing but names of
    `within`; None where there is none."""
    for folder in (place, *place.parents):
        if (folder / file).is_file():
            return folder
        if folder.name not in within:
            break
    return None


def read_record(folder: Path) -> Recipe:
    """The recipe of the run in `folder`; raises `ChatAppError` where there is none."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder of a run.", "Name the one that --out named.")
    path = folder / RECORD_FILE
    try:
        table: Any = json.loads(path.read_bytes().decode("utf-8", "surrogateescape"))
    except FileNotFoundError:
        raise ChatAppError(
            f"{folder} holds no run: there is no {RECORD_FILE}.",
            "Name its texts or recipe: chatapp train SOURCE... --out FOLDER --resume",
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ChatAppError(f"{path} cannot be read: {error}.") from error
    if not isinstance(table, dict):
        raise ChatAppError(f"{path} is no record of a run.")
    return build_recipe(table, path)
