"""Which program runs a block, or why none does."""

import pytest

from chatapp.errors import UsageError
from chatapp.running.programs import find_program


def here(*names: str):
    return lambda name: f"/bin/{name}" if name in names else None


def test_the_first_program_that_is_installed_runs_it():
    assert find_program("JS", "", here("node")).command == ("/bin/node", "main.js")
    assert find_program("js", "", here("bun")).command == ("/bin/bun", "run", "main.js")
    assert find_program("py", "", here("python3")).command == ("/bin/python3", "main.py")
    assert find_program("sh", "", here("bash")).language == "shell"


def test_python_is_there_when_no_other_is():
    assert find_program("python", "", here()).file == "main.py"


def test_a_shebang_names_the_language():
    assert find_program("", "#!/usr/bin/env python3.12\n", here("python3")).language == "Python"
    assert find_program("", "#!/bin/bash -e\n", here("bash")).language == "Bash"


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("", "does not say what language"),
        ("rust", "does not know how to run rust"),
        ("ruby", "Nothing here runs Ruby: ruby is not installed"),
        ("console", "cannot be run"),
        ("evil\x1b[2J", "does not know how to run evil."),
    ],
)
def test_what_cannot_be_run_says_why(language: str, said: str):
    with pytest.raises(UsageError) as caught:
        find_program(language, "x", here())
    assert said in str(caught.value)
