"""The CRNN: an encoder that streams exactly, and a head that decides over a window of its steps."""

import torch
from torch import Tensor, nn

from crnn.config import FeatureConfig, ModelConfig, StreamGeometry


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


class Encoder(nn.Module):
    """`log_mel (batch, n_mels, frames)` -> `steps (batch, n_steps, d)`.

    No padding along time, so step k depends on frames [k * s, k * s + r) and on nothing else (s: stride, r: receptive
    field, both from ModelConfig). The fixed per-band mean and scale are the first operation, so that they travel with
    the weights and no runtime can apply others.
    """

    def __init__(self, n_mels: int, config: ModelConfig) -> None:
        super().__init__()
        self.register_buffer("band_mean", torch.zeros(n_mels, 1))
        self.register_buffer("band_scale", torch.ones(n_mels, 1))
        channels = (1, *config.channels)
        self.blocks = nn.Sequential(
            *(
                ConvBlock(*shape)
                for shape in zip(channels, config.channels, config.pool_mels, config.pool_frames, strict=False)
            )
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, log_mel: Tensor) -> Tensor:
        x = ((log_mel - self.band_mean) * self.band_scale).unsqueeze(1)
        x = self.blocks(x)
        return self.dropout(x.permute(0, 3, 1, 2).flatten(2))


class Head(nn.Module):
    """`steps (batch, window_steps, d)` -> `logits (batch, n_classes)`.

    BiLSTM, additive attention over time (Bahdanau et al. 2015, one query), classifier.
    """

    def __init__(self, encoder_features: int, config: ModelConfig, n_classes: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(encoder_features, config.lstm_units, batch_first=True, bidirectional=True)
        self.attention = nn.Sequential(
            nn.Linear(2 * config.lstm_units, config.attention_units),
            nn.Tanh(),
            nn.Linear(config.attention_units, 1, bias=False),
        )
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(2 * config.lstm_units, n_classes)

    def attend(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states `(batch, window_steps, 2 * lstm_units)` and their weights `(batch, window_steps, 1)`."""
        hidden, _ = self.lstm(steps)
        return hidden, torch.softmax(self.attention(hidden), dim=1)

    def forward(self, steps: Tensor) -> Tensor:
        hidden, weights = self.attend(steps)
        return self.classifier(self.dropout((hidden * weights).sum(dim=1)))


class CRNN(nn.Module):
    """Encoder and head: `log_mel (batch, n_mels, frames)` -> `logits (batch, n_classes)` over all its steps."""

    def __init__(self, features: FeatureConfig, config: ModelConfig, n_classes: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(features.n_mels, config)
        self.head = Head(config.encoder_features(features.n_mels), config, n_classes)

    def forward(self, log_mel: Tensor) -> Tensor:
        return self.head(self.encoder(log_mel))

    def clip_logits(self, log_mel: Tensor, n_samples: Tensor, geometry: StreamGeometry) -> Tensor:
        """Logits of whole clips: the mean over the decisions that the stream makes on each, `flush` included.

        `log_mel (batch, n_mels, frames)` of clips zero-padded to a common length of at least
        `geometry.padded_samples` of the longest; `n_samples (batch,)` their true lengths. Returns `(batch, n_classes)`.
        """
        steps = self.encoder(log_mel)
        windows = steps.unfold(1, geometry.window_steps, geometry.hop_steps).transpose(2, 3)
        hops = torch.tensor([geometry.n_hops(int(n)) for n in n_samples], device=steps.device)
        decisions = hops - geometry.window_hops + 1
        valid = torch.arange(windows.shape[1], device=steps.device) < decisions[:, None]
        logits = self.head(windows[valid]).float()
        owner = valid.nonzero()[:, 0]
        total = torch.zeros(len(decisions), logits.shape[1], device=logits.device).index_add_(0, owner, logits)
        return total / decisions[:, None]


def count_parameters(module: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def count_macs(model: CRNN, n_mels: int, n_frames: int) -> int:
    """Multiply-accumulates of one pass over `n_frames` frames: convolutions, LSTM and linear layers."""
    total = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | tuple) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            total += output.numel() * module.in_features
        else:
            weights = sum(p.numel() for name, p in module.named_parameters() if name.startswith("weight"))
            total += inputs[0].shape[1] * weights

    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear, nn.LSTM))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    was_training = model.training
    model.eval()
    parameter = next(model.parameters())
    with torch.no_grad():
        model(torch.zeros(1, n_mels, n_frames, device=parameter.device, dtype=parameter.dtype))
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return total
