"""What the installed llama.cpp is and sees, asked of a child process so that it cannot hurt us."""

import subprocess
from typing import Any

import msgspec

from chatapp.engine.process import worker_command
from chatapp.errors import EngineError
from chatapp.gguf.fit import Machine, read_machine

_TIMEOUT_S = 60.0


def probe() -> dict[str, Any]:
    """Facts from `chatapp.engine.llama.devices.describe`; `EngineError` when it cannot run."""
    try:
        done = subprocess.run(
            worker_command("--describe"),
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EngineError(f"llama.cpp did not start within {_TIMEOUT_S:.0f} s.") from None
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no output"]
        raise EngineError(
            f"llama.cpp does not start: {lines[-1]}",
            "Install it again: pip install --force-reinstall llama-cpp-python",
        )
    facts: dict[str, Any] = msgspec.json.decode(done.stdout)
    return facts


def look_at_machine() -> Machine | None:
    """Memory and GPUs as llama.cpp sees them; None when it does not start.

    `chatapp doctor` says why; models can be listed and fetched without it.
    """
    try:
        return read_machine(probe())
    except EngineError:
        return None
