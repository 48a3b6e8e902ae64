"""1-D CNNs over raw waveforms, as published: blocks of convolution, ReLU, batch norm and max pooling by 2.

The two that are published have kernels 21 19 17 15 13 11 9 with channels 32 64 128 256 512 1024 1024, and kernels 19 17
15 13 with channels 32 64 128 256; both take the global maximum over time (`system.pooling`) and drop half of it
(`model.dropout`). How theirs pad is not said; these convolutions do not, so no step depends on what lies behind a clip.
"""

import torch
from torch import Tensor, nn

from crnn.data.cache import MIN_SECONDS
from crnn.data.padded import Padded
from crnn.errors import require
from crnn.run_config import RunConfig

SMALLEST = 1e-8
"""Added to the mean square of a clip"""


def leveled(clips: Padded) -> Tensor:
    """Every waveform `(batch, time)` without its mean and at RMS 1, over its own length; zeros behind its end."""
    mask = clips.mask
    filled = torch.ones_like(clips.values) if mask is None else mask.to(clips.values.dtype)
    lengths = filled.sum(dim=1, keepdim=True)
    centred = (clips.values - (clips.values * filled).sum(dim=1, keepdim=True) / lengths) * filled
    return centred / (centred.square().sum(dim=1, keepdim=True) / lengths + SMALLEST).sqrt()


class WaveformCNN(nn.Module):
    """`waveform (batch, time)`, of any length and level -> `steps (batch, n_steps, width)`."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        system = config.system
        self.kernels, self.width = system.waveform_kernels, system.waveform_channels[-1]
        channels = (1, *system.waveform_channels)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv1d(before, after, kernel), nn.ReLU(), nn.BatchNorm1d(after), nn.MaxPool1d(2))
            for before, after, kernel in zip(channels, channels[1:], self.kernels, strict=False)
        )
        shortest = round(MIN_SECONDS * config.features.sample_rate)
        require(
            self.least_samples <= shortest,
            f"system.waveform_kernels {list(self.kernels)} need a waveform of {self.least_samples} samples, and the "
            f"shortest recordings have {shortest}; give fewer or smaller kernels",
        )

    @property
    def least_samples(self) -> int:
        """Samples that one step is computed from."""
        samples = 1
        for kernel in reversed(self.kernels):
            samples = 2 * samples + kernel - 1
        return samples

    def n_steps(self, n_samples: Tensor) -> Tensor:
        """Steps of clips of so many samples."""
        for kernel in self.kernels:
            n_samples = (n_samples - kernel + 1) // 2
        return n_samples

    def forward(self, clips: Padded) -> Padded:
        """Raises InputError for a clip that is too short for the kernels."""
        shortest = int(clips.lengths.min())
        require(
            shortest >= self.least_samples,
            f"a waveform of {shortest} samples is too short for the kernels {list(self.kernels)}; they need "
            f"{self.least_samples}",
        )
        x = leveled(clips)[:, None]
        for block in self.blocks:
            x = block(x)
        return Padded(x.transpose(1, 2), self.n_steps(clips.lengths))

    def example(self, n_samples: int) -> Tensor:
        """An input of so many samples, to count what it costs."""
        return torch.zeros(1, n_samples)
