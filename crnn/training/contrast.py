"""Supervised contrastive loss (Khosla et al. 2020) beside the class loss: clips of one class lie near each other."""

import torch
from torch import Tensor, nn


class SupervisedContrast(nn.Module):
    """A projection of the pooled vector (linear, ReLU, linear to `components`), and the loss of its directions.

    Of clip i, with z the projections of length 1 and T the temperature:

    .. math:: -\\sum_{j \\neq i} w_{ij} \\log \\frac{e^{z_i z_j / T}}{\\sum_{k \\neq i} e^{z_i z_k / T}}
              / \\sum_{j \\neq i} w_{ij}

    w is how likely both clips have the same class, the product of their targets. With one-hot targets this is the
    paper's L_out; with votes, or after mixup, every pair counts as far as its targets agree. Averaged over the clips
    that have such a pair.
    """

    def __init__(self, width: int, components: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.projection = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, components))

    def forward(self, pooled: Tensor, targets: Tensor) -> Tensor:
        """`pooled (batch, width)`, `targets (batch, n_classes)` probabilities -> a scalar, 0 without any pair."""
        return supervised_contrast(self.projection(pooled).float(), targets, self.temperature)


def supervised_contrast(projected: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """The loss of `projected (batch, components)`, of any length."""
    if len(projected) < 2:
        return 0.0 * projected.sum()
    directions = nn.functional.normalize(projected, dim=1)
    itself = torch.eye(len(projected), dtype=torch.bool, device=projected.device)
    scores = (directions @ directions.T / temperature).masked_fill(itself, float("-inf"))
    log_shares = scores.log_softmax(dim=1).masked_fill(itself, 0.0)
    agreement = (targets @ targets.T).masked_fill(itself, 0.0)
    of_clip = agreement.sum(dim=1)
    losses = -(agreement * log_shares).sum(dim=1) / of_clip.clamp_min(1e-8)
    paired = of_clip > 1e-6
    return (losses * paired).sum() / paired.sum().clamp_min(1)
