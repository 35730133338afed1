"""The screen that lists and compares what was measured."""

from textual.widgets import OptionList, Static

from chatapp.evaluate.bootstrap import Interval
from chatapp.evaluate.examples import Example
from chatapp.evaluate.kept import Scored, describe_results
from chatapp.evaluate.metrics import measure_answers
from chatapp.evaluate.tasks import Answer, Answers, Question
from chatapp.store import Store
from chatapp.store.evaluations import NewEvaluation
from chatapp.ui.screens.evaluations import EvaluationsScreen


def _keep(store: Store, model: str, n_right: int, sha256: str = "x") -> None:
    examples = [Example(n, str(n), "?", ("yes",)) for n in range(40)]
    texts = ["yes" if n < n_right else "no" for n in range(40)]
    (found,) = measure_answers(["exact"], examples, texts)
    said = [
        Answer(question=Question(one, "?"), text=text, finish_reason="stop")
        for one, text in zip(examples, texts, strict=True)
    ]
    scored = [Scored(found, Interval(found.total, 0.0, 100.0))]
    results = describe_results(scored, Answers(said), 40)
    store.evaluations.add(
        NewEvaluation(
            kind="tasks", model=model, subject="q.jsonl", subject_sha256=sha256, results=results
        )
    )


async def open_screen(ui) -> EvaluationsScreen:
    await ui.write("/evaluations")
    await ui.wait(lambda: isinstance(ui.app.screen, EvaluationsScreen))
    return ui.app.screen


def text_of(screen: EvaluationsScreen) -> str:
    return str(screen.query_one("#evaluation-text", Static).content)


def entries(screen: EvaluationsScreen) -> list[str]:
    return [str(option.prompt) for option in screen.query_one(OptionList).options]


async def test_evaluations_are_listed_described_and_compared(run) -> None:
    async with run() as ui:
        _keep(ui.store, "/models/other.gguf", 40, "y")
        _keep(ui.store, "/models/worse.gguf", 10)
        _keep(ui.store, "/models/better.gguf", 30)
        screen = await open_screen(ui)
        await ui.wait(lambda: "95 %: 0 – 100" in text_of(screen))
        assert "exact 75, answers 40  better.gguf" in entries(screen)[0]
        await ui.press("space", "down")
        await ui.wait(lambda: "exact: 75.00 → 25.00" in text_of(screen))
        assert "A is better; B better at 0, worse at 20, the same at 20" in text_of(screen)
        await ui.press("down")
        await ui.wait(lambda: "not measured at the same" in text_of(screen))
        assert entries(screen)[0].startswith("●")
        dialog = screen.query_one("#dialog")
        assert "Esc takes the mark away" in str(dialog.border_subtitle)
        await ui.press("escape")  # the mark goes first
        await ui.wait(lambda: not entries(screen)[0].startswith("●"))
        await ui.wait(lambda: "other.gguf" in text_of(screen))
        assert "Esc closes" in str(dialog.border_subtitle)
        await ui.press("escape")
        await ui.wait(lambda: ui.app.screen is not screen)


async def test_without_any_it_says_how_to_measure(run) -> None:
    async with run() as ui:
        screen = await open_screen(ui)
        await ui.wait(lambda: "chatapp eval tasks MODEL translate" in text_of(screen))
        await ui.press("space", "escape")
        await ui.wait(lambda: ui.app.screen is not screen)
