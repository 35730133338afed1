"""Runs here draw no picture: matplotlib looks for fonts first, seconds long in a new home."""

import pytest


@pytest.fixture(autouse=True)
def no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatapp.train.run.draw_losses", lambda _folder: None)
