"""Losses of estimated continuous labels, one per label, over the clips whose value is known."""

import torch
from torch import Tensor

LEAST = 1e-8
"""Below this a spread is none"""


def squared_error(estimates: Tensor, targets: Tensor) -> Tensor:
    """`(batch, n_labels)` twice, NaN where the target is not known -> `(n_labels,)`; 0 where it never is."""
    known = targets.isfinite()
    error = (estimates - targets.nan_to_num()).square() * known
    return error.sum(dim=0) / known.sum(dim=0).clamp_min(1)


def ccc_loss(estimates: Tensor, targets: Tensor) -> Tensor:
    """Likewise 1 - the concordance correlation (Lin 1989) over the batch, 0 to 2; 0 where fewer than two clips are
    known, which have none.

    >>> target = torch.tensor([[0.1], [0.4], [0.8]])
    >>> bool(ccc_loss(target, target) < 1e-6), bool(ccc_loss(1 - target, target) > 1)
    (True, True)
    """
    known = targets.isfinite()
    count = known.sum(dim=0).clamp_min(1)

    def mean(values: Tensor) -> Tensor:
        return (values * known).sum(dim=0) / count

    targets = targets.nan_to_num()
    mean_x, mean_y = mean(estimates), mean(targets)
    x, y = estimates - mean_x, targets - mean_y
    spread = mean(x.square()) + mean(y.square()) + (mean_x - mean_y).square()
    loss = 1 - 2 * mean(x * y) / spread.clamp_min(LEAST)
    return torch.where(known.sum(dim=0) >= 2, loss, 0.0 * mean_x)


LOSSES = {"squared-error": squared_error, "ccc": ccc_loss}
"""`loss.continuous` -> loss"""
