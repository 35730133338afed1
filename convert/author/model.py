"""The author's model from its code to its logits, without a process around it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.author.building import build
from convert.author.calling import Caller
from convert.author.choosing import find_model
from convert.author.faults import AuthorError, explain
from convert.author.known import Known, MissingSettingError
from convert.author.loading import Places, find_places, refuse_misfit, settle, without_dropout
from convert.author.script import Script


class AuthorModel:
    """Built, filled and asked, in this order."""

    def __init__(self, path: Path, data: bytes, job: dict[str, Any]) -> None:
        """`data` is the file at `path`. `job`: name, arguments, config, shapes (of the checkpoint's
        tensors), ignored, sizes and hints (by role), told (by role), widths,
        n_ctx."""
        self._path, self._data, self._job = path, data, job
        parts = {name.partition(".")[0] for name in job["shapes"] if name not in job["ignored"]}
        script = Script(path, data)
        self.name = find_model(script, job["name"], parts)
        sys.path[:0] = [str(path.parent), str(script.root)]
        self.notes: list[str] = []
        self._places: Places
        self._model: Any = None

    @property
    def wanted(self) -> list[str]:
        """The checkpoint's tensors that the model has a place for, in the order to send them."""
        return list(self._places.tensors)

    def build(self) -> None:
        """Make the model. Flags about biases that nobody knows are tried both ways.

        Raises `AuthorError`, or whatever the code raises.
        """
        without_dropout()
        best: tuple[Places, Any] | None = None
        for bias in (None, False, True):
            known = self._known(bias)
            try:
                script = Script(self._path, self._data)
                model = build(script, self.name, known)
            except MissingSettingError as error:
                raise self._lacks(error.setting) from None
            if unused := [name for name in known.unused if not script.mentions(name)]:
                raise self._unused(unused)
            settle(model)
            places = find_places(model, self._job["shapes"], self._job["ignored"])
            if best is None or places.amiss < best[0].amiss:
                best = places, model
            if places.fits or not known.guessed:
                break
        assert best is not None
        self._places, self._model = best
        refuse_misfit(self._places, self._path.name, self.name)

    def _known(self, bias: bool | None) -> Known:
        job = self._job
        known = Known(job["arguments"], job["config"], job["sizes"], job["hints"], job["told"])
        known.bias = bias
        return known

    def _lacks(self, setting: str) -> AuthorError:
        return AuthorError(
            f"{self._path.name}'s {self.name} asks for {setting!r:.60}, which neither the "
            "checkpoint nor the code says.",
            f"Give it: --code-args {setting}=VALUE.",
        )

    def _unused(self, names: list[str]) -> AuthorError:
        return AuthorError(
            f"{self._path.name}'s {self.name} asks for nothing named {', '.join(names)[:200]}.",
            "Look at the names in the code.",
        )

    def open(self, name: str) -> memoryview:
        """The memory that the checkpoint's tensor `name` goes to, as bytes of float32."""
        tensor = self._places.tensors[name]
        if not tensor.is_contiguous():
            raise AuthorError(f"{name} is laid out in a way that cannot be filled.")
        flat: NDArray[np.uint8] = tensor.reshape(-1).numpy().view(np.uint8)
        return flat.data

    def finish(self) -> None:
        """All weights are there: find out how it is called. Raises `AuthorError`."""
        caller = Caller(self._model, set(self._job["widths"]), self._job["n_ctx"])
        try:
            caller.find_way()
        except MissingSettingError as error:
            raise self._lacks(error.setting) from None
        except AuthorError as error:
            said = error.message.rstrip(".")
            raise AuthorError(f"{self._path.name}'s {self.name}: {said}.", error.hint) from None
        except Exception as error:  # noqa: BLE001  (the author's code may raise anything)
            said = explain(error, self._path.parent)
            raise AuthorError(f"{self._path.name}'s {self.name} cannot be run: {said}.") from None
        self._caller = caller
        self.notes += caller.notes

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Logits [len(ids), width] after each of `ids`."""
        return np.ascontiguousarray(self._caller.logits(ids), np.float32)
