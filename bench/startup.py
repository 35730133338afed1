"""Start-up: wall time of `chatapp --help` against a bare interpreter, in turn; and what it imports.

python -m bench.startup [--rounds 15]
"""

import argparse
import statistics
import subprocess
import sys
import time

HEAVY = ("textual", "rich", "sqlite_utils", "huggingface_hub", "numpy", "llama_cpp", "torch")


def wall(*arguments: str) -> float:
    """Seconds of one run of the interpreter."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def heavy_imports(*arguments: str) -> list[str]:
    """Which of the heavy libraries `python -m chatapp ARGUMENTS` loads."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "chatapp", *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    return [name for name in HEAVY if name in loaded]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    pairs = [(wall("-c", "pass"), wall("-m", "chatapp", "--help")) for _ in range(rounds)]
    bare, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"python -c pass    {bare * 1000:6.0f} ms")
    print(f"chatapp --help    {ours * 1000:6.0f} ms, {ours / bare:.1f} times as long")
    print(f"heavy libraries loaded by --help: {heavy_imports('--help') or 'none'}")


if __name__ == "__main__":
    main()
