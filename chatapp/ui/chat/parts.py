"""The parts of the chat screen, each made with what it needs of the others. The order is theirs."""

from collections.abc import Iterator, Mapping

from chatapp.ui.chat.acting import Acting
from chatapp.ui.chat.chats import Chats
from chatapp.ui.chat.commands import Does
from chatapp.ui.chat.desk import Desk
from chatapp.ui.chat.drafts import Drafts
from chatapp.ui.chat.exporting import Exporting
from chatapp.ui.chat.finding import Finding
from chatapp.ui.chat.flow import ChatFlow
from chatapp.ui.chat.knowing import Knowing
from chatapp.ui.chat.measured import Measured
from chatapp.ui.chat.models import Models
from chatapp.ui.chat.own_settings import OwnSettings
from chatapp.ui.chat.pinning import Pinning
from chatapp.ui.chat.reading import Reading
from chatapp.ui.chat.removing import Removing
from chatapp.ui.chat.room import Room
from chatapp.ui.chat.sides import Sides
from chatapp.ui.chat.status import ChatStatus
from chatapp.ui.chat.temporary import TemporaryChats
from chatapp.ui.chat.titles import Titling
from chatapp.ui.chat.tree import Tree
from chatapp.ui.chat.writing import Writing
from chatapp.ui.setup import ChatSetup
from chatapp.ui.widgets.pane import ConversationPane
from chatapp.ui.widgets.sidebar import Sidebar


class Parts:
    """Made once for a screen; a part that is added here has its actions and commands there."""

    def __init__(
        self,
        setup: ChatSetup,
        desk: Desk,
        pane: ConversationPane,
        sidebar: Sidebar,
        drafts: Drafts,
    ) -> None:
        store = setup.store
        self.flow = flow = ChatFlow(
            store,
            setup.client,
            sampling=setup.config.sampling,
            chat=setup.config.chat,
            post=pane.post_message,
            drafts=drafts,
        )
        pane.keys = flow.answering.keys = desk.keys
        pane.count_context = lambda: setup.client.model.n_ctx if setup.client.model else 0
        self.status = status = ChatStatus(
            temporary=setup.temporary, offline=setup.offline, keys=desk.keys
        )
        self.acting = Acting(flow, desk, status, pane)
        self.reading = Reading(setup, self.acting, desk, status, pane)
        self.chats = Chats(setup, flow, desk, sidebar, pane)
        self.removing = Removing(store, flow, desk, self.acting, self.chats)
        self.chats.forget_deleted = self.removing.forget
        self.pinning = Pinning(store, desk, self.acting, pane, pin_chat=self.chats.pin)
        self.models = Models(setup, flow, desk, status, pane.welcome)
        flow.prepare = self.models.prepare
        self.own = OwnSettings(setup, flow, desk, self.models, status, write=pane.put_before)
        self.models.remember = self.own.remember_model
        self.room = Room(
            setup,
            flow,
            desk,
            self.models,
            written=lambda: pane.prompt.prompt,
            set_context=self.own.context,
        )
        self.knowing = Knowing(setup, flow, self.acting, desk, pane, find_room=self.room.find)
        flow.find_room = self.knowing.prepare
        self.finding = Finding(store, desk, pane, self.chats.open)
        self.sides = Sides(store, flow, desk, self.acting, pane)
        self.branching = Tree(store, desk, pane, self.chats, self.removing)
        self.temporary = TemporaryChats(setup, flow, desk, self.chats, pane, drafts)
        self.exporting = Exporting(store, flow, desk)
        self.titling = Titling(
            store,
            setup.client,
            flow,
            desk,
            pane,
            titles=setup.config.chat.titles,
            rename=self.chats.rename,
        )
        self.measured = Measured(store, desk)
        self.writing = Writing(setup, desk, pane.prompt)

    def __iter__(self) -> Iterator[object]:
        yield from vars(self).values()

    @property
    def commands(self) -> Mapping[str, Does]:
        """Who does which slash command."""
        return {name: does for part in self for name, does in getattr(part, "commands", {}).items()}
