"""A GRU over the embeddings of the turns of a dialogue."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence


class NextTurn(nn.Module):
    """`turns (batch, context, width)`, of which the first `lengths (batch,)` count -> `logits (batch, n_classes)` of
    the turn after them.

    Each dimension is scaled to the mean and variance of `train (n, width)`.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, train: Tensor, n_classes: int, units: int = 64, dropout: float = 0.3) -> None:
        super().__init__()
        self.register_buffer("mean", train.mean(dim=0))
        self.register_buffer("scale", train.std(dim=0, correction=0).clamp_min(1e-6))
        self.gru = nn.GRU(train.shape[1], units, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(units, n_classes)

    def forward(self, turns: Tensor, lengths: Tensor) -> Tensor:
        scaled = (turns - self.mean) / self.scale
        packed = pack_padded_sequence(scaled, lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, last = self.gru(packed)
        return self.classifier(self.dropout(last[0]))


def padded(vectors: Tensor, spans: list[tuple[int, int]], context: int) -> tuple[Tensor, Tensor]:
    """Rows `[first, end)` of `vectors (n, width)` for each span -> `turns (batch, context, width)`, zeros behind the
    shorter ones, and `lengths (batch,)`."""
    lengths = torch.tensor([end - first for first, end in spans])
    turns = torch.zeros(len(spans), context, vectors.shape[1])
    for row, (first, end) in zip(turns, spans, strict=True):
        row[: end - first] = vectors[first:end]
    return turns, lengths
