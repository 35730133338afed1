"""Every preset there is: those that came with chatapp, and the files of a folder.

A file of one's own takes the place of a ready-made one of the same name, even while it cannot be
read: then asking for that name says what is wrong with it. One bad file hides no other.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from chatapp.config import nearest
from chatapp.errors import ConfigError, UsageError
from chatapp.paths import expand_home
from chatapp.presets.preset import Preset
from chatapp.presets.reading import read_preset
from chatapp.text import one_line, whole_text

SUFFIX = ".toml"
OFF = "off"
"""What takes a preset away; no preset can be called so."""
READY_MADE = Path(__file__).parent / "ready"


@dataclass(frozen=True, slots=True)
class Shelf:
    """The presets of a folder, and the ready-made ones."""

    folder: Path
    presets: dict[str, Preset] = field(default_factory=dict)
    """By name, in the order of their names."""
    broken: dict[str, ConfigError] = field(default_factory=dict)
    """Why a file with that name cannot be used."""
    notes: list[str] = field(default_factory=list)
    """Sentences on what was passed over."""

    def find(self, name: str) -> Preset:
        """The preset of that name, or in that file; an error says what is wrong, or which ones
        there are."""
        if name in self.broken:
            raise self.broken[name]
        if name in self.presets:
            return self.presets[name]
        if name.endswith(SUFFIX) or os.sep in name:
            return read_preset(expand_home(name).absolute())
        known = [*self.presets, *self.broken]
        raise UsageError(
            f"There is no preset {one_line(name)!r}.",
            nearest(name, known, f"These are: {', '.join(sorted(known))}.")
            + f" Your own are files in {self.folder}.",
        )


def read_shelf(folder: Path) -> Shelf:
    """Read every preset; what cannot be read is noted."""
    shelf = Shelf(folder)
    found = {path.stem: read_preset(path, ready_made=True) for path in _list(READY_MADE)}
    try:
        own = _list(folder)
    except (FileNotFoundError, NotADirectoryError):
        own = []
    except OSError as error:
        shelf.notes.append(f"{folder} cannot be read: {error.strerror}.")
        own = []
    for path in own:
        name = path.stem
        if whole_text(name) != name:
            shelf.notes.append(f"{path} is passed over: its name is not UTF-8.")
        elif name == OFF:
            shelf.notes.append(f"{path} is passed over: {OFF} means no preset.")
        else:
            found.pop(name, None)
            try:
                found[name] = read_preset(path)
            except ConfigError as error:
                shelf.broken[name] = error
                shelf.notes.append(f"{name} is passed over: {error.message}")
    shelf.presets.update(sorted(found.items()))
    return shelf


def _list(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix == SUFFIX and not path.name.startswith(".") and not path.is_dir()
    )
