"""Augmentation of log-mel features, at little cost: level, steady noise and long-term spectrum."""

import torch
from torch import Tensor


class Gain:
    """Make each clip louder or softer by a drawn gain.

    The power is scaled before the offset of the features is added, so the result equals the features of the scaled
    waveform.

    Args:
        min_db, max_db: dB, range of the gain.
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
        power = (log_mel.exp() - self._offset).clamp_min(0) * (10 ** (decibels / 10)).to(log_mel.device)
        return (power + self._offset).log()


class SteadyNoise:
    """Add a steady noise to each clip, at a drawn level relative to its mean power and with a drawn spectral tilt.

    Noise masks more of soft speech than of loud speech. If a corpus was recorded at one gain, the masked part reveals
    the level of the speech. A noise level that is drawn for every clip removes this relation.

    Args:
        p: share of clips, 0 to 1.
        min_db, max_db: dB relative to the clip's mean power over bands and frames, range of the level in the lowest
            band; from there the noise falls by 0 to `TILT_DB` to the highest band.
    """

    TILT_DB = 20.0

    def __init__(self, p: float, min_db: float, max_db: float) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"steady_noise p is {p}; give 0 to 1")
        if min_db > max_db:
            raise ValueError(f"min_db {min_db} is above max_db {max_db}")
        self._p, self._range = p, (min_db, max_db)

    def __call__(self, log_mel: Tensor, generator: torch.Generator) -> Tensor:
        """`log_mel (batch, n_mels, frames)` -> the same shape."""
        n, n_mels, _ = log_mel.shape
        low, high = self._range
        decibels = low + (high - low) * torch.rand(n, 1, 1, generator=generator)
        tilt = self.TILT_DB * torch.rand(n, 1, 1, generator=generator)
        decibels = decibels - tilt * torch.linspace(0, 1, n_mels)[None, :, None]
        chosen = torch.rand(n, 1, 1, generator=generator) < self._p
        share = (10 ** (decibels / 10) * chosen).to(log_mel.device)
        power = log_mel.exp()
        return (power + share * power.mean(dim=(1, 2), keepdim=True)).log()


class StyleMix:
    """Give each clip part of the long-term spectrum of another clip of the batch (after MixStyle, Zhou et al. 2021).

    The mean of each band over a clip depends on microphone, room and corpus; emotion mostly affects how the bands
    change over time.

    Args:
        p: share of clips.
        strength: largest share of the difference of the means that is added, 0 to 1.
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
        return log_mel + share.to(log_mel.device) * (mean[torch.randperm(n, generator=generator)] - mean)
