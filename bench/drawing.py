"""What drawing costs the model: tokens/s of an answer in the chat, in a real terminal of 80x24,
against the same answer by `chatapp ask`, which draws nothing.

Greedy, the same question and number of tokens, in turn; both figures are the engine's own, from the
first sampled token to the last. Reported: medians, and the median of the paired ratios. The aim is
at least 0.95. The faster the model, the harder: SmolLM2 (135 M) is the default.

    python -m bench.drawing [--model FILE] [--tokens 256] [--rounds 7]
"""

import argparse
import json
import os
import select
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.models import find_model
from bench.screen import Terminal

QUESTION = "Write a long list of fruits, each with a short description."
_TIMEOUT_S = 300.0


def ask(home: str, model: str) -> float:
    """Tokens/s without a screen."""
    command = [sys.executable, "-m", "chatapp", "ask", "--no-save", "--json", "--model", model]
    done = subprocess.run(
        [*command, QUESTION],
        env=os.environ | {"CHATAPP_HOME": home},
        check=True,
        capture_output=True,
        text=True,
    )
    return float(json.loads(done.stdout)["timings"]["decode_tokens_per_second"])


def last_speed(home: str) -> float:
    """Tokens/s of the last answer that ended, or 0."""
    found = [*Path(home).rglob("history.db")]
    if not found:
        return 0.0
    with sqlite3.connect(f"file:{found[0]}?mode=ro", uri=True) as store:
        rows = store.execute("select decode_tps from generations order by id desc limit 1")
        return float((rows.fetchone() or [0.0])[0] or 0.0)


def chat(home: str, model: str) -> float:
    """Tokens/s while the chat draws."""
    terminal = Terminal([sys.executable, "-m", "chatapp", "--model", model], home)
    terminal.wait_for("Write a message")
    terminal.wait_for("context")
    terminal.type(QUESTION)
    terminal.wait_for("description.")
    terminal.type("\r")
    deadline, speed = time.monotonic() + _TIMEOUT_S, 0.0
    while not speed and time.monotonic() < deadline:
        if select.select([terminal.fd], [], [], 0.25)[0]:
            os.read(terminal.fd, 65_536)
        else:  # nothing is drawn, so the answer has ended, or has not begun
            speed = last_speed(home)
    terminal.close()
    if not speed:
        raise TimeoutError(f"no answer within {_TIMEOUT_S:.0f} s")
    return speed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=find_model, default="smollm2")
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    model = options.model
    pairs = []
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory() as home:
            settings = f"[sampling]\ntemperature = 0.0\nmax_tokens = {options.tokens}\n"
            (Path(home) / "config.toml").write_text(settings)
            pairs.append((ask(home, model), chat(home, model)))
        without, drawing = pairs[-1]
        print(
            f"round {number + 1}, tok/s: without {without:.1f}, drawing {drawing:.1f}", flush=True
        )
    without, drawing = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(drawing / without for without, drawing in pairs)
    print(f"medians: without {without:.1f}, drawing {drawing:.1f}; median of ratios {ratio:.3f}")


if __name__ == "__main__":
    main()
