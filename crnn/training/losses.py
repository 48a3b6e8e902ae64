"""Focal loss for several classes, on hard or soft targets."""

import torch
from torch import Tensor, nn


class FocalLoss(nn.Module):
    r"""Focal loss (Lin et al. 2017, eq. 5, one term per class), averaged over the batch:

    .. math:: -\sum_c w_c \, t_c \, (1 - p_c)^\gamma \log p_c

    With one-hot targets this is the usual multi-class focal loss, with gamma 0 the cross-entropy.

    Args:
        gamma: focusing exponent, 0 or more.
        class_weights: `(n_classes,)`, or None for equal weights. As in torch, weighted terms are summed and divided
            by the summed weights of the targets.
        label_smoothing: share of every target spread over all classes (Szegedy et al. 2016), 0 to below 1.

    Shapes: `logits (batch, n_classes)`, `targets (batch, n_classes)` probabilities; returns a scalar. With a `mask
    (batch, n_classes)` bool, only the classes where it is True compete: p is taken over them, smoothing spreads over
    them, and the others' logits get a gradient of exactly zero. The targets must lie where it is True.

    >>> loss = FocalLoss(gamma=0.0)
    >>> logits = torch.tensor([[2.0, 0.0, -1.0]])
    >>> expected = nn.functional.cross_entropy(logits, torch.tensor([1]))
    >>> bool(torch.isclose(loss(logits, torch.tensor([[0.0, 1.0, 0.0]])), expected))
    True
    """

    class_weights: Tensor | None

    def __init__(self, gamma: float, class_weights: Tensor | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if gamma < 0:
            raise ValueError(f"gamma is {gamma}; give 0 or more")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing is {label_smoothing}; give 0 <= label_smoothing < 1")
        self.gamma = gamma
        self.label_smoothing = label_smoothing
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(self, logits: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        mask = torch.ones_like(targets, dtype=torch.bool) if mask is None else mask
        log_probs = torch.log_softmax(masked_logits(logits.float(), mask), dim=-1).masked_fill(~mask, 0.0)
        spread = mask / mask.sum(dim=-1, keepdim=True)
        targets = targets * (1 - self.label_smoothing) + self.label_smoothing * spread
        weights = targets if self.class_weights is None else targets * self.class_weights
        # 1 - p from the other classes' probabilities would be exact too; expm1 keeps it so where p is near 1. Above 0,
        # because the slope of a power below 1 is infinite there.
        focus = (-torch.expm1(log_probs)).clamp_min(1e-12) ** self.gamma if self.gamma else 1.0
        return -(weights * focus * log_probs).sum() / weights.sum().clamp_min(1e-12)  # 0 where nothing has a label


LABELLED = 0.99
"""Least sum of the targets of a clip with a label; the targets of a clip without one are zeros"""


def labelled(targets: Tensor) -> Tensor:
    """`(batch,)` bool: the clips of `targets (batch, n_classes)` that have a label, and were mixed with none that has
    not."""
    return targets.sum(dim=1) > LABELLED


def masked_logits(logits: Tensor, mask: Tensor) -> Tensor:
    """Minus infinity where `mask` is False: a probability of exactly 0."""
    return logits.masked_fill(~mask, float("-inf"))


def balanced_class_weights(targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """`targets (n, n_classes)` -> weights `(n_classes,)`: the count of each class if every clip were equally often each
    of its possible classes, divided by the real count. If every clip can have every class that is scikit-learn's
    "balanced", n / (n_classes * count). `mask (n, n_classes)` is True for the possible classes of each clip.

    A class without any target weighs 0.
    """
    mask = torch.ones_like(targets, dtype=torch.bool) if mask is None else mask
    counts, expected = targets.sum(dim=0), (mask / mask.sum(dim=1, keepdim=True)).sum(dim=0)
    return torch.where(counts > 0, expected / counts.clamp_min(1e-9), 0.0)
