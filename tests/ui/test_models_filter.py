"""The list of models is filtered by what is typed in it."""

from textual.widgets import OptionList

from chatapp.remotes import make_remote, save_remotes
from chatapp.ui.screens.models import ModelsScreen


def texts(options: OptionList) -> list[str]:
    return [str(option.prompt) for option in options.options]


async def test_letters_filter_the_models_and_enter_loads_what_is_found(run, paths, monkeypatch):
    monkeypatch.chdir(paths.data)
    save_remotes({n: make_remote(n, f"{n}.example:8000") for n in ("marble", "lab")}, paths)
    async with run() as ui:
        await ui.press("ctrl+o")
        await ui.wait(lambda: isinstance(ui.app.screen, ModelsScreen) and bool(ui.app.focused))
        options = ui.app.screen.query_one(OptionList)
        await ui.wait(lambda: len(options.options) == 3)
        for key in "marb":  # `m` was a command here once
            ui.app.simulate_key(key)
        await ui.wait(lambda: len(options.options) == 1 and "marble" in texts(options)[0])
        await ui.press("x")
        await ui.wait(lambda: texts(options) == ["No model has such a name."])
        await ui.press("enter")
        await ui.press("escape")
        await ui.wait(lambda: len(options.options) == 3)
        assert options.has_focus
        await ui.press(*"lab", "down", "up", "escape", "escape")
        await ui.wait(lambda: len(ui.app.screen_stack) == 1)
