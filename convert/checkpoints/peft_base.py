"""The model under an adapter while weights are merged into it: names, and what is tied to what.

A model may keep one matrix for its embedding and its output. An adapter that changes one of them
makes two matrices of it, unless peft was told to keep them tied; transformers would tie them again,
so the merged configuration says that they are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.peft_config import misfit
from convert.checkpoints.tensor import Tensor
from convert.errors import CheckpointError

_EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight")
_HEADS = ("lm_head.weight", "embed_out.weight")


class BaseModel:
    """Weights by name, changed one by one."""

    def __init__(self, base: Checkpoint, resized: Mapping[str, Tensor]) -> None:
        """`resized`: weights of the base model that the adapter brings along."""
        self._config = base.config
        self.tensors = dict(base.tensors)
        self._embedding = self._find_embedding()
        self._n_vocab = self._rows()
        head = next((name for name in _HEADS if name in self.tensors), None)
        self._was_tied = head is None or self._says_tied(head)
        old_gptneox = self._embedding is not None and self._embedding.endswith("embed_in.weight")
        self._head = head or _HEADS[old_gptneox]
        self._before = dict(self.tensors)
        for name, tensor in resized.items():
            both = self._was_tied and self._embedding is not None and self.find(name) == self._head
            self.put(self._embedding if both and self._embedding else name, tensor)
        if self._was_tied and self._embedding and self._changed(self._embedding):
            self._tie()
        self._before = dict(self.tensors)

    def _find_embedding(self) -> str | None:
        found = [
            name
            for name in self.tensors
            if f".{name}".endswith(tuple(f".{end}" for end in _EMBEDDINGS))
            and ".embeddings." not in f".{name}"  # of an encoder, which has no output
        ]
        return found[0] if len(found) == 1 else None

    def _says_tied(self, head: str) -> bool:
        if self._embedding is None:
            return False
        same = self.tensors[head].identity == self.tensors[self._embedding].identity
        return same or self._config.get("tie_word_embeddings") is True

    def _rows(self) -> int:
        return self.tensors[self._embedding].n_rows if self._embedding else 0

    def find(self, name: str) -> str | None:
        """The model's own name of `name`, which may lack or have a prefix."""
        if name in self.tensors:
            return name
        if self._is_head(name) and self._embedding:
            return self._head
        ends = [key for key in self.tensors if name.endswith(f".{key}") or key.endswith(f".{name}")]
        return ends[0] if len(ends) == 1 else None

    def _is_head(self, name: str) -> bool:
        return name.endswith(_HEADS)

    def is_embedding(self, name: str) -> bool:
        """Whether `name` is the embedding of tokens."""
        return self.find(name) == self._embedding

    def __contains__(self, name: str) -> bool:
        return self.find(name) is not None

    def __getitem__(self, name: str) -> Tensor:
        known = self.find(name)
        if known is None:
            raise misfit(name, "the model has no such weight")
        if known == self._head and known not in self.tensors:
            assert self._embedding is not None
            return self._before[self._embedding].rename(known)
        return self.tensors[known]

    def put(self, name: str, tensor: Tensor) -> None:
        """Replace `name`. An embedding or output may get other rows. Raises `CheckpointError`."""
        before, known = self[name], self.find(name)
        assert known is not None
        free = known in (self._embedding, self._head)
        if before.shape[1:] != tensor.shape[1:] or not (free or before.shape == tensor.shape):
            raise misfit(name, f"{before.shape} in the model, {tensor.shape} in the adapter")
        self.tensors[known] = replace(tensor, name=known, origin=tensor.origin or tensor.name)

    def _tie(self) -> None:
        """Give a copy of the embedding that the file has as its output the embedding's weights."""
        if self._embedding and self._head in self.tensors:
            self.tensors[self._head] = self.tensors[self._embedding].rename(self._head)

    def _changed(self, name: str) -> bool:
        return self.tensors.get(name) is not self._before.get(name)

    def settle_ties(self, *, kept: bool, follows: bool) -> tuple[dict[str, Any], list[str]]:
        """The configuration of the merged model, and what there is to say.

        `kept`: embedding and output were trained as one; `follows`: a tied output changes with its
        embedding, if it was not trained itself. Raises `CheckpointError`.
        """
        if self._embedding is None:
            return self._config, []
        embedding, head = self._changed(self._embedding), self._changed(self._head)
        notes, config = self._note_rows(), dict(self._config)
        if notes:
            config["vocab_size"] = self._rows()
        if not self._was_tied or not (embedding or head):
            return config, notes
        if kept or (follows and not head):
            if self._head in self._before:
                self._tie()
            else:
                self.tensors.pop(self._head, None)
            return config, notes
        if self._head not in self.tensors:
            self.tensors[self._head] = self._before[self._embedding].rename(self._head)
        config["tie_word_embeddings"] = False
        alone = "output" if head else "embedding"
        side = "embedding and the output were" if embedding and head else f"{alone} alone was"
        return config, [*notes, f"The {side} trained: they are no longer tied."]

    def _note_rows(self) -> list[str]:
        rows, output = self._rows(), self.tensors.get(self._head)
        if rows == self._n_vocab:
            return []
        if output is not None and output.n_rows != rows:
            raise CheckpointError(
                f"The adapter's embedding has {rows} rows, but the output {output.n_rows}.",
                "Save the adapter again with save_embedding_layers=True.",
            )
        return [f"The vocabulary has {rows} rows now, {self._n_vocab} in the base."]
