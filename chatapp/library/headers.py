"""Many model files' headers, read once each and remembered.

Promises: what is remembered is used only while path, size and modification time are the same, and
only by the version of chatapp that wrote it; a memory that is damaged, from elsewhere or read-only
costs time, never an answer. Headers of one tokenizer are recognised by their bytes, so the hundred
thousand texts of a vocabulary are walked over once, not in every quantisation of the model.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import msgspec

from chatapp import __version__
from chatapp.errors import ModelError
from chatapp.gguf.errors import GgufError
from chatapp.gguf.model_info import ModelInfo, name_size, read_model_info
from chatapp.gguf.reader import KnownTexts
from chatapp.gguf.replacing import write_whole
from chatapp.library.checkpoints import is_checkpoint
from chatapp.library.local import list_shards
from chatapp.paths import sees_folder, spell_path

_THREADS = 4
"""The disk is waited for in parallel; the reading itself holds the interpreter."""
_MAX_ROWS = 20_000


class _Row(msgspec.Struct, frozen=True):
    """A file as it was when its header was read."""

    size: int
    mtime_ns: int
    info: dict[str, Any] = {}
    error: str = ""
    hint: str = ""


class _Memory(msgspec.Struct, frozen=True):
    version: list[str]
    rows: dict[str, _Row]


_FIELDS = [entry.name for entry in fields(ModelInfo)]
_VERSION = [__version__, "3", *_FIELDS]  # the number goes up when a field is read otherwise


def read_info(path: Path) -> ModelInfo:
    """What one model file is. Raises `ModelError`."""
    try:
        return read_model_info(path)
    except GgufError as error:
        raise ModelError(error.message, error.hint) from error


class Headers:
    """Reads headers; `save` remembers them for the next time."""

    def __init__(self, path: Path | None) -> None:
        """`path` is the file to remember them in; None: nothing is kept."""
        self._path = path
        self._rows: dict[str, _Row] | None = None
        self._known = KnownTexts()
        self._changed = False

    def read(self, path: Path) -> ModelInfo:
        """The header of one file; `ModelError` as `read_info` has it, remembered too."""
        if sees_folder(path) and is_checkpoint(path):
            raise ModelError(
                f"{path} is a checkpoint, not a model file.",
                "`chatapp inspect` says what is in it; --model runs it, `chatapp convert` makes a "
                "model file of it.",
            )
        rows = self._load()
        key = spell_path(path.absolute())
        try:
            status = path.stat()
        except OSError:
            return read_info(path)  # which says what is the matter
        row = rows.get(key)
        if row is None or (row.size, row.mtime_ns) != (status.st_size, status.st_mtime_ns):
            row = self._read(path, status.st_size, status.st_mtime_ns)
            rows[key] = row
            self._changed = True
        if row.error:
            raise ModelError(row.error, row.hint)
        return ModelInfo(**row.info | {"path": path})

    def read_model(self, path: Path) -> ModelInfo:
        """The header of a model, all its shards together. `ModelError` names a missing shard."""
        shards = [self.read(shard) for shard in list_shards(path)]
        first = shards[0]
        if len(shards) == 1:
            return first
        layers: Counter[int] = Counter()
        others: Counter[str] = Counter()
        types: Counter[str] = Counter()
        for info in shards:
            layers.update(dict(enumerate(info.layer_bytes)))
            others.update(info.other_bytes)
            types.update(info.tensor_types)
        n_params = sum(info.n_params for info in shards)
        return replace(
            first,
            size_bytes=sum(info.size_bytes for info in shards),
            n_params=n_params,
            n_tensors=sum(info.n_tensors for info in shards),
            size_label=first.size_label if first.says_size else name_size(n_params),
            tensor_types=dict(types.most_common()),
            layer_bytes=[layers[layer] for layer in sorted(layers)],
            other_bytes=dict(others),
        )

    def read_all(self, paths: Iterable[Path]) -> Iterator[tuple[Path, ModelInfo | ModelError]]:
        """Every header in the order of `paths`, or what is wrong with that file."""

        def read(path: Path) -> tuple[Path, ModelInfo | ModelError]:
            try:
                return path, self.read(path)
            except ModelError as error:
                return path, error

        self._load()
        with ThreadPoolExecutor(_THREADS) as pool:
            yield from pool.map(read, paths)

    def save(self) -> None:
        """Remember what was read; where that cannot be written, it is read again."""
        if self._path is None or self._rows is None or not self._changed:
            return
        kept = dict(list(self._rows.items())[-_MAX_ROWS:])
        data = msgspec.json.encode(_Memory(_VERSION, kept))
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, data)
        self._changed = False

    def _load(self) -> dict[str, _Row]:
        if self._rows is None:
            self._rows = {}
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                if self._path is not None:
                    memory = msgspec.json.decode(self._path.read_bytes(), type=_Memory)
                    if memory.version == _VERSION:
                        self._rows = memory.rows
        return self._rows

    def _read(self, path: Path, size: int, mtime_ns: int) -> _Row:
        try:
            info = read_model_info(path, self._known)
        except GgufError as error:
            if isinstance(error.__cause__, OSError):  # of today, not of the file
                raise ModelError(error.message, error.hint) from error
            return _Row(size, mtime_ns, error=error.message, hint=error.hint)
        values = {name: getattr(info, name) for name in _FIELDS if name != "path"}
        return _Row(size, mtime_ns, info=values)
