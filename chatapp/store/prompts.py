"""What the user writes: drafts, which were begun, and all that was sent. `Store.prompts`."""

from collections.abc import Collection

from chatapp.store import drafts, sent
from chatapp.store.conversations import fetch_conversation
from chatapp.store.rows import Draft, Prompt
from chatapp.store.session import Session, clean


class Prompts:
    """Drafts and prompts; `conversation_id` None is the new chat, no conversation yet."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def save_draft(
        self,
        conversation_id: int | None,
        text: str,
        cursor: int = 0,
        *,
        replaces: int | None = None,
        waits: str = "",
    ) -> None:
        """Keep a text, in place of the one before; an empty one is no draft.

        `replaces`: it is another version of a message, behind which another text `waits`.
        """
        with self._session.of(conversation_id).writing() as db:
            if conversation_id is not None:
                fetch_conversation(db, conversation_id)
            if text or waits:
                drafts.put(db, conversation_id, clean(text), cursor, replaces, clean(waits))
            else:
                drafts.remove_ours(db, conversation_id)

    def get_draft(self, conversation_id: int | None) -> Draft | None:
        """The draft, ours from now on; None: there is none, or another chatapp is writing it."""
        with self._session.of(conversation_id).reading() as db:
            found = drafts.find(db, conversation_id)
        if found is None or found.is_ours:
            return found and found.draft
        with self._session.of(conversation_id).writing() as db:
            return drafts.take_over(db, conversation_id)

    def take_draft(self, conversation_id: int | None) -> Draft | None:
        """The draft, which is then no more: it was sent, or is thrown away."""
        with self._session.of(conversation_id).reading() as db:
            if drafts.find(db, conversation_id) is None:
                return None
        with self._session.of(conversation_id).writing() as db:
            draft = drafts.take_over(db, conversation_id)
            drafts.remove_ours(db, conversation_id)
            return draft

    def list_drafts(self) -> list[Draft]:
        """Every draft of a conversation that is not deleted and of the new chat, newest first.

        Those that another running chatapp is writing are among them.
        """
        with self._session.browsing() as db:
            return drafts.find_all(db)

    def list_sent(
        self,
        query: str = "",
        limit: int = 100,
        before: int | None = None,
        known: Collection[str] = (),
    ) -> list[Prompt]:
        """What the user said in all conversations, newest first, each text once.

        With a `query`: what matches it (see `Store.search`). `before`: only messages with a
        smaller id, to go on from the last one; texts in `known` are left out. At most
        `sent.MAX_LOOKED_AT` messages are looked at.
        """
        with self._session.browsing() as db:
            return sent.find_prompts(db, query, limit, before, known)
