"""The model, of parts beside it."""

from argparse import Namespace

from torch import nn

from .layers import Mixing

defaults = Namespace(width=16, vocabulary_size=99, depth=1)


class LanguageModel(nn.Module):
    def __init__(self, args=defaults):
        super().__init__()
        self.embed = nn.Embedding(args.vocabulary_size, args.width)
        self.mix = nn.ModuleList(Mixing(args.width) for _ in range(args.depth))
        self.head = nn.Linear(args.width, args.vocabulary_size)

    def forward(self, x):
        x = self.embed(x)
        for mix in self.mix:
            x = x + mix(x)
        return {"hidden": x, "logits": self.head(x)}
