"""The models folder: what is put into it, and what is taken out.

Promises: a file gets its name there when it is whole; nothing outside the folder is ever changed
or removed; all shards of a split model come and go together.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from chatapp.errors import ModelError
from chatapp.gguf.size import size_text
from chatapp.library.headers import read_info
from chatapp.library.local import ModelFile, list_shards
from chatapp.library.packages import LICENCE_ENDING
from chatapp.paths import Paths

_BLOCK = 8 << 20
_STALE_S = 600.0


def import_model(
    source: Path, paths: Paths, *, force: bool = False, report: Callable[[int, int], None]
) -> Path:
    """Put a model file into the models folder; its path there.

    On the same disk it becomes a second name of the same bytes (a hard link), else a copy.
    `report` takes bytes done and bytes in all. `ModelError` when it is no model, is there already,
    or does not fit.
    """
    read_info(source)
    shards = list_shards(source)
    missing = [shard for shard in shards if not shard.is_file()]
    if missing:
        raise ModelError(f"{missing[0]} is missing, a part of {source.name}.", "Copy it there.")
    targets = [paths.models / shard.name for shard in shards]
    for target in targets:
        if target.exists() and not force:
            raise ModelError(f"{target} is there already.", "Give --force to replace it.")
    total = sum(shard.stat().st_size for shard in shards)
    try:
        paths.models.mkdir(parents=True, exist_ok=True)
        _sweep(paths.models)
        done = 0
        for shard, target in zip(shards, targets, strict=True):
            if target.exists() and target.samefile(shard):
                continue
            done = _bring(shard, target, done, total, report)
    except OSError as error:
        raise ModelError(
            f"{source.name} cannot be put into {paths.models}: {error.strerror}."
        ) from error
    return targets[0]


def _bring(
    source: Path, target: Path, done: int, total: int, report: Callable[[int, int], None]
) -> int:
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        try:
            os.link(source.resolve(), part)
            report(done := done + source.stat().st_size, total)
        except OSError:  # another disk, or one without links
            done = _copy(source, part, done, total, report)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return done


def _sweep(folder: Path) -> None:
    """Remove the parts of imports that were killed; the parts of downloads are gone on with."""
    for part in folder.glob(".*.[gG][gG][uU][fF].part"):
        with contextlib.suppress(OSError):  # it is gone already
            if time.time() - part.stat().st_ctime > _STALE_S:  # a running copy writes all the time
                part.unlink()


def _copy(
    source: Path, part: Path, done: int, total: int, report: Callable[[int, int], None]
) -> int:
    needed, free = source.stat().st_size, shutil.disk_usage(part.parent).free
    if needed > free:
        raise ModelError(
            f"{part.parent} has {size_text(free)} free; {source.name} needs {size_text(needed)}.",
            "Free some space, or run the file where it is: chatapp --model FILE.",
        )
    with source.open("rb") as read, part.open("xb") as write:
        while block := read.read(_BLOCK):
            write.write(block)
            report(done := done + len(block), total)
        os.fsync(write.fileno())
    return done


def check_removable(file: ModelFile, paths: Paths) -> list[Path]:
    """The files that go when `file` is removed. `ModelError` unless it lies in our folder."""
    if file.source == "built-in":
        raise ModelError("The built-in model is a part of chatapp; it cannot be removed.")
    place = file.path.parent.resolve() / file.path.name  # `..` and linked folders lead elsewhere
    if not place.is_relative_to(paths.models.resolve()):
        hint = f"Remove it there: {file.path}"
        if file.source == "Ollama":
            hint = f"Remove it with: ollama rm {file.name}"
        raise ModelError(f"{file.name} is not in the models folder but in: {file.source}.", hint)
    going = [shard for shard in list_shards(place) if shard.exists()]
    rest = {path for path in place.parent.glob("*.gguf") if path not in going}
    projector = place.parent / file.projector.name if file.projector else None
    if projector and rest <= {projector}:  # nobody else in the folder needs it
        going.append(projector)
    licence = place.with_suffix(LICENCE_ENDING)
    return [*going, licence] if licence.is_file() else going


def remove_model(files: list[Path], paths: Paths) -> int:
    """Remove `files` and folders left empty in the models folder; the bytes that were freed."""
    freed = 0
    for path in files:
        try:
            status = path.lstat()
            path.unlink()
        except OSError as error:
            raise ModelError(f"{path} cannot be removed: {error.strerror}.") from error
        freed += status.st_size if status.st_nlink == 1 else 0
    folder, models = files[0].parent, paths.models.resolve()
    while folder != models and folder.is_relative_to(models):
        try:
            folder.rmdir()
        except OSError:  # something else is in it
            break
        folder = folder.parent
    return freed
