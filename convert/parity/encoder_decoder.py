"""Encoder–decoders (T5), run by transformers: the encoder reads a text, and the decoder says it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from convert.architectures.model import Model
from convert.checkpoints.checkpoint import Checkpoint
from convert.parity.hf import build
from convert.witness import TRANSFORMERS


def load(checkpoint: Checkpoint, model: Model) -> EncoderDecoder:
    """The model that `checkpoint.config` describes. Raises `Unavailable`."""
    return EncoderDecoder(checkpoint, model)


class EncoderDecoder:
    """A model of transformers that makes a text of a text, in float32 on the CPU."""

    against, notes = TRANSFORMERS, ()

    def __init__(self, checkpoint: Checkpoint, model: Model) -> None:
        network, version = build(checkpoint, "AutoModelForSeq2SeqLM")
        self.name = f"transformers {version}"
        self._network = network
        start = model.hparams["decoder_start_token_id"]
        assert isinstance(start, int)
        self._start = start

    @torch.inference_mode()
    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Logits [len(ids), n_rows]: the decoder says `ids`, which the encoder has read."""
        found = self._network(
            input_ids=torch.tensor([list(ids)]),
            decoder_input_ids=torch.tensor([[self._start, *ids]]),
        )
        result: NDArray[np.float32] = found.logits[0, 1:].numpy()
        return result
