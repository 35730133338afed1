"""`chatapp quantize GGUF TYPE`: a model file in another type, as llama-quantize makes it.

It promises the bytes of llama.cpp's own quantizer from a file of floats, metadata carried over key
by key, and the same care as a conversion: a part file, a rename, nothing left after Ctrl+C. What is
quantised already loses twice, so that has to be asked for.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from chatapp.gguf.header import Header, padded
from convert.checkpoints.gguf_file import open_header, read_tensors
from convert.copying import pack_metadata, write_copy
from convert.errors import UsageError
from convert.ftype import EXACT, FTYPES, find_ftype
from convert.output import PartFile, check_room, check_target
from convert.plan import choose_output
from convert.progress import Progress
from convert.samples import read_text
from convert.typemap import dry_run
from convert.writing import Importance


def main(argv: Sequence[str]) -> int:
    """Run the command `quantize` with `argv`; the exit code."""
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

    return run(arguments.json, work, ("quantize", *argv))


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
    ftype = find_ftype(wanted)
    header = open_header(source)
    _check_precision(header, allow_requantize, progress)
    if ftype.needs_imatrix and imatrix is None:
        raise UsageError(f"{ftype.name} needs an importance matrix.", "Give --imatrix TEXT.")
    tensors = read_tensors(header)
    target = choose_output(source, output, ftype)
    check_target(target, [source], force)
    text = None if imatrix is None else read_text(imatrix)
    types = dry_run(source, ftype, imatrix=text is not None)
    check_room(
        target.parent,
        sum(padded(types[entry.name].tensor_bytes(entry.shape)) for entry in header.tensors),
    )
    importance: Importance = {}
    if text is not None:
        from convert.imatrix import collect

        progress("step", name="imatrix")
        importance = collect(source, text, progress)
    progress("step", name="write")
    dataset = None if imatrix is None else imatrix.name
    metadata = pack_metadata(header, ftype, dataset, len(importance))
    pairs = [(tensors[entry.name], types[entry.name]) for entry in header.tensors]
    with PartFile(target) as part:
        write_copy(part.path, header, metadata, pairs, importance, progress)
        size = part.commit()
    seconds = round(time.monotonic() - started, 2)
    progress("done", output=str(target), bytes=size, seconds=seconds)
    return target


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
