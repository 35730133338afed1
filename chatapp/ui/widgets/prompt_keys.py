"""Which keys mean what in the prompt, by the user's settings."""

from collections.abc import Mapping
from dataclasses import dataclass

from chatapp.ui.key_row import split_keys
from chatapp.ui.keymap import key_of, keys_in, shown_keys

LINE_KEYS = (
    "shift+enter", "alt+enter", "ctrl+enter", "ctrl+j", "shift+\r", "alt+\r", "ctrl+\r",
)  # fmt: skip
"""Keys that do what Enter does not. The last three are what Textual 8.2.8 makes of xterm's and
tmux's `CSI 27 ; n ; 13 ~`."""


@dataclass(frozen=True, slots=True)
class PromptKeys:
    """The keys of one prompt."""

    actions: Mapping[str, str]
    """Keys of the keymap's rows for the prompt, with the actions that they name."""
    given_away: frozenset[str] = frozenset()
    """Keys that the settings have given to something else."""
    enter_sends: bool = True
    """Whether Enter sends and the others start a line, or the other way round."""
    paste_hint: str = ""
    """What is said where a folded paste is."""

    @classmethod
    def read(cls, keymap: Mapping[str, str], *, enter_sends: bool = True) -> "PromptKeys":
        """The keys with the user's own in place of the usual ones."""
        own = [key for key in keys_in("prompt") if not key.fixed]
        theirs = {key.id for key in own}
        away = (keys for name, keys in keymap.items() if name not in theirs)
        return cls(
            {
                pressed: key.action
                for key in own
                for pressed in split_keys(keymap.get(key.id, key.keys))
            },
            frozenset(key for keys in away for key in split_keys(keys)),
            enter_sends,
            f"{shown_keys(key_of('open_paste'), keymap)} opens the pasted text",
        )

    def sends(self, key: str) -> bool | None:
        """Whether a key sends (True) or starts a line (False); None if it does neither."""
        if key == "enter":
            return self.enter_sends
        return not self.enter_sends if key in LINE_KEYS else None
