"""The CRNN: an encoder that streams exactly, and a head that decides over a window of its steps."""

from collections.abc import Iterable

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


class StridedBlock(nn.Sequential):
    """5x5 convolution (padded along frequency only) that shrinks by its own stride, batch norm, ReLU.

    `(batch, channels_in, bands, time)` -> `(batch, channels_out, ceil(bands / mels), (time - 5) // frames + 1)`:
    nothing is computed at full resolution, which is where a pooled first block spends its time.
    """

    def __init__(self, channels_in: int, channels_out: int, mels: int, frames: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 5, stride=(mels, frames), padding=(2, 0), bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
        )


class InputChannels(nn.Module):
    """`log_mel (batch, n_mels, frames)` -> `(batch, n_planes, n_mels, frames - lookback_frames)`, what the first
    convolution sees: see `ModelConfig.inputs`.

    All but `level` are differences of log-mel values, so that a change of level cancels; they never look ahead.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, log_mel: Tensor) -> Tensor:
        lookback, context = self.config.lookback_frames, self.config.context_frames
        now = log_mel[..., lookback:]
        spectral_floor_db = None if self.training else self.config.spectral_floor_db
        compared = "local" in self.config.inputs or (spectral_floor_db is not None and "change" in self.config.inputs)
        recent = self.recent_power(log_mel) if compared else None

        def floored(values: Tensor) -> Tensor:
            return (
                values if spectral_floor_db is None else (values.exp() + recent * 10 ** (spectral_floor_db / 10)).log()
            )

        made = []
        for name in self.config.inputs:
            if name == "level":
                made.append(now)
            elif name == "shape":
                made.append(now - now.exp().mean(dim=1, keepdim=True).log())
            elif name == "change":
                start = lookback - self.config.change_frames
                before = log_mel[..., start : start + now.shape[-1]]
                made.append(floored(now) - floored(before))  # one floor for both: its own movement is no change
            elif name == "local":
                made.append(floored(now) - recent.log())
            else:
                power = log_mel[..., lookback - context + 1 :].exp()
                made.append(now - nn.functional.avg_pool1d(power, context, 1).log())
        return torch.stack(made, dim=1)

    def recent_power(self, log_mel: Tensor) -> Tensor:
        """Mean over the bands and the last `context_frames`, `(batch, 1, frames - lookback_frames)`."""
        lookback, context = self.config.lookback_frames, self.config.context_frames
        power = log_mel[..., lookback - context + 1 :].exp().mean(dim=1, keepdim=True)
        return nn.functional.avg_pool1d(power, context, 1)


class Encoder(nn.Module):
    """`log_mel (batch, n_mels, frames)` -> `steps (batch, n_steps, d)`.

    No padding along time, so step k depends on frames [k * s, k * s + r) and on nothing else (s: stride, r: receptive
    field, both from ModelConfig). The fixed mean and scale of every band of every plane travel with the weights: no
    runtime can apply others.
    """

    def __init__(self, n_mels: int, config: ModelConfig) -> None:
        super().__init__()
        self.inputs = InputChannels(config)
        self.register_buffer("band_mean", torch.zeros(len(config.inputs), n_mels, 1))
        self.register_buffer("band_scale", torch.ones(len(config.inputs), n_mels, 1))
        channels = (len(config.inputs), *config.channels)
        shapes = zip(channels, config.channels, config.pool_mels, config.pool_frames, strict=False)
        self.blocks = nn.Sequential(
            *(
                (StridedBlock if number == 0 and config.stem == "stride" else ConvBlock)(*shape)
                for number, shape in enumerate(shapes)
            )
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, log_mel: Tensor) -> Tensor:
        x = self.blocks((self.inputs(log_mel) - self.band_mean) * self.band_scale)
        return self.dropout(x.permute(0, 3, 1, 2).flatten(2))

    @torch.no_grad()
    def learn_bands(self, log_mels: Iterable[Tensor]) -> None:
        """Set the mean and scale of every band of every plane from recordings, each `(n_mels, frames)`."""
        was_training = self.inputs.training
        self.inputs.train()  # without the floor, as training will see them
        count, total, square = 0, 0.0, 0.0
        for log_mel in log_mels:
            values = self.inputs(log_mel[None].float())[0].double()
            count += values.shape[-1]
            total = total + values.sum(dim=-1, keepdim=True)
            square = square + values.square().sum(dim=-1, keepdim=True)
        self.inputs.train(was_training)
        mean = total / count
        self.band_mean.copy_(mean)
        self.band_scale.copy_((square / count - mean**2).clamp_min(1e-6).rsqrt())


class Head(nn.Module):
    """`steps (batch, window_steps, d)` -> `logits (batch, n_classes)`.

    BiLSTM, additive attention over time (Bahdanau et al. 2015, one query), classifier. With `head="pool"` attention
    looks at the encoder's steps themselves, with `"both"` at steps and states side by side.
    """

    def __init__(self, encoder_features: int, config: ModelConfig, n_classes: int) -> None:
        super().__init__()
        self.kind = config.head
        width = 0
        if config.head != "pool":
            self.lstm = nn.LSTM(encoder_features, config.lstm_units, batch_first=True, bidirectional=True)
            width += 2 * config.lstm_units
        if config.head != "lstm":
            width += encoder_features
        self.attention = nn.Sequential(
            nn.Linear(width, config.attention_units),
            nn.Tanh(),
            nn.Linear(config.attention_units, 1, bias=False),
        )
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(width, n_classes)

    def attend(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        """What is looked at `(batch, window_steps, width)` and its weights `(batch, window_steps, 1)`."""
        seen = steps
        if self.kind != "pool":
            hidden, _ = self.lstm(steps)
            seen = hidden if self.kind == "lstm" else torch.cat([hidden, steps], dim=-1)
        return seen, torch.softmax(self.attention(seen), dim=1)

    def pool(self, steps: Tensor) -> Tensor:
        """What attention gathers from a window, `(batch, width)`: the classifier sees nothing else."""
        seen, weights = self.attend(steps)
        return (seen * weights).sum(dim=1)

    def forward(self, steps: Tensor) -> Tensor:
        return self.classifier(self.dropout(self.pool(steps)))


class OpenHead(nn.Module):
    """The head as a device gets it: `steps` -> `(batch, n_classes + width)`, the logits and after them the pooled
    vector they were made from, which personal enrolment works on (`edge.stream.profile`)."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, steps: Tensor) -> Tensor:
        pooled = self.head.pool(steps)
        return torch.cat([self.head.classifier(pooled), pooled], dim=-1)


class CRNN(nn.Module):
    """Encoder and head: `log_mel (batch, n_mels, frames)` -> `logits (batch, n_classes)` over all its steps."""

    def __init__(self, features: FeatureConfig, config: ModelConfig, n_classes: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(features.n_mels, config)
        self.head = Head(config.encoder_features(features.n_mels), config, n_classes)

    def forward(self, log_mel: Tensor) -> Tensor:
        return self.head(self.encoder(log_mel))

    def clip_logits(
        self, log_mel: Tensor, n_samples: Tensor, geometry: StreamGeometry, head: nn.Module | None = None
    ) -> Tensor:
        """Logits of whole clips: the mean over the decisions that the stream makes on each, `flush` included.

        `log_mel (batch, n_mels, frames)` of clips between the zeros that the stream puts around them, filled up to
        the longest; `n_samples (batch,)` their true lengths. Returns `(batch, n_classes)`, or the mean of what another
        `head` makes of the same windows.
        """
        steps = self.encoder(log_mel)
        windows = steps.unfold(1, geometry.window_steps, geometry.interval_steps).transpose(2, 3)
        intervals = torch.tensor([geometry.n_intervals(int(n)) for n in n_samples], device=steps.device)
        decisions = intervals - geometry.window_intervals + 1
        valid = torch.arange(windows.shape[1], device=steps.device) < decisions[:, None]
        logits = (head or self.head)(windows[valid]).float()
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
