"""A model that transformers has saved, as the training loop wants it.

Promises what the PyTorch backend promises of loading: nothing that the folder brings is run. The
weights are trained in float32; one that is frozen stays as it is stored where a GPU computes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chatapp.engine.pytorch.folder import Folder
from chatapp.engine.pytorch.vocab import TorchVocab
from chatapp.engine.pytorch.weights import TorchWeights
from chatapp.errors import ChatAppError, ModelError
from chatapp.train.language_model import IGNORED, LanguageModel

_BODY = "body."
_MOST_FILE = "100TB"
"""Of weights in one file: they are always in one."""
_MOST_APART = 1.1
"""Times as many tokens as rows or the other way round: rows are rounded up, and kept for later."""


@dataclass(frozen=True, slots=True)
class PretrainedShape:
    """What there is to say of a model whose shape is transformers' own."""

    n_layer: int
    n_head: int
    n_embd: int
    block_size: int
    vocab_size: int
    dropout: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as a checkpoint's `model_args` keeps them."""
        return asdict(self)


class Pretrained(LanguageModel):
    """A causal language model of transformers'."""

    def __init__(self, folder: Folder, context: int, *, frozen: bool) -> None:
        """`context`: tokens of a row at most; 0: what the model was trained for. `frozen`: the
        weights will not be trained. Raises `ModelError`."""
        super().__init__()
        loaded = TorchWeights(folder, use_gpu=False)
        if loaded.is_encoder_decoder:
            raise ModelError(
                f"{folder.name} makes a text of a text, and only models that go on with a text "
                "are fine-tuned.",
                "Take a decoder, such as a Llama, Qwen or Gemma.",
            )
        n_tokens = len(loaded.tokenizer)
        n_rows = loaded.model.get_input_embeddings().num_embeddings
        if max(n_tokens, n_rows) > _MOST_APART * min(n_tokens, n_rows):
            raise ModelError(
                f"The tokenizer in {folder.name} has {n_tokens} tokens, the model {n_rows}: they "
                "do not belong together.",
                "Put the tokenizer that it was trained with beside it.",
            )
        self.body: nn.Module = loaded.model
        self.dtype: torch.dtype = loaded.model.dtype
        """Of the weights in the folder."""
        if not (frozen and torch.cuda.is_available()):
            self.body.float()
        self.templates = loaded.templates
        """Its chat templates by name, that of the default one empty."""
        self.vocab: TorchVocab = loaded.vocab
        self.args = _describe(loaded, context)
        accepted = signature(loaded.model.forward).parameters
        self._takes_columns = "logits_to_keep" in accepted
        self._takes_cache = "use_cache" in accepted

    def loss(
        self,
        tokens: Tensor,
        targets: Tensor,
        offset: int = 0,  # noqa: ARG002 - positions are the model's own
        masked: bool = True,
    ) -> Tensor:
        """Mean cross-entropy in nats over the targets that are not `IGNORED`.

        Only the columns in which some row has a target go through the output matrix.
        """
        given: dict[str, Any] = {"use_cache": False} if self._takes_cache else {}
        wanted = (targets != IGNORED).any(dim=0).nonzero().flatten() if masked else None
        if wanted is not None and self._takes_columns:
            targets = targets[:, wanted]
            given["logits_to_keep"] = wanted
        logits = self.body(input_ids=tokens, **given).logits
        rows, flat = logits.flatten(0, 1), targets.flatten()
        kept = flat != IGNORED
        return functional.cross_entropy(rows[kept].float(), flat[kept])

    def next_logits(self, tokens: Tensor) -> Tensor:
        """Logits `[batch, vocab_size]` of what follows int64 `tokens` `[batch, time]`."""
        given = {"use_cache": False} if self._takes_cache else {}
        logits: Tensor = self.body(input_ids=tokens, **given).logits
        return logits[:, -1]

    def blocks(self) -> nn.ModuleList:
        """The layers of the model, first to last."""
        lists = [one for one in self.body.modules() if isinstance(one, nn.ModuleList)]
        return max(lists, key=len)

    def write(self, state: Mapping[str, Tensor], folder: Path) -> None:
        """Write `state` into `folder` as transformers saves a model. Raises `ChatAppError`."""
        weights = {
            name.removeprefix(_BODY): one.to(self.dtype) if one.is_floating_point() else one
            for name, one in state.items()
        }
        with writing(folder) as place:
            body: Any = self.body
            body.config.dtype = self.dtype
            body.save_pretrained(place, state_dict=weights, max_shard_size=_MOST_FILE)


@contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """A place inside `folder` whose files come to stand in it when all of them are whole.

    Raises `ChatAppError` where they cannot be written; what was there before is whole then.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as name:
            place = Path(name)
            yield place
            for file in sorted(place.iterdir()):
                file.replace(folder / file.name)
    except Exception as error:  # the libraries that write raise whatever a full disk does to them
        if isinstance(error, ChatAppError):
            raise
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
        raise ChatAppError(
            f"The model cannot be written into {folder}: {reason}.",
            "Make room, then go on: chatapp train resume FOLDER",
        ) from error


def _describe(loaded: TorchWeights, context: int) -> PretrainedShape:
    config = loaded.model.config.get_text_config(decoder=True)
    trained = loaded.n_ctx_train
    if context and trained and context > trained:
        raise ModelError(
            f"{loaded.folder.name} was trained for {trained} tokens, not for {context}.",
            "Lower --context.",
        )
    return PretrainedShape(
        n_layer=loaded.n_layers,
        n_head=int(getattr(config, "num_attention_heads", 0) or 1),
        n_embd=int(getattr(config, "hidden_size", 0) or 1),
        block_size=context or trained or 2048,
        vocab_size=loaded.vocab.n_tokens,
    )
