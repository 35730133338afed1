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
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter
from gguf.gguf_reader import ReaderField

from convert.errors import CheckpointError, OutputError, UsageError
from convert.ftype import ALIASES, EXACT, FTYPES, FileType
from convert.header import Header, read_header
from convert.output import PartFile
from convert.progress import Progress
from convert.side import open_side
from convert.typemap import Types, dry_run, padded, tensor_bytes
from convert.writing import write_tensors

_FILE_TYPE, _VERSION = "general.file_type", "general.quantization_version"
_OWN = "chatapp.convert.proof"  # a proof of the source is none of the copy


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
    header = read_header(source)
    kinds = {entry.kind for entry in header.tensors if len(entry.shape) > 1}
    if not kinds <= EXACT and not allow_requantize:
        raise UsageError(
            f"{source.name} is quantised already ({', '.join(sorted(kinds - EXACT))}).",
            "Start from the F16, BF16 or F32 file; --allow-requantize does it all the same, and "
            "the errors add up.",
        )
    if ftype.needs_imatrix and imatrix is None:
        raise UsageError(f"{ftype.name} needs an importance matrix.", "Give --imatrix TEXT.")
    target = output or source.with_name(f"{source.stem}-{ftype.name}.gguf")
    target = target / f"{source.stem}-{ftype.name}.gguf" if target.is_dir() else target
    _check_output(source, target, force)
    importance = {}
    if imatrix is not None:
        from convert.imatrix import collect

        progress("step", name="imatrix")
        importance = collect(source, _read_text(imatrix), progress)
    types = dry_run(source, ftype, imatrix=bool(importance))
    _check_space(header, types, target)
    progress("step", name="write")
    with PartFile(target) as part:
        _write(part.path, source, ftype, types, importance, progress)
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


def _check_output(source: Path, target: Path, force: bool) -> None:
    if target.exists() and target.samefile(source):
        raise UsageError(f"{target} is the source itself.", "Choose another name with -o.")
    if target.exists() and not force:
        raise UsageError(f"{target} exists already.", "Give --force to replace it, or -o NAME.")
    if not target.parent.is_dir() or not os.access(target.parent, os.W_OK):
        raise OutputError(f"{target.parent} cannot be written to.", "Choose another with -o.")


def _check_space(header: Header, types: Types, target: Path) -> None:
    needed = sum(padded(tensor_bytes(entry.shape, types[entry.name])) for entry in header.tensors)
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise OutputError(
            f"{target.parent} has {free / 1e6:,.0f} MB free; the file needs {needed / 1e6:,.0f}.",
            "Free some space, or choose another folder with -o.",
        )


def _write(
    path: Path,
    source: Path,
    ftype: FileType,
    types: Types,
    importance: dict[str, Any],
    progress: Progress,
) -> None:
    side, reader = open_side(source), GGUFReader(source)
    writer = GGUFWriter(path, side.arch)
    tensors = [(side.tensors[t.name], types[t.name]) for t in reader.tensors]
    try:
        for name, found in reader.fields.items():
            if not name.startswith("GGUF.") and name not in (
                "general.architecture", _FILE_TYPE, _VERSION, _OWN,
            ):  # fmt: skip
                _copy(writer, name, found)
        writer.add_file_type(ftype.number)
        writer.add_quantization_version(2)
        for tensor, kind in tensors:
            writer.add_tensor_info(
                tensor.name,
                tensor.shape,
                np.dtype(np.float32),
                tensor_bytes(tensor.shape, kind),
                raw_dtype=GGMLQuantizationType(kind.number),
            )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        write_tensors(writer, tensors, importance, progress)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}.",
            "Free some space or choose another folder with -o.",
        ) from error
    finally:
        writer.close()


def _copy(writer: GGUFWriter, name: str, found: ReaderField) -> None:
    kind = found.types[0]
    inner = found.types[-1] if kind == GGUFValueType.ARRAY else None
    writer.add_key_value(name, found.contents(), kind, sub_type=inner)


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
