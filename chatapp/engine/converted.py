"""Model files made of checkpoints that were named in place of one, kept until the source changes.

They lie in the data folder under a name made of the source's place and its stamp. A conversion
writes into a folder of its own, so that two programs may do the same at once, and what a killed one
leaves there is removed by the next. What was not used for longest goes when there is too much.
"""

import asyncio
import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import psutil

from chatapp import __version__
from chatapp.converter import Converter
from chatapp.errors import ConversionError
from chatapp.library.checkpoints import stamp_checkpoint
from chatapp.paths import find_paths

MOST_BYTES = 20 << 30
"""What all of them may take together; the newest one may take more alone."""
_STEPS = ("read", "write", "prove")
_MAKING = "making-"


def find_model_file(source: Path, report: Callable[[float], None]) -> tuple[Path, bool]:
    """(the model file of a checkpoint, whether it was made just now: there was none of its state).

    `report` takes the fraction of a conversion. Raises `ConversionError` where the converter
    refuses, has a question, or finds a difference.
    """
    folder = find_paths().converted
    place = hashlib.sha256(os.fsencode(os.path.realpath(source))).hexdigest()[:16]
    state = hashlib.sha256(f"{stamp_checkpoint(source)} {__version__}".encode()).hexdigest()[:16]
    target = folder / f"{place}-{state}.gguf"
    if target.is_file():
        with contextlib.suppress(OSError):
            os.utime(target)  # used now: it goes last
        return target, False
    making = folder / f"{_MAKING}{os.getpid()}"
    try:
        _clean(folder)
        making.mkdir(parents=True, exist_ok=True)
        made = making / "model.gguf"
        asyncio.run(_convert(source, made, report))
        made.replace(target)
    except OSError as error:
        raise ConversionError(f"{folder} cannot be written: {error.strerror}.") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    _make_room(folder, target)
    return target, True


async def _convert(source: Path, output: Path, report: Callable[[float], None]) -> None:
    converter = Converter()
    async for event in converter.run([str(source), "-o", str(output)], output):
        if event.get("event") == "progress" and event.get("step") in _STEPS and event.get("total"):
            before = _STEPS.index(event["step"])
            report((before + event["done"] / event["total"]) / len(_STEPS))


def _clean(folder: Path) -> None:
    """Remove what conversions left that were killed."""
    for left in folder.glob(f"{_MAKING}*"):
        number = left.name.removeprefix(_MAKING)
        if not (number.isdecimal() and psutil.pid_exists(int(number))):
            shutil.rmtree(left, ignore_errors=True)


def _make_room(folder: Path, newest: Path) -> None:
    """Remove the file of the source's last state, and those that were not used for longest."""
    place = newest.name.partition("-")[0]
    kept: list[tuple[float, int, Path]] = []
    for file in folder.glob("*.gguf"):
        with contextlib.suppress(OSError):
            if file != newest and file.name.startswith(f"{place}-"):
                file.unlink()
            elif file != newest:
                status = file.stat()
                kept.append((status.st_mtime, status.st_size, file))
    total = newest.stat().st_size
    for _, size, file in sorted(kept, reverse=True):
        total += size
        if total > MOST_BYTES:
            with contextlib.suppress(OSError):
                file.unlink()
