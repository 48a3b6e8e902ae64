"""Level and channel, changed where it is exact and costs nothing: on log-mel features."""

import torch
from torch import Tensor


class Gain:
    """Play each clip louder or softer by a number of decibels drawn between the two.

    Exact: power is scaled and the features' offset is put back, so quiet bands sink into it as on the device.

    Args:
        min_db, max_db: dB.
        log_offset: the features' own (`crnn.config.FeatureConfig.log_offset`).
    """

    def __init__(self, min_db: float, max_db: float, log_offset: float) -> None:
        if min_db > max_db:
            raise ValueError(f"min_db {min_db} is above max_db {max_db}")
        self._range, self._offset = (min_db, max_db), log_offset

    def __call__(self, log_mel: Tensor, generator: torch.Generator) -> Tensor:
        """`log_mel (batch, n_mels, frames)` -> the same shape."""
        low, high = self._range
        decibels = low + (high - low) * torch.rand(len(log_mel), 1, 1, generator=generator)
        power = (log_mel.exp() - self._offset).clamp_min(0) * 10 ** (decibels / 10)
        return (power + self._offset).log()


class StyleMix:
    """Lend each clip the long-term spectrum of another clip of the batch, in part (after MixStyle, Zhou et al. 2021).

    Microphone, room and corpus show in the mean of each band over a clip; emotion mostly in how bands move.

    Args:
        p: share of clips.
        strength: largest share of the difference of the means that is lent, 0 to 1.
    """

    def __init__(self, p: float, strength: float) -> None:
        for name, value in (("p", p), ("strength", strength)):
            if not 0 <= value <= 1:
                raise ValueError(f"style {name} is {value}; give 0 to 1")
        self._p, self._strength = p, strength

    def __call__(self, log_mel: Tensor, generator: torch.Generator) -> Tensor:
        """`log_mel (batch, n_mels, frames)` -> the same shape."""
        n = len(log_mel)
        mean = log_mel.mean(dim=2, keepdim=True)
        share = torch.rand(n, 1, 1, generator=generator) * self._strength
        share = share * (torch.rand(n, 1, 1, generator=generator) < self._p)
        return log_mel + share * (mean[torch.randperm(n, generator=generator)] - mean)
