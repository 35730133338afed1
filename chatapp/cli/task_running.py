"""A model that is loaded and asked every example, with a line of progress and a Ctrl+C that keeps
what was answered."""

import asyncio
import json
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from chatapp.errors import ChatAppError

if TYPE_CHECKING:
    from chatapp.cli.progress import Progress
    from chatapp.cli.task_options import Asked
    from chatapp.engine.client import EngineClient
    from chatapp.engine.protocol import LoadOptions, ModelDescription
    from chatapp.evaluate.tasks import Answer, Answers
    from chatapp.paths import Paths


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What one model answered to the examples, and how long it took."""

    path: Path
    model: "ModelDescription"
    answers: "Answers"
    at_once: int
    seconds: float
    """Of answering alone."""

    def describe_model(self) -> dict[str, Any]:
        """What is said of the model."""
        return {
            "model": str(self.path),
            "model_name": self.model.name,
            "model_hash": self.model.fingerprint,
            "runtime": self.model.runtime or ("" if self.model.host else "llama.cpp"),
            "devices": self.model.devices,
            "host": self.model.host,
        }


class AnswerFile:
    """Where answers go as they come, a JSON object a line; without a path: nowhere."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        if self._path is not None:
            try:
                self._file = self._path.open("w", encoding="utf-8", newline="\n")
            except OSError as error:
                raise ChatAppError(
                    f"{self._path} cannot be written: {error.strerror or error}."
                ) from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, answer: "Answer") -> None:
        """Write one, so that it is there whatever comes."""
        if self._file is not None:
            self._file.write(json.dumps(answer.as_json(), ensure_ascii=False) + "\n")
            self._file.flush()


def ask_model(named: str | None, asked: "Asked", paths: "Paths", file: AnswerFile) -> Ran:
    """Load a model and ask it everything. Raises what is wrong before the first answer."""
    from chatapp.cli.progress import Progress
    from chatapp.cli.task_options import choose_load
    from chatapp.evaluate.overlap import find_overlap, warn_of

    path, load, at_once, is_server = choose_load(named, asked, paths)
    progress = Progress()
    if not is_server:
        progress.notice(warn_of(find_overlap(path, asked.examples.text)))
    at_once = min(at_once, len(asked.questions))
    n_clients = at_once if is_server else 1
    return asyncio.run(_run(path, load, asked, paths, progress, file, at_once, n_clients))


async def _run(
    path: Path,
    load: "LoadOptions",
    asked: "Asked",
    paths: "Paths",
    progress: "Progress",
    file: AnswerFile,
    at_once: int,
    n_clients: int,
) -> Ran:
    from chatapp.cli.setting import make_client
    from chatapp.evaluate.tasks import answer_all

    # an engine does one request after the other: a server is asked by several of them
    clients = [make_client(paths) for _ in range(n_clients)]
    stop = _watch_interrupts()
    total = len(asked.questions)

    def hear(answer: "Answer", done: int) -> None:
        file.add(answer)
        progress.show_answered(done, total)

    try:
        model = await _load_all(clients, load, progress)
        started = time.monotonic()
        progress.show_answered(0, total)
        answers = await answer_all(
            clients, asked.questions, asked.way, at_once=at_once, on_answer=hear, stop=stop
        )
        seconds = time.monotonic() - started
    finally:
        progress.clear()
        await asyncio.gather(*(client.stop() for client in clients))
    if answers.error is not None and not answers.answers:
        raise answers.error
    return Ran(path=path, model=model, answers=answers, at_once=at_once, seconds=seconds)


async def _load_all(
    clients: "list[EngineClient]", load: "LoadOptions", progress: "Progress"
) -> "ModelDescription":
    model = await clients[0].load(load, progress.show_load)
    progress.notice(model.notices)
    await asyncio.gather(*(client.load(load) for client in clients[1:]))
    return model


def _watch_interrupts() -> asyncio.Event:
    """An event that the first Ctrl+C sets; the second ends everything."""
    stop, loop, task = asyncio.Event(), asyncio.get_running_loop(), asyncio.current_task()

    def hear() -> None:
        if stop.is_set() and task is not None:
            task.cancel()
        stop.set()

    try:
        loop.add_signal_handler(signal.SIGINT, hear)
    except NotImplementedError:  # Windows
        signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(hear))
    return stop
