"""Text as tokens on disk: `train.bin` and `val.bin`, as nanoGPT names and lays them out.

Promises that a corpus of any size is packed in a stream, that a packing which was interrupted goes
on near where it was, and that what is packed is used again when a run goes on. Tokens have 16 bits,
or 32 where the vocabulary needs them; they are mapped into memory, not read.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from chatapp.errors import ChatAppError
from chatapp.gguf.replacing import write_whole
from chatapp.train.chat_format import END_OF_TEXT
from chatapp.train.corpus import Document, no_text
from chatapp.train.progress import Reporter
from chatapp.train.reading import find_files
from chatapp.train.routing import Routed, Routes
from chatapp.train.settings import Recipe, Source
from chatapp.train.tokenizer import encode_all

FACTS_FILE = "data.json"
NAMES = ("train", "val")
_GROUP = 1 << 20
"""Characters that are tokenised at once."""
_SAVED_EVERY = 1 << 22
"""Tokens between notes of how far a packing is."""

Tokens = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, slots=True)
class Packed:
    """What was packed, mapped into memory."""

    train: Tokens
    heldout: Tokens


def pack(
    recipe: Recipe,
    tokenizer: Tokenizer,
    folder: Path,
    window: int,
    reporter: Reporter,
    *,
    resume: bool = False,
) -> Packed:
    """The tokens of the recipe's text in `folder`, packed now or before.

    `window` is what the held-out text must hold at least. `resume`: what a run began with is used,
    though its text has changed or gone since. Raises `ChatAppError` where the text
    cannot be read, the tokens are another tokenizer's, or the disk has no room.
    """
    identity = hashlib.sha256(tokenizer.to_str().encode()).hexdigest()
    facts = _read_facts(folder)
    if resume and facts.get("complete"):
        if facts.get("tokenizer") != identity:
            raise ChatAppError(
                f"The tokens in {folder} were made with another tokenizer.",
                "Put back the tokenizer it began with, or use another folder.",
            )
        return _open(folder, facts)
    kind = np.dtype("<u2" if tokenizer.get_vocab_size() <= 1 << 16 else "<u4")
    begun = {"tokenizer": identity, "dtype": kind.str, "sources": _describe(recipe)}
    if all(facts.get(name) == value for name, value in begun.items()):
        if facts.get("complete"):
            return _open(folder, facts)
    else:
        facts = {**begun, "documents": 0, "train": 0, "val": 0}
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _write(recipe, tokenizer, folder, facts, reporter)
        if not facts["train"] + facts["val"]:
            raise no_text(recipe.text)
        _share_out(folder, facts, recipe, window)
    except OSError as error:
        raise ChatAppError(
            f"The packed text cannot be written into {folder}: {error.strerror or error}.",
            "Make room, and go on with --resume.",
        ) from error
    _write_facts(folder, {**facts, "complete": True})
    return _open(folder, facts)


def _write(
    recipe: Recipe, tokenizer: Tokenizer, folder: Path, facts: dict[str, Any], reporter: Reporter
) -> None:
    """Tokenise what was not yet, and note in `facts` what there is."""
    routes = Routes(recipe.text, 0.0 if recipe.heldout else recipe.share)
    _cut(folder, facts)
    skip, saved = int(facts["documents"]), int(facts["train"])
    kind = np.dtype(facts["dtype"])
    with (folder / "train.bin").open("ab") as train, (folder / "val.bin").open("ab") as val:
        for group in _grouped(routes, skip):
            for routed, ids in zip(group, _encode(tokenizer, group), strict=True):
                (val if routed.held else train).write(np.array(ids, kind).tobytes())
                facts["val" if routed.held else "train"] += len(ids)
            facts["documents"] += len(group)
            if facts["train"] - saved > _SAVED_EVERY:
                train.flush()
                val.flush()
                _write_facts(folder, facts)
                saved = facts["train"]
                reporter.say(f"data: {facts['train']:,} tokens so far")
        if recipe.heldout is not None:
            for group in _grouped(Routes((Source(recipe.heldout),), 0.0), 0):
                for ids in _encode(tokenizer, group):
                    val.write(np.array(ids, kind).tobytes())
                    facts["val"] += len(ids)
    twice = f", {routes.duplicates:,} that were there twice left out" if routes.duplicates else ""
    reporter.say(f"data: {routes.documents:,} documents{twice}")


def _grouped(routes: Routes, skip: int) -> Iterator[list[Routed]]:
    """Documents in groups that are worth a call, without the first `skip`."""
    group: list[Routed] = []
    size = 0
    for number, routed in enumerate(routes):
        if number < skip:
            continue
        group.append(routed)
        size += sum(len(piece) for piece in routed.document.pieces if isinstance(piece, str)) + 64
        if size > _GROUP:
            yield group
            group, size = [], 0
    yield group


def _encode(tokenizer: Tokenizer, group: list[Routed]) -> list[list[int]]:
    """Token ids of documents, each closed by the end-of-text token where there is one."""
    return encode_documents(tokenizer, [routed.document for routed in group])


def encode_documents(tokenizer: Tokenizer, documents: list[Document]) -> list[list[int]]:
    """Token ids of documents, each closed by the end-of-text token where there is one."""
    end = tokenizer.token_to_id(END_OF_TEXT)  # None in a vocabulary of characters
    rows = encode_all(tokenizer, [document.pieces for document in documents])
    for document, row in zip(documents, rows, strict=True):
        if document.ends and end is not None:
            row.append(end)
    return rows


def _cut(folder: Path, facts: dict[str, Any]) -> None:
    """Both files at the length that was noted: what was written after that is written again."""
    width = np.dtype(facts["dtype"]).itemsize
    paths = {name: folder / f"{name}.bin" for name in NAMES}
    for path in paths.values():
        path.touch()
    if any(path.stat().st_size < facts[name] * width for name, path in paths.items()):
        facts.update({"documents": 0, "train": 0, "val": 0})  # killed while it shared out
    for name, path in paths.items():
        with path.open("r+b") as file:
            file.truncate(facts[name] * width)


def _share_out(folder: Path, facts: dict[str, Any], recipe: Recipe, window: int) -> None:
    """The end of the text is held out where no documents were, as in one long text."""
    wanted = 0 if recipe.heldout else max(int(facts["train"] * recipe.share), window + 2)
    if not wanted or 2 * facts["val"] >= wanted:
        return
    moved = min(wanted - facts["val"], facts["train"])
    width = np.dtype(facts["dtype"]).itemsize
    with (folder / "train.bin").open("r+b") as train, (folder / "val.bin").open("ab") as val:
        train.seek((facts["train"] - moved) * width)
        while block := train.read(1 << 20):
            val.write(block)
        train.truncate((facts["train"] - moved) * width)
    facts["train"] -= moved
    facts["val"] += moved


def _open(folder: Path, facts: dict[str, Any]) -> Packed:
    rows = []
    for name in NAMES:
        path, count = folder / f"{name}.bin", facts.get(name)
        try:
            kind = np.dtype(facts["dtype"])
            row = np.memmap(path, kind, "r") if path.stat().st_size else np.zeros(0, kind)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ChatAppError(
                f"The packed text {path} is not what was written: {error}.",
                f"Remove {folder}, then it is packed again.",
            ) from error
        if len(row) != count:
            raise ChatAppError(
                f"The packed text {path} is not what was written: it holds {len(row)} tokens.",
                f"Remove {folder}, then it is packed again.",
            )
        rows.append(row)
    return Packed(*rows)


def _describe(recipe: Recipe) -> list[Any]:
    """What tells whether a packing may go on: files with their sizes, and the share."""
    found: list[Any] = [recipe.share]
    for source in recipe.text:
        digest = hashlib.sha256()
        for file in find_files(source.path):
            status = file.stat() if file.is_file() else None
            size = (status.st_size, status.st_mtime_ns) if status else ()
            digest.update(f"{file}\0{size}\0".encode("utf-8", "surrogateescape"))
        found.append([str(source.path), source.repeat, digest.hexdigest()])
    return found


def _read_facts(folder: Path) -> dict[str, Any]:
    try:
        facts = json.loads((folder / FACTS_FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _write_facts(folder: Path, facts: dict[str, Any]) -> None:
    write_whole(folder / FACTS_FILE, json.dumps(facts).encode(), mode=None)
