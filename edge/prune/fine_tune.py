"""Training a pruned model further, on the same speakers: by the labels, and by what the unpruned model says."""

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
"""Share of the steps over which the averaged weights reach back: the run's own average, made for tens of epochs, would
still be half the untuned model after two"""


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
    """Train a pruned model for some epochs more; the best epoch by development UAR. Without a teacher by labels alone.

    The learning rate starts where the run's did, and falls to zero along a cosine: at half that rate, and at a quarter,
    four epochs after a pruning by half got 3 and 8 points less development UAR back.

    Checkpoints go into `folder`, which must be empty.
    """
    steps = epochs * max(1, (config.optim.epoch_clips or len(train)) // config.optim.batch_size)
    optim = replace(
        config.optim,
        epochs=epochs,
        eval_every=1,
        schedule="cosine",
        warmup_epochs=0.0,
        ema_decay=min(config.optim.ema_decay, max(0.0, 1 - 1 / (AVERAGED * steps))),
    )
    config = replace(config, optim=optim)
    weights = balanced_class_weights(train.targets) if config.loss.class_weights else None
    if teacher is None:
        task = EmotionTask(config, model, weights, augment, dev.corpora)
    else:
        task = DistillTask(config, model, [teacher], weights, augment, dev.corpora)
    model.load_state_dict(model_weights(fit(task, train, dev, folder).best_checkpoint))
    return model.eval()
