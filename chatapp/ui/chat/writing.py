"""What goes on in the prompt beside typing: the editor, files before the model, earlier prompts."""

from chatapp.errors import UsageError
from chatapp.material.mentions import mention
from chatapp.material.text_files import read_text_file
from chatapp.paths import expand_home
from chatapp.store import Store
from chatapp.ui.chat.commands import Does
from chatapp.ui.chat.desk import Desk
from chatapp.ui.widgets.prompt import PromptBox


class Writing:
    """The prompt's commands, and what the prompt has to ask the store for."""

    def __init__(self, store: Store, desk: Desk, prompt: PromptBox) -> None:
        self._store = store
        self._desk = desk
        self._prompt = prompt
        prompt.find_earlier = self._find_earlier
        self.commands: dict[str, Does] = {
            "edit": lambda _: desk.work_on(prompt.action_edit_in_editor(), group="editor"),
            "prompts": lambda _: desk.work_on(prompt.action_search_prompts(), group="editor"),
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
        self._desk.say(f"{file.summary}. It goes before the model with this message.")

    def _find_earlier(self, query: str, limit: int) -> list[str]:
        return [prompt.text for prompt in self._store.prompts.list_sent(query, limit)]
