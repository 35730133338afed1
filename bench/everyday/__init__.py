"""Everyday actions, each as a user does it by keyboard. `bench.actions` runs them."""

from bench.everyday import (  # noqa: F401 -- each adds its actions, in this order  # isort: skip
    writing, versions, reading, chats, settings, program, plain_messages, plain_chats,
)  # fmt: skip
from bench.everyday.desk import ACTIONS, Desk
from bench.everyday.plain import PLAIN_ACTIONS, PlainDesk

__all__ = ["ACTIONS", "PLAIN_ACTIONS", "Desk", "PlainDesk"]
