"""What training and the device must agree on: features, model, window, and how they are counted. No torch.

Frozen dataclasses, a unit on every field, ranges checked, unknown keys refused. Settings of training alone are in
`crnn.run_config`.
"""

import dataclasses
from dataclasses import dataclass
from functools import cached_property

from crnn.continuous_labels import continuous_labels
from crnn.errors import require
from crnn.feature_config import FeatureConfig as FeatureConfig
from crnn.files.typed import from_dict as from_dict

LARGEST_LSTM = 2**23
"""Inputs x units of an LSTM: 128 MiB of weights per direction"""
LONGEST = 2**22
"""Samples of a window: 4 min at 16 kHz"""
LARGEST_BLOCK = 2**24
"""Samples of a block's overlapping frames: 64 MiB"""
INPUTS = ("level", "local", "change")
CRNN_KIND = "crnn"
STREAMED = (CRNN_KIND, "cnn", "residual-cnn", "separable-cnn")
"""The kinds (`ModelConfig.kind`) whose stream equals recomputing every window: they can become a bundle"""


@dataclass(frozen=True)
class ModelConfig:
    """CRNN: a strided 5x5 convolution, blocks of 3x3 convolution and max pooling, BiLSTM, attention, classifier."""

    channels: tuple[int, ...] = (16, 32, 48, 80)
    """Convolution channels, one number per block"""
    pool_mels: tuple[int, ...] = (2, 2, 2, 2)
    """Factor by which each block shortens the frequency axis: the stride of the first, max pooling in the others"""
    pool_frames: tuple[int, ...] = (2, 2, 1, 1)
    """The same along time; their product is the encoder's stride in frames"""
    lstm_units: int = 64
    """LSTM units per direction"""
    attention_units: int = 64
    """Hidden units of the attention score"""
    dropout: float = 0.15
    """Share of encoder outputs and of pooled outputs dropped while training, 0 to 1"""
    inputs: tuple[str, ...] = ("local", "change")
    """Input channels of the first convolution. `level`: log-mel values as they are. `local`: log-mel relative to the
    mean power of the last `context_frames`. `change`: the difference over `change_frames`. A change of level leaves
    the last two as they are"""
    context_frames: int = 40
    """Frames that `local` compares with, the current one included"""
    change_frames: int = 2
    """Frames between the two values whose difference is `change`"""
    spectral_floor_db: float | None = None
    """dB: power added to every band before `local` and `change`, relative to the mean power of the last
    `context_frames`. It hides what lies far below the speech. Applied in evaluation and on the device, never while
    training; None: not applied"""
    arousal: bool = False
    """Whether the head also estimates the arousal, 0 to 1, from the pooled vector"""
    continuous: tuple[str, ...] = ()
    """Columns of own recordings' list that the head also estimates from the pooled vector, each a NAME (0 to 1) or
    NAME:LOW:HIGH, such as valence:1:5. A bundle holds none of them"""
    kind: str = CRNN_KIND
    """crnn, or another encoder in its place, with the parts that `system` names (docs/systems.md). Those in
    `STREAMED` become bundles"""

    def __post_init__(self) -> None:
        require(
            len(self.channels) == len(self.pool_mels) == len(self.pool_frames) > 0,
            "model.channels, model.pool_mels and model.pool_frames need one number per block: "
            f"got {len(self.channels)}, {len(self.pool_mels)} and {len(self.pool_frames)}",
        )
        for name in ("channels", "pool_mels", "pool_frames"):
            given = getattr(self, name)
            require(min(given) >= 1 and max(given) <= 1024, f"model.{name} is {given}; give numbers from 1 to 1024")
        require(len(self.channels) <= 16, f"model.channels has {len(self.channels)} blocks; give at most 16")
        for name, most in (
            ("lstm_units", 2048),
            ("attention_units", 2048),
            ("change_frames", 10_000),
            ("context_frames", 10_000),
        ):
            value = getattr(self, name)
            require(1 <= value <= most, f"model.{name} is {value}; give 1 to {most}")
        require(0 <= self.dropout < 1, f"model.dropout is {self.dropout}; give 0 <= dropout < 1")
        require(
            self.spectral_floor_db is None or -120 <= self.spectral_floor_db <= 20,
            f"model.spectral_floor_db is {self.spectral_floor_db}; give -120 to 20 dB, or null for none",
        )
        named = {label.name for label in continuous_labels(self.continuous)}
        require(
            not (self.arousal and "arousal" in named),
            "model.continuous names arousal, which model.arousal estimates already; give one of them",
        )
        unknown = [name for name in self.inputs if name not in INPUTS]
        require(
            len(self.inputs) > 0 and not unknown,
            f"model.inputs is {self.inputs}; give one or more of {', '.join(INPUTS)}",
        )

    @property
    def n_estimates(self) -> int:
        """Continuous labels that the head estimates, the arousal among them."""
        return self.arousal + len(self.continuous)

    @property
    def stride_frames(self) -> int:
        """s: frames between two encoder steps."""
        stride = 1
        for pool in self.pool_frames:
            stride *= pool
        return stride

    @property
    def lookback_frames(self) -> int:
        """Earlier frames that the input channels compare a frame with."""
        needs_power = "local" in self.inputs or (self.spectral_floor_db is not None and "change" in self.inputs)
        context = self.context_frames - 1 if needs_power else 0
        return max(context, self.change_frames if "change" in self.inputs else 0)

    @property
    def receptive_frames(self) -> int:
        """r: frames one encoder step sees; step k depends on frames [k * s, k * s + r) and nothing else."""
        first, *others = self.pool_frames
        receptive, jump = 1 + self.lookback_frames + 4, first  # 5x5 without padding along time
        for pool in others:
            receptive += 2 * jump + (pool - 1) * jump  # 3x3, then pooling
            jump *= pool
        return receptive

    def encoder_features(self, n_mels: int) -> int:
        """d: values per encoder step."""
        first, *others = self.pool_mels
        bands = -(-n_mels // first)
        for pool in others:
            bands //= pool
        require(bands >= 1, f"model.pool_mels {self.pool_mels} pools {n_mels} mel bands down to none; pool less")
        features = self.channels[-1] * bands
        require(
            features * self.lstm_units <= LARGEST_LSTM,
            f"model.channels and pool_mels give {features} values per step for {self.lstm_units} LSTM units; pool more",
        )
        return features


@dataclass(frozen=True)
class WindowConfig:
    """What one decision looks at, and how often one is made."""

    window_seconds: float = 3.0
    """s of audio per decision, rounded to a whole number of intervals"""
    interval_seconds: float = 0.25
    """s between decisions; a whole number of encoder steps"""


@dataclass(frozen=True)
class StreamGeometry:
    """Samples, frames and encoder steps, tied together: the one place where they are counted.

    Audio is divided into intervals. Interval i (from 0) adds `interval_steps` encoder steps and can be computed as soon
    as `first_samples - lead_samples + i * interval_samples` samples have arrived; a decision needs the steps of the
    last `window_intervals` intervals. A window is a whole number of intervals, so that recomputing it from its own
    samples gives the encoder the same blocks: a dynamically quantized encoder scales each block by its own range.

    >>> g = StreamGeometry.resolve(FeatureConfig(), ModelConfig(), WindowConfig())
    >>> g.window_steps, g.window_intervals, g.interval_steps, g.interval_samples, g.first_samples
    (55, 11, 5, 4000, 17000)
    """

    n_fft: int
    """Samples per frame"""
    hop_length: int
    """Samples between frames"""
    stride_frames: int
    """s: frames between encoder steps"""
    receptive_frames: int
    """r: frames one encoder step sees"""
    interval_steps: int
    """Encoder steps between decisions"""
    window_intervals: int
    """Intervals per decision"""
    lead_frames: int = 0
    """Frames of silence that are taken to have been before the first sample: what the encoder's inputs look
    back on, so that the first words of a clip are not spent as context"""

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            least = 0 if item.name == "lead_frames" else 1
            value = getattr(self, item.name)
            require(least <= value <= LONGEST, f"geometry.{item.name} is {value}; give {least} to {LONGEST}")
        require(
            max(self.window_samples + self.interval_samples, self.lead_samples) <= LONGEST
            and self.block_frames * self.n_fft <= LARGEST_BLOCK,
            f"window: {self.window_samples} samples per decision, {self.lead_samples} before the first and blocks of "
            f"{self.block_frames} frames are more than any model of this project needs",
        )

    @classmethod
    def resolve(cls, features: FeatureConfig, model: ModelConfig, window: WindowConfig) -> "StreamGeometry":
        """Turn seconds into steps. Raises InputError where they do not fit."""
        for name in ("window_seconds", "interval_seconds"):
            seconds = getattr(window, name)
            most = LONGEST / features.sample_rate
            require(seconds <= most, f"window.{name} is {seconds}; give at most {most:g}")
        step_samples = model.stride_frames * features.hop_length
        interval_samples = window.interval_seconds * features.sample_rate
        interval_steps = round(interval_samples / step_samples)
        require(
            interval_steps >= 1 and abs(interval_steps * step_samples - interval_samples) < 0.5,
            f"window.interval_seconds is {window.interval_seconds}; it must be a whole number of encoder steps of "
            f"{step_samples / features.sample_rate} s",
        )
        frames = features.n_frames(round(window.window_seconds * features.sample_rate))
        steps = (frames + model.lookback_frames - model.receptive_frames) // model.stride_frames + 1
        require(
            steps >= interval_steps,
            f"window.window_seconds is {window.window_seconds}; it must be longer than an interval and than what one "
            f"encoder step sees ({model.receptive_frames} frames)",
        )
        return cls(
            features.n_fft,
            features.hop_length,
            model.stride_frames,
            model.receptive_frames,
            interval_steps,
            round(steps / interval_steps),
            model.lookback_frames,
        )

    @cached_property
    def window_steps(self) -> int:
        """N: encoder steps per decision."""
        return self.window_intervals * self.interval_steps

    @cached_property
    def interval_samples(self) -> int:
        """Samples between decisions."""
        return self.interval_steps * self.stride_frames * self.hop_length

    @cached_property
    def interval_frames(self) -> int:
        """New frames per interval."""
        return self.interval_steps * self.stride_frames

    @cached_property
    def block_frames(self) -> int:
        """Frames the encoder is given per interval: the new ones and the context its receptive field needs."""
        return self.frames_for(self.interval_steps)

    @cached_property
    def first_samples(self) -> int:
        """Samples before the first interval can be computed; also the samples under one block of frames."""
        return self.samples_for(self.interval_steps)

    @cached_property
    def window_samples(self) -> int:
        """Samples under one decision."""
        return self.samples_for(self.window_steps)

    def frames_for(self, n_steps: int) -> int:
        """Frames under `n_steps` consecutive encoder steps."""
        return (n_steps - 1) * self.stride_frames + self.receptive_frames

    def samples_for(self, n_steps: int) -> int:
        """Samples under `n_steps` consecutive encoder steps."""
        return (self.frames_for(n_steps) - 1) * self.hop_length + self.n_fft

    @cached_property
    def lead_samples(self) -> int:
        """Samples of silence before the first sample."""
        return self.lead_frames * self.hop_length

    @cached_property
    def sound_samples(self) -> int:
        """Samples of sound under the first decision."""
        return self.window_samples - self.lead_samples

    def n_intervals(self, n_samples: int) -> int:
        """Intervals after `flush`: enough to cover every sample, and to reach the first decision."""
        covering = -(-(self.lead_samples + n_samples - self.first_samples) // self.interval_samples) + 1
        return max(covering, self.window_intervals)

    def padding(self, n_samples: int) -> tuple[int, int]:
        """Samples of silence before and after a clip of `n_samples`: the lead, and what `flush` adds at the end."""
        total = self.first_samples + (self.n_intervals(n_samples) - 1) * self.interval_samples
        return self.lead_samples, total - self.lead_samples - n_samples
