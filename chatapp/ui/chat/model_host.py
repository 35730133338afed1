"""Loading models for the chat screen: one at a time, with progress, back to the last on failure.

May not touch a widget. `EngineClient.load` ends the old engine process first: that alone is sure
to give its memory back.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from textual.message import Message as Fact

from chatapp.config import EngineConfig, KvType
from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import LoadOptions, LoadProgress, ModelDescription
from chatapp.errors import ChatAppError, ModelError
from chatapp.paths import spell_path
from chatapp.ui.messages import ModelFailed, ModelLoading, ModelReady


class ModelHost:
    """Which model is in the engine, and the way to another one."""

    def __init__(
        self,
        client: EngineClient,
        config: EngineConfig,
        find_template: Callable[[Path], str],
        find_name: Callable[[Path], str],
        post: Callable[[Fact], object],
    ) -> None:
        """`find_template` gives the chat template that the settings name for a model, if any;
        `find_name` what it is called, and may read the file for it."""
        self._client = client
        self._config = config
        self._find_template = find_template
        self._find_name = find_name
        self._post = post
        self._planned: dict[Path, tuple[int, KvType | None]] = {}
        self.model: ModelDescription | None = None
        """What is loaded."""
        self.failed: Path | None = None
        """What did not load, while nothing is loaded: sending a message tries it again."""
        self._n_begun = 0
        """Loads that were begun; a load whose number is smaller was cancelled for a newer one."""
        self._last: Path | None = None
        """What was loaded last, and is gone back to."""

    def plan(self, path: Path, n_ctx: int, kv_type: KvType | None) -> None:
        """Load `path` so from now on; 0 and None: as the settings say."""
        self._planned[path] = (n_ctx, kv_type)

    def has_context(self, n_ctx: int) -> bool:
        """Whether the model that is loaded has a context of so many tokens, or was asked for it and
        has as much as it can; a server has what it has."""
        model = self.model
        return model is not None and (
            bool(model.host) or n_ctx in (model.n_ctx, self._planned.get(Path(model.path), (0,))[0])
        )

    async def load(self, path: Path) -> bool:
        """Load `path`; when that fails, say so and load what was there before. True if it did.

        Whoever cancels this may have begun another load already: that one is not touched.
        """
        self._n_begun += 1
        number = self._n_begun
        self.model = self.failed = None
        try:
            if await self._try(path, number):
                self._last = path
                return True
            if self._last is not None and self._last != path:
                await self._try(self._last, number)
            return False
        finally:  # whatever it was, nothing is being loaded any more
            if self.model is None and number == self._n_begun:
                self.failed = path

    async def _try(self, path: Path, number: int) -> bool:
        name = await asyncio.to_thread(self._find_name, path)
        self._post(ModelLoading(name, 0.0))
        n_ctx, kv_type = self._planned.get(path, (0, None))
        problem: ChatAppError = ModelError(f"{name} was not loaded.")
        loaded: ModelDescription | None = None

        def report(progress: LoadProgress) -> None:
            self._post(ModelLoading(name, progress.fraction, progress.doing))

        try:
            options = LoadOptions(
                path=spell_path(path),
                n_ctx=n_ctx or self._config.n_ctx,
                gpu_layers=self._config.gpu_layers,
                n_threads=self._config.n_threads,
                adapt_threads=self._config.adapt_threads,
                flash_attn=self._config.flash_attn,
                kv_type=kv_type or self._config.kv_type,
                chat_template=self._find_template(path),
                backend=self._config.backend,
            )
            loaded = await self._client.load(options, report)
        except ChatAppError as error:
            problem = error
        finally:
            if loaded is None and number == self._n_begun:
                self._post(ModelFailed(name, problem))
        if loaded is None:
            return False
        self.model = loaded
        self._post(ModelReady(loaded))
        return True
