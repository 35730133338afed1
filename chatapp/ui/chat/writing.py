"""What goes on in the prompt beside typing: the editor, files before the model, earlier prompts."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from chatapp.commands.completion import Named, Sources
from chatapp.errors import ChatAppError, UsageError
from chatapp.gguf.size import size_text
from chatapp.library.local import find_models
from chatapp.library.names import Names, list_remotes
from chatapp.material.mentions import mention
from chatapp.material.text_files import folder_here, read_text_file
from chatapp.paths import expand_home
from chatapp.presets.preset import Preset
from chatapp.presets.shelf import read_shelf
from chatapp.ui.chat.commands import Does
from chatapp.ui.chat.desk import Desk
from chatapp.ui.setup import ChatSetup
from chatapp.ui.widgets.prompt import PromptBox


class Writing:
    """The prompt's commands, and what the prompt has to ask the store for."""

    def __init__(self, setup: ChatSetup, desk: Desk, prompt: PromptBox) -> None:
        self._setup = setup
        self._store = setup.store
        self._desk = desk
        self._prompt = prompt
        prompt.find_earlier = self._find_earlier
        prompt.sources = self._sources
        self.commands: dict[str, Does] = {
            "edit": lambda _: desk.work_on(prompt.action_edit_in_editor(), group="editor"),
            "prompts": lambda args: desk.work_on(
                prompt.action_search_prompts(args), group="editor"
            ),
            "attach": self.attach,
        }

    def attach(self, args: str) -> None:
        """`/attach FILE`: name it in the message, as `@file` does."""
        path = expand_home(args.strip("\"'"))
        try:
            file = read_text_file(path, str(path))
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
        self._prompt.type(f"{mention(str(path))} ")
        self._prompt.named.add([str(path)])
        self._desk.say(f"{file.summary}. It goes before the model with this message.")

    def _find_earlier(self, query: str, limit: int) -> list[str]:
        return [prompt.text for prompt in self._store.prompts.list_sent(query, limit)]

    def _sources(self) -> Sources:
        """What commands take; read anew for each list, and once in it."""
        return Sources(
            models=cache(self._list_models),
            presets=cache(self._list_presets),
            tags=cache(self._list_tags),
            themes=self._desk.list_themes,
            folder=folder_here() or Path.home(),
        )

    def _list_models(self) -> list[Named]:
        """By the name that is told everywhere; where two have the same one, by their paths."""
        paths = self._setup.paths
        found = find_models(paths, self._setup.config.library.folders) + list_remotes(paths)
        loaded = self._setup.client.model
        names = Names(paths, known={loaded.path: loaded.name} if loaded else {})
        told = [names.of(one.path) for one in found]
        listed = []
        for one, name in zip(found, told, strict=True):
            size = f"{size_text(one.size_bytes)} · " if one.size_bytes else ""
            written = name if told.count(name) == 1 else str(one.path)
            file = "" if one.source == "built-in" or one.name.startswith(name) else f" · {one.name}"
            listed.append((written, f"{size}{one.source}{file}"))
        return listed

    def _list_presets(self) -> Iterable[Preset]:
        try:
            return list(read_shelf(self._setup.paths.presets).presets.values())
        except ChatAppError:  # it is said when one is taken
            return ()

    def _list_tags(self) -> list[Named]:
        try:
            return [(tag, f"{count} chats") for tag, count in self._store.labels.list_tags()]
        except ChatAppError:  # the list of chats says what is wrong with the history
            return []
