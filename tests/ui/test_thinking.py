"""Thoughts on the screen: told, ended by a key, and explained where there is nothing else."""

from chatapp.config import ChatConfig, Config

LONG = "/think 100000\n/delay 10\n/words 3"


async def thinking(ui) -> None:
    await ui.wait(lambda: "thinking… " in ui.status.activity)


async def test_a_key_ends_the_thought(run):
    async with run() as ui:
        await ui.write(LONG)
        await thinking(ui)
        assert "tokens – Alt+A answers now, Esc stops" in ui.status.activity
        await ui.press("alt+a")
        await ui.idle()
        answer = ui.path()[-1]
        assert (answer.status, answer.content) == ("complete", "word1 word2 word3")
        assert answer.parts[0].text.startswith("thou")
        assert ui.status.activity == ""
        assert ui.notices() == []


async def test_the_key_is_said_as_the_user_has_it(run):
    async with run(config=Config(keys={"answer_now": "f9"})) as ui:
        await ui.write(LONG)
        await thinking(ui)
        assert "F9 answers now" in ui.status.activity
        await ui.press("f9")
        await ui.idle()
        assert ui.said()[-1] == "word1 word2 word3"


async def test_escape_stops_a_thought_and_nothing_is_said_of_it(run):
    async with run() as ui:
        await ui.write(LONG)
        await thinking(ui)
        await ui.press("escape")
        await ui.idle()
        answer = ui.path()[-1]
        assert (answer.status, answer.content) == ("stopped", "")
        assert ui.notices() == []


async def test_the_key_says_why_it_does_nothing(run):
    async with run() as ui:
        await ui.press("alt+a")
        await ui.write("/words 500\n/delay 20")
        await ui.streaming()
        assert "Alt+A" not in ui.status.activity
        await ui.press("alt+a", "escape")
        await ui.idle()
        said = ui.notices()
        assert "No model is thinking now." in said
        assert "The model is not thinking, it answers." in said


async def test_an_answer_of_thoughts_alone_is_explained(run):
    async with run() as ui:
        await ui.say("/think hm\n/words 0")
        assert ui.path()[-1].status == "complete"
        await ui.wait(lambda: ui.notices() != [])
        (notice,) = ui.notices()
        assert notice.startswith("The model thought and gave no answer. Ctrl+R asks again")


async def test_an_empty_answer_is_said(run):
    async with run() as ui:
        await ui.say("/words 0")
        assert ui.path()[-1].status == "complete"
        await ui.wait(lambda: ui.notices() != [])
        assert ui.notices() == ["The model gave an empty answer. Ctrl+R asks again."]


async def test_the_setting_reaches_the_engine(run):
    async with run() as ui:
        await ui.say("/think hm\n/words 1")
        assert [part.text.strip() for part in ui.path()[-1].parts] == ["hm", "word1"]
    async with run(config=Config(chat=ChatConfig(think="off"))) as ui:
        await ui.say("/think hm\n/words 1")
        assert [part.text for part in ui.path()[-1].parts] == ["word1"]
