"""What went wrong with a remote server, in one sentence and with what to do about it.

The server's own words are passed on, cleaned and short, and never with the key in them.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import httpx2

from chatapp.engine.chunks import message_of, parameter_in
from chatapp.engine.server_events import read_body
from chatapp.errors import ConnectionLostError, ContextOverflowError, EngineError, UsageError
from chatapp.network import explain_tls
from chatapp.remotes import Remote

_REFUSALS = (400, 422)
_TEMPLATE = re.compile(r"chat template|system role|roles? must alternate", re.IGNORECASE)
"""What a template cannot do is a refusal, though llama-server calls it its own failure."""
_OVERFLOW = re.compile(
    r"context.*(length|exceed|too long|too large)|(exceed|too long).*context", re.I
)
_MOST_WORDS = 300


class RefusedError(UsageError):
    """The server does not take the request as it is."""

    def __init__(
        self, message: str, hint: str = "", *, words: str = "", parameter: str = ""
    ) -> None:
        super().__init__(message, hint)
        self.words = words
        """What the server said."""
        self.parameter = parameter
        """What it blames, if it has a field for that."""


class OverflowedError(ContextOverflowError, EngineError):
    """The server's context is too short."""


class Faults:
    """Makes the errors of one remote."""

    def __init__(self, remote: Remote, key: str) -> None:
        self._remote = remote
        self._key = key

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """What httpx2 raises inside becomes a sentence."""
        host = self._remote.host
        try:
            yield
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
            if known := explain_tls(error):
                reason, hint = known
                raise ConnectionLostError(f"{host} cannot be trusted: {reason}.", hint) from None
            raise ConnectionLostError(
                f"{host} cannot be reached: {self.clean(str(error)) or 'no answer'}.",
                "Is the server running? The next message tries again.",
            ) from None
        except httpx2.TimeoutException:
            raise ConnectionLostError(f"{host} has stopped answering.", "Try again.") from None
        except (httpx2.HTTPError, httpx2.InvalidURL):
            raise ConnectionLostError(
                f"The connection to {host} was lost.", "The next message tries again."
            ) from None

    def check_status(self, got: httpx2.Response) -> None:
        """Raise what a status that is none of success means."""
        if not got.is_success:
            raise self._of_status(got, read_body(got.iter_bytes()))

    def _of_status(self, got: httpx2.Response, body: bytes) -> EngineError | UsageError:
        status = got.status_code
        words = _end_sentence(self.clean(message_of(body)))
        host = self._remote.host
        if status in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
            what = "does not accept the key" if self._key else "wants a key"
            return EngineError(
                f"{host} {what}.",
                f"Put it into {self._remote.variable}, or into the keyring: "
                f"chatapp models add-remote {self._remote.name} {self._remote.url} --keyring",
            )
        if got.is_redirect:
            return EngineError(
                f"{host} sends us elsewhere, which is not followed.",
                "Give the address it really has with `chatapp models add-remote`.",
            )
        if status == httpx2.codes.NOT_FOUND:
            return EngineError(
                f"{self._remote.url} is not the address of an OpenAI-compatible server.",
                "It usually ends in /v1.",
            )
        if _OVERFLOW.search(words):
            return self.said(words)
        if status in _REFUSALS or _TEMPLATE.search(words):
            return RefusedError(
                f"The server refused the request: {words}",
                words=words,
                parameter=parameter_in(body),
            )
        if status == httpx2.codes.TOO_MANY_REQUESTS:
            return EngineError(f"{host} is busy: {words}", "Try again later.")
        return EngineError(f"{host} answered with status {status}: {words}")

    def said(self, words: str) -> EngineError:
        """The error in what a server says in place of an answer, or of the rest of one."""
        words = _end_sentence(self.clean(words))
        if _OVERFLOW.search(words):
            return OverflowedError(f"The server says: {words}", "Shorten it or start a new chat.")
        return EngineError(f"The server says: {words}")

    def not_a_server(self) -> EngineError:
        """The answer is none that we know."""
        return EngineError(
            f"{self._remote.host} does not answer as an OpenAI-compatible server does.",
            "Check the address: it usually ends in /v1.",
        )

    def clean(self, text: str) -> str:
        """A stranger's words in one short line, without the key if they repeat it."""
        text = text.replace(self._key, "…") if self._key else text
        line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return line if len(line) <= _MOST_WORDS else line[: _MOST_WORDS - 1] + "…"


def _end_sentence(words: str) -> str:
    """The words with a full stop, for a hint may follow."""
    return words if not words or words[-1] in ".!?…" else f"{words}."
