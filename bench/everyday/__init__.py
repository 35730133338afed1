"""Everyday actions, each as a user does it by keyboard. `bench.actions` runs them."""

from bench.everyday import (  # noqa: F401 -- each adds its actions, in this order  # isort: skip
    writing, versions, reading, chats, settings, program,
)  # fmt: skip
from bench.everyday.desk import ACTIONS, Desk

__all__ = ["ACTIONS", "Desk"]
