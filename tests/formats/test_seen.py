"""Two turns on the screen with every family: thoughts folded, and no mark to be read."""

from textual.pilot import Pilot

from chatapp.engine.client import EngineClient
from chatapp.paths import Paths
from chatapp.ui.widgets.message import MessageView
from tests.formats.family import AND_THEN, HELLO, Family, Said
from tests.formats.test_asked import check_parts
from tests.ui.conftest import Driver, Run


async def test_two_turns(run: Run, paths: Paths, family: Family) -> None:
    client = EngineClient(log_path=paths.engine_log)
    model = family.write(paths.data)
    async with run(client=client, model=model, size=(100, 60)) as ui:
        for question, said in ((HELLO, family.first), (AND_THEN, family.second)):
            await ui.say(question)
            row = ui.path()[-1]
            assert row.status == "complete"
            check_parts(row.parts, said)
            await ui.wait(lambda said=said: is_shown(ui, said))
            check_screen(ui.pilot, family)
        assert row.generation is not None
        prompt = family.prompts()[1]
        assert row.generation.prompt_tokens == len(family.words.tokenize(prompt))
        await unfold(ui, family)


def lines_of(view: MessageView) -> str:
    """What one message draws."""
    width = view.content_size.width
    lines = (view.get_line(y, width) for y in range(view.count_lines(width)))
    return "\n".join("".join(run.text for run in line.runs) for line in lines)


def screen_of(pilot: Pilot[None]) -> str:
    """The characters on the screen, row by row."""
    screen = pilot.app.screen
    rows = screen._compositor.render_strips(screen.size)
    return "\n".join("".join(segment.text for segment in row) for row in rows)


def is_shown(ui: Driver, said: Said) -> bool:
    views = list(ui.app.query(MessageView))
    if not views or not views[-1].content_size.width:
        return False
    shown = lines_of(views[-1])
    text = said.text.replace("*", "").replace("`", "")
    return text in shown and all(call.name in shown for call in said.calls)


def check_screen(pilot: Pilot[None], family: Family) -> None:
    """Neither thoughts nor marks are to be read."""
    shown = screen_of(pilot)
    for said in (family.first, family.second):
        for line in said.reasoning.splitlines():
            assert line not in shown
    for mark in family.raw_marks():
        assert mark not in shown


async def unfold(ui: Driver, family: Family) -> None:
    """What was thought is there when one asks for it, without its marks too."""
    for view in ui.app.query(MessageView):
        view.action_fold()
    answers = list(ui.app.query(MessageView))[1::2]
    for view, said in zip(answers, (family.first, family.second), strict=True):
        shown = lines_of(view)
        assert all(line.split(" <b>")[0] in shown for line in said.reasoning.splitlines())
        assert not any(mark in shown for mark in family.raw_marks())
