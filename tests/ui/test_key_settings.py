"""Settings about keys and themes: what is refused, with which sentence, and what is understood."""

from dataclasses import replace
from pathlib import Path

import pytest

from chatapp.config import Config, UiConfig, load_config
from chatapp.errors import ConfigError
from chatapp.paths import find_paths
from chatapp.ui.key_settings import check_screen_settings
from chatapp.ui.keymap import KEYS, key_of, shown_keys
from chatapp.ui.themes import OUR_THEMES, THEMES

PATH = Path("config.toml")


def check(**keys: str) -> Config:
    return check_screen_settings(replace(Config(), keys=keys), PATH)


@pytest.mark.parametrize(
    ("keys", "message", "hint"),
    [
        ({"regenrate": "f5"}, "keys.regenrate is not known", "`regenerate`"),
        ({"regenerate": "contrl+r"}, "no key is called 'contrl'", "`ctrl`"),
        ({"regenerate": "alt+pgup"}, "no key is called 'pgup'", ""),
        ({"regenerate": "escap"}, "no key is called 'escap'", "`escape`"),
        ({"regenerate": "r"}, "which is text in a prompt", "ctrl+r"),
        ({"regenerate": "ctrl+g"}, "Ctrl+G is the key of both", 'continue = ""'),
        ({"regenerate": "f6", "continue": "F6"}, "keys.regenerate and keys.continue", ""),
        ({"help": "ctrl+n"}, "keys.new", ""),
        ({"regenerate": "enter"}, "belongs to the prompt (Send)", "another key"),
        ({"regenerate": "up"}, "belongs to the prompt (Recall)", ""),
    ],
)
def test_what_is_wrong_is_named(keys: dict[str, str], message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(**keys)
    assert str(PATH) in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Ctrl+R", "ctrl+r"),
        ("f5, ALT+X", "f5,alt+x"),
        ("shift+ctrl+left", "ctrl+shift+left"),
        ("ctrl+/", "ctrl+slash"),
        ("ctrl+w", "ctrl+w"),
        ("ctrl++", "ctrl+plus"),
        ("", ""),
    ],
)
def test_keys_are_understood_as_people_write_them(written: str, read: str) -> None:
    assert check(regenerate=written).keys == {"regenerate": read}


def test_a_key_that_is_free_may_be_taken() -> None:
    assert check(regenerate="", search="ctrl+r").keys == {"regenerate": "", "search": "ctrl+r"}


def test_the_keys_as_they_are_have_no_doubles() -> None:
    assert check(**{key.id: key.keys for key in KEYS if not key.fixed}).keys


def test_a_theme_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match=r"ui\.theme is 'nrod', which is no theme\. .*`nord`"):
        check_screen_settings(replace(Config(), ui=UiConfig(theme="nrod")), PATH)
    assert check_screen_settings(replace(Config(), ui=UiConfig(theme="nord")), PATH)


@pytest.mark.parametrize("off", ['""', '"none"', "false"])
def test_a_key_is_switched_off(home: Path, off: str) -> None:
    home.mkdir()
    (home / "config.toml").write_text(f"[keys]\nregenerate = {off}\n")
    config = load_config(find_paths())
    assert config.keys == {"regenerate": ""}
    assert shown_keys(key_of("regenerate"), config.keys) == "–"


async def test_a_key_that_is_switched_off_does_nothing(run) -> None:
    config = replace(Config(), keys={"regenerate": "", "search": "ctrl+w"})
    async with run(config=config) as ui:
        await ui.say("one")
        await ui.press("ctrl+r", *"a b")
        assert len(ui.path()) == 2
        assert ui.pane.prompt.text == "a b"
        await ui.press("ctrl+w")
        await ui.wait(lambda: len(ui.app.screen_stack) == 2)
        assert ui.pane.prompt.text == "a b", "the user gave the key to something else"


async def test_enter_starts_a_line_by_setting(run) -> None:
    async with run(config=replace(Config(), ui=UiConfig(enter="newline"))) as ui:
        await ui.press(*"ab", "enter", *"cd")
        assert ui.pane.prompt.text == "ab\ncd"
        assert "Enter starts a line" in str(ui.pane.prompt.placeholder)
        await ui.press("ctrl+j")
        await ui.wait(lambda: len(ui.flow.rows) == 2)
        await ui.idle()
        assert ui.said()[0] == "ab\ncd"


@pytest.mark.parametrize("theme", [*THEMES, *(one.name for one in OUR_THEMES), "gruvbox"])
def test_every_theme_that_can_be_chosen_can_be_a_setting(theme: str) -> None:
    config = replace(Config(), ui=replace(Config().ui, theme=theme))
    assert check_screen_settings(config, Path("config.toml")).ui.theme == theme
