"""Where chatapp keeps its files.

`CHATAPP_HOME` moves everything under one folder. Without it each kind of file goes where the
system wants it (platformdirs: XDG on Linux, `~/Library` on macOS). Nothing is created here: the
one who writes a file makes its folder.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

from chatapp.text import whole_text

_ADDRESS = "file://"

BUILTIN_MODEL = Path(__file__).parent / "builtin" / "model.gguf"
"""The model that ships inside the package."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Locations of one user's files."""

    data: Path
    """History and models."""
    config: Path
    """Settings."""
    state: Path
    """Logs."""

    @property
    def history(self) -> Path:
        """The SQLite file with every conversation."""
        return self.data / "history.db"

    @property
    def draft(self) -> Path:
        """What was being written when the screen ended."""
        return self.data / "draft.txt"

    @property
    def models(self) -> Path:
        """The folder where a dropped GGUF file is found."""
        return self.data / "models"

    @property
    def converted(self) -> Path:
        """Model files that were made of checkpoints which were named in place of one."""
        return self.data / "converted"

    @property
    def settings(self) -> Path:
        """The TOML file with every setting."""
        return self.config / "config.toml"

    @property
    def presets(self) -> Path:
        """The folder with the user's presets."""
        return self.config / "presets"

    @property
    def headers(self) -> Path:
        """What model files say of themselves, remembered."""
        return self.state / "headers.json"

    @property
    def engine_log(self) -> Path:
        """What llama.cpp printed, newest run last."""
        return self.state / "engine.log"

    @property
    def screen_log(self) -> Path:
        """What went wrong in the screen that nobody expected, newest last."""
        return self.state / "screen.log"


def find_paths() -> Paths:
    """Locations from `CHATAPP_HOME` if it is set, else the system's usual ones."""
    home = os.environ.get("CHATAPP_HOME")
    if home:
        root = expand_home(home).absolute()
        return Paths(data=root, config=root, state=root / "logs")
    from platformdirs import PlatformDirs

    dirs = PlatformDirs("chatapp", appauthor=False)
    return Paths(
        data=Path(dirs.user_data_dir),
        config=Path(dirs.user_config_dir),
        state=Path(dirs.user_log_dir),
    )


def spell_path(path: Path) -> str:
    """`path` as text that JSON, TOML and SQLite can hold, and `read_path` reads.

    That is the path itself, or its `file://` address where its bytes are not UTF-8: Python has half
    surrogates in their place, which none of these take.
    """
    text = str(path)
    return path.absolute().as_uri() if whole_text(text) != text else text


def read_path(text: str | Path) -> Path:
    """The path that `spell_path` has spelled, or that a person gave, perhaps with `~`."""
    if str(text).startswith(_ADDRESS):
        return Path(os.fsdecode(unquote_to_bytes(str(text).removeprefix(_ADDRESS))))
    return expand_home(text)


def expand_home(text: str | Path) -> Path:
    """`~` as the shell has it; left alone where there is no such user (`Path.expanduser` fails)."""
    return Path(os.path.expanduser(text))  # noqa: PTH111


def sees_file(path: Path) -> bool:
    """Whether there is a file; not where one may not look (Python 3.11's `is_file` fails there)."""
    return os.path.isfile(path)  # noqa: PTH113


def sees(path: Path) -> bool:
    """The same for anything of that name; not for a name that no file can have."""
    return os.path.exists(path)  # noqa: PTH110


def sees_folder(path: Path) -> bool:
    """The same for a folder."""
    return os.path.isdir(path)  # noqa: PTH112
