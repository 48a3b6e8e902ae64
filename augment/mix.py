"""Mixup (Zhang et al. 2018): blends of two clips and of their targets."""

import torch
from torch import Tensor


class Mixup:
    """Blend each clip of a batch with another, share drawn from Beta(alpha, alpha) and at most a half.

    Args:
        alpha: above 0; small values leave most clips almost as they are.
        p: share of batches, 0 to 1.
    """

    def __init__(self, alpha: float, p: float) -> None:
        if alpha <= 0:
            raise ValueError(f"mixup alpha is {alpha}; give a number above 0")
        if not 0 <= p <= 1:
            raise ValueError(f"mixup p is {p}; give 0 to 1")
        self._alpha, self._p = alpha, p

    def __call__(self, inputs: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`log_mel (batch, n_mels, frames)` or `waveform (batch, time)`, `targets (batch, n_classes)` -> the same
        shapes."""
        n = len(inputs)
        if torch.rand((), generator=generator) >= self._p:
            return inputs, targets
        gamma = torch._standard_gamma(torch.full((2, n), self._alpha), generator=generator)
        share = (gamma[0] / gamma.sum(dim=0)).nan_to_num(0.5)
        share = torch.minimum(share, 1 - share).to(inputs.device)  # drawn on the CPU: alike on every device
        other = torch.randperm(n, generator=generator)
        mixed = torch.lerp(inputs, inputs[other], share.view(n, *(1 for _ in inputs.shape[1:])))
        return mixed, torch.lerp(targets, targets[other], share[:, None])
