"""Which program runs a language here."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass

from chatapp.errors import UsageError
from chatapp.text import strip_controls

Find = Callable[[str], str | None]
"""Where a program lies, as `shutil.which` says it."""


@dataclass(frozen=True, slots=True)
class Language:
    """A language, by all that stands behind fences for it."""

    name: str
    names: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]
    """The first whose program is installed runs it; the file's name is put behind."""
    extension: str


@dataclass(frozen=True, slots=True)
class Program:
    """What runs a piece of code."""

    language: str
    command: tuple[str, ...]
    """Program and arguments, with the file's name at the end."""
    file: str
    """The name of the file that the code is written into."""


LANGUAGES: tuple[Language, ...] = (
    Language("Python", ("python", "py", "python3"), (("python3",), ("python",)), "py"),
    Language("Bash", ("bash",), (("bash",),), "sh"),
    Language("shell", ("sh", "shell"), (("sh",), ("bash",)), "sh"),
    Language("Zsh", ("zsh",), (("zsh",),), "zsh"),
    Language("fish", ("fish",), (("fish",),), "fish"),
    Language("PowerShell", ("powershell", "pwsh", "ps1"), (("pwsh", "-File"),), "ps1"),
    Language("JavaScript", ("javascript", "js", "node"), (("node",), ("bun", "run")), "js"),
    Language("JavaScript", ("mjs",), (("node",), ("bun", "run")), "mjs"),
    Language("TypeScript", ("typescript", "ts"), (("deno", "run"), ("bun", "run"), ("tsx",)), "ts"),
    Language("Ruby", ("ruby", "rb"), (("ruby",),), "rb"),
    Language("Perl", ("perl", "pl"), (("perl",),), "pl"),
    Language("PHP", ("php",), (("php",),), "php"),
    Language("Lua", ("lua",), (("lua",), ("luajit",)), "lua"),
    Language("R", ("r", "rscript"), (("Rscript",),), "R"),
    Language("Julia", ("julia", "jl"), (("julia",),), "jl"),
)

_SESSIONS = ("console", "pycon", "shell-session", "terminal", "doctest")
"""What was typed and what came of it, in one: nothing runs that."""

EXTENSIONS = {
    **{name: language.extension for language in LANGUAGES for name in language.names},
    "c": "c", "cpp": "cpp", "c++": "cpp", "csharp": "cs", "cs": "cs", "css": "css", "csv": "csv",
    "diff": "diff", "patch": "diff", "dockerfile": "dockerfile", "go": "go", "haskell": "hs",
    "html": "html", "ini": "ini", "java": "java", "json": "json", "kotlin": "kt", "latex": "tex",
    "tex": "tex", "makefile": "mk", "markdown": "md", "md": "md", "rust": "rs", "rs": "rs",
    "scala": "scala", "sql": "sql", "svg": "svg", "swift": "swift", "toml": "toml", "xml": "xml",
    "yaml": "yaml", "yml": "yaml",
}  # fmt: skip
"""How a file of a language ends."""


def find_program(language: str, code: str, find: Find = shutil.which) -> Program:
    """What runs `code`, whose fence says `language`; `UsageError` where nothing here does."""
    wanted = language.lower() or _name_of_shebang(code)
    if not wanted:
        raise UsageError(
            "The block does not say what language it is in.",
            "Save it in a file, or ask the model to name the language behind the fence.",
        )
    shown = strip_controls(wanted)
    if wanted in _SESSIONS:
        raise UsageError(
            f"A {shown} block is what was typed with what came of it; it cannot be run."
        )
    known = next((one for one in LANGUAGES if wanted in one.names), None)
    if known is None:
        raise UsageError(f"chatapp does not know how to run {shown}.", "Save the block in a file.")
    file = f"main.{known.extension}"
    for program, *arguments in known.commands:
        path = find(program)
        if path is None and program == "python" and sys.executable:
            path = sys.executable
        if path is not None:
            return Program(known.name, (path, *arguments, file), file)
    names = " or ".join(command[0] for command in known.commands)
    raise UsageError(
        f"Nothing here runs {known.name}: {names} is not installed.", "Save the block in a file."
    )


def _name_of_shebang(code: str) -> str:
    """`python` for `#!/usr/bin/env python3`."""
    first = code.split("\n", 1)[0]
    if not first.startswith("#!"):
        return ""
    words = [word.rpartition("/")[2] for word in first[2:].split()]
    words = [word for word in words if word != "env" and not word.startswith("-")]
    return words[0].rstrip("0123456789.") if words else ""
