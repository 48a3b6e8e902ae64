"""Pooling: `steps (batch, n_steps, width)` -> one vector per clip, `(batch, another width)`.

Each is a `crnn.models.part.Part`, built from the width of its input and `SystemConfig`.
"""

import torch
from torch import Tensor, nn

from crnn.models.part import Part
from crnn.system_config import SystemConfig

SMALLEST = 1e-8
"""Least variance: the slope of a square root is infinite at 0"""


def mean_of(steps: Tensor, mask: Tensor | None) -> Tensor:
    """The mean over a clip's steps, `(batch, width)`."""
    if mask is None:
        return steps.mean(dim=1)
    return (steps * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1)[:, None]


def max_of(steps: Tensor, mask: Tensor | None) -> Tensor:
    """The maximum over a clip's steps, `(batch, width)`."""
    return (steps if mask is None else steps.masked_fill(~mask[:, :, None], float("-inf"))).amax(dim=1)


def weights_of(scores: Tensor, mask: Tensor | None) -> Tensor:
    """`scores (batch, n_steps, any)` -> weights that sum to 1 over a clip's steps."""
    return (scores if mask is None else scores.masked_fill(~mask[:, :, None], float("-inf"))).softmax(dim=1)


class Mean(Part):
    """The mean over time."""

    def __init__(self, width: int, config: SystemConfig) -> None:
        super().__init__()
        self.width = width

    def forward(self, steps: Tensor, mask: Tensor | None = None) -> Tensor:
        return mean_of(steps, mask)


class Max(Part):
    """The maximum over time."""

    def __init__(self, width: int, config: SystemConfig) -> None:
        super().__init__()
        self.width = width

    def forward(self, steps: Tensor, mask: Tensor | None = None) -> Tensor:
        return max_of(steps, mask)


class MeanMax(Part):
    """Mean and maximum over time, side by side."""

    def __init__(self, width: int, config: SystemConfig) -> None:
        super().__init__()
        self.width = 2 * width

    def forward(self, steps: Tensor, mask: Tensor | None = None) -> Tensor:
        return torch.cat([mean_of(steps, mask), max_of(steps, mask)], dim=1)


class MeanStd(Part):
    """Mean and standard deviation over time, side by side (statistics pooling, Snyder et al. 2017)."""

    def __init__(self, width: int, config: SystemConfig) -> None:
        super().__init__()
        self.width = 2 * width

    def forward(self, steps: Tensor, mask: Tensor | None = None) -> Tensor:
        mean = mean_of(steps, mask)
        variance = mean_of((steps - mean[:, None]).square(), mask)
        return torch.cat([mean, variance.clamp_min(SMALLEST).sqrt()], dim=1)


class Attention(Part):
    """The mean over time, weighted by additive attention with one query (Bahdanau et al. 2015), as in the CRNN."""

    def __init__(self, width: int, config: SystemConfig) -> None:
        super().__init__()
        self.width = width
        self.score = nn.Sequential(nn.Linear(width, config.units), nn.Tanh(), nn.Linear(config.units, 1, bias=False))

    def forward(self, steps: Tensor, mask: Tensor | None = None) -> Tensor:
        return (steps * weights_of(self.score(steps), mask)).sum(dim=1)


class ConvMax(Part):
    """A convolution over three steps to `units` channels, ReLU, then the maximum over time."""

    def __init__(self, width: int, config: SystemConfig) -> None:
        super().__init__()
        self.width = config.units
        self.convolution = nn.Conv1d(width, self.width, 3, padding=1)

    def forward(self, steps: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            steps = steps * mask[:, :, None]  # a clip's last step sees zeros behind it, as it does alone
        return max_of(self.convolution(steps.transpose(1, 2)).transpose(1, 2).relu(), mask)


class QKVAttentive(Part):
    """Attentive pooling with query, key and value (after Shendabadi et al. 2026): `heads` times scaled dot-product
    attention of one query, computed from the mean step, over all steps; `units` values in all."""

    def __init__(self, width: int, config: SystemConfig) -> None:
        super().__init__()
        self.width, self.heads = config.units, config.heads
        self.query, self.key, self.value = (nn.Linear(width, self.width) for _ in range(3))

    def forward(self, steps: Tensor, mask: Tensor | None = None) -> Tensor:
        batch, n_steps, _ = steps.shape
        by_head = (batch, n_steps, self.heads, self.width // self.heads)
        query = self.query(mean_of(steps, mask)).view(batch, 1, *by_head[2:])
        scores = (query * self.key(steps).view(by_head)).sum(dim=-1) / by_head[-1] ** 0.5
        weighted = self.value(steps).view(by_head) * weights_of(scores, mask)[..., None]
        return weighted.sum(dim=1).flatten(1)
