"""What the app is made of: built once by the command line, never changed."""

from dataclasses import dataclass, field
from pathlib import Path

from chatapp.config import Config
from chatapp.converter import Converter
from chatapp.engine.client import EngineClient
from chatapp.informing import GetGuide
from chatapp.paths import Paths
from chatapp.store import Store


@dataclass(frozen=True, slots=True)
class ChatSetup:
    """Everything a chat needs."""

    config: Config
    paths: Paths
    store: Store
    client: EngineClient
    model: Path
    problem: str = ""
    """Why `model` is not the one that the settings name."""
    conversation_id: int | None = None
    temporary: bool = False
    offline: bool = False
    get_guide: GetGuide | None = None
    """Gives what the program knows of itself; None: nothing is put before any question."""
    converter: Converter = field(default_factory=Converter)
