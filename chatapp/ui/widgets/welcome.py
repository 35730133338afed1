"""What an empty conversation shows: which model this is, what to try, and where things are."""

from dataclasses import dataclass
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

from chatapp.ui.wording import clean_line

EXAMPLES = (
    "What can you do?",
    "How do I use a bigger model?",
    "Where are my chats kept?",
)


@dataclass(frozen=True, slots=True)
class WelcomeFacts:
    """What the panel says."""

    model: str = ""
    """Empty while none is loaded."""
    builtin: bool = False
    completion: bool = False
    models_folder: Path = Path()
    history: Path | None = None
    """None in a temporary chat."""
    keys: tuple[tuple[str, str], ...] = ()
    """Keys and what they do."""
    notices: tuple[str, ...] = ()


class WelcomeText(Static):
    """The text, whose example prompts can be clicked."""

    @dataclass
    class ExampleChosen(Message):
        """The user clicked an example prompt."""

        text: str

    def action_example(self, index: int) -> None:
        """Offer an example as the prompt's text."""
        self.post_message(self.ExampleChosen(EXAMPLES[index]))


class Welcome(VerticalScroll, can_focus=False):
    """The empty state of the transcript."""

    DEFAULT_CSS = """
    Welcome { align: center middle; padding: 0 2; }
    Welcome > WelcomeText {
        width: 100%; max-width: 76; height: auto;
        link-color: $text-accent; link-style: none; link-background-hover: $primary;
    }
    """

    facts: reactive[WelcomeFacts] = reactive(WelcomeFacts(), init=False)

    def compose(self) -> ComposeResult:
        """One text, so that it can be selected whole."""
        yield WelcomeText(welcome_text(self.facts))

    def watch_facts(self, facts: WelcomeFacts) -> None:
        """Say what is true now."""
        for text in self.query(WelcomeText):
            text.update(welcome_text(facts))


def welcome_text(facts: WelcomeFacts) -> Content:
    """The panel's text."""
    lines = [_model_line(facts)]
    if facts.builtin:
        lines.append(
            Content.from_markup(
                "It is [b]small[/b]: good for trying things out, not for facts. For a bigger one, "
                "put a .gguf file into [b]$folder[/b] and press [b]Ctrl+O[/b].",
                folder=str(facts.models_folder),
            )
        )
    if facts.completion:
        lines.append(
            Content.styled(
                "This model has no chat template: it goes on with your text instead of answering.",
                "$text-warning",
            )
        )
    lines += [Content.styled(clean_line(notice), "$text-warning") for notice in facts.notices]
    lines.append(Content(""))
    for index, example in enumerate(EXAMPLES):
        lines.append(Content.from_markup(f"  [@click=example({index})]› $text[/]", text=example))
    lines.append(Content(""))
    lines.append(
        Content.from_markup("  ").join(
            Content.from_markup("[b]$keys[/b] [$foreground 60%]$label[/]", keys=keys, label=label)
            for keys, label in facts.keys
        )
    )
    lines.append(Content(""))
    kept = (
        f"Everything stays on this machine, in {facts.history}"
        if facts.history
        else "A temporary chat: nothing is written to disk, and closing forgets it."
    )
    lines.append(Content.styled(kept, "$foreground 60%"))
    return Content("\n").join(lines)


def _model_line(facts: WelcomeFacts) -> Content:
    if not facts.model:
        return Content.styled("The model is loading. You can write already.", "bold")
    kind = "the built-in model" if facts.builtin else "the model"
    return Content.from_markup(
        "You are talking to [b]$name[/b], $kind.", name=clean_line(facts.model), kind=kind
    )
