"""Every kind of model, and the parts that it is made of, by the names under which settings choose them.

A new part is a class or a function in the file of its family, and one line here (docs/systems.md shows it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from crnn.errors import require
from crnn.models import log_mel_cnns, pooling, sequence
from crnn.models.crnn import CRNN, WindowModel
from crnn.models.part import MakePart
from crnn.models.system_head import SystemHead
from crnn.run_config import CRNN_KIND, RunConfig

LOG_MEL = "log-mel"


@dataclass(frozen=True)
class EncoderKind:
    """An encoder: from its input to `steps (batch, n_steps, width)`, with an attribute `width`."""

    takes: str
    """Its input: `LOG_MEL`"""
    build: Callable[[RunConfig], Any]  # nn.Module, whose types lack `width`


ENCODERS: dict[str, EncoderKind] = {
    "cnn": EncoderKind(LOG_MEL, log_mel_cnns.plain),
    "residual-cnn": EncoderKind(LOG_MEL, log_mel_cnns.residual),
    "separable-cnn": EncoderKind(LOG_MEL, log_mel_cnns.separable),
}
"""`model.kind` -> encoder, beside the CRNN, which is whole"""

SEQUENCES: dict[str, MakePart] = {
    "bigru": sequence.BiGRU,
    "bilstm": sequence.BiLSTM,
    "self-attention": sequence.SelfAttention,
    "matching": sequence.Matching,
}
"""A name in `system.sequence` -> part over time"""

POOLINGS: dict[str, MakePart] = {
    "mean": pooling.Mean,
    "max": pooling.Max,
    "mean-max": pooling.MeanMax,
    "mean-std": pooling.MeanStd,
    "attention": pooling.Attention,
    "conv-max": pooling.ConvMax,
    "qkv": pooling.QKVAttentive,
}
"""`system.pooling` -> pooling"""


def check_names(config: RunConfig) -> None:
    """Raises InputError for a name that stands in none of the tables above, and names those that do."""
    _known("model.kind", config.model.kind, (CRNN_KIND, *ENCODERS))
    for name in config.system.sequence:
        _known("system.sequence", name, SEQUENCES)
    _known("system.pooling", config.system.pooling, POOLINGS)


def _known(setting: str, name: str, names: Iterable[str]) -> None:
    require(name in names, f"{setting} is {name}; give one of {', '.join(names)}")


def build_model(config: RunConfig, n_classes: int) -> WindowModel:
    """The model of a run, with random weights. Raises InputError for names and settings that do not go together."""
    check_names(config)
    if config.model.kind == CRNN_KIND:
        return CRNN(config.features, config.model, n_classes)
    encoder = ENCODERS[config.model.kind].build(config)
    parts = [SEQUENCES[name] for name in config.system.sequence]
    head = SystemHead(encoder.width, parts, POOLINGS[config.system.pooling], config.model, config.system, n_classes)
    return WindowModel(encoder, head)
