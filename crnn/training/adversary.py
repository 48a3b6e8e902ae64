"""A speaker classifier behind gradient reversal (Ganin et al. 2016): the embedding unlearns who speaks."""

from typing import Any

import torch
from torch import Tensor, nn

from crnn.run_config import LossConfig

HIDDEN = 256
"""Units of the classifier's hidden layer"""


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradients[0], None


class SpeakerAdversary(nn.Module):
    """Recognizes the training speaker from the pooled vector. It learns to at full rate, always; what it asks of the
    pooled vector is reversed and multiplied by `weight`, which `adversary_weight` raises during training."""

    def __init__(self, width: int, n_speakers: int) -> None:
        super().__init__()
        if n_speakers < 2:
            raise ValueError(f"n_speakers is {n_speakers}; a speaker classifier needs two")
        self.classifier = nn.Sequential(nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, n_speakers))
        self.weight = 0.0

    def forward(self, pooled: Tensor, speakers: Tensor) -> Tensor:
        """`pooled (batch, width)`, `speakers (batch, n_speakers)` shares of each speaker in the clip -> the
        cross-entropy."""
        return nn.functional.cross_entropy(self.classifier(_Reversed.apply(pooled, self.weight)).float(), speakers)


def adversary_weight(loss: LossConfig, epochs: int, place: float) -> float:
    """The weight after `place` of `epochs` epochs: 0 for `adversary_epochs`, then linear until the share
    `adversary_share` of the training is over, then `loss.adversary_weight`.

    >>> loss = LossConfig(adversary_weight=1.0)
    >>> [adversary_weight(loss, 20, place) for place in (0, 5, 9.5, 14, 20)]
    [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    begin, end = loss.adversary_epochs, loss.adversary_share * epochs
    return loss.adversary_weight * min(1.0, max(0.0, (place - begin) / (end - begin)))
