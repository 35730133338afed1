"""The first run on an empty home: from the command to the first word of a model that was fetched.

A hub on loopback has what chatapp suggests for this machine; the file is the built-in model with
bytes behind its end, so that its answer is known. In a pseudo-terminal of 80x24: Enter on the
first suggestion, Enter to fetch it, a question typed while it comes, Enter. Reported: how many
times Enter was pressed, and seconds.

    python -m bench.first_run [--megabytes 300] [--rounds 3]
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bench.screen import QUESTION, Terminal, first_words
from chatapp.library.suggestions import read_suggestions
from chatapp.paths import BUILTIN_MODEL
from tests.hub.server import Hub, Repo


def run_once(home: Path, word: str) -> tuple[float, float, float]:
    """(seconds to the suggestions, seconds of the download, seconds from its end to a word)."""
    terminal = Terminal([sys.executable, "-m", "chatapp"], str(home))
    offered = terminal.wait_for("To fetch from the hub") - terminal.started
    terminal.type("\r")
    terminal.wait_for("Enter fetches it")
    terminal.type("\r")
    began = time.time()
    terminal.wait_for("You can write already")
    terminal.type(QUESTION)
    terminal.wait_for("quit?")
    terminal.type("\r")
    terminal.wait_for(word)
    answered = time.time()
    terminal.close()
    (file,) = (home / "models").rglob("*.gguf")
    ended = file.stat().st_ctime  # it got its name when it was whole
    return offered, ended - began, answered - ended


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    data = BUILTIN_MODEL.read_bytes()
    data += random.Random(1).randbytes(10**6) * (arguments.megabytes - len(data) // 10**6)
    rows = []
    with Hub() as hub, tempfile.TemporaryDirectory() as scratch:
        for one in read_suggestions():
            hub.repos[one.repo] = Repo({"model-Q8_0.gguf": data}, licence=one.licence)
        os.environ |= {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}
        for number in range(arguments.rounds):
            home = Path(scratch) / str(number)
            home.mkdir()
            (home / "config.toml").write_text("[sampling]\ntemperature = 0.0\n")
            word = first_words(str(home), [])
            rows.append(run_once(home, word))
    offered, fetched, answered = (statistics.median(row) for row in zip(*rows, strict=True))
    print("Enter was pressed 3 times")
    print(f"command to suggestions          {offered:.2f} s")
    print(f"{len(data) / 1e6:.0f} MB fetched, checked         {fetched:.2f} s")
    print(f"whole file to the first word    {answered:.2f} s")


if __name__ == "__main__":
    main()
