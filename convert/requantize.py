"""`chatapp quantize GGUF TYPE`: a model file in another type, as llama-quantize makes it.

It promises the bytes of llama.cpp's own quantizer from a file of floats, metadata carried over key
by key, and the same care as a conversion: a part file, a rename, nothing left after Ctrl+C. What is
quantised already loses twice, so that has to be asked for.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from struct import Struct

from chatapp.gguf.ggml_types import TensorType
from chatapp.gguf.header import ALIGNMENT, Header, padded
from chatapp.gguf.size import size_text
from convert.checkpoints.gguf_file import open_header, read_tensors
from convert.checkpoints.tensor import Tensor
from convert.errors import CheckpointError, OutputError, UsageError
from convert.ftype import ALIASES, EXACT, FTYPES, FileType
from convert.metadata import QUANTIZATION_VERSION, REPORT_KEY
from convert.output import PartFile
from convert.progress import Progress
from convert.typemap import Types, dry_run
from convert.writing import Importance, write_tensors

_U32, _U64 = Struct("<I"), Struct("<Q")
_UINT32, _STRING = 4, 8  # of `enum gguf_type`
_VERSION, _MATRIX = "general.quantization_version", "quantize.imatrix."
# A proof of the source is none of the copy.
_REPLACED = frozenset({"general.file_type", _VERSION, REPORT_KEY})


def main(argv: Sequence[str]) -> int:
    """Run `quantize`; the exit code."""
    from convert.cli import run

    arguments = _parser().parse_args(argv)

    def work(progress: Progress) -> None:
        output = requantize(
            arguments.source,
            arguments.type,
            arguments.output,
            imatrix=arguments.imatrix,
            allow_requantize=arguments.allow_requantize,
            force=arguments.force,
            progress=progress,
        )
        if not arguments.json:
            print(output)  # noqa: T201  (the result: data, on stdout)

    return run(arguments.json, work)


def requantize(
    source: Path,
    wanted: str,
    output: Path | None,
    *,
    imatrix: Path | None = None,
    allow_requantize: bool = False,
    force: bool = False,
    progress: Progress,
) -> Path:
    """Write `source`, a GGUF, as type `wanted`; the file written. Raises `ConvertError`."""
    started = time.monotonic()
    ftype = _find_type(wanted)
    header = open_header(source)
    _check_precision(header, allow_requantize, progress)
    if ftype.needs_imatrix and imatrix is None:
        raise UsageError(f"{ftype.name} needs an importance matrix.", "Give --imatrix TEXT.")
    tensors = read_tensors(header)
    target = output or source.with_name(f"{source.stem}-{ftype.name}.gguf")
    target = target / f"{source.stem}-{ftype.name}.gguf" if target.is_dir() else target
    _check_output(source, target, force)
    text = None if imatrix is None else _read_text(imatrix)
    types = dry_run(source, ftype, imatrix=text is not None)
    _check_space(header, types, target)
    importance: Importance = {}
    if text is not None:
        from convert.imatrix import collect

        progress("step", name="imatrix")
        importance = collect(source, text, progress)
    progress("step", name="write")
    metadata = _metadata(header, ftype, None if imatrix is None else imatrix.name, len(importance))
    pairs = [(tensors[entry.name], types[entry.name]) for entry in header.tensors]
    with PartFile(target) as part:
        _write(part.path, header, metadata, pairs, importance, progress)
        size = part.commit()
    seconds = round(time.monotonic() - started, 2)
    progress("done", output=str(target), bytes=size, seconds=seconds)
    return target


def _find_type(wanted: str) -> FileType:
    name = wanted.upper()
    ftype = FTYPES.get(ALIASES.get(name, name))
    if ftype is None:
        raise UsageError(f"There is no type {wanted!r:.40}.", f"Types: {', '.join(FTYPES)}.")
    return ftype


def _check_precision(header: Header, allow_requantize: bool, progress: Progress) -> None:
    kinds = {entry.kind for entry in header.tensors if len(entry.shape) > 1} - EXACT
    if not kinds:
        return
    said = f"{header.path.name} is quantised already ({', '.join(sorted(kinds))})"
    if not allow_requantize:
        raise UsageError(
            f"{said}.",
            "Start from the F16, BF16 or F32 file; --allow-requantize does it all the same, and "
            "the errors add up.",
        )
    progress("note", text=f"{said}: the errors of both types add up.")


def _check_output(source: Path, target: Path, force: bool) -> None:
    if target.exists() and target.samefile(source):
        raise UsageError(f"{target} is the source itself.", "Choose another name with -o.")
    if target.exists() and not force:
        raise UsageError(f"{target} exists already.", "Give --force to replace it, or -o NAME.")
    if not target.parent.is_dir() or not os.access(target.parent, os.W_OK):
        raise OutputError(f"{target.parent} cannot be written to.", "Choose another with -o.")


def _check_space(header: Header, types: Types, target: Path) -> None:
    needed = sum(padded(types[entry.name].tensor_bytes(entry.shape)) for entry in header.tensors)
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise OutputError(
            f"{target.parent} has {size_text(free)} free; the file needs {size_text(needed)}.",
            "Free some space, or choose another folder with -o.",
        )


def _metadata(header: Header, ftype: FileType, dataset: str | None, n_entries: int) -> list[bytes]:
    """Every key as it is packed: the source's own bytes, but for what changes."""
    keys = []
    with header.path.open("rb") as file:
        for name, (start, stop) in header.spans.items():
            if name in _REPLACED or name.startswith(_MATRIX):
                continue
            file.seek(start)
            keys.append(file.read(stop - start))
    keys += [_number("general.file_type", ftype.number), _number(_VERSION, QUANTIZATION_VERSION)]
    if dataset is not None:  # as llama-quantize notes it
        value = dataset.encode("utf-8", "replace")
        keys.append(_text(f"{_MATRIX}dataset") + _U32.pack(_STRING) + _U64.pack(len(value)) + value)
        keys.append(_number(f"{_MATRIX}entries_count", n_entries))
    return keys


def _text(value: str) -> bytes:
    return _U64.pack(len(value)) + value.encode()


def _number(key: str, value: int) -> bytes:
    return _text(key) + _U32.pack(_UINT32) + _U32.pack(value)


def _write(
    path: Path,
    header: Header,
    metadata: list[bytes],
    tensors: list[tuple[Tensor, TensorType]],
    importance: Importance,
    progress: Progress,
) -> None:
    alignment = header.integer("general.alignment") or ALIGNMENT
    try:
        with path.open("wb") as file:
            file.write(b"GGUF" + _U32.pack(3) + _U64.pack(len(tensors)) + _U64.pack(len(metadata)))
            file.writelines(metadata)
            offset = 0
            for tensor, kind in tensors:
                name, shape = tensor.name.encode(), tensor.shape[::-1]
                file.write(_U64.pack(len(name)) + name + _U32.pack(len(shape)))
                file.writelines(map(_U64.pack, shape))
                file.write(_U32.pack(kind.number) + _U64.pack(offset))
                offset += padded(kind.tensor_bytes(tensor.shape), alignment)
            write_tensors(file, tensors, importance, progress, alignment)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}.",
            "Free some space or choose another folder with -o.",
        ) from error


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(1 << 20).decode("utf-8", "replace")
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chatapp quantize", description="Write a GGUF in another type."
    )
    add = parser.add_argument
    add("source", metavar="GGUF", type=Path, help="a model file, best in F16, BF16 or F32")
    add("type", metavar="TYPE", help=f"one of {', '.join(FTYPES)}")
    add("-o", "--output", metavar="OUT", type=Path, help="model file to write, or a folder for it")
    add("--imatrix", metavar="TEXT", type=Path, help="text to measure the importance of weights on")
    add("--allow-requantize", action="store_true", help="also from a quantised file: errors add up")
    add("--json", action="store_true", help="progress and result as JSON lines on stdout")
    add("--force", action="store_true", help="replace the output if it exists")
    return parser
