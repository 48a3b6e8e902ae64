"""Trains a pruned model further on the training speakers, towards the labels and the unpruned model's probabilities."""

from dataclasses import replace
from pathlib import Path

from crnn.data.loaders import BatchAugment, EvalClips, TrainClips
from crnn.models.crnn import CRNN
from crnn.run_config import RunConfig
from crnn.training.checkpoint import model_weights
from crnn.training.distillation import DistillTask
from crnn.training.fit import fit
from crnn.training.losses import balanced_class_weights
from crnn.training.task import EmotionTask

AVERAGED = 0.2
"""Share of the steps that the weight average spans: the run's own average, meant for tens of epochs, would consist half
of the untuned model after two epochs"""


def fine_tune(
    model: CRNN,
    config: RunConfig,
    train: TrainClips,
    dev: EvalClips,
    augment: BatchAugment,
    epochs: int,
    folder: Path,
    teacher: CRNN | None = None,
) -> CRNN:
    """Train a pruned model further and return its best epoch by development UAR. Without a teacher: by labels alone.

    The learning rate starts at the run's and falls to zero along a cosine. A start at half or a quarter of it regained
    3 and 8 points less development UAR in four epochs after pruning by half.

    Checkpoints go into `folder`, which must be empty.
    """
    clips_per_step = config.optim.batch_size * config.optim.accumulate
    steps = epochs * max(1, (config.optim.epoch_clips or len(train)) // clips_per_step)
    optim = replace(
        config.optim,
        epochs=epochs,
        eval_every=1,
        schedule="cosine",
        warmup_epochs=0.0,
        min_learning_rate=0.0,
        ema_decay=min(config.optim.ema_decay, max(0.0, 1 - 1 / (AVERAGED * steps))),
    )
    config = replace(config, optim=optim, frozen=False)  # an encoder that lost channels is trained further
    weights = balanced_class_weights(train.targets) if config.loss.class_weights else None
    if teacher is None:
        task = EmotionTask(config, model, weights, augment, dev.corpora)
    else:
        task = DistillTask(config, model, [teacher], weights, augment, dev.corpora)
    model.load_state_dict(model_weights(fit(task, train, dev, folder).best_checkpoint))
    return model.eval()
