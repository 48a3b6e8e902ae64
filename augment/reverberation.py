"""Late reverberation on log-mel features: a room of its own for every clip of every training step."""

import math

import torch
from torch import Tensor

DECAY = 6 * math.log(10)
"""Natural logarithm of a ratio of powers of 60 dB"""


class Reverberation:
    """Put each clip into a drawn room: the power of every band decays after each frame as its late reverberation does.

    A few recorded impulse responses (`augment.noise.Room`) teach a few rooms. Here the diffuse tail alone is modelled,
    as an exponential decay of power (Polack 1988; Lebart et al. 2001), which needs no convolution of waveforms: no two
    presentations of a clip share a room. The direct sound and what follows it within a frame stay as they are.

    Args:
        p: share of clips, 0 to 1.
        min_seconds, max_seconds: s, range of the reverberation time of the lowest band, in which power falls by 60 dB;
            drawn evenly in its logarithm. Up to the highest band it falls to a drawn share of `HIGHEST` to 1, because
            walls and air take more of high sound.
        min_drr_db, max_drr_db: dB, range of the power of the direct sound over that of the tail.
        frame_seconds: s, from one frame to the next.
    """

    HIGHEST = 0.4

    def __init__(
        self,
        p: float,
        min_seconds: float,
        max_seconds: float,
        min_drr_db: float,
        max_drr_db: float,
        frame_seconds: float,
    ) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"reverberation p is {p}; give 0 to 1")
        if not 0 < min_seconds <= max_seconds:
            raise ValueError(
                f"reverberation of {min_seconds} to {max_seconds} s; give times above 0, the shorter first"
            )
        if min_drr_db > max_drr_db:
            raise ValueError(f"min_drr_db {min_drr_db} is above max_drr_db {max_drr_db}")
        self._p, self._frame = p, frame_seconds
        self._seconds, self._drr = (min_seconds, max_seconds), (min_drr_db, max_drr_db)

    def __call__(self, log_mel: Tensor, generator: torch.Generator) -> Tensor:
        """`log_mel (batch, n_mels, frames)` -> the same shape."""
        n, n_mels, _ = log_mel.shape
        (shortest, longest), (low, high) = self._seconds, self._drr
        seconds = shortest * (longest / shortest) ** torch.rand(n, 1, generator=generator)
        fall = (1 - self.HIGHEST) * torch.rand(n, 1, generator=generator)
        drr_db = low + (high - low) * torch.rand(n, 1, generator=generator)
        chosen = (torch.rand(n, generator=generator) < self._p).nonzero()[:, 0]
        decay = (-DECAY * self._frame / (seconds * (1 - fall * torch.linspace(0, 1, n_mels)))).exp()
        gain = (1 - decay) * 10 ** (-drr_db / 10)  # so that the tail of one frame has this power as a whole
        decay, gain, chosen = (values.to(log_mel.device) for values in (decay[chosen], gain[chosen], chosen))
        made = log_mel.clone()
        made[chosen] = with_tail(log_mel[chosen], decay, gain)
        return made


def with_tail(log_mel: Tensor, decay: Tensor, gain: Tensor) -> Tensor:
    """`log_mel (batch, n_mels, frames)` with `gain (batch, n_mels)` of each frame's power added to the next frame, and
    `decay` times as much to each frame after it."""
    power = log_mel.permute(2, 0, 1).exp()
    tail = torch.zeros_like(power)
    for frame in range(1, len(power)):
        torch.addcmul(gain * power[frame - 1], decay, tail[frame - 1], out=tail[frame])
    return (power + tail).log().permute(1, 2, 0)
