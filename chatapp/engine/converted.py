"""Model files made of checkpoints that were named in place of one, kept until the source changes.

Each lies in a folder whose name is made of the source's place and its stamp. A conversion writes
into a folder of its own, so that two programs may do the same at once, and what a killed one leaves
there is removed by the next. What was not used for longest goes when there is too much. A refusal
that would come again lies in the file's place, and is said at once.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from chatapp import __version__
from chatapp.converter import Converter
from chatapp.errors import ConversionError
from chatapp.gguf.naming import name_source
from chatapp.gguf.replacing import write_whole
from chatapp.library.checkpoints import stamp_checkpoint
from chatapp.paths import find_paths

MOST_BYTES = 20 << 30
"""What all of them may take together; the newest one may take more alone."""
_STEPS = ("read", "write", "prove")
_MAKING = "making-"
_REFUSAL = "refused.json"
_JUDGES = ("llama-cpp-python", "torch", "transformers", "tokenizers", "sentencepiece", "gguf")
"""Packages without which, or with another version of which, the converter may say otherwise."""
_LONGEST = 80
"""Characters of a file's name."""


def find_model_file(source: Path, report: Callable[[float], None]) -> tuple[Path, bool]:
    """(the model file of a checkpoint, whether it was made just now: there was none of its state).

    `report` takes the fraction of a conversion. Raises `ConversionError` where the converter
    refuses, has a question, or finds a difference; at once where it has done so of this state.
    """
    folder = find_paths().converted
    place = hashlib.sha256(os.fsencode(os.path.realpath(source))).hexdigest()[:16]
    state = hashlib.sha256(f"{stamp_checkpoint(source)} {__version__}".encode()).hexdigest()[:16]
    kept = folder / f"{place}-{state}"
    file = kept / f"{name_source(source)[:_LONGEST]}.gguf"
    if file.is_file():
        with contextlib.suppress(OSError):
            os.utime(kept)  # used now: it goes last
        return file, False
    _refuse_again(kept / _REFUSAL)
    making = folder / f"{_MAKING}{os.getpid()}"
    try:
        _clean(folder)
        making.mkdir(parents=True, exist_ok=True)
        asyncio.run(_convert(source, making / file.name, report))
        shutil.rmtree(kept, ignore_errors=True)
        making.replace(kept)
    except ConversionError as error:
        if error.is_lasting:
            _remember(kept / _REFUSAL, error)
            _make_room(folder, kept)
        raise
    except OSError as error:
        raise ConversionError(f"{folder} cannot be written: {error.strerror}.") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    _make_room(folder, kept)
    return file, True


def _refuse_again(path: Path) -> None:
    """Raise the `ConversionError` that is kept at `path`, if there is one of the same packages."""
    try:
        kept = json.loads(path.read_bytes())
        if kept["judges"] != _find_judges():
            return
        error = ConversionError(str(kept["message"]), str(kept["hint"]), kept["questions"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return
    with contextlib.suppress(OSError):
        os.utime(path.parent)
    raise error


def _remember(path: Path, error: ConversionError) -> None:
    """Keep a refusal; where that fails the next load tries again."""
    words = {"message": error.message, "hint": error.hint, "questions": error.questions}
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(words | {"judges": _find_judges()}).encode())


def _find_judges() -> dict[str, str]:
    """The versions of `_JUDGES`; those that are not installed are left out."""
    found = {}
    for name in _JUDGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


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
    """Remove what was made of the source's last state, and what was not used for longest."""
    place = newest.name.partition("-")[0]
    others: list[tuple[float, Path]] = []
    for kept in folder.iterdir():
        if kept.name.startswith(f"{place}-") and kept != newest:
            shutil.rmtree(kept, ignore_errors=True)
        elif kept != newest and not kept.name.startswith(_MAKING):
            with contextlib.suppress(OSError):
                others.append((kept.stat().st_mtime, kept))
    total = _weigh(newest)
    for _, kept in sorted(others, reverse=True):
        total += _weigh(kept)
        if total > MOST_BYTES:
            shutil.rmtree(kept, ignore_errors=True)


def _weigh(kept: Path) -> int:
    """Bytes of the files in a folder."""
    with contextlib.suppress(OSError):
        return sum(file.stat().st_size for file in kept.iterdir())
    return 0
