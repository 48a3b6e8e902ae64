"""CNNs over log-mel features, without padding along time: `crnn.models.encoder.Encoder` with other blocks.

A block has the shapes and the receptive field of `crnn.models.encoder.ConvBlock`, so that channels, pooling, window and
stream are those of the CRNN (`ModelConfig`).
"""

from torch import Tensor, nn

from crnn.models.encoder import Block, ConvBlock, Encoder
from crnn.run_config import RunConfig


class ResidualBlock(nn.Module):
    """3x3 convolution (padded along frequency only), batch norm, plus the input without its first and last frame, ReLU,
    max pooling (He et al. 2016, with one convolution). Where the number of channels changes, the input passes a 1x1
    convolution and batch norm."""

    def __init__(self, channels_in: int, channels_out: int, pool_mels: int, pool_frames: int) -> None:
        super().__init__()
        self.convolution = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, padding=(1, 0), bias=False), nn.BatchNorm2d(channels_out)
        )
        alike = channels_in == channels_out
        self.shortcut = (
            nn.Identity()
            if alike
            else nn.Sequential(nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out))
        )
        self.pool = nn.Sequential(nn.ReLU(), nn.MaxPool2d((pool_mels, pool_frames)))

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.convolution(x) + self.shortcut(x[..., 1:-1]))


class SeparableBlock(nn.Sequential):
    """Depthwise-separable (Howard et al. 2017): 3x3 convolution of each channel alone, padded along frequency only; 1x1
    convolution of all, batch norm, ReLU, max pooling."""

    def __init__(self, channels_in: int, channels_out: int, pool_mels: int, pool_frames: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_in, 3, padding=(1, 0), groups=channels_in, bias=False),
            nn.Conv2d(channels_in, channels_out, 1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.MaxPool2d((pool_mels, pool_frames)),
        )


class LogMelCNN(Encoder):
    """`log_mel (batch, n_mels, frames)` -> `steps (batch, n_steps, width)`."""

    def __init__(self, config: RunConfig, block: Block) -> None:
        super().__init__(config.features.n_mels, config.model, block)
        self.width = config.model.encoder_features(config.features.n_mels)


def plain(config: RunConfig) -> LogMelCNN:
    """The encoder of the CRNN itself."""
    return LogMelCNN(config, ConvBlock)


def residual(config: RunConfig) -> LogMelCNN:
    return LogMelCNN(config, ResidualBlock)


def separable(config: RunConfig) -> LogMelCNN:
    return LogMelCNN(config, SeparableBlock)
