"""The author's code as a reference: a process that is asked for logits, and killed afterwards.

Nothing of the code is imported here. The process gets the weights, which our own reader took from
the checkpoint without running anything of it, a copy of no environment but what Python needs, and
bounds of memory and time for every answer; what it prints goes nowhere. It ends with us, however we
end.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

import chatapp.gguf
from chatapp.gguf.processes import OWN_SESSION, resident_bytes
from chatapp.gguf.processors import count_allowed_threads
from chatapp.gguf.size import size_text
from convert.author.asked import Code
from convert.author.frames import BrokenFrameError, EndedError, pack, unpack
from convert.author.job import Subject, describe_job
from convert.author.replies import read_built, read_error, read_logits, read_notes
from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import CodeError
from convert.witness import CODE

_LAUNCHER = Path(chatapp.gguf.__file__).parents[1] / "launcher.py"
_SERVING = "convert.author.serving"
_LEAST_MEMORY = 4 << 30  # bytes; PyTorch, its threads and the code itself
_MOST_WORDS = 1 << 16  # bytes of an answer's JSON; names of tensors, escaped, come on top
_PER_CHARACTER = 12
_START_SECONDS = 120.0  # until PyTorch is loaded, on a machine that is busy
_LOOK_S = 0.05  # between two looks at the memory
_PIECE = 4 << 20  # weights sent at once
_PASSED = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "GOMP_SPINCOUNT")
_SET = {
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "LOGNAME": "nobody",
    "MPLBACKEND": "Agg",
    "PYTHONDONTWRITEBYTECODE": "1",
    "TORCHDYNAMO_DISABLE": "1",  # torch.compile asks for a C compiler
    "TRANSFORMERS_OFFLINE": "1",
    "WANDB_MODE": "disabled",
}


class AuthorCode:
    """A reference as `convert.parity` has them. Use as a context manager."""

    against = CODE

    def __init__(
        self,
        code: Code,
        checkpoint: Checkpoint,
        subject: Subject,
        told: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Nothing is started before the context is entered. `told` is what the user said of
        the checkpoint."""
        self._code, self._checkpoint, self._subject, self._told = code, checkpoint, subject, told
        self._data = code.read()
        self.name = ""
        self.notes: Sequence[str] = ()
        self._memory = code.memory or _LEAST_MEMORY + 4 * 4 * subject.n_weights
        self._process: subprocess.Popen[bytes] | None = None
        self._scratch = ""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Logits [len(ids), n_rows or n_tokens] after each of `ids`. Raises `CodeError`."""
        subject = self._subject
        widths = (subject.n_rows, subject.n_tokens)
        words, data = self._ask({"ids": list(ids)}, most=4 * len(ids) * max(widths))
        with self._believing():
            return read_logits(words, data, len(ids), widths, subject.n_tokens)

    def close(self) -> None:
        """End the process and all that it started; its folder goes with it."""
        process = self._process
        if process is not None:
            with contextlib.suppress(OSError):
                if hasattr(os, "killpg"):  # not on Windows
                    os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    pipe.close() if pipe else None
            self._process = None
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)

    # Starting

    def _start(self) -> None:
        self._scratch = tempfile.mkdtemp(prefix="chatapp-code-")
        environment = {name: os.environ[name] for name in _PASSED if name in os.environ}
        environment |= _SET | {"HOME": self._scratch, "TMPDIR": self._scratch}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_LAUNCHER), _SERVING],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=self._code.path.parent,
                env=environment,
                **OWN_SESSION,  # Ctrl+C is for us, and we end it
            )
        except OSError as error:
            raise CodeError(
                f"No process can be started for {self._file}: {error.strerror or error}."
            ) from error
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
        job = describe_job(self._code, self._checkpoint, self._subject, self._told) | {
            "seconds": self._code.seconds,
            "memory": self._memory,
            "scratch": self._scratch,
            "threads": count_allowed_threads(),
        }
        self._ask(job, self._data, _START_SECONDS)
        built, _ = self._hear(self._code.seconds)
        with self._believing():
            wanted, called = read_built(built, job["shapes"])
        self._send_weights(wanted)
        done, _ = self._hear(self._code.seconds)
        with self._believing():
            self.notes = read_notes(done)
        given = "".join(f" {key}={value}" for key, value in self._code.arguments.items())[:200]
        called = f"{self._file}:{called}{' with' + given if given else ''}"
        self.name = f"the model's own code ({called}, sha256 {self._code.digest[:16]})"

    @property
    def _file(self) -> str:
        return self._code.path.name

    def _send_weights(self, wanted: list[str]) -> None:
        deadline = time.monotonic() + self._code.seconds
        for name in wanted:
            tensor = self._checkpoint.tensors[name]
            step = max(1, _PIECE // max(1, tensor.n_cols))
            for start in range(0, tensor.n_rows, step):
                rows = tensor.read(start, min(start + step, tensor.n_rows))
                self._say(pack({}, rows.reshape(-1).view(np.uint8).data), deadline)

    # Talking

    def _ask(
        self, words: Mapping[str, Any], data: bytes = b"", seconds: float = 0.0, most: int = 0
    ) -> tuple[dict[str, Any], bytes]:
        """`most`: bytes that the answer may have behind its words."""
        seconds = seconds or self._code.seconds
        self._say(pack(dict(words), data), time.monotonic() + seconds)
        return self._hear(seconds, most)

    def _say(self, pieces: Sequence[bytes | memoryview], deadline: float) -> None:
        """Write; where the process has gone its last words say why."""
        assert self._process is not None
        assert self._process.stdin is not None
        pipe = self._process.stdin.fileno()
        for piece in pieces:
            left = memoryview(piece)
            while left:
                self._wait(pipe, deadline, writing=True)
                try:
                    left = left[os.write(pipe, left) :]
                except BlockingIOError:
                    continue
                except OSError:
                    self._hear(5.0)  # raises what it said, or that it ended
                    raise self._ended() from None

    def _hear(self, seconds: float, most: int = 0) -> tuple[dict[str, Any], bytes]:
        assert self._process is not None
        assert self._process.stdout is not None
        pipe, deadline = self._process.stdout.fileno(), time.monotonic() + seconds

        def read(n: int) -> bytes:
            got = bytearray()
            while len(got) < n:
                self._wait(pipe, deadline)
                try:
                    piece = os.read(pipe, min(n - len(got), 1 << 20))
                except BlockingIOError:
                    continue
                if not piece:
                    break
                got += piece
            return bytes(got)

        names = sum(map(len, self._checkpoint.tensors))
        with self._believing():
            words, data = unpack(read, most, _MOST_WORDS + _PER_CHARACTER * names)
        if "error" in words:
            message, hint = read_error(words)
            raise CodeError(message, self._memory_hint() if words.get("memory") else hint)
        return words, data

    @contextlib.contextmanager
    def _believing(self) -> Iterator[None]:
        """Whatever is amiss with an answer, as `CodeError`."""
        try:
            yield
        except EndedError:
            raise self._ended() from None
        except BrokenFrameError as error:
            raise CodeError(
                f"{self._file} answered with nonsense: {error}.",
                "Does it write into files that it did not open?",
            ) from None

    def _wait(self, pipe: int, deadline: float, *, writing: bool = False) -> None:
        """Until `pipe` can be used; looks at time and memory meanwhile."""
        assert self._process is not None
        while True:
            reads, writes = ([], [pipe]) if writing else ([pipe], [])
            ready = select.select(reads, writes, [], _LOOK_S)
            if time.monotonic() > deadline:  # also while it answers, byte by byte
                raise CodeError(
                    f"{self._file} ran for more than {self._code.seconds:g} s.",
                    "Does it train, or wait, when its model is made? --code-seconds gives it more.",
                )
            if ready[0] or ready[1]:
                return
            if resident_bytes(self._process.pid) > self._memory:
                said = f"{self._file} took more than {size_text(self._memory)} of memory."
                raise CodeError(said, self._memory_hint())

    def _memory_hint(self) -> str:
        return f"It may take {size_text(self._memory)}: --code-memory gives it more."

    def _ended(self) -> CodeError:
        """What became of the process."""
        assert self._process is not None
        try:
            status = self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            return CodeError(f"{self._file} answered with nonsense.")
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit code {status}"
        return CodeError(
            f"{self._file} brought its process to an end ({how}).",
            "If it was killed, memory may have run out.",
        )
