"""Everything a fit needs, built from a split, its recordings and their augmented copies."""

import logging
from dataclasses import dataclass

import torch

from crnn.data.augmented import AugmentedFeatures
from crnn.data.cache import AudioCache
from crnn.data.loaders import BatchAugment, EvalClips, TrainClips, first_copies, label_mask
from crnn.data.protocols import Split
from crnn.models.cost import count_macs, count_parameters
from crnn.models.crnn import CRNN
from crnn.run_config import RunConfig
from crnn.training.distillation import DistillTask, open_teachers
from crnn.training.initial_weights import Start, start_from
from crnn.training.losses import balanced_class_weights
from crnn.training.task import EmotionTask

log = logging.getLogger("train")


@dataclass(frozen=True)
class TrainingParts:
    """The arguments of `crnn.training.fit.fit`."""

    task: EmotionTask
    train: TrainClips
    dev: EvalClips
    before: list[str]
    """Speakers on whom the initial weights, or the teachers, were trained"""


def build_training(
    config: RunConfig,
    split: Split,
    cache: AudioCache,
    copies: AugmentedFeatures,
    augment: BatchAugment,
    start: Start | None,
) -> TrainingParts:
    """A model with random weights, or those of `start`, and its clips; `augment` changes their batches.

    Raises the errors of `crnn.training.initial_weights.start_from` and `crnn.training.distillation.open_teachers`.
    """
    train = TrainClips(copies, split, config)
    dev = EvalClips(cache, split.dev, split.labels, config)
    torch.manual_seed(config.seed)
    model = CRNN(config.features, config.model, len(split.labels))
    before: list[str] = []
    if start:
        before = start_from(model, config, start, split)
    else:
        model.encoder.learn_bands(first_copies(copies, split))
    weights = balanced_class_weights(train.targets, train.mask) if config.loss.class_weights else None
    others = (weights, augment, dev.corpora, label_mask(dev.utterances, split))
    if config.loss.teachers:
        teachers, before_them = open_teachers(config, split)
        return TrainingParts(DistillTask(config, model, teachers, *others), train, dev, sorted({*before, *before_them}))
    return TrainingParts(EmotionTask(config, model, *others), train, dev, before)


def log_model(model: CRNN, config: RunConfig) -> None:
    """One line: the cost and the window of the model."""
    geometry = config.geometry
    log.info(
        "model: %d parameters, %.1f M multiply-accumulates per window of %d samples; %d steps, stride %d frames, "
        "receptive field %d frames",
        count_parameters(model),
        count_macs(model, config.features.n_mels, geometry.frames_for(geometry.window_steps)) / 1e6,
        geometry.window_samples,
        geometry.window_steps,
        geometry.stride_frames,
        geometry.receptive_frames,
    )
