"""What other programs take for the same actions: `peers.toml`, checked against our actions."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("peers.toml")


@dataclass(frozen=True, slots=True)
class Peer:
    """A program, and its keys for each action it can do."""

    name: str
    known: str
    """Where the numbers are from."""
    keys: Mapping[str, int]
    how: Mapping[str, str]


def read_peers(path: Path = FILE) -> list[Peer]:
    """The peers of a file, in its order."""
    with path.open("rb") as file:
        written = tomllib.load(file)
    return [_read(peer) for peer in written["peers"]]


def _read(peer: dict[str, Any]) -> Peer:
    actions = peer["actions"].items()
    return Peer(
        peer["name"],
        peer["known"],
        {name: int(one["keys"]) for name, one in actions},
        {name: str(one["how"]) for name, one in actions},
    )


def best(peers: list[Peer], action: str) -> tuple[int, str] | None:
    """The fewest keys for an action and who needs them; None where nobody can do it."""
    found = [(peer.keys[action], peer.name) for peer in peers if action in peer.keys]
    if not found:
        return None
    fewest = min(keys for keys, _ in found)
    return fewest, ", ".join(name for keys, name in found if keys == fewest)
