"""Which pattern of a PEFT configuration holds for which module.

It promises peft's own rule: the first pattern, in the file's order, that matches the end of a
module's name from a dot on (`get_pattern_key` of peft 0.21). A pattern is a regular expression that
somebody else wrote, and Python cannot stop one that runs for years: those that could are matched
in a child process, which can be stopped.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence

from convert.errors import CheckpointError

MAX_PATTERNS = 20_000
MAX_LENGTH = 1000  # characters of a pattern
MAX_SECONDS = 20.0
# Without these an expression takes no longer than the name it is matched with.
_BRANCHING = re.compile(r"[*+?{(|]")
_CHILD = """
import json, re, sys
patterns, names = json.load(sys.stdin)
found = []
for name in names:
    fits = (i for i, p in enumerate(patterns) if re.match(rf"(.*\\.)?({p})$", name))
    found.append(next(fits, -1))
print(json.dumps(found))
"""


def match(patterns: Sequence[str], names: Sequence[str], key: str) -> list[int]:
    """For each of `names` the index of the first pattern that holds, or -1.

    `key` is what the configuration calls them. Raises `CheckpointError`.
    """
    if len(patterns) > MAX_PATTERNS or any(len(pattern) > MAX_LENGTH for pattern in patterns):
        raise CheckpointError(f"{key} has too many patterns, or one that is too long.")
    for pattern in patterns:
        _check(pattern, key)
    if any(_BRANCHING.search(pattern) for pattern in patterns):
        return _match_apart(patterns, names, key)
    compiled = [re.compile(rf"(.*\.)?({pattern})$") for pattern in patterns]
    return [
        next((i for i, known in enumerate(compiled) if known.match(name)), -1) for name in names
    ]


def _check(pattern: str, key: str) -> None:
    try:
        re.compile(rf"(.*\.)?({pattern})$")
    except (re.error, OverflowError, RecursionError):
        raise CheckpointError(
            f"{key} has {pattern[:60]!r}, which is no regular expression.",
            "Mend adapter_config.json.",
        ) from None


def _match_apart(patterns: Sequence[str], names: Sequence[str], key: str) -> list[int]:
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _CHILD],
            input=json.dumps([list(patterns), list(names)]),
            capture_output=True,
            text=True,
            check=True,
            timeout=MAX_SECONDS,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        raise CheckpointError(
            f"{key} has expressions too intricate: matching them took more than "
            f"{MAX_SECONDS:.0f} seconds.",
            "Write the modules' names in adapter_config.json.",
        ) from None
    found: list[int] = json.loads(done.stdout)
    return found
