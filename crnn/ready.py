"""Everything a fit needs, made ready from a split, its recordings and their views."""

from dataclasses import dataclass

import torch

from crnn.cache import AudioCache
from crnn.data import BatchAugment, EvalClips, Paste, TrainClips, first_views, label_mask
from crnn.distill import DistillTask, open_teachers
from crnn.losses import balanced_class_weights
from crnn.model import CRNN
from crnn.protocols import Split
from crnn.run_config import RunConfig
from crnn.task import EmotionTask
from crnn.transfer import Start, start_from
from crnn.views import Views


@dataclass(frozen=True)
class Ready:
    """What `crnn.fit.fit` is given."""

    task: EmotionTask
    train: TrainClips
    dev: EvalClips
    before: list[str]
    """Speakers whom the initial weights, or the teachers, have heard"""


def make_ready(
    config: RunConfig,
    split: Split,
    cache: AudioCache,
    views: Views,
    augment: BatchAugment,
    paste: Paste | None,
    start: Start | None,
) -> Ready:
    """A model with random weights, or those of `start`, and the clips it will see; `augment` works on their batches,
    `paste` puts neutral speech into them.

    Raises what `crnn.transfer.start_from` and `crnn.distill.open_teachers` raise.
    """
    train = TrainClips(views, split, config, paste)
    dev = EvalClips(cache, split.dev, split.labels, config)
    torch.manual_seed(config.seed)
    model = CRNN(config.features, config.model, len(split.labels))
    before: list[str] = []
    if start:
        before = start_from(model, config, start, split)
        if start.folded:
            model.encoder.learn_norms(first_views(views, split))
    else:
        model.encoder.learn_bands(first_views(views, split))
    weights = balanced_class_weights(train.targets, train.mask) if config.loss.class_weights else None
    others = (weights, augment, dev.corpora, label_mask(dev.utterances, split))
    if config.loss.teachers:
        teachers, heard = open_teachers(config, split)
        return Ready(DistillTask(config, model, teachers, *others), train, dev, sorted({*before, *heard}))
    return Ready(EmotionTask(config, model, *others), train, dev, before)
