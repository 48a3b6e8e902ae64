"""Structured pruning: channels leave the encoder, tensors and multiply-accumulates shrink, no mask stays behind."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from crnn.config import require
from crnn.data import EvalClips, TrainClips
from crnn.fit import fit, model_weights
from crnn.losses import balanced_class_weights
from crnn.model import CRNN
from crnn.run_config import RunConfig
from crnn.task import BatchAugment, EmotionTask

FINE_TUNE_RATE = 0.25
"""Share of the original learning rate that fine-tuning starts with"""


def prune(model: CRNN, config: RunConfig, amount: float, n_classes: int) -> tuple[CRNN, RunConfig]:
    """Drop the share `amount` of every block's channels, least important first; returns the smaller model and its
    configuration.

    A channel's importance is the norm of its filter times its batch-norm scale (Liu et al. 2017): how far it can move
    what follows. The head loses the input columns of the last block's channels.
    """
    require(0 <= amount < 1, f"prune is {amount}; give a share from 0 to below 1")
    kept = [_most_important(block, amount) for block in model.encoder.blocks]
    channels = tuple(len(indices) for indices in kept)
    smaller_config = replace(config, model=replace(config.model, channels=channels))
    smaller = CRNN(config.features, smaller_config.model, n_classes)

    state = model.state_dict()
    inputs = torch.arange(state["encoder.blocks.0.0.weight"].shape[1])
    for number, outputs in enumerate(kept):
        prefix = f"encoder.blocks.{number}"
        state[f"{prefix}.0.weight"] = state[f"{prefix}.0.weight"][outputs][:, inputs]
        for name in ("weight", "bias", "running_mean", "running_var"):
            state[f"{prefix}.1.{name}"] = state[f"{prefix}.1.{name}"][outputs]
        inputs = outputs
    bands = config.model.encoder_features(config.features.n_mels) // config.model.channels[-1]
    columns = (kept[-1][:, None] * bands + torch.arange(bands)).flatten()  # the encoder flattens (channel, band)
    for name in ("head.lstm.weight_ih_l0", "head.lstm.weight_ih_l0_reverse"):
        if name in state:
            state[name] = state[name][:, columns]
    if config.model.head != "lstm":  # attention and classifier see the steps themselves, after any LSTM states
        states = 0 if config.model.head == "pool" else 2 * config.model.lstm_units
        seen = torch.cat([torch.arange(states), states + columns])
        for name in ("head.attention.0.weight", "head.classifier.weight"):
            state[name] = state[name][:, seen]
    smaller.load_state_dict(state)
    return smaller.eval(), smaller_config


def _most_important(block: nn.Sequential, amount: float) -> Tensor:
    """Indices, ascending, of the channels that stay: at least one."""
    convolution, norm = block[0], block[1]
    importance = convolution.weight.detach().flatten(1).norm(dim=1) * norm.weight.detach().abs()
    keep = max(1, round(len(importance) * (1 - amount)))
    return importance.topk(keep).indices.sort().values


def fine_tune(
    model: CRNN,
    config: RunConfig,
    train: TrainClips,
    dev: EvalClips,
    augment: BatchAugment,
    epochs: int,
    folder: Path,
) -> CRNN:
    """Train the pruned model for a few epochs more, as the run was trained; the best epoch by development UAR."""
    rate = config.optim.learning_rate * FINE_TUNE_RATE
    optim = replace(config.optim, epochs=epochs, eval_every=1, learning_rate=rate)
    config = replace(config, optim=optim)
    weights = balanced_class_weights(train.targets) if config.loss.class_weights else None
    result = fit(EmotionTask(config, model, weights, augment, dev.corpora), train, dev, folder)
    model.load_state_dict(model_weights(result.best_checkpoint))
    return model.eval()
