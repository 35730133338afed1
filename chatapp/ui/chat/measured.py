"""`/evaluations`: what models were measured at."""

from chatapp.store import Store
from chatapp.ui.chat.commands import Does
from chatapp.ui.chat.desk import Desk


class Measured:
    """Opens the screen that lists and compares them."""

    def __init__(self, store: Store, desk: Desk) -> None:
        self._store = store
        self._desk = desk
        self.commands: dict[str, Does] = {"evaluations": lambda _: self.action_evaluations()}

    def action_evaluations(self) -> None:
        """Show the screen of what models were measured at."""
        from chatapp.ui.screens.evaluations import EvaluationsScreen

        self._desk.open(EvaluationsScreen(self._store), lambda _: None)
