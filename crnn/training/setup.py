"""Everything a fit needs, built from a split, its recordings and their augmented copies."""

import logging
from dataclasses import dataclass

import torch

from crnn.continuous_labels import continuous_labels
from crnn.data.augmented import AugmentedCopies
from crnn.data.cache import AudioCache
from crnn.data.continuous_values import estimate_targets, values_of
from crnn.data.embeddings import Steps
from crnn.data.loaders import (
    BatchAugment,
    EvalClips,
    TrainClips,
    first_copies,
    first_steps,
    label_mask,
    target_matrix,
    training_speakers,
)
from crnn.data.protocols import Split
from crnn.models.clip_model import ClipModel, Model
from crnn.models.cost import count_parameters, macs_per_window
from crnn.models.crnn import CRNN, WindowModel
from crnn.models.registry import build_model, inputs_of
from crnn.models.text_model import TextModel
from crnn.run_config import RunConfig
from crnn.training.distillation import DistillTask, model_of, open_teachers
from crnn.training.initial_weights import Start, refuse_trained_on, speakers_by_name, start_from
from crnn.training.losses import balanced_class_weights
from crnn.training.self_supervised_task import SelfSupervisedTask
from crnn.training.task import EmotionTask
from crnn.training.taught_task import TaughtTask
from crnn.training.teacher import Taught
from crnn.training.text import Text, refuse_before_text, take_sound

log = logging.getLogger("train")


@dataclass(frozen=True)
class TrainingParts:
    """The arguments of `crnn.training.fit.fit`."""

    task: EmotionTask
    train: TrainClips
    dev: EvalClips
    before: list[str]
    """Speakers on whom the initial weights, or the teachers, were trained"""
    taught_by: list[dict]
    """The pretrained models (`SpeechEncoder.describe`, `TextSources.describe`) that taught this model, its initial
    weights, or its teachers, or that it rests on: the licence of the weights depends on them"""
    text: Text | None = None
    """What is said in the recordings"""


def refuse_before_copies(config: RunConfig, split: Split, start: Start | None) -> None:
    """Raise what `build_training` would raise for this split, before augmented copies are computed, which takes long.

    Raises the errors of `crnn.training.initial_weights.refuse_trained_on`, `crnn.training.distillation.open_teachers`,
    `crnn.data.loaders.target_matrix`, `crnn.data.loaders.training_speakers` and
    `crnn.training.text.refuse_before_text` and `crnn.data.continuous_values.estimate_targets`, the latter for every
    subset.
    """
    if start:
        refuse_trained_on(start, split)
    open_teachers(config, split)
    refuse_before_text(config, split)
    target_matrix(split.train, split.labels, config.loss)
    if config.loss.adversary_weight:
        training_speakers(split)
    estimate_targets(split.train, config.model, config.teacher.only)
    for _, members in split.sets():
        values_of(members, continuous_labels(config.model.continuous))


def build_training(
    config: RunConfig,
    split: Split,
    cache: AudioCache,
    copies: AugmentedCopies | Steps,
    augment: BatchAugment | None,
    start: Start | None,
    taught: Taught | None = None,
    text: Text | None = None,
) -> TrainingParts:
    """A model with random weights, or those of `start`, and its clips; `augment` changes their batches, `taught` is
    what the encoder of `teacher.encoder` teaches, `text` is what is said in the recordings.

    Raises the errors of `crnn.training.initial_weights.start_from`, `crnn.training.distillation.open_teachers` and
    `crnn.training.text.take_sound`.
    """
    if bool(config.teacher.encoder) != (taught is not None):
        raise ValueError("teacher.encoder is given without what it teaches, or the other way round")
    torch.manual_seed(config.seed)
    model = build_model(config, len(split.labels))
    inputs = inputs_of(model, config, copies if isinstance(copies, Steps) else None, text.tokens if text else None)
    train = TrainClips(copies, split, config, taught.targets if taught else None, inputs)
    dev = EvalClips(cache, split.dev, split.labels, config, inputs)
    before: list[str] = []
    taught_by = list(start.taught_by) if start else []
    if start and isinstance(model, WindowModel):
        before = start_from(model, config, start, split)
    elif isinstance(model, WindowModel) and isinstance(copies, AugmentedCopies):
        model.encoder.learn_bands(first_copies(copies, split))
    elif isinstance(model, ClipModel) and isinstance(copies, Steps):
        model.encoder.learn_scale(first_steps(copies, split))
    if isinstance(model, TextModel) and text:
        model.head.standardized.learn_scale(first_steps(text.tokens, split))
        if config.text.sound:
            take_sound(model, config, split)
    if isinstance(model, ClipModel) and model.pretrained:
        taught_by.append(model.pretrained.describe())
    taught_by += text.sources.describe() if text else []
    labelled = train.targets.sum(dim=1) > 0
    weights = (
        balanced_class_weights(train.targets[labelled], train.mask[labelled]) if config.loss.class_weights else None
    )
    others = (weights, augment, dev.corpora, label_mask(dev.utterances, split), train.n_speakers)
    if config.self_supervised.on and isinstance(model, CRNN):
        task: EmotionTask = SelfSupervisedTask(config, model, *others)
        before = sorted({*before, *speakers_by_name(split.train)})
    elif isinstance(model, WindowModel) and config.loss.teachers:
        starts = open_teachers(config, split)
        task = DistillTask(config, model, [model_of(teacher) for teacher in starts], *others)
        before = sorted({*before, *(speaker for teacher in starts for speaker in teacher.trained_on)})
        taught_by += [encoder for teacher in starts for encoder in teacher.taught_by]
    elif isinstance(model, WindowModel) and taught:
        task = TaughtTask(config, model, *others)
        taught_by.append(taught.encoder.describe())
    else:
        task = EmotionTask(config, model, *others)
    once = [encoder for place, encoder in enumerate(taught_by) if encoder not in taught_by[:place]]
    return TrainingParts(task, train, dev, before, once, text)


def log_model(model: Model, config: RunConfig) -> None:
    """One line: the cost and the window of the model."""
    geometry = config.geometry
    log.info(
        "model: %d parameters, %.1f M multiply-accumulates per window of %d samples; %d steps, stride %d frames, "
        "receptive field %d frames",
        count_parameters(model),
        macs_per_window(model, config) / 1e6,
        geometry.window_samples,
        geometry.window_steps,
        geometry.stride_frames,
        geometry.receptive_frames,
    )
