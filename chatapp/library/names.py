"""What a model is called, wherever one is named: lists, the screen, answers, exports, notices.

A model file has the name that `chatapp.gguf.naming` makes of its header, with the quantisation; a
remote its own name and its model's. The engine says the same of what it has loaded. What is said
here means that model wherever one is asked for (`resolve_model`).
"""

from collections.abc import Mapping
from pathlib import Path

from chatapp.errors import ChatAppError
from chatapp.gguf.naming import name_model
from chatapp.library.headers import Headers
from chatapp.library.local import ModelFile
from chatapp.paths import Paths, spell_path
from chatapp.remotes import PREFIX, find_remote, read_remotes


class Names:
    """Reads names out of headers, which are remembered as long as this lives."""

    def __init__(
        self,
        paths: Paths,
        headers: Headers | None = None,
        known: Mapping[str, str] | None = None,
    ) -> None:
        """`headers` are read with; without them, with those that are remembered on the disk.
        `known` are names by path, as the engine has told them: of a server it knows the model."""
        self._paths = paths
        self._known = known or {}
        self._headers = headers or Headers(paths.headers)

    def of(self, path: Path) -> str:
        """What the model at `path` is called; a file that cannot be read by its own name."""
        if name := self._known.get(spell_path(path)):
            return name
        try:
            if str(path).startswith(PREFIX):
                return find_remote(str(path), self._paths).title
            return self._headers.read(path).name
        except ChatAppError:
            return name_unread(path)

    def find(self, wanted: str, files: list[ModelFile]) -> list[Path]:
        """The models that are called so, in any case, remotes too."""
        plain = wanted.casefold()
        found = [file.path for file in files if self.of(file.path).casefold() == plain]
        self._headers.save()
        try:
            remotes = read_remotes(self._paths).values()
        except ChatAppError:  # `models list` says what is wrong with their file
            return found
        return found + [
            Path(f"{PREFIX}{one.name}") for one in remotes if one.title.casefold() == plain
        ]


def name_unread(path: Path) -> str:
    """What a model is called as long as nobody has looked inside."""
    return str(path) if str(path).startswith(PREFIX) else name_model(lambda _: "", path)


def list_remotes(paths: Paths) -> list[ModelFile]:
    """Models on other machines; none when their file is damaged, which `models list` says."""
    try:
        remotes = read_remotes(paths).values()
    except ChatAppError:
        return []
    return [
        ModelFile(Path(f"{PREFIX}{one.name}"), f"{PREFIX}{one.name}", 0, f"text goes to {one.host}")
        for one in remotes
    ]
