"""Removes channels from the encoder and units from the LSTM: the tensors become smaller, and no mask remains."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from crnn.errors import require
from crnn.models.crnn import CRNN
from crnn.run_config import RunConfig

DIRECTIONS = ("", "_reverse")
"""Suffixes of the two directions' parameters"""
TOGETHER = 4
"""Channels remain in multiples of this: ONNX Runtime's static int8 encoder takes 0.093 ms with 13-19-26-39 channels and
0.074 with 12-20-24-40, unpruned (16-24-32-48) 0.078. The time of the LSTM does not depend on it"""


@dataclass(frozen=True)
class Parts:
    """Values or indices of the channels and units of a model."""

    channels: tuple[Tensor, ...]
    """Per block of the encoder: its channels"""
    units: tuple[Tensor, ...]
    """Per direction of the LSTM: its units; empty where the head has none"""


def most_important(importance: Parts, share: float, original: Parts | None = None) -> Parts:
    """Ascending indices of the channels and units that remain when `share` of every block's channels and of each
    direction's units is removed: the most important, at least one. `original`: the parts of the unpruned model, if
    `importance` is of one that is pruned already; the share then refers to them.

    A multiple of four channels remains a multiple of four, at least four. Raises InputError for a share outside [0, 1).
    """
    require(0 <= share < 1, f"pruning {share}: give a share from 0 to below 1")

    def best(values: Tensor, n: int, together: int) -> Tensor:
        n_remaining = together * max(1, round(n * (1 - share) / together))
        return values.topk(min(n_remaining, len(values))).indices.sort().values

    def in_fours(values: Tensor, whole: Tensor) -> Tensor:
        return best(values, len(whole), 1 if len(whole) % TOGETHER else TOGETHER)

    whole = original or importance
    return Parts(
        tuple(map(in_fours, importance.channels, whole.channels)),
        tuple(best(values, len(units), 1) for values, units in zip(importance.units, whole.units, strict=True)),
    )


def cut(model: CRNN, config: RunConfig, remaining: Parts) -> tuple[CRNN, RunConfig]:
    """The model reduced to the parts `remaining`, and its configuration. It computes what `model` would if all other
    parts gave zero.

    Both directions of an LSTM must keep the same number of units, not the same units.
    """
    settings = config.model
    units = len(remaining.units[0]) if remaining.units else settings.lstm_units
    channels = tuple(len(indices) for indices in remaining.channels)
    smaller_config = replace(config, model=replace(settings, channels=channels, lstm_units=units))
    smaller = CRNN(config.features, smaller_config.model, model.head.classifier.out_features)

    state = model.state_dict()
    inputs = torch.arange(state["encoder.blocks.0.0.weight"].shape[1])
    for number, outputs in enumerate(remaining.channels):
        prefix = f"encoder.blocks.{number}"
        state[f"{prefix}.0.weight"] = state[f"{prefix}.0.weight"][outputs][:, inputs]
        for name in ("weight", "bias", "running_mean", "running_var"):
            state[f"{prefix}.1.{name}"] = state[f"{prefix}.1.{name}"][outputs]
        inputs = outputs
    bands = settings.encoder_features(config.features.n_mels) // settings.channels[-1]
    steps = (inputs[:, None] * bands + torch.arange(bands)).flatten()  # the encoder flattens (channel, band)

    for suffix, own in zip(DIRECTIONS, remaining.units, strict=False):
        rows = (torch.arange(4)[:, None] * settings.lstm_units + own).flatten()  # one row per gate and unit
        for name, columns in (("weight_ih", steps), ("weight_hh", own)):
            state[f"head.lstm.{name}_l0{suffix}"] = state[f"head.lstm.{name}_l0{suffix}"][rows][:, columns]
        for name in ("bias_ih", "bias_hh"):
            state[f"head.lstm.{name}_l0{suffix}"] = state[f"head.lstm.{name}_l0{suffix}"][rows]
    seen = [number * settings.lstm_units + own for number, own in enumerate(remaining.units)]
    columns = torch.cat(seen)
    for name in ("head.attention.0.weight", "head.classifier.weight", "head.arousal.0.weight"):
        if name in state:  # not every head estimates arousal
            state[name] = state[name][:, columns]
    smaller.load_state_dict(state)
    return smaller.eval(), smaller_config
