"""History: conversations as message trees in one SQLite file. `Store` is the way in.

`Store` is loaded when it is first asked for: naming `chatapp.store.rows` must not cost the
150 ms that sqlite_utils takes to import.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatapp.store.store import Store

__all__ = ["Store"]


def __getattr__(name: str) -> object:
    if name == "Store":
        from chatapp.store.store import Store

        return Store
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
