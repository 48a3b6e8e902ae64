"""Settings of a training run: loss, optimizer, hardware, and all of them together. No torch."""

import typing
from dataclasses import asdict, dataclass, field

from crnn.config import CRNN_KIND, STREAMED, FeatureConfig, ModelConfig, StreamGeometry, WindowConfig
from crnn.errors import require
from crnn.files.typed import require_finite
from crnn.self_supervised_config import SelfSupervisedConfig
from crnn.system_config import SystemConfig
from crnn.teacher_config import TeacherConfig as TeacherConfig
from crnn.text_config import TextConfig

LAYOUT = "{emotion}/{speaker}_*"
"""Default place of emotion and speaker in the paths of own recordings"""
PRUNED = "only a crnn is pruned; leave out the pruning options"
START = "only a crnn teaches, or gives its weights (loss.teachers, --init)"
"""Why `require_crnn` refuses"""


@dataclass(frozen=True)
class LossConfig:
    """Focal loss (Lin et al. 2017), multi-class, on intended labels or on crowd votes."""

    gamma: float = 2.0
    """Focusing exponent, 0 = cross-entropy"""
    label_smoothing: float = 0.0
    """Share of every target spread over all classes"""
    class_weights: bool = True
    """Weigh classes by the inverse of their share in training"""
    targets: typing.Literal["intended", "votes"] = "intended"
    """Train on the actor's intended emotion, or on the listeners' votes where a recording has them (CREMA-D)"""
    teachers: tuple[str, ...] = ()
    """Run folders, of the same protocol, fold and recordings, whose mean answer is learned from as well"""
    teacher_share: float = 0.5
    """Share of the loss that is the teachers'"""
    label_share: float = 1.0
    """Weight of the label loss beside a speech encoder's (`teacher`)"""
    continuous: typing.Literal["squared-error", "ccc"] = "squared-error"
    """Loss of every continuous label, `model.arousal` among them: the squared error of its place in its range, or 1 -
    CCC over the batch"""
    continuous_weight: float = 1.0
    """Its weight beside the class loss"""
    adversary_weight: float = 0.0
    """Weight, at its highest, of the reversed gradient of a speaker classifier on the pooled vector; 0 = none"""
    adversary_epochs: float = 5.0
    """Epochs before that weight rises from 0; the classifier alone learns in them"""
    adversary_share: float = 0.7
    """Share of `optim.epochs` after which it has risen, linearly, to its highest"""
    contrast_weight: float = 0.0
    """Weight of the supervised contrastive loss of a projection of the pooled vector; 0 = none"""
    contrast_temperature: float = 0.1
    """Divides the cosines that it compares, small = only near clips count"""
    contrast_components: int = 128
    """Values of that projection"""

    def __post_init__(self) -> None:
        require(self.gamma >= 0, f"loss.gamma is {self.gamma}; give 0 or more")
        require(0 <= self.label_smoothing < 1, f"loss.label_smoothing is {self.label_smoothing}; give 0 to below 1")
        require(self.targets in ("intended", "votes"), f"loss.targets is {self.targets}; give intended or votes")
        require(0 <= self.teacher_share <= 1, f"loss.teacher_share is {self.teacher_share}; give 0 to 1")
        require(
            self.continuous in ("squared-error", "ccc"),
            f"loss.continuous is {self.continuous}; give squared-error or ccc",
        )
        weights = ("label_share", "continuous_weight", "adversary_weight", "adversary_epochs", "contrast_weight")
        for name in weights:
            require(getattr(self, name) >= 0, f"loss.{name} is {getattr(self, name)}; give 0 or more")
        require(0 < self.adversary_share <= 1, f"loss.adversary_share is {self.adversary_share}; give 0 to 1, above 0")
        require(
            self.contrast_temperature > 0,
            f"loss.contrast_temperature is {self.contrast_temperature}; give a number above 0",
        )
        require(
            1 <= self.contrast_components <= 4096,
            f"loss.contrast_components is {self.contrast_components}; give 1 to 4096",
        )


@dataclass(frozen=True)
class OptimConfig:
    """AdamW, a falling learning rate, early stopping on the development UAR, EMA of the weights."""

    epochs: int = 60
    """Passes over the training speakers, at most"""
    batch_size: int = 16
    """Clips per batch and process"""
    accumulate: int = 1
    """Batches whose gradients are averaged into one step. The last step of an epoch may have fewer"""
    learning_rate: float = 2e-3
    """AdamW step size at its highest"""
    weight_decay: float = 0.02
    """AdamW weight decay (L2, decoupled from the gradient): share of a weight, times the learning rate, that it loses
    per step"""
    schedule: typing.Literal["plateau", "cosine", "warm-restarts"] = "plateau"
    """ReduceLROnPlateau on the development UAR; a cosine over `epochs`; or cosines that start again, after the warm-up,
    every `restart_epochs` (SGDR)"""
    warmup_epochs: float = 0.0
    """Epochs over which the learning rate rises linearly from zero"""
    restart_epochs: float = 10.0
    """Epochs of the first cosine of warm-restarts"""
    restart_factor: int = 1
    """Each further cosine of warm-restarts is so many times as long as the one before"""
    min_learning_rate: float = 0.0
    """The learning rate at which every cosine ends, and below which ReduceLROnPlateau does not go"""
    plateau_factor: float = 0.5
    """Learning rate is multiplied by this when the development UAR stalls"""
    plateau_patience: int = 6
    """Looks at the development speakers without a better UAR before that"""
    early_stop_patience: int = 20
    """Looks at the development speakers without a better UAR before training ends"""
    gradient_clip: float = 1.0
    """Largest norm of the gradient of a step, longer ones are scaled down to it; 0 = any"""
    ema_decay: float = 0.99
    """Decay per step of the averaged weights that are evaluated and shipped, 0 = no averaging"""
    epoch_clips: int = 0
    """Clips per epoch, drawn anew each time; 0 = as many as there are"""
    eval_every: int = 1
    """Epochs between two looks at the development speakers"""
    corpus_balance: float = 0.5
    """With several corpora: 0 = clips as they come, 1 = as many of each corpus"""

    def __post_init__(self) -> None:
        for name in ("epochs", "eval_every", "batch_size", "learning_rate", "restart_epochs"):
            require(getattr(self, name) > 0, f"optim.{name} is {getattr(self, name)}; give a number above 0")
        for name in ("accumulate", "restart_factor"):
            require(getattr(self, name) >= 1, f"optim.{name} is {getattr(self, name)}; give 1 or more")
        for name in (
            *("weight_decay", "plateau_patience", "early_stop_patience", "warmup_epochs", "epoch_clips"),
            "gradient_clip",
        ):
            require(getattr(self, name) >= 0, f"optim.{name} is {getattr(self, name)}; give 0 or more")
        for name in ("plateau_factor", "ema_decay"):
            require(0 <= getattr(self, name) < 1, f"optim.{name} is {getattr(self, name)}; give 0 to 1")
        require(
            self.epochs % self.eval_every == 0,
            f"optim.eval_every is {self.eval_every}; it must divide optim.epochs ({self.epochs}), or the last are lost",
        )
        require(0 <= self.corpus_balance <= 1, f"optim.corpus_balance is {self.corpus_balance}; give 0 to 1")
        require(
            0 <= self.min_learning_rate < self.learning_rate,
            f"optim.min_learning_rate is {self.min_learning_rate}; give 0 to below optim.learning_rate "
            f"({self.learning_rate})",
        )
        require(
            self.schedule in ("plateau", "cosine", "warm-restarts"),
            f"optim.schedule is {self.schedule}; give plateau, cosine or warm-restarts",
        )


@dataclass(frozen=True)
class LoopConfig:
    """The hardware of training. It changes the speed but, beyond rounding, not the result, and may differ on resume.
    The number of processes multiplies the batch and must stay the same."""

    accelerator: typing.Literal["cpu", "gpu", "auto"] = "cpu"
    """Lightning accelerator"""
    devices: int = 1
    """Processes per machine (start several with torchrun)"""
    num_nodes: int = 1
    """Machines"""
    precision: typing.Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """bf16-mixed where the processor has it, 16-mixed on GPUs alone"""
    channels_last: bool = False
    """Memory format of the convolutions"""

    def __post_init__(self) -> None:
        require(self.devices >= 1, f"loop.devices is {self.devices}; give at least 1")
        require(self.num_nodes >= 1, f"loop.num_nodes is {self.num_nodes}; give at least 1")

    @property
    def processes(self) -> int:
        return self.devices * self.num_nodes


@dataclass(frozen=True)
class RunConfig:
    """One training run, as its run folder stores it (`config.json`)."""

    protocol: str = "ravdess-luna5"
    """Named speaker-independent split"""
    fold: int = 0
    """Fold of the protocol, from 0"""
    seed: int = 0
    """Seeds weights, order and augmentation"""
    init: str = ""
    """Whose weights training starts from: a run folder, a float32 bundle, or `pretrained`, the one that ships; its
    features, model and window become the defaults. Empty = random weights"""
    frozen: bool = False
    """Whether the encoder keeps the weights of `init`, and the head alone is trained"""
    layout: str = LAYOUT
    """Own recordings in `folder:` and `audiofolder:`: where emotion and speaker stand in their paths; * = anything"""
    features: FeatureConfig = field(default_factory=FeatureConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    window: WindowConfig = field(default_factory=WindowConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    system: SystemConfig = field(default_factory=SystemConfig)
    text: TextConfig = field(default_factory=TextConfig)
    self_supervised: SelfSupervisedConfig = field(default_factory=SelfSupervisedConfig)

    def __post_init__(self) -> None:
        require(self.seed >= 0, f"seed is {self.seed}; give 0 or more")
        require(
            not (self.teacher.encoder and self.loss.teachers),
            "loss.teachers and teacher.encoder are both given; a run learns from trained runs or from an encoder",
        )
        require(
            bool(self.teacher.encoder) or self.loss.label_share == 1,
            f"loss.label_share is {self.loss.label_share}; it weighs the labels beside teacher.encoder, which is empty",
        )
        require(
            self.model.kind != CRNN_KIND or self.system == SystemConfig(),
            "system.* are the parts of other models than the crnn; name one by model.kind, or leave them out",
        )
        require(
            not self.frozen or (bool(self.init) and not self.self_supervised.on),
            "frozen keeps the encoder of init while labels are learned; name a run by init, or leave frozen out",
        )
        require(
            self.self_supervised.on or self.self_supervised == SelfSupervisedConfig(),
            "self_supervised.* are settings of a run without labels; give self_supervised.masked_share, such as 0.5",
        )
        risen = self.loss.adversary_share * self.optim.epochs
        require(
            not self.loss.adversary_weight or self.loss.adversary_epochs < risen,
            f"loss.adversary_epochs is {self.loss.adversary_epochs:g}, and loss.adversary_share of optim.epochs is "
            f"over after {risen:g}; give fewer, or train longer",
        )
        require_finite(self, "")
        bin_hz = self.features.sample_rate / self.features.n_fft
        require(
            self.features.f_min >= bin_hz,
            f"features.f_min is {self.features.f_min}; give at least {bin_hz:g} Hz (sample_rate / n_fft): "
            "a band that begins lower contains the constant offset of a converter",
        )

    @property
    def geometry(self) -> StreamGeometry:
        return StreamGeometry.resolve(self.features, self.model, self.window)


def plain_values(config: RunConfig) -> dict:
    """The settings as plain values, without `text`, `self_supervised` and `frozen` where they are not used. Those of a
    CRNN lack `model.kind`, `system` and an empty `model.continuous`, so that bundles keep their bytes and devices with
    the version before read them."""
    values = asdict(config)
    if not config.frozen:
        del values["frozen"]
    if not config.text.encoder:
        del values["text"]
    if not config.self_supervised.on:
        del values["self_supervised"]
    if config.model.kind == CRNN_KIND:
        del values["system"], values["model"]["kind"]
        if not config.model.continuous:
            del values["model"]["continuous"]
    return values


def require_crnn(config: RunConfig, where: object, why: str) -> None:
    """Raises InputError, which begins with `where` and ends with `why`, unless the model is a CRNN."""
    require(config.model.kind == CRNN_KIND, f"{where}: its model.kind is {config.model.kind}; {why}")


def require_labels(config: RunConfig, where: object) -> None:
    """Raises InputError, which begins with `where`, for a run that learned without labels."""
    require(
        not config.self_supervised.on,
        f"{where}: it was trained without labels (self_supervised), so it knows no emotion; first train a run "
        "from it (--init)",
    )


def require_exportable(config: RunConfig, where: object) -> None:
    """Raises InputError, which begins with `where`, for a run that cannot become a bundle."""
    require_labels(config, where)
    require(
        config.model.kind in STREAMED,
        f"{where}: its model.kind is {config.model.kind}, which answers whole clips: no stream equals it, so it cannot "
        f"become a bundle; {', '.join(STREAMED)} can",
    )
    require(
        not config.model.continuous,
        f"{where}: it estimates {', '.join(config.model.continuous)}, and a bundle holds no continuous label but "
        "model.arousal; train it without model.continuous",
    )
