"""The models that a server lists, in the shapes that are met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chatapp.engine.chunks import count_in
from chatapp.engine.server_events import decode_json


@dataclass(frozen=True, slots=True)
class Served:
    """One model that a server offers."""

    id: str
    n_ctx: int = 0
    """Tokens it holds; 0: not known. No meter is better than a wrong one."""
    n_ctx_train: int = 0


def read_models(body: bytes) -> list[Served]:
    """Every model of a server. `ValueError` if the body is no list of models.

    OpenAI's `{"data": [...]}`, a bare list, or Ollama's `{"models": [...]}`; null is none.
    """
    value = decode_json(body)
    if isinstance(value, dict):
        if not value.keys() & {"data", "models"}:
            raise ValueError("no models")
        value = value.get("data") or value.get("models") or []
    if not isinstance(value, list):
        raise ValueError("no list")  # noqa: TRY004 -- of JSON, which has no types of Python
    found = [_read_model(one) for one in value if isinstance(one, dict)]
    return [model for model in found if model.id]


def _read_model(value: dict[str, Any]) -> Served:
    names = (value.get(key) for key in ("id", "name", "model"))
    meta = value.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    holds = count_in(value.get("max_model_len")) or count_in(meta.get("n_ctx"))
    n_ctx = holds or count_in(value.get("context_length"))
    name = next((name for name in names if isinstance(name, str) and name), "")
    return Served(name, n_ctx, count_in(meta.get("n_ctx_train")) or n_ctx)
