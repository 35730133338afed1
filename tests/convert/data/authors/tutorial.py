"""In the style of PyTorch's tutorial: sequence first, the mask from outside, log-probabilities."""

import math

import torch
from torch import nn

SCALE = math.sqrt(32)


class TransformerModel(nn.Module):
    def __init__(self, ntoken, ninp, nhead, nhid, nlayers, dropout=0.5):
        super().__init__()
        self.embedding = nn.Embedding(ntoken, ninp)
        self.pos = nn.Parameter(torch.zeros(64, 1, ninp))
        layer = nn.TransformerEncoderLayer(ninp, nhead, nhid, dropout, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, nlayers, enable_nested_tensor=False)
        self.decoder = nn.Linear(ninp, ntoken)

    def forward(self, src, src_mask):
        x = self.embedding(src) * SCALE + self.pos[: len(src)]
        return nn.functional.log_softmax(self.decoder(self.encoder(x, src_mask)), dim=-1)


def make_model(n_tokens, d_model, n_heads=4, d_ff=2048, num_layers=6):
    """The model in its usual size."""
    return TransformerModel(n_tokens, d_model, n_heads, d_ff, num_layers)
