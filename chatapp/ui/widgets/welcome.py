"""What an empty conversation shows: which model this is, what to try, and where things are."""

from dataclasses import dataclass, replace
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

from chatapp.engine.protocol import ModelDescription
from chatapp.paths import BUILTIN_MODEL
from chatapp.ui.keymap import key_of, shown_keys
from chatapp.ui.setup import ChatSetup
from chatapp.ui.widgets.model_choices import ModelChoices
from chatapp.ui.wording import clean_line

BUILTIN_EXAMPLES = (
    "What can you do?",
    "How do I use a bigger model?",
    "Where are my chats kept?",
)
"""What the built-in model was taught to answer."""

EXAMPLES = (
    "Explain recursion with a short example.",
    "Which questions should I ask before renting a flat?",
    "Write a regular expression that finds dates like 2024-02-29.",
)

_KEYS = ("help", "models", "sidebar", "search", "quit")


@dataclass(frozen=True, slots=True)
class WelcomeFacts:
    """What the panel says."""

    model: str = ""
    """Empty while none is loaded."""
    failed: bool = False
    """None is loaded and none is on its way."""
    builtin: bool = False
    host: str = ""
    """The server a remote model runs on."""
    history: Path | None = None
    """None where every chat is temporary."""
    temporary: bool = False
    """This chat is, which others need not be."""
    keys: tuple[tuple[str, str], ...] = ()
    """Keys and what they do."""
    notices: tuple[str, ...] = ()
    choosing: bool = False
    """No model has ever been chosen: below, there are some to choose from."""
    mend: str = ""
    """How to use a GPU that lies idle."""

    @property
    def examples(self) -> tuple[str, ...]:
        """Prompts to begin with."""
        return BUILTIN_EXAMPLES if self.builtin else EXAMPLES


class WelcomeText(Static):
    """The text, whose example prompts can be clicked."""

    facts: reactive[WelcomeFacts] = reactive(WelcomeFacts())

    @dataclass
    class ExampleChosen(Message):
        """The user clicked an example prompt."""

        text: str

    def watch_facts(self, facts: WelcomeFacts) -> None:
        """Say what is true now."""
        self.update(welcome_text(facts))

    def action_example(self, index: int) -> None:
        """Offer an example as the prompt's text."""
        self.post_message(self.ExampleChosen(self.facts.examples[index]))


class Welcome(VerticalScroll, can_focus=False):
    """The empty state of the transcript; on the first run, models to choose from below it."""

    DEFAULT_CSS = """
    Welcome { align: center middle; padding: 0 2; }
    Welcome > WelcomeText {
        width: 100%; max-width: 76; height: auto;
        link-color: $text-accent; link-style: none; link-background-hover: $primary;
    }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.choices = ModelChoices()
        """Models to choose from, hidden at first."""
        self._temporary = False

    def compose(self) -> ComposeResult:
        """One text, so that it can be selected whole."""
        yield WelcomeText()
        yield self.choices

    def show_temporary(self, temporary: bool) -> None:
        """Say whether the open chat is kept."""
        self._temporary = temporary
        text = self.query_one(WelcomeText)
        text.facts = replace(text.facts, temporary=temporary)

    def show(self, facts: WelcomeFacts) -> None:
        """Say what is true now."""
        self.query_one(WelcomeText).facts = replace(facts, temporary=self._temporary)
        if not facts.choosing:
            self.choices.hide()


def gather_facts(
    setup: ChatSetup,
    model: ModelDescription | None,
    *,
    failed: bool = False,
    chosen: bool = True,
) -> WelcomeFacts:
    """What is true of this chat with this model; None: none is loaded. `chosen`: the user has
    chosen a model before."""
    keymap = setup.config.keys
    builtin = model is not None and Path(model.path) == BUILTIN_MODEL
    rows = [key_of(key_id) for key_id in _KEYS]
    return WelcomeFacts(
        model=model.name or Path(model.path).name if model else "",
        failed=failed,
        builtin=builtin,
        choosing=builtin and not chosen,
        mend=model.gpu_note if model and "pip install" in model.gpu_note else "",
        host=model.host if model else "",
        history=None if setup.temporary else setup.paths.history,
        keys=tuple((shown_keys(row, keymap), row.label) for row in rows),
        notices=tuple(model.notices) if model else (),
    )


def welcome_text(facts: WelcomeFacts) -> Content:
    """The panel's text."""
    lines = [_model_line(facts)]
    if facts.choosing:
        lines.append(Content("It is small: good for trying things out, not for facts."))
    elif facts.builtin:
        lines.append(
            Content.from_markup(
                "It is [b]small[/b]: good for trying things out, not for facts. For a bigger one, "
                "press [b]F4[/b] to fetch one that fits this machine, or [b]Ctrl+O[/b] for the "
                "files already here.",
            )
        )
    warnings = (*facts.notices, facts.mend) if facts.mend else facts.notices
    lines += [Content.styled(clean_line(warning), "$text-warning") for warning in warnings]
    lines.append(Content(""))
    if not facts.choosing:  # what there is to choose from needs the room
        lines += _examples_and_keys(facts)
    stays = f"Text goes to {clean_line(facts.host)}; chats are kept" if facts.host else ""
    kept = (
        f"{stays or 'Everything stays on this machine,'} in {facts.history}"
        if facts.history
        else "A temporary chat: nothing is written to disk, and closing forgets it."
    )
    style = "$foreground 60%"
    if facts.temporary:
        kept = "A temporary chat: nothing of it is written to disk. Leaving it forgets it; /keep"
        kept, style = f"{kept} keeps it, /temporary goes back.", "$text-warning"
    lines.append(Content.styled(kept, style))
    return Content("\n").join(lines)


def _examples_and_keys(facts: WelcomeFacts) -> list[Content]:
    lines = [
        Content.from_markup(f"  [@click=example({index})]› $text[/]", text=example)
        for index, example in enumerate(facts.examples)
    ]
    keys = Content.from_markup("  ").join(
        Content.from_markup("[b]$keys[/b] [$foreground 60%]$label[/]", keys=keys, label=label)
        for keys, label in facts.keys
    )
    return [*lines, Content(""), keys, Content("")]


def _model_line(facts: WelcomeFacts) -> Content:
    if facts.failed:
        return Content.styled("No model is loaded. Ctrl+O chooses another one.", "bold")
    if not facts.model:
        return Content.styled("The model is loading. You can write already.", "bold")
    kind = "the built-in model" if facts.builtin else "the model"
    return Content.from_markup(
        "You are talking to [b]$name[/b], $kind.", name=clean_line(facts.model), kind=kind
    )
