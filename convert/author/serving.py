"""The process that runs the author's code: builds its model, takes the weights, gives logits.

Run by `process.py`. The frames that come: one that says what to build; the weights that were asked
for, each in pieces; then ids, each answered by logits. Everything that fails is said in a frame.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

from convert.author.faults import AuthorError, explain
from convert.author.frames import BrokenFrameError, pack, unpack
from convert.author.limits import allow, bound, forbid, leave

_START_SECONDS = 120.0  # until PyTorch is loaded, on a machine that is busy
_MAX_BYTES = 1 << 33  # of weights in one frame


def main() -> None:
    """Serve until the parent has gone."""
    leave(Path(os.environ["HOME"]))  # which is the scratch folder
    requests, replies = _take_streams()
    job, data = _next(requests)
    allow(job["seconds"] + _START_SECONDS)
    try:
        import torch
    except ImportError as error:
        _send(replies, {"error": f"PyTorch cannot be imported: {error}.", "hint": ""})
        return
    torch.set_num_threads(job["threads"])
    _send(replies, {})
    path = Path(job["path"])
    forbid(Path(job["scratch"]))
    bound(job["memory"])
    try:
        _serve(job, path, data, requests, replies)
    except BrokenFrameError:
        return
    except AuthorError as error:
        _send(replies, {"error": error.message, "hint": error.hint})
    except MemoryError:
        _send(replies, {"error": f"{path.name} fails: no memory is left.", "memory": True})
    except BaseException as error:  # noqa: BLE001  (the author's code may raise anything)
        full = "can't allocate memory" in str(error)
        said = f"{path.name} fails: {explain(error, path.parent)}."
        _send(replies, {"error": said, "hint": "", "memory": full})


def _serve(
    job: dict[str, Any], path: Path, data: bytes, requests: BinaryIO, replies: BinaryIO
) -> None:
    from convert.author.model import AuthorModel

    sys.argv = [str(path)]
    model = AuthorModel(path, data, job)
    allow(job["seconds"] + 5)
    model.build()
    _send(replies, {"wanted": model.wanted, "name": model.name})
    for name in model.wanted:
        weights, at = model.open(name), 0
        while at < len(weights):
            _, piece = _next(requests)
            weights[at : at + len(piece)] = piece
            at += len(piece)
    allow(job["seconds"] + 5)
    model.finish()
    _send(replies, {"notes": model.notes})
    while True:
        allow(0)
        asked, _ = _next(requests)
        allow(job["seconds"] + 5)
        logits = model.logits(asked["ids"])
        _send(replies, {"shape": list(logits.shape)}, logits.tobytes())


def _take_streams() -> tuple[BinaryIO, BinaryIO]:
    """Stdin and stdout for us alone; to all other code they are empty and nowhere."""
    streams = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    return streams


def _next(stream: BinaryIO) -> tuple[dict[str, Any], bytes]:
    return unpack(stream.read, _MAX_BYTES)


def _send(stream: BinaryIO, words: dict[str, Any], data: bytes = b"") -> None:
    for piece in pack(words, data):
        stream.write(piece)
    stream.flush()


if __name__ == "__main__":
    try:
        main()
    except (BrokenFrameError, BrokenPipeError):
        os._exit(1)
