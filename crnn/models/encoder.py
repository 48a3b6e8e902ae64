"""The encoder of the CRNN: log-mel frames to steps. It streams exactly."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from crnn.config import ModelConfig


class InputChannels(nn.Module):
    """The input of the first convolution: one channel for each name in `ModelConfig.inputs`, which explains them.

    `log_mel (batch, n_mels, frames)` -> `(batch, n_inputs, n_mels, frames - lookback_frames)`. `local` and `change` are
    differences of log-mel values, so a change of level cancels. No channel looks ahead.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, log_mel: Tensor, spectral_floor: bool = True) -> Tensor:
        """`spectral_floor`: whether `ModelConfig.spectral_floor_db` applies."""
        lookback = self.config.lookback_frames
        floor_db = self.config.spectral_floor_db if spectral_floor else None
        now = log_mel[..., lookback:]
        needs_power = "local" in self.config.inputs or (floor_db is not None and "change" in self.config.inputs)
        recent = self.recent_power(log_mel) if needs_power else now.new_empty(0)  # not read then

        def raised(values: Tensor) -> Tensor:
            return values if floor_db is None else (values.exp() + recent * 10 ** (floor_db / 10)).log()

        made = []
        for name in self.config.inputs:
            if name == "level":
                made.append(now)
            elif name == "local":
                made.append(raised(now) - recent.log())
            else:
                start = lookback - self.config.change_frames
                before = log_mel[..., start : start + now.shape[-1]]
                # The same spectral floor for both frames, so that a change of it is no change of the sound.
                made.append(raised(now) - raised(before))
        return torch.stack(made, dim=1)

    def recent_power(self, log_mel: Tensor) -> Tensor:
        """Mean power over the bands and the last `context_frames`, `(batch, 1, frames - lookback_frames)`."""
        lookback, context = self.config.lookback_frames, self.config.context_frames
        power = log_mel[..., lookback - context + 1 :].exp().mean(dim=1, keepdim=True)
        return nn.functional.avg_pool1d(power, context, 1)


class StridedBlock(nn.Sequential):
    """5x5 convolution with a stride (padded along frequency only), batch norm, ReLU.

    `(batch, channels_in, bands, frames)` -> `(batch, channels_out, ceil(bands / stride_mels), (frames - 5) //
    stride_frames + 1)`. The stride replaces pooling, because a pooled first block spends most of its time at full
    resolution.
    """

    def __init__(self, channels_in: int, channels_out: int, stride_mels: int, stride_frames: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 5, stride=(stride_mels, stride_frames), padding=(2, 0), bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
        )


class ConvBlock(nn.Sequential):
    """3x3 convolution (padded along frequency only), batch norm, ReLU, max pooling.

    `(batch, channels_in, bands, frames)` -> `(batch, channels_out, bands // pool_mels, (frames - 2) // pool_frames)`.
    """

    def __init__(self, channels_in: int, channels_out: int, pool_mels: int, pool_frames: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 3, padding=(1, 0), bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.MaxPool2d((pool_mels, pool_frames)),
        )


Block = Callable[[int, int, int, int], nn.Module]
"""channels_in, channels_out, pool_mels, pool_frames -> a block with the shapes and receptive field of `ConvBlock`"""


class Encoder(nn.Module):
    """`log_mel (batch, n_mels, frames)` -> `steps (batch, n_steps, d)`.

    There is no padding along time, so step k depends on frames [k * s, k * s + r) and on nothing else (s: stride, r:
    receptive field, both from ModelConfig). Mean and scale of every band of every input channel are buffers next to the
    weights, so every runtime applies the same ones. `block` makes every block but the first.
    """

    band_mean: Tensor
    band_scale: Tensor

    def __init__(self, n_mels: int, config: ModelConfig, block: Block = ConvBlock) -> None:
        super().__init__()
        self.inputs = InputChannels(config)
        self.register_buffer("band_mean", torch.zeros(len(config.inputs), n_mels, 1))
        self.register_buffer("band_scale", torch.ones(len(config.inputs), n_mels, 1))
        channels = (len(config.inputs), *config.channels)
        first, *others = zip(channels, config.channels, config.pool_mels, config.pool_frames, strict=False)
        self.blocks = nn.Sequential(StridedBlock(*first), *(block(*shape) for shape in others))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, log_mel: Tensor) -> Tensor:
        return self._steps(self.inputs(log_mel))

    def training_steps(self, log_mel: Tensor, masked: Tensor | None = None) -> Tensor:
        """The same without the spectral floor, which is for evaluation and devices.

        `masked (batch, frames - lookback_frames)` bool: frames that every input channel holds the mean of its bands at.
        """
        channels = self.inputs(log_mel, spectral_floor=False)
        if masked is not None:
            channels = torch.where(masked[:, None, None], self.band_mean, channels)
        return self._steps(channels)

    def _steps(self, channels: Tensor) -> Tensor:
        x = self.blocks((channels - self.band_mean) * self.band_scale)
        return self.dropout(x.permute(0, 3, 1, 2).flatten(2))

    @torch.no_grad()
    def learn_bands(self, log_mels: Iterable[Tensor]) -> None:
        """Set mean and scale of every band of every input channel from at least one recording `(n_mels, frames)`."""
        count, total, square = 0, torch.zeros(()), torch.zeros(())
        for log_mel in log_mels:
            values = self.inputs(log_mel[None].float(), spectral_floor=False)[0].double()
            count += values.shape[-1]
            total = total + values.sum(dim=-1, keepdim=True)
            square = square + values.square().sum(dim=-1, keepdim=True)
        if not count:
            raise ValueError("no recording to learn mean and scale of the bands from")
        mean = total / count
        self.band_mean.copy_(mean)
        self.band_scale.copy_((square / count - mean**2).clamp_min(1e-6).rsqrt())
