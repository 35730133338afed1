"""Models on other machines: OpenAI-compatible servers that the user has named.

A remote is a name, an address and a model there. Its key is never written here: it is read from an
environment variable, or from the system's keyring, in the moment it is needed.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from chatapp.errors import ConfigError, UsageError
from chatapp.gguf.replacing import write_whole
from chatapp.paths import Paths

PREFIX = "remote:"
"""What a model's name begins with when it is a remote."""
SERVICE = "chatapp"
"""The keyring's name for us."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}")


@dataclass(frozen=True, slots=True)
class Remote:
    """One server and one of its models."""

    name: str
    url: str
    """Its base address, `/v1` included where the server has it."""
    model: str = ""
    """The model there; empty: the only one it serves."""
    key_env: str = ""
    """The environment variable with the key; empty: `CHATAPP_KEY_<NAME>`, else the keyring."""

    @property
    def title(self) -> str:
        """What the model there is called: `lab: qwen3`; `lab`, as long as nobody has asked which
        it serves."""
        return name_remote(self.name, self.model)

    @property
    def host(self) -> str:
        """Where text goes, as in `example.org:8000`."""
        return urlsplit(self.url).netloc

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        return _is_this_machine(urlsplit(self.url).hostname or "")

    @property
    def variable(self) -> str:
        """The environment variable that is read for the key."""
        return self.key_env or "CHATAPP_KEY_" + re.sub(r"\W", "_", self.name).upper()

    def read_key(self) -> str:
        """The key, empty when there is none. `UsageError` when it can be none."""
        key = os.environ.get(self.variable, "")
        if key or self.key_env:
            return clean_key(key, self.variable)
        try:
            import keyring
        except ImportError:
            return ""
        try:
            key = keyring.get_password(SERVICE, self.name) or ""
        except Exception:  # noqa: BLE001 -- every backend has errors of its own; no key is no key
            return ""
        return clean_key(key, "the keyring")

    def forget_key(self) -> None:
        """Take the key out of the keyring, if it is there."""
        with contextlib.suppress(Exception):
            import keyring

            keyring.delete_password(SERVICE, self.name)


def name_remote(name: str, model: str) -> str:
    """What a model on another machine is called."""
    return f"{name}: {model.rpartition('/')[2]}" if model else name


def clean_key(key: str, source: str) -> str:
    """A key without the space around it. `UsageError` says what in it no request can carry, and
    where it was read, but not the key."""
    key = key.strip().strip("\ufeff\u200b")
    for place, character in enumerate(key, 1):
        if not "!" <= character <= "~":
            raise UsageError(
                f"The key in {source} cannot be sent: character {place} of {len(key)} is "
                f"{_describe_character(character)}.",
                "Copy it once more, the key alone.",
            )
    return key


def _describe_character(character: str) -> str:
    if character in "\r\n":
        return "a line break"
    if character.isspace():
        return "a space"
    return "not ASCII" if character > "~" else "a control character"


_NAMES_OF_LOOPBACK = {
    *("localhost", "localhost.localdomain", "localhost4", "localhost6"),
    *("ip6-localhost", "ip6-loopback"),
}


def _is_this_machine(host: str) -> bool:
    """Whether a name or an address means the machine we are on. Nobody else is asked."""
    host = host.lower().rstrip(".").partition("%")[0]  # an interface may stand behind an address
    own = socket.gethostname().lower().rstrip(".")
    short = own.partition(".")[0]
    if host in {*_NAMES_OF_LOOPBACK, own, short, f"{short}.local"} or host.endswith(".localhost"):
        return True
    try:
        if ":" not in host:  # as the resolver reads them: 127.1 and 0x7f000001 are loopback too
            host = socket.inet_ntoa(socket.inet_aton(host))
        address = ip_address(host)
    except (OSError, ValueError):
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified or _is_own(address)


def _is_own(address: IPv4Address | IPv6Address) -> bool:
    """Whether an interface of this machine has the address: a socket can be bound to it. Nothing
    is sent."""
    if address.is_multicast or address.is_link_local:  # a link's address needs its interface
        return False
    kind = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(kind, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def make_remote(name: str, url: str, model: str = "", key_env: str = "") -> Remote:
    """A remote from what a person typed. `UsageError` says what is wrong with it."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name.", "Use letters, digits, `.`, `-` and `_`.")
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        _ = parts.port
    except ValueError:
        raise UsageError(
            f"{url} is no address.", "It looks like http://127.0.0.1:8000/v1."
        ) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise UsageError(f"{url} is no address.", "It looks like http://127.0.0.1:8000/v1.")
    if parts.username or parts.password:
        raise UsageError("An address must not hold a password.", "Put the key into --key-env.")
    path = parts.path.rstrip("/") or "/v1"
    return Remote(name, f"{parts.scheme}://{parts.netloc}{path}", model, key_env)


def read_remotes(paths: Paths) -> dict[str, Remote]:
    """Every remote by its name. `ConfigError` when the file is damaged."""
    try:
        data = _file(paths).read_bytes().removeprefix(codecs.BOM_UTF8)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{_file(paths)} cannot be read: {error.strerror}.") from error
    try:
        remotes = msgspec.json.decode(data, type=list[Remote])
    except msgspec.MsgspecError as error:
        raise ConfigError(
            f"{_file(paths)} is damaged: {error}.", "Mend or remove it, and add the servers again."
        ) from error
    return {remote.name: remote for remote in remotes}


def find_remote(name: str, paths: Paths) -> Remote:
    """The remote of that name, with or without `remote:`."""
    remotes = read_remotes(paths)
    plain = name.removeprefix(PREFIX)
    if plain in remotes:
        return remotes[plain]
    known = ", ".join(remotes) or "none yet"
    raise UsageError(
        f"There is no remote {plain}. There are: {known}.", "chatapp models add-remote NAME URL"
    )


def save_remotes(remotes: dict[str, Remote], paths: Paths) -> None:
    """Write them all, the file whole or not at all, for this user's eyes only."""
    target = _file(paths)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        text = msgspec.json.format(msgspec.json.encode(list(remotes.values())))
        write_whole(target, text + b"\n")
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}.") from error


def _file(paths: Paths) -> Path:
    return paths.config / "remotes.json"
