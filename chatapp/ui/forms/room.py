"""A dialog for a message that does not fit the context: what is to become of what stands before it.

What cannot be done is shown with its reason.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

Way = Literal["summarise", "leave out", "longer", "new chat", "anyway"]


@dataclass(frozen=True, slots=True)
class Offer:
    """One way out."""

    way: Way
    title: str
    more: str
    """What it means; or why it cannot be done."""
    is_open: bool = True


class RoomForm(ModalScreen[Way | None]):
    """Dismissed with what was chosen; None: nothing, and the message waits."""

    CSS_PATH = "../screens/dialog.tcss"
    CSS = """
    RoomForm { align: center middle; background: $background 60%; }
    RoomForm #dialog { min-width: 20; max-height: 100%; }
    RoomForm #facts { height: auto; max-height: 25vh; margin-bottom: 1; }
    RoomForm #dialog OptionList { max-height: 50vh; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Keep it")]

    def __init__(
        self,
        title: str,
        facts: Sequence[str],
        offers: Sequence[Offer],
        later: Callable[[], Awaitable[Offer]],
    ) -> None:
        """`later` gives an offer that takes a moment to work out; it has its place among the others
        by its `way`."""
        super().__init__()
        self._title = title
        self._facts = facts
        self._offers = offers
        self._later = later

    def compose(self) -> ComposeResult:
        """What is so, and what can be done."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = self._title
            dialog.border_subtitle = "Enter chooses · Esc keeps your message"
            yield Static("\n".join(self._facts), id="facts", markup=False)
            options = OptionList(*map(_option, self._offers), markup=False)
            ways = [offer.is_open for offer in self._offers]
            options.highlighted = ways.index(True) if True in ways else None
            yield options

    def on_mount(self) -> None:
        """Work out the slow offer."""
        self.run_worker(self._complete())

    async def _complete(self) -> None:
        offer = await self._later()
        options = self.query_one(OptionList)
        options.replace_option_prompt(offer.way, _prompt(offer))
        if offer.is_open:
            options.enable_option(offer.way)
            if options.highlighted is None:
                options.highlighted = options.get_option_index(offer.way)

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        chosen = [offer.way for offer in self._offers if offer.way == event.option_id]
        self.dismiss(chosen[0])


def _option(offer: Offer) -> Option:
    return Option(_prompt(offer), id=offer.way, disabled=not offer.is_open)


def _prompt(offer: Offer) -> Content:
    return Content.assemble((offer.title, "bold"), "\n  ", (offer.more, "dim"))
