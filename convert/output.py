"""The model file while it is written: `NAME.part` until it is whole, then renamed.

It promises that the final name holds a whole file or what was there before: the data is synced
before the rename, and leaving the context early removes the part. A part left by `kill -9` is
overwritten by the next run.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter

from chatapp.gguf.replacing import put_in_place
from chatapp.gguf.size import size_text
from convert.errors import OutputError, UsageError
from convert.metadata import REPORT_BYTES, REPORT_KEY, add_metadata
from convert.plan import Plan
from convert.progress import Progress
from convert.typemap import weight_bytes
from convert.writing import write_tensors

_FEW = 12  # characters: a status, the name of a type
_METADATA_PER_TOKEN = 64  # bytes, a generous guess for the space check


def check_output(plan: Plan, force: bool) -> None:
    """Raise unless the output may be written, before anything is."""
    inputs = [
        plan.checkpoint.path,
        *plan.checkpoint.weight_files,
        *plan.vocab.source.parent.glob("*.json"),
    ]
    check_target(plan.output, inputs, force)
    check_space(plan)


def check_target(output: Path, inputs: Iterable[Path], force: bool) -> None:
    """Raise unless a file may be written at `output`, which is none of `inputs`."""
    for path in inputs:
        if output.exists() and path.exists() and output.samefile(path):
            raise UsageError(f"{output} is the source itself.", "Choose another name with -o.")
    if output.exists() and not force:
        raise UsageError(f"{output} exists already.", "Give --force to replace it, or -o NAME.")
    if output.is_dir() or not output.parent.is_dir():
        raise UsageError(f"{output} is not a place for a file.", "Give a file name with -o.")
    if not os.access(output.parent, os.W_OK):
        raise OutputError(f"No permission to write in {output.parent}.", "Choose another with -o.")


def check_space(plan: Plan) -> None:
    """Raise `OutputError` unless the file has room where it goes."""
    vocab = _METADATA_PER_TOKEN * len(plan.vocab.tokens)
    check_room(plan.output.parent, weight_bytes(plan.model, plan.types) + vocab)


def check_room(folder: Path, needed: int) -> None:
    """Raise `OutputError` unless `folder` has room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(
            f"{folder} has {size_text(free)} free; the file needs {size_text(needed)}.",
            "Free some space, choose another folder with -o, or a smaller type with -q.",
        )


class PartFile:
    """The file being written. Use as a context manager; without `commit` nothing stays."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self.path = output.with_name(output.name + ".part")
        self._lock = -1

    def __enter__(self) -> Self:
        self._check_unused()
        self._remove()  # also a link that somebody put there: it is not followed
        try:
            self._lock = os.open(
                self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666
            )
            _take(self._lock)
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be written: {error.strerror}.", "Choose another with -o."
            ) from error
        except KeyboardInterrupt:  # `__exit__` does not come without this having ended
            self._remove()
            raise
        return self

    def _check_unused(self) -> None:
        """Raise while another conversion writes the part."""
        try:
            found = os.open(self.path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return  # nothing there, or no file: whether it can be removed is seen next
        try:
            if not _take(found):
                raise OutputError(
                    f"Another conversion is writing {self._output}.",
                    "Wait for it, or choose another name with -o.",
                )
        finally:
            os.close(found)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._remove()
        os.close(self._lock)  # and with it the lock

    def _remove(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{self.path} is in the way: {error.strerror}.") from error

    def write(self, plan: Plan, provenance: dict[str, Any], progress: Progress) -> None:
        """Write metadata and every tensor, block of rows by block of rows."""
        tensors = [(tensor, plan.types[tensor.name]) for tensor in plan.model.tensors]
        writer = GGUFWriter(self.path, plan.model.arch)
        try:
            add_metadata(writer, plan, provenance)
            for tensor, kind in tensors:
                writer.add_tensor_info(
                    tensor.name,
                    tensor.shape,
                    np.dtype(np.float32),  # only read when raw_dtype is not given
                    kind.tensor_bytes(tensor.shape),
                    raw_dtype=GGMLQuantizationType(kind.number),
                )
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            assert writer.fout is not None
            write_tensors(writer.fout[0], tensors, plan.importance, progress)
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be written: {error.strerror or error}.",
                "Free some space or choose another folder with -o.",
            ) from error
        finally:
            writer.close()

    def fill_report(self, report: dict[str, Any]) -> None:
        """Put the proof's report into the place reserved for it."""
        with self.path.open("r+b") as file:
            head = file.read(1 << 16)
            # key, then value type (4 bytes) and length (8 bytes)
            start = head.index(REPORT_KEY.encode()) + len(REPORT_KEY) + 12
            file.seek(start)
            file.write(_pad_report(report))

    def commit(self) -> int:
        """Sync, rename to the final name, and return the size in bytes."""
        size = self.path.stat().st_size
        put_in_place(self.path, self._output)
        return size


def _take(file: int) -> bool:
    """Lock `file` unless another process has; where there are no locks it counts as taken."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _pad_report(report: dict[str, Any]) -> bytes:
    """The report in exactly the bytes reserved for it: where it is longer, its texts are cut."""
    data = json.dumps(report, allow_nan=False).encode()
    for longest in (160, 80, 40, 20, 10, 0):
        if len(data) <= REPORT_BYTES:
            return data.ljust(REPORT_BYTES)
        data = json.dumps(_cut(report, longest), allow_nan=False).encode()
    if len(data) > REPORT_BYTES:
        raise OutputError(f"The proof's report has {len(data)} bytes, and {REPORT_BYTES} are kept.")
    return data.ljust(REPORT_BYTES)


def _cut(value: Any, longest: int) -> Any:
    """`value` with no text of more than `longest` characters but what are a few words anyway."""
    if isinstance(value, dict):
        return {key: _cut(item, longest) for key, item in value.items()}
    if isinstance(value, list):
        return [_cut(item, longest) for item in value]
    if isinstance(value, str) and len(value) > max(longest, _FEW):
        return value[:longest]
    return value
