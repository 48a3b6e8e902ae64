"""Parts over time: `steps (batch, n_steps, width)` -> `(batch, n_steps, another width)`.

Each is a `crnn.models.part.Part`, built from the width of its input and `SystemConfig`.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from crnn.models.part import Part
from crnn.models.pooling import mean_of
from crnn.system_config import SystemConfig

LEAST_VARIANCE = 1e-5
"""Added to a variance, as torch does"""


def recurrent(layer: nn.Module, steps: Tensor, mask: Tensor | None) -> Tensor:
    """The states of a bidirectional layer, whose backward direction begins at each clip's own end."""
    if mask is None:
        return layer(steps)[0]
    packed = pack_padded_sequence(steps, mask.sum(dim=1).cpu(), batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=steps.shape[1])[0]


class BiGRU(Part):
    """`sequence_layers` bidirectional GRUs (Cho et al. 2014), each with a residual connection and layer norm. The
    connection of the first is linear where widths differ."""

    def __init__(self, width: int, config: SystemConfig) -> None:
        super().__init__()
        self.width = 2 * config.units
        widths = [width, *(self.width for _ in range(config.sequence_layers - 1))]
        self.layers = nn.ModuleList(nn.GRU(w, config.units, batch_first=True, bidirectional=True) for w in widths)
        self.shortcuts = nn.ModuleList(
            nn.Identity() if w == self.width else nn.Linear(w, self.width, bias=False) for w in widths
        )
        self.norms = nn.ModuleList(nn.LayerNorm(self.width) for _ in widths)

    def forward(self, steps: Tensor, mask: Tensor | None = None) -> Tensor:
        for layer, shortcut, norm in zip(self.layers, self.shortcuts, self.norms, strict=True):
            steps = norm(shortcut(steps) + recurrent(layer, steps, mask))
        return steps


class BiLSTM(Part):
    """`sequence_layers` bidirectional LSTMs (Hochreiter & Schmidhuber 1997), one on the other."""

    def __init__(self, width: int, config: SystemConfig) -> None:
        super().__init__()
        self.width = 2 * config.units
        self.lstm = nn.LSTM(width, config.units, config.sequence_layers, batch_first=True, bidirectional=True)

    def forward(self, steps: Tensor, mask: Tensor | None = None) -> Tensor:
        return recurrent(self.lstm, steps, mask)


def positions(n_steps: int, width: int) -> Tensor:
    """Sinusoidal positions (Vaswani et al. 2017), `(n_steps, width)` float32; `width` is even."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = torch.arange(n_steps)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


class SelfAttention(Part):
    """A linear layer to `units`, sinusoidal positions, then `sequence_layers` times multi-head self-attention with a
    residual connection and layer norm (Vaswani et al. 2017, without their feed-forward layers)."""

    def __init__(self, width: int, config: SystemConfig) -> None:
        super().__init__()
        self.width = config.units
        self.project = nn.Linear(width, self.width)
        times = range(config.sequence_layers)
        self.layers = nn.ModuleList(nn.MultiheadAttention(self.width, config.heads, batch_first=True) for _ in times)
        self.norms = nn.ModuleList(nn.LayerNorm(self.width) for _ in times)

    def forward(self, steps: Tensor, mask: Tensor | None = None) -> Tensor:
        closed = None if mask is None else ~mask
        steps = self.project(steps)
        steps = steps + positions(steps.shape[1], self.width).to(steps)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            found, _ = layer(steps, steps, steps, key_padding_mask=closed, need_weights=False)
            steps = norm(steps + found)
        return steps


class Matching(Part):
    """Matching attention with the "general" score (Luong et al. 2015): step q becomes the sum of all steps, weighted by
    softmax over t of h_t . W h_q."""

    def __init__(self, width: int, config: SystemConfig) -> None:
        super().__init__()
        self.width = width
        self.transform = nn.Linear(width, width, bias=False)

    def forward(self, steps: Tensor, mask: Tensor | None = None) -> Tensor:
        scores = self.transform(steps) @ steps.transpose(1, 2)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None], float("-inf"))
        return scores.softmax(dim=-1) @ steps


class InstanceNorm(Part):
    """Instance normalization over time (Ulyanov et al. 2016) with learned scale and shift: every value has mean 0 and
    variance 1 over a clip's steps first, which removes what is constant over the clip, such as much of the voice."""

    def __init__(self, width: int, config: SystemConfig) -> None:
        super().__init__()
        self.width = width
        self.scale = nn.Parameter(torch.ones(width))
        self.shift = nn.Parameter(torch.zeros(width))

    def forward(self, steps: Tensor, mask: Tensor | None = None) -> Tensor:
        centred = steps - mean_of(steps, mask)[:, None]
        variance = mean_of(centred.square(), mask)[:, None]
        return centred * (variance + LEAST_VARIANCE).rsqrt() * self.scale + self.shift
