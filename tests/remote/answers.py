"""What a scripted server answers: bodies made of chunks, in shapes that servers are met with."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

from chatapp.answer import AnswerState, apply
from chatapp.engine.backend import Cancellation
from chatapp.engine.protocol import Delta, Event, Finished, Generate, LoadOptions, ModelDescription
from chatapp.engine.remote import RemoteBackend

Answer = Callable[[BaseHTTPRequestHandler], None]


def says(status: int, body: bytes | str = b"", **headers: str) -> Answer:
    """One body, whole."""
    data = body.encode() if isinstance(body, str) else body

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def says_in_pieces(pieces: list[bytes]) -> Answer:
    """A body that arrives in pieces."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        for piece in pieces:
            handler.wfile.write(piece)
            handler.wfile.flush()

    return answer


def streams(*lines: object, done: bool = True) -> Answer:
    """An event for each chunk."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    texts += ["[DONE]"] if done else []
    return says(200, "".join(f"data: {text}\n\n" for text in texts))


def delta(text: str, **more: object) -> dict[str, object]:
    """A chunk with text."""
    return {"choices": [{"index": 0, "delta": {"content": text}, **more}]}


def adds(finish: str | None = None, **facts: object) -> dict[str, object]:
    """A chunk whose delta has these facts."""
    return {"choices": [{"index": 0, "delta": facts, "finish_reason": finish}]}


END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


class Asking:
    """A remote's backend in our own process, and the answer as far as it has come."""

    def __init__(self) -> None:
        self.backend = RemoteBackend()
        self.state = AnswerState()

    def load(self, path: str = "remote:lab") -> ModelDescription:
        """Ask the server what it has."""
        return self.backend.load(LoadOptions(path=path), lambda _: None)

    def ask(self, request: Generate) -> AnswerState:
        """The answer as screen, store and JSON have it: its end changes nothing in its parts."""
        self.state = AnswerState()
        done = self.backend.generate(request, self._take, Cancellation())
        streamed = self.state.parts
        self._take(done)
        assert self.state.parts == streamed
        return self.state

    def _take(self, event: Event) -> None:
        assert isinstance(event, Delta | Finished)
        self.state = apply(self.state, event)
