"""Settings of a training run: loss, optimizer, where it runs, and all of them together. No torch."""

import typing
from dataclasses import dataclass, field

from crnn.config import FeatureConfig, ModelConfig, StreamGeometry, WindowConfig, require


@dataclass(frozen=True)
class LossConfig:
    """Focal loss (Lin et al. 2017), multi-class, on intended labels or on crowd votes."""

    gamma: float = 2.0
    """Focusing exponent, 0 = cross-entropy"""
    class_weights: bool = True
    """Weigh classes by the inverse of their share in training"""
    targets: typing.Literal["intended", "votes"] = "intended"
    """Train on the actor's intended emotion, or on the listeners' votes (CREMA-D)"""

    def __post_init__(self) -> None:
        require(self.gamma >= 0, f"loss.gamma is {self.gamma}; give 0 or more")
        require(self.targets in ("intended", "votes"), f"loss.targets is {self.targets}; give intended or votes")


@dataclass(frozen=True)
class OptimConfig:
    """AdamW, ReduceLROnPlateau and early stopping on the development UAR, EMA of the weights."""

    epochs: int = 60
    """Passes over the training speakers, at most"""
    batch_size: int = 16
    """Clips per step and process"""
    learning_rate: float = 2e-3
    """AdamW step size at the start"""
    weight_decay: float = 0.02
    """AdamW weight decay"""
    plateau_factor: float = 0.5
    """Learning rate is multiplied by this when the development UAR stalls"""
    plateau_patience: int = 6
    """Epochs without a better development UAR before that"""
    early_stop_patience: int = 20
    """Epochs without a better development UAR before training ends"""
    gradient_clip: float = 1.0
    """Largest gradient norm"""
    ema_decay: float = 0.99
    """Decay per step of the averaged weights that are evaluated and shipped, 0 = no averaging"""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate", "gradient_clip"):
            require(getattr(self, name) > 0, f"optim.{name} is {getattr(self, name)}; give a number above 0")
        for name in ("weight_decay", "plateau_patience", "early_stop_patience"):
            require(getattr(self, name) >= 0, f"optim.{name} is {getattr(self, name)}; give 0 or more")
        for name in ("plateau_factor", "ema_decay"):
            require(0 <= getattr(self, name) < 1, f"optim.{name} is {getattr(self, name)}; give 0 to 1")


@dataclass(frozen=True)
class LoopConfig:
    """Where training runs. Changes speed, not (beyond rounding) the result; may differ on resume."""

    accelerator: str = "cpu"
    """Lightning accelerator: cpu, gpu, auto"""
    devices: int = 1
    """Processes per machine (start several with torchrun)"""
    num_nodes: int = 1
    """Machines"""
    precision: str = "32-true"
    """32-true, or bf16-mixed where the processor has it"""
    channels_last: bool = False
    """Memory format of the convolutions"""
    num_workers: int = 1
    """Processes that cut and augment clips, 0 = in the training process"""


@dataclass(frozen=True)
class RunConfig:
    """One training run, as its run folder keeps it (`config.json`)."""

    protocol: str = "ravdess-luna5"
    """Named speaker-independent split"""
    fold: int = 0
    """Fold of the protocol, from 0"""
    seed: int = 0
    """Seeds weights, order and augmentation"""
    features: FeatureConfig = field(default_factory=FeatureConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    window: WindowConfig = field(default_factory=WindowConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)

    @property
    def geometry(self) -> StreamGeometry:
        return StreamGeometry.resolve(self.features, self.model, self.window)
