"""Settings: what is read, what is refused and how, and that saving one keeps the rest."""

import stat
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest

from chatapp.config import Config, load_config, nearest, save_setting
from chatapp.errors import ConfigError
from chatapp.paths import Paths, find_paths
from chatapp.sampling import SamplingParams, parameters


@pytest.fixture
def paths() -> Paths:
    """Locations in the test's own home."""
    found = find_paths()
    found.config.mkdir(parents=True)
    return found


def test_without_a_file_everything_is_default() -> None:
    assert load_config(find_paths()) == Config()
    assert Config().sampling == SamplingParams()


def test_every_section_is_read(paths: Paths) -> None:
    paths.settings.write_text(
        """
        [engine]
        model = "qwen.gguf"
        n_ctx = 4096
        gpu_layers = 0
        n_threads = 2
        flash_attn = false
        kv_type = "q8_0"
        [sampling]
        temperature = 1
        top_k = 10
        stop = ["END"]
        logit_bias = { 50256 = -5, "7" = 0.5 }
        [chat]
        system = "Be kind. 北京"
        [ui]
        theme = "light"
        sidebar = false
        [keys]
        regenerate = "f5"
        """,
        encoding="utf-8",
    )
    config = load_config(paths)
    assert config.engine.model == "qwen.gguf"
    assert (config.engine.n_ctx, config.engine.gpu_layers, config.engine.n_threads) == (4096, 0, 2)
    assert (config.engine.flash_attn, config.engine.kv_type) == (False, "q8_0")
    assert config.sampling == SamplingParams(
        temperature=1.0, top_k=10, stop=("END",), logit_bias=((50256, -5.0), (7, 0.5))
    )
    assert isinstance(config.sampling.temperature, float)
    assert config.chat.system == "Be kind. 北京"
    assert (config.ui.theme, config.ui.sidebar) == ("light", False)
    assert config.keys == {"regenerate": "f5"}


EVERY_SETTING = [
    (section, entry.name)
    for section, cls in get_type_hints(Config).items()
    if section in ("engine", "library", "chat", "history", "ui")
    for entry in fields(cls)
] + [("sampling", parameter.name) for parameter in parameters()]


@pytest.mark.parametrize(("section", "key"), EVERY_SETTING)
def test_a_setting_in_the_wrong_place_is_told_its_own(paths: Paths, section: str, key: str) -> None:
    shared = [where for where, name in EVERY_SETTING if name == key]
    others = [one for one in ("engine", "ui", "sampling") if one not in shared]
    for before in ("", *(f"[{other}]\n" for other in others)):
        paths.settings.write_text(f"{before}{key} = 'x'\n[history]\n")
        with pytest.raises(ConfigError) as caught:
            load_config(paths)
        assert key in caught.value.message
        assert f"[{section}]" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[engin]\n", "the section [engin] is not known", "`engine`"),
        ("zzz = 1\n", "zzz is not known", "stands in a section. These are: chat, engine"),
        ("thme = 'dark'\n", "thme is not known", "`theme`? It belongs under [ui]"),
        ("[sampling]\nn_ctx = 4\n", "sampling has no n_ctx", "under [engine]"),
        ("[ui]\nsystem = 'x'\n", "ui has no system", "under [chat]"),
        ("engine = 1\n", "engine must be a section", "[engine]"),
        ("[engine]\nn_ctxx = 1\n", "engine.n_ctxx is not known", "`n_ctx`"),
        ("[sampling]\ntop_kk = 1\n", "sampling.top_kk is not known", "`top_k`"),
        (
            "[ui]\nqqqq = 1\n",
            "ui.qqqq is not known",
            "These are: align, bell, enter, measure, run_seconds, sidebar, theme, window_title.",
        ),
        ("[engine]\nn_ctx = '4k'\n", "engine.n_ctx must be a whole number, not '4k'", ""),
        ("[engine]\nn_ctx = true\n", "engine.n_ctx must be a whole number, not True", ""),
        ("[engine]\nn_ctx = -1\n", "engine.n_ctx is -1, it must be at least 0", ""),
        ("[engine]\nflash_attn = 1\n", "engine.flash_attn must be true or false", ""),
        ("[engine]\nkv_type = 'q4'\n", 'engine.kv_type must be "auto" or "f16" or "q8_0"', ""),
        ("[engine]\nmodel = 5\n", "engine.model must be text in quotes", ""),
        ("[sampling]\ntop_p = 2\n", "top_p is 2.0, it must lie between 0 and 1", ""),
        ("[sampling]\ntop_p = nan\n", "top_p is nan", ""),
        ("[sampling]\ntop_k = 1.5\n", "top_k takes a whole number", ""),
        ("[sampling]\nstop = 'x'\n", "sampling.stop must be a list of texts", ""),
        ("[sampling]\ngrammar = 1\n", "sampling.grammar must be text", ""),
        ("[sampling]\nlogit_bias = [1]\n", "sampling.logit_bias must be a table", ""),
        ("[sampling]\nlogit_bias = {a = 1}\n", "sampling.logit_bias must be a table", ""),
        ("[keys]\nregenerate = 5\n", "keys.regenerate must name keys", ""),
        ("[engine\n", "is not valid TOML", "Mend that line"),
        ("a = " + "[" * 5000, "is not valid TOML", ""),
    ],
)
def test_what_is_wrong_is_named(paths: Paths, text: str, message: str, hint: str) -> None:
    paths.settings.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(paths)
    assert str(paths.settings) in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2


def test_bytes_that_are_no_text(paths: Paths) -> None:
    paths.settings.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(paths)


def test_a_folder_in_its_place(paths: Paths) -> None:
    paths.settings.mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(paths)


def test_nearest() -> None:
    assert nearest("temprature", ["temperature", "top_k"]) == "Did you mean `temperature`?"
    assert nearest("zzz", ["top_k"], "None.") == "None."


def test_saving_makes_the_file(home: Path) -> None:
    paths = find_paths()
    save_setting(paths, "ui", "theme", 'a "quoted" name')
    assert load_config(paths).ui.theme == 'a "quoted" name'
    assert [item.name for item in home.iterdir()] == ["config.toml"]


def test_saving_keeps_comments_and_order(paths: Paths) -> None:
    before = '# mine\n[ui]  # looks\nsidebar = true\ntheme = "dark" \n\n[chat]\nsystem = "x"\n'
    paths.settings.write_text(before)
    save_setting(paths, "ui", "theme", "light")
    assert paths.settings.read_text() == before.replace('"dark" ', '"light"')
    save_setting(paths, "ui", "sidebar", value=False)
    assert "sidebar = false\n" in paths.settings.read_text()
    save_setting(paths, "engine", "n_ctx", 2048)
    assert paths.settings.read_text().endswith('system = "x"\n\n[engine]\nn_ctx = 2048\n')
    save_setting(paths, "chat", "system", "y")
    config = load_config(paths)
    assert (config.ui.theme, config.ui.sidebar, config.chat.system) == ("light", False, "y")


def test_saving_adds_to_a_section_that_is_there(paths: Paths) -> None:
    paths.settings.write_text("[ui]\n[chat]\n")
    save_setting(paths, "ui", "theme", "light")
    assert paths.settings.read_text() == '[ui]\ntheme = "light"\n[chat]\n'


@pytest.mark.parametrize(
    "text",
    [
        'ui.theme = "dark"\n',
        'ui = { theme = "dark" }\n',
        '[ui]\ntheme = """dark\n"""\n',
        '[chat]\nsystem = """\n[ui]\ntheme = 1\n"""\n',
    ],
)
def test_saving_refuses_what_a_line_cannot_change(paths: Paths, text: str) -> None:
    paths.settings.write_text(text)
    with pytest.raises(ConfigError) as caught:
        save_setting(paths, "ui", "theme", "light")
    assert 'theme = "light" under [ui]' in caught.value.hint
    assert paths.settings.read_text() == text


def test_saving_keeps_a_link_and_its_mode(paths: Paths, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles.toml"
    target.write_text("[ui]\n")
    target.chmod(0o640)
    paths.settings.symlink_to(target)
    save_setting(paths, "ui", "theme", "light")
    assert paths.settings.is_symlink()
    assert 'theme = "light"' in target.read_text()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_saving_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "below"
    with pytest.raises(ConfigError, match="cannot be"):
        save_setting(Paths(folder, folder, folder), "ui", "theme", "light")
