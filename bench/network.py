"""Start-up with the network cut: does chatapp wait for anything, or ask for anything?

In a network namespace of its own nothing is reachable, and its resolver takes every question and
never answers, which holds a program that asks for 10 s (that is checked first). There and outside,
in turn: seconds from `chatapp` to a screen that can be used, on an empty home, and from Enter to
the first word. And how many questions the resolver heard. Linux, and the right to make namespaces
(root, or unprivileged ones allowed).

    python -m bench.network [--rounds 5]
"""

import argparse
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from fcntl import ioctl
from pathlib import Path

from bench.screen import first_words, time_chat

_SIOCSIFFLAGS, _UP = 0x8914, 0x1


class SilentResolver:
    """A name server on loopback that hears and never answers."""

    def __init__(self) -> None:
        self.heard = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            self._socket.recv(512)
            self.heard += 1


def cut_the_network() -> SilentResolver:
    """Loopback alone, and a resolver that hangs. In new network and mount namespaces only."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _UP))
    with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as settings:
        settings.write("nameserver 127.0.0.1\n")
    subprocess.run(["mount", "--bind", settings.name, "/etc/resolv.conf"], check=True)
    resolver = SilentResolver()
    began = time.perf_counter()
    try:
        socket.getaddrinfo("huggingface.co", 443)
    except OSError:
        held = time.perf_counter() - began
    if held < 5 or not resolver.heard:
        raise RuntimeError(f"the resolver does not hang: {held:.1f} s")
    resolver.heard = 0
    return resolver


def measure() -> tuple[float, float]:
    """Seconds to a usable screen, and from Enter to the first word, on an empty home."""
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "config.toml").write_text("[sampling]\ntemperature = 0.0\n")
        return time_chat(home, [], first_words(home, []))


def run_inside() -> tuple[float, float, int]:
    """One measurement with the network cut, in a process of its own."""
    command = ["unshare", "--net", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
    done = subprocess.run(
        [*command, sys.executable, "-m", "bench.network", "--inside"],
        check=True,
        capture_output=True,
        text=True,
    )
    usable, answered, heard = json.loads(done.stdout.splitlines()[-1])
    return usable, answered, heard


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        resolver = cut_the_network()
        usable, answered = measure()
        print(json.dumps([usable, answered, resolver.heard]))
        return
    pairs = [(measure(), run_inside()) for _ in range(arguments.rounds)]
    for index, what in enumerate(("command to a usable screen", "Enter to the first word")):
        normal = statistics.median(pair[0][index] for pair in pairs)
        cut = statistics.median(pair[1][index] for pair in pairs)
        ratio = statistics.median(pair[1][index] / pair[0][index] for pair in pairs)
        print(f"{what:28} {normal:.2f} s, cut {cut:.2f} s, median of pairs {ratio:.2f}")
    print(f"questions to the resolver    {sum(pair[1][2] for pair in pairs)}")


if __name__ == "__main__":
    main()
