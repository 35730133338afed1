"""The model file while it is written: `NAME.part` until it is whole, then renamed.

It promises that the final name holds a whole file or what was there before: the data is synced
before the rename, and leaving the context early removes the part. A part left by `kill -9` is
overwritten by the next run. The parity report is measured on the written file, so its place in the
metadata is reserved first, as JSON followed by blanks, and filled in afterwards.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter

from convert.architectures.model import HParam
from convert.errors import OutputError, UsageError
from convert.plan import Plan, tensor_bytes, weight_bytes
from convert.progress import Progress
from convert.quantize import quantize

REPORT_KEY = "chatapp.convert.proof"
REPORT_BYTES = 4096
_QUANTIZATION_VERSION = 2  # GGML_QNT_VERSION: the layout of the quantised blocks
_METADATA_PER_TOKEN = 64  # bytes, a generous guess for the space check


def check_output(plan: Plan, force: bool) -> None:
    """Raise unless the output may be written, before anything is."""
    output = plan.output
    inputs = [
        plan.checkpoint.path,
        *plan.checkpoint.weight_files,
        *plan.vocab.source.parent.glob("*.json"),
    ]
    for path in inputs:
        if output.exists() and path.exists() and output.samefile(path):
            raise UsageError(f"{output} is the source itself.", "Choose another name with -o.")
    if output.exists() and not force:
        raise UsageError(f"{output} exists already.", "Give --force to replace it, or -o NAME.")
    if output.is_dir() or not output.parent.is_dir():
        raise UsageError(f"{output} is not a place for a file.", "Give a file name with -o.")
    if not os.access(output.parent, os.W_OK):
        raise OutputError(f"No permission to write in {output.parent}.", "Choose another with -o.")
    check_space(plan)


def check_space(plan: Plan) -> None:
    """Raise `OutputError` unless the file has room where it goes."""
    output = plan.output
    needed = weight_bytes(plan.model, plan.ftype) + _METADATA_PER_TOKEN * len(plan.vocab.tokens)
    free = shutil.disk_usage(output.parent).free
    if needed > free:
        raise OutputError(
            f"{output.parent} has {free / 1e6:,.0f} MB free; the file needs {needed / 1e6:,.0f}.",
            "Free some space, choose another folder with -o, or a smaller type with -q.",
        )


class PartFile:
    """The file being written. Use as a context manager; without `commit` nothing stays."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self.path = output.with_name(output.name + ".part")

    def __enter__(self) -> Self:
        self._remove()  # also a link that somebody put there: it is not followed
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._remove()

    def _remove(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{self.path} is in the way: {error.strerror}.") from error

    def write(self, plan: Plan, provenance: dict[str, Any], progress: Progress) -> None:
        """Write metadata and every tensor, block of rows by block of rows."""
        types = plan.types()
        writer = GGUFWriter(self.path, plan.model.arch)
        try:
            _add_metadata(writer, plan, provenance)
            for tensor, ftype in types:
                writer.add_tensor_info(
                    tensor.name,
                    tensor.shape,
                    np.dtype(np.float32),  # only read when raw_dtype is not given
                    tensor_bytes(tensor.shape, ftype),
                    raw_dtype=GGMLQuantizationType(ftype.ggml_type),
                )
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            _write_tensors(writer, plan, progress)
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
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        size = self.path.stat().st_size
        self.path.replace(self._output)
        folder = os.open(self._output.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # else the rename itself may be lost with the power
        finally:
            os.close(folder)
        return size


def _pad_report(report: dict[str, Any]) -> bytes:
    return json.dumps(report, allow_nan=False).encode().ljust(REPORT_BYTES)


def _write_tensors(writer: GGUFWriter, plan: Plan, progress: Progress) -> None:
    assert writer.fout is not None
    file = writer.fout[0]
    writer.write_padding(file, file.tell())
    total, done = weight_bytes(plan.model, plan.ftype), 0
    for tensor, ftype in plan.types():
        written = 0
        for rows in tensor.blocks():
            data = quantize(rows, ftype, tensor.origin or tensor.name)
            file.write(data.data)
            written += data.nbytes
            progress("progress", step="write", done=done + written, total=total)
        if written != tensor_bytes(tensor.shape, ftype):
            raise OutputError(f"{tensor.name} came out as {written} bytes.")
        writer.write_padding(file, written)
        done += written
    writer.flush()


def _add_metadata(writer: GGUFWriter, plan: Plan, provenance: dict[str, Any]) -> None:
    # first, so that the place is near the beginning whatever the vocabulary's size
    writer.add_string(REPORT_KEY, " " * REPORT_BYTES)
    writer.add_type("model")
    writer.add_name(plan.name)
    writer.add_description(f"Converted from {plan.checkpoint.path.name} by chatapp.")
    if plan.license:
        writer.add_license(plan.license)
    if plan.temperature is not None:
        writer.add_sampling_temp(plan.temperature)
    writer.add_file_type(plan.ftype.file_type)
    writer.add_quantization_version(_QUANTIZATION_VERSION)
    for key, value in provenance.items():
        _add_value(writer, f"chatapp.convert.{key}", value)
    for key, value in plan.model.hparams.items():
        _add_value(writer, f"{plan.model.arch}.{key}", value)
    _add_vocab(writer, plan)


def _add_value(writer: GGUFWriter, key: str, value: HParam) -> None:
    if isinstance(value, str):
        writer.add_string(key, value)
    elif isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    else:
        writer.add_float32(key, value)


def _add_vocab(writer: GGUFWriter, plan: Plan) -> None:
    vocab = plan.vocab
    writer.add_tokenizer_model(vocab.model)
    writer.add_tokenizer_pre(vocab.pre)
    writer.add_token_list(vocab.tokens)
    writer.add_token_types([int(kind) for kind in vocab.kinds])
    writer.add_token_merges(vocab.merges)
    for role, index in vocab.special_ids.items():
        key = "unknown" if role == "unk" else "padding" if role == "pad" else role
        writer.add_key_value(f"tokenizer.ggml.{key}_token_id", index, GGUFValueType.UINT32)
    writer.add_add_bos_token(vocab.add_bos)
    writer.add_add_eos_token(vocab.add_eos)
    if vocab.chat_template:
        writer.add_chat_template(vocab.chat_template)
