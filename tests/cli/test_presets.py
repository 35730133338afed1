"""`chatapp presets`, and `chatapp ask -t`: on the scripted engine, which says back what it is
given."""

import json
from pathlib import Path

import pytest

from chatapp.chat_settings import ChatSettings, read_chat_settings
from chatapp.presets.preset import Filled
from chatapp.sampling import SamplingParams
from chatapp.store import Store
from tests.cli.conftest import Run

PIRATE = """
system = "You are {name}."
prompt = "Ahoy: {input}"
think = "off"
[variables]
name = "Ann"
[sampling]
temperature = 1.5
top_k = 7
"""


@pytest.fixture
def folder(home: Path) -> Path:
    folder = home / "presets"
    folder.mkdir(parents=True)
    (folder / "pirate.toml").write_text(PIRATE, encoding="utf-8")
    return folder


def last_system(chatapp: Run) -> str:
    return json.loads(chatapp("history", "show", "--json").stdout)["system"]


def test_a_preset_is_asked_with(chatapp: Run) -> None:
    done = chatapp("ask", "-t", "translate", "-p", "to=German", "Good morning")
    assert "into German" in done.stdout
    assert done.stdout.endswith("\n\nGood morning\n")
    assert last_system(chatapp) == "You are a translator."
    assert "Good morning" in chatapp("history", "list").stdout
    piped = chatapp("ask", "-t", "translate", stdin="Guten {Morgen}\n")
    assert "into English" in piped.stdout
    assert piped.stdout.endswith("\n\nGuten {Morgen}\n")


def test_what_is_piped_in_is_the_text_or_stands_below(chatapp: Run, tmp_path: Path) -> None:
    done = chatapp("ask", "-t", "answer", "who?", stdin="It was Ann.\n")
    assert done.stdout.startswith("It was Ann.\n")
    assert done.stdout.endswith("\n\nwho?\n")
    (tmp_path / "text.txt").write_text("\ufeffIt was {Bob}.\n", encoding="utf-8")
    given = chatapp("ask", "-t", "answer", "-p", "text=@text.txt", "who?", stdin="And why?")
    assert given.stdout.startswith("It was {Bob}.\n")
    assert given.stdout.endswith("\n\nwho?\n\nAnd why?\n")
    at = chatapp("ask", "-t", "translate", "-p", "to=@@home", "x")
    assert "into @home." in at.stdout


def test_flags_count_before_the_preset_and_that_before_the_settings(
    chatapp: Run, home: Path, folder: Path
) -> None:
    (home / "config.toml").write_text(
        '[chat]\nsystem = "Be brief."\nthink = "on"\n[sampling]\ntop_k = 3\nmin_p = 0.5\n'
    )
    question = ("ask", "--json", "-t", "pirate", "/think 9")
    done = chatapp(*question, "--temperature", "0.5")
    used = json.loads(done.stdout)["sampling"]
    assert (used["temperature"]["value"], used["temperature"]["source"]) == (0.5, "flag")
    assert (used["top_k"]["value"], used["top_k"]["source"]) == (7, "preset")
    assert (used["min_p"]["value"], used["min_p"]["source"]) == (0.5, "settings")
    assert last_system(chatapp) == "You are Ann."
    chatapp(*question, "-p", "name=Bob")
    assert last_system(chatapp) == "You are Bob."
    chatapp(*question, "--system", "You are me.")
    assert last_system(chatapp) == "You are me."
    think = ("ask", "--json", "-t", "thinker", "/think 9")
    (folder / "thinker.toml").write_text('think = "off"')
    assert json.loads(chatapp(*think).stdout)["reasoning"] == ""
    assert json.loads(chatapp(*think, "--think", "on").stdout)["reasoning"] != ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-t", "translat", "x"), ("no preset 'translat'", "`translate`")),
        (("-t", "translate", "-p", "tp=x", "x"), ("no variable `tp`", "`to`")),
        (("-t", "translate", "-p", "to", "x"), ("-p to gives no value", "-p to=German")),
        (("-t", "translate", "-p", "to=@gone", "x"), ("to: gone cannot be read", "to=@@gone")),
        (("-t", "answer", "who?"), ("wants a value for `text`", "-p text=@FILE, or pipe it in")),
        (("-t", "translate"), ("nothing to work on", "chatapp ask -t translate")),
        (("-t", "answer", "-p", "text=x"), ("nothing to work on", "Give the question")),
        (("-p", "to=German", "x"), ("there is none", "-t")),
        (("--raw", "-t", "pirate", "x"), ("--raw takes no system prompt", "")),
        (("-t", "broken", "x"), ("promt is not known", "`prompt`")),
        (("-t", "./gone.toml", "x"), ("gone.toml cannot be read", "")),
    ],
)
def test_what_is_wrong_is_named(
    chatapp: Run, folder: Path, arguments: tuple[str, ...], said: tuple[str, str]
) -> None:
    (folder / "broken.toml").write_text('promt = "x"')
    done = chatapp("ask", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert all(part in done.stderr for part in said)
    assert "There are no conversations" in chatapp("history", "list").stderr


def test_a_preset_whose_model_is_gone_says_so(
    chatapp: Run, folder: Path, environment: dict[str, str]
) -> None:
    (folder / "far.toml").write_text('model = "gone.gguf"')
    done = chatapp("ask", "-t", "far", "x", CHATAPP_BACKEND="llama")
    assert done.returncode == 1
    assert "The model of the preset far cannot be used: There is no model gone.gguf." in done.stderr
    assert "--model" in done.stderr


def test_the_settings_may_name_a_preset(chatapp: Run, home: Path, folder: Path) -> None:
    (home / "config.toml").write_text('[chat]\npreset = "pirate"\n')
    assert chatapp("ask", "hello").stdout == "Ahoy: hello\n"
    assert last_system(chatapp) == "You are Ann."
    assert chatapp("ask", "-t", "off", "hello").stdout == "hello\n"
    chatapp("ask", "-s", "Mine.", "hello")
    assert chatapp("ask", "-c", "more").stdout == "Ahoy: more\n"
    assert chatapp("ask", "-c", "-t", "off", "more").stdout == "more\n"
    assert last_system(chatapp) == "Mine."
    assert chatapp("ask", "--raw", "Once").stdout == "Once\n"
    (home / "config.toml").write_text('[chat]\npreset = "pirat"\n')
    done = chatapp("ask", "hello")
    assert done.returncode == 2
    assert "[chat] preset in" in done.stderr
    assert "`pirate`" in done.stderr


def test_presets_are_listed_and_shown(chatapp: Run, folder: Path) -> None:
    (folder / "loop.toml").symlink_to("loop.toml")
    listed = chatapp("presets")
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()[1:]] == [
        "answer",
        "converse",
        "pirate",
        "summarise",
        "translate",
        "write",
    ]
    assert "loop is passed over" in listed.stderr
    as_json = json.loads(chatapp("presets", "list", "--json").stdout)
    assert as_json[2]["sampling"] == {"temperature": 1.5, "top_k": 7}
    assert chatapp("presets", "show", "pirate").stdout.strip() == PIRATE.strip()
    shown = json.loads(chatapp("presets", "show", "translate", "--json").stdout)
    assert shown["variables"] == {"to": "English"}
    assert chatapp("presets", "path").stdout.strip() == str(folder)
    assert chatapp("presets", "path", "pirate").stdout.strip() == str(folder / "pirate.toml")
    assert chatapp("presets", "show", "nosuch").returncode == 2


def test_a_shared_preset_is_a_file(chatapp: Run, tmp_path: Path) -> None:
    (tmp_path / "shared.toml").write_text('prompt = "Shared: {input}"')
    assert chatapp("ask", "-t", "shared.toml", "x").stdout == "Shared: x\n"


def test_a_conversation_keeps_the_preset_that_it_began_with(
    chatapp: Run, home: Path, folder: Path
) -> None:
    (folder / "small.toml").write_text('n_ctx = 300\nprompt = "{input}, {name}!"')
    done = chatapp("ask", "--json", "-t", "small", "-p", "name=Ann", "hello")
    assert json.loads(done.stdout)["text"] == "hello, Ann!"
    with Store.open(home / "history.db") as store:
        (chat,) = store.list_conversations()
        settings, wrong = read_chat_settings(chat.settings)
        assert wrong == []
        assert settings.preset is not None
        assert settings.preset.name == "small"
        assert settings.compose("bye") == "bye, Ann!"
        assert settings.choose_n_ctx() == 300
    long = chatapp("ask", "-t", "small", "-p", "name=Ann", "word " * 400)
    assert "the context holds 300" in long.stderr
    assert chatapp("ask", "--n-ctx", "4000", "-t", "small", "-p", "name=A", "x " * 400).stdout
    chatapp("ask", "plain")
    with Store.open(home / "history.db") as store:
        assert store.list_conversations()[0].settings == ""


@pytest.mark.parametrize("value", ["-1", "true", '"8k"', "4.5", "99999999999"])
def test_a_context_that_is_none_is_named(chatapp: Run, folder: Path, value: str) -> None:
    (folder / "wrong.toml").write_text(f"n_ctx = {value}")
    done = chatapp("ask", "-t", "wrong", "x")
    assert done.returncode == 2
    assert "n_ctx must be a number of tokens" in done.stderr


def test_continue_keeps_what_the_conversation_sets(chatapp: Run, home: Path) -> None:
    chatapp("ask", "first")
    preset = Filled(name="short", prompt="Say: {input}", sampling=SamplingParams(seed=5))
    kept = ChatSettings(preset=preset, sampling=SamplingParams(max_tokens=7), n_ctx=2048)
    with Store.open(home / "history.db") as store:
        store.set_settings(store.list_conversations()[0].id, kept.write())
    answer = json.loads(chatapp("ask", "-c", "--json", "second").stdout)
    assert (answer["text"], answer["seed"]) == ("Say: se", 5)
    assert answer["sampling"]["max_tokens"] == {"value": 7, "source": "chat"}
    assert answer["sampling"]["seed"]["source"] == "preset"
    answer = json.loads(chatapp("ask", "-c", "--json", "--max-tokens", "9", "third").stdout)
    assert (answer["text"], answer["sampling"]["max_tokens"]["source"]) == ("Say: thir", "flag")
    new = json.loads(chatapp("ask", "--json", "apart").stdout)
    assert new["text"] == "apart"
