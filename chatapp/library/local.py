"""Model files on this machine: the built-in one, the models folder, the current folder.

Promises: files are listed by name and size without being opened, so that a folder of terabytes
lists at once; a name that a user types is resolved to one file or refused with the names that look
like it. Of a model split into shards only the first is listed: llama.cpp finds the others.
"""

import difflib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chatapp.config import Config
from chatapp.errors import ModelError
from chatapp.paths import BUILTIN_MODEL, Paths

BUILTIN_NAMES = ("builtin", "built-in")
_SHARD = re.compile(r"-(\d{5})-of-\d{5}\.gguf$", re.IGNORECASE)
_MAX_DEPTH = 4
"""Folders below the models folder that are looked into."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file that was found; nobody has looked inside yet."""

    path: Path
    name: str
    """What `--model` takes: `builtin`, or the file's name."""
    size_bytes: int
    """Of all shards together."""
    source: str
    """`built-in`, `models folder`, `here`, or the folder that was asked for."""


def find_models(paths: Paths, extra: list[Path] | None = None) -> list[ModelFile]:
    """Every model file in the usual places and in the folders `extra`, each file once."""
    found: dict[Path, ModelFile] = {}
    if BUILTIN_MODEL.is_file():
        found[BUILTIN_MODEL.resolve()] = ModelFile(
            BUILTIN_MODEL, BUILTIN_NAMES[0], BUILTIN_MODEL.stat().st_size, "built-in"
        )
    here = Path.cwd()
    places = [
        (paths.models, "models folder", _MAX_DEPTH),
        (here, "here", 0),
        (here / "models", "here", 1),
        *((folder, str(folder), _MAX_DEPTH) for folder in extra or []),
    ]
    for folder, source, depth in places:
        for path in sorted(_walk(folder, depth)):
            size = _size_on_disk(path)
            if size is not None:
                found.setdefault(path.resolve(), ModelFile(path, path.name, size, source))
    return list(found.values())


def resolve_model(name: str | Path | None, config: Config, paths: Paths) -> Path:
    """The file meant by a path, a file name in one of the usual places, or `builtin`.

    None means the settings' `engine.model`, else the built-in model. `ModelError` names what was
    looked for and the names that come near.
    """
    wanted = str(name or config.engine.model or BUILTIN_NAMES[0])
    path = Path(wanted).expanduser()
    if path.is_file():
        return path.absolute()
    if wanted.lower() in BUILTIN_NAMES:
        return _builtin()
    if path.is_dir():
        inside = sorted(item.name for item in _walk(path, 0))
        hint = f"It holds: {', '.join(inside[:5])}." if inside else "It holds no .gguf file."
        raise ModelError(f"{path} is a folder; a model is one file.", hint)
    files = find_models(paths)
    for file in files:
        if wanted.lower() in (file.name.lower(), file.path.stem.lower()):
            return file.path
    under = paths.models / wanted
    if under.is_file():
        return under
    raise ModelError(f"There is no model {wanted}.", _suggest(path.name, files, paths))


def _builtin() -> Path:
    if not BUILTIN_MODEL.is_file():
        raise ModelError(
            f"The built-in model is missing: {BUILTIN_MODEL}.",
            "Install chatapp again, or choose a file with --model.",
        )
    return BUILTIN_MODEL


def _suggest(wanted: str, files: list[ModelFile], paths: Paths) -> str:
    names = {file.name.lower(): file.name for file in files}
    stems = {Path(name).stem: real for name, real in names.items()}
    close = difflib.get_close_matches(wanted.lower(), [*names, *stems], n=3, cutoff=0.4)
    near = list(dict.fromkeys((names | stems)[match] for match in close))
    if near:
        return f"Did you mean {' or '.join(near)}? `chatapp models list` shows all."
    return f"Give a path, put the file into {paths.models}, or see `chatapp models list`."


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    """First shards and single files under `folder`; folders that cannot be read are passed over."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False) and depth > 0:
            yield from _walk(Path(entry.path), depth - 1)
        elif entry.name.lower().endswith(".gguf") and entry.is_file():
            shard = _SHARD.search(entry.name)
            if shard is None or shard.group(1) == "00001":
                yield Path(entry.path)


def _size_on_disk(path: Path) -> int | None:
    """Bytes of a file and its other shards; None when it vanished meanwhile."""
    shard = _SHARD.search(path.name)
    files = [path]
    if shard:
        stem = path.name[: shard.start()]
        files = [
            item
            for item in path.parent.iterdir()
            if _SHARD.search(item.name) and item.name.startswith(stem)
        ]
    try:
        return sum(file.stat().st_size for file in files)
    except OSError:
        return None
