"""Level, channel and voice, changed where it costs nothing: on log-mel features."""

import math

import torch
from torch import Tensor


class Gain:
    """Play each clip louder or softer, and through a line with another frequency response.

    Power is scaled and the features' offset is put back, so quiet bands sink into it as on the device. A gain alone is
    exact; a response is exact as far as it is flat within a band.

    Args:
        min_db, max_db: dB, the gain is drawn between them.
        response_db: dB, standard deviation of each of the four cosines over the mel axis whose sum is the response.
        log_offset: the features' own (`crnn.config.FeatureConfig.log_offset`).
    """

    COSINES = 4

    def __init__(self, min_db: float, max_db: float, response_db: float, log_offset: float) -> None:
        if min_db > max_db:
            raise ValueError(f"min_db {min_db} is above max_db {max_db}")
        if response_db < 0:
            raise ValueError(f"response_db is {response_db}; give 0 or more")
        self._range, self._response, self._offset = (min_db, max_db), response_db, log_offset

    def __call__(self, log_mel: Tensor, generator: torch.Generator) -> Tensor:
        """`log_mel (batch, n_mels, frames)` -> the same shape."""
        n, n_mels, _ = log_mel.shape
        low, high = self._range
        decibels = low + (high - low) * torch.rand(n, 1, 1, generator=generator)
        bands = math.pi * (torch.arange(n_mels) + 0.5) / n_mels
        cosines = torch.cos(torch.arange(1, self.COSINES + 1)[:, None] * bands)
        weights = self._response * torch.randn(n, self.COSINES, generator=generator)
        decibels = decibels + (weights @ cosines)[:, :, None]
        factor = 10 ** (decibels / 10)
        power = (log_mel.exp() - self._offset).clamp_min(0) * factor.to(log_mel.device)
        return (power + self._offset).log()


class SteadyNoise:
    """Lay a steady noise under each clip, at a drawn distance below its mean power and falling towards high bands by a
    drawn amount.

    What noise hides differs between rooms and gains, and where one corpus was recorded it hides more of those who speak
    softly. Drawn anew for every clip, it tells nothing.

    Args:
        p: share of clips, 0 to 1.
        min_db, max_db: dB relative to the clip's mean power over bands and frames, drawn between them; of the lowest
            band, from where it falls to the highest by 0 to `TILT_DB`.
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
        return log_mel + share.to(log_mel.device) * (mean[torch.randperm(n, generator=generator)] - mean)


class BandShift:
    """Move each clip's spectrum up or down by a drawn number of bands, about a longer or shorter vocal tract.

    Args:
        max_bands: largest shift, bands; the outermost band is repeated where nothing comes in.
    """

    def __init__(self, max_bands: int) -> None:
        if max_bands < 0:
            raise ValueError(f"max_shift_bands is {max_bands}; give 0 or more")
        self._max = max_bands

    def __call__(self, log_mel: Tensor, generator: torch.Generator) -> Tensor:
        """`log_mel (batch, n_mels, frames)` -> the same shape."""
        batch, n_mels, frames = log_mel.shape
        shift = torch.randint(-self._max, self._max + 1, (batch, 1), generator=generator)
        source = (torch.arange(n_mels) - shift).clamp(0, n_mels - 1).to(log_mel.device)
        return log_mel.gather(1, source[:, :, None].expand(-1, -1, frames))
