"""What begins with a slash is done, not sent; settings of a chat are kept with it."""

from dataclasses import replace

from chatapp.chat_settings import read_chat_settings
from chatapp.commands import COMMANDS
from chatapp.config import Config
from chatapp.parts import File


def settings_of(ui):
    return read_chat_settings(ui.store.get_conversation(ui.app.chat.open_id).settings)[0]


def heard(ui, text: str) -> bool:
    return any(text in notice for notice in ui.notices())


async def test_a_parameter_is_set_for_this_chat_and_kept(run):
    async with run() as ui:
        await ui.write("/set temperature 0.3")
        await ui.wait(lambda: heard(ui, "temperature is 0.3 in this chat"))
        assert ui.status.line.own == "temperature 0.3"
        await ui.say("hello")
        assert settings_of(ui).sampling.temperature == 0.3
        assert '"temperature":0.3' in ui.path()[1].generations[0].params_json
        chat = ui.app.chat.open_id
        await ui.press("ctrl+n")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        assert ui.status.line.own == ""
        ui.app.chat.chats.open(chat)
        await ui.wait(lambda: ui.status.line.own == "temperature 0.3")
        await ui.write("/set temperature")
        await ui.wait(lambda: settings_of(ui).sampling.temperature is None)


async def test_a_wrong_value_is_explained_and_stays_in_the_prompt(run):
    async with run() as ui:
        await ui.write("/set temperature hot")
        await ui.wait(lambda: heard(ui, "temperature"))
        assert ui.pane.prompt.prompt == "/set temperature hot"
        await ui.write("/tempreature")
        await ui.wait(lambda: heard(ui, "There is no command /tempreature."))
        assert ui.store.count_messages() == 0


async def test_text_with_slashes_is_sent(run):
    async with run() as ui:
        await ui.say("/etc/fstab is a file")
        await ui.say("//set me free")
        assert ui.said()[::2] == ["/etc/fstab is a file", "/set me free"]


async def test_the_system_prompt_of_a_chat(run):
    async with run() as ui:
        await ui.say("one")
        await ui.write("/system Answer in verse.\nAlways.")
        await ui.wait(lambda: heard(ui, "is now: Answer in verse."))
        row = ui.store.get_conversation(ui.app.chat.open_id)
        assert row.system == "Answer in verse.\nAlways."
        assert ui.status.line.own == "own system prompt"
        await ui.write("/system none")
        await ui.wait(lambda: ui.store.get_conversation(row.id).system == "")


async def test_a_preset_brings_its_system_prompt_and_goes_again(run, paths):
    paths.presets.mkdir(parents=True)
    (paths.presets / "pirate.toml").write_text(
        'system = "You are a {rank}."\nthink = "off"\n[variables]\nrank = "pirate"\n'
        "[sampling]\ntemperature = 1.1\n"
    )
    async with run() as ui:
        await ui.write("/persona pirate rank=captain")
        await ui.wait(lambda: heard(ui, "has the preset pirate now"))
        await ui.say("ahoy")
        assert ui.store.get_conversation(ui.app.chat.open_id).system == "You are a captain."
        assert '"temperature":1.1' in ui.path()[1].generations[0].params_json
        await ui.write("/preset off")
        await ui.wait(lambda: heard(ui, "has no preset now"))
        assert settings_of(ui).preset is None
        await ui.write("/preset priate")
        await ui.wait(lambda: heard(ui, "There is no preset 'priate'."))


async def test_the_words_for_leaving(run):
    async with run() as ui:
        await ui.write(":q")
        await ui.wait(lambda: ui.app.return_code is not None)


async def test_labels_of_a_chat(run):
    async with run() as ui:
        await ui.say("one")
        for command, said in (
            ("/tag work", "Tags of this chat: work."),
            ("/pin", "at the top of the list"),
            ("/archive on", "in the archive"),
            ("/title My title", "My title"),
        ):
            await ui.write(command)
            await ui.wait(
                lambda said=said: (
                    heard(ui, said) or ui.store.get_conversation(ui.app.chat.open_id).title == said
                )
            )
        row = ui.store.get_conversation(ui.app.chat.open_id)
        assert (row.tags, row.pinned, row.archived) == (("work",), True, True)


async def test_new_chats_begin_with_the_preset_of_the_settings(run, paths):
    paths.presets.mkdir(parents=True)
    (paths.presets / "loud.toml").write_text('system = "Shout."\nprompt = "{input}!!"\n')
    config = replace(Config(), chat=replace(Config().chat, preset="loud"))
    async with run(config=config) as ui:
        await ui.wait(lambda: "loud" in ui.status.line.own)
        await ui.write("hello")
        await ui.wait(lambda: len(ui.flow.rows) == 2 and not ui.flow.answering.busy)
        assert ui.said() == ["hello!!", "hello!!"]
        row = ui.store.get_conversation(ui.app.chat.open_id)
        assert (row.title, row.system) == ("hello", "Shout.")
        await ui.press("ctrl+n")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        assert "loud" in ui.status.line.own


async def test_a_file_that_a_message_names_goes_before_the_model(run, tmp_path, monkeypatch):
    (tmp_path / "notes.md").write_text("The key is under the mat.")
    monkeypatch.chdir(tmp_path)
    async with run() as ui:
        await ui.write("/attach notes.md")
        await ui.wait(lambda: ui.pane.prompt.prompt == "@notes.md ")
        await ui.press("escape", *"Where?")
        await ui.press("enter")
        await ui.wait(lambda: len(ui.flow.rows) == 2 and not ui.flow.answering.busy)
        asked = ui.path()[0]
        assert [part.name for part in asked.parts if isinstance(part, File)] == ["notes.md"]
        assert asked.content == "@notes.md Where?"
        await ui.write("/attach gone.md")
        await ui.wait(lambda: heard(ui, "gone.md"))


async def test_earlier_prompts_of_other_chats_are_found(run):
    async with run() as ui:
        await ui.say("what is a monad")
        await ui.press("ctrl+n")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        await ui.press("alt+r", *"monad")
        await ui.press("enter")
        await ui.wait(lambda: ui.pane.prompt.prompt == "what is a monad")


async def test_a_marked_message_is_edited_although_something_is_written(run):
    async with run() as ui:
        await ui.say("one")
        await ui.press(*"draft", "alt+up")
        assert ui.status.marked
        await ui.press("ctrl+e")
        assert ui.pane.editing == ui.path()[1].id
        await ui.press("escape")
        assert ui.pane.prompt.prompt == "draft"


async def test_a_chat_remembers_the_model_that_was_chosen_in_it(run, tmp_path):
    other = tmp_path / "other.gguf"
    other.write_bytes(b"")
    async with run() as ui:
        await ui.say("one")
        await ui.write(f"/model {other}")
        await ui.wait(lambda: ui.client.model is not None and ui.client.model.path == str(other))
        chat = ui.app.chat.open_id
        assert settings_of(ui).model == str(other)
        await ui.press("ctrl+n")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        ui.app.chat.models.switch_to(tmp_path / "echo.gguf")
        await ui.wait(lambda: ui.client.model is not None and "echo" in ui.client.model.path)
        await ui.say("by the other one")
        assert ui.path()[1].generations[0].model_path.endswith("echo.gguf")
        ui.app.chat.chats.open(chat)
        await ui.wait(lambda: ui.app.chat.open_id == chat)
        await ui.say("again")
        assert ui.path()[-1].generations[0].model_path == str(other), "it is loaded for this chat"


async def test_every_command_of_the_table_is_somebodys_and_only_one_parts(run):
    async with run() as ui:
        chat = ui.app.chat
        assert set(chat.commands.names) == {command.name for command in COMMANDS}
        owned = [name for part in chat.parts for name in getattr(part, "commands", {})]
        assert len(owned) == len(set(owned))
