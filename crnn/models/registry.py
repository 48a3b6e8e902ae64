"""Every kind of model, and the parts that it is made of, by the names under which settings choose them.

A new part is a class or a function in the file of its family, and one line here (docs/systems.md shows it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from crnn.data.embeddings import Steps
from crnn.data.inputs import (
    LOG_MEL,
    STEPS,
    TOKENS,
    WAVEFORM,
    Inputs,
    LogMelInputs,
    StepInputs,
    TextInputs,
    WaveformInputs,
)
from crnn.errors import require
from crnn.models import fusion, log_mel_cnns, pooling, sequence
from crnn.models.clip_model import ClipModel, Model
from crnn.models.crnn import CRNN, WindowModel
from crnn.models.part import MakePart
from crnn.models.pretrained_encoder import FrozenEncoder, TunedEncoder
from crnn.models.system_head import SystemHead
from crnn.models.text_encoder import TextTokens, text_encoder_of
from crnn.models.text_model import FusionHead, TextModel
from crnn.models.waveform_cnn import WaveformCNN
from crnn.run_config import CRNN_KIND, RunConfig


@dataclass(frozen=True)
class EncoderKind:
    """An encoder: from its input to `steps (batch, n_steps, width)`, with an attribute `width`."""

    takes: str
    """Its input, of `crnn.data.inputs`. Over log-mel features it is a `crnn.models.encoder.Encoder`; otherwise it turns
    `Padded` inputs into `Padded` steps, and has an `example(n_samples)` of its input"""
    build: Callable[[RunConfig], Any]  # nn.Module, whose types lack `width`
    pretrained: bool = False
    """Whether it rests on `system.encoder`"""


ENCODERS: dict[str, EncoderKind] = {
    "cnn": EncoderKind(LOG_MEL, log_mel_cnns.plain),
    "residual-cnn": EncoderKind(LOG_MEL, log_mel_cnns.residual),
    "separable-cnn": EncoderKind(LOG_MEL, log_mel_cnns.separable),
    "waveform-cnn": EncoderKind(WAVEFORM, WaveformCNN),
    "frozen-encoder": EncoderKind(STEPS, FrozenEncoder, pretrained=True),
    "tuned-encoder": EncoderKind(WAVEFORM, TunedEncoder, pretrained=True),
    "text": EncoderKind(TOKENS, TextTokens),
}
"""`model.kind` -> encoder, beside the CRNN, which is whole"""

NORM = "instance-norm"
BY_MOMENTS = ("mean", "mean-std")
"""Poolings of nothing but what `NORM` makes equal in all clips"""

SEQUENCES: dict[str, MakePart] = {
    "bigru": sequence.BiGRU,
    "bilstm": sequence.BiLSTM,
    "self-attention": sequence.SelfAttention,
    "matching": sequence.Matching,
    NORM: sequence.InstanceNorm,
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


FUSIONS: dict[str, fusion.MakeFusion] = {
    "concat": fusion.Concat,
    "gated": fusion.Gated,
    "cross-attention": fusion.CrossAttention,
}
"""`text.fusion` -> how sound and text are joined"""


def input_of(config: RunConfig) -> str:
    """What the model of a run takes, of `crnn.data.inputs`."""
    return LOG_MEL if config.model.kind == CRNN_KIND else ENCODERS[config.model.kind].takes


def check_kind(config: RunConfig) -> None:
    """Raises InputError for a name that stands in none of the tables above, naming those that do, and for teachers of a
    model that takes something else than they do."""
    _known("model.kind", config.model.kind, (CRNN_KIND, *ENCODERS))
    kind = ENCODERS.get(config.model.kind)
    rests = kind is not None and kind.pretrained
    names = " or ".join(name for name, other in ENCODERS.items() if other.pretrained)
    require(
        rests or not config.system.encoder,
        f"model.kind is {config.model.kind}, which takes no system.encoder; give {names}",
    )
    require(
        not rests or bool(config.system.encoder),
        f"model.kind is {config.model.kind}; name the folder of a pretrained speech encoder by system.encoder",
    )
    for name in config.system.sequence:
        _known("system.sequence", name, SEQUENCES)
    _known("system.pooling", config.system.pooling, POOLINGS)
    require(
        config.system.sequence[-1:] != (NORM,) or config.system.pooling not in BY_MOMENTS,
        f"system.sequence ends with {NORM}, whose mean and deviation are the same for every clip, and system.pooling "
        f"is {config.system.pooling}; give another pooling, or a part behind {NORM}",
    )
    _check_text(config)
    require(
        input_of(config) == LOG_MEL or not (config.loss.teachers or config.teacher.encoder),
        f"model.kind is {config.model.kind}; only models over log-mel features learn from teachers (loss.teachers, "
        "teacher.encoder)",
    )


def _check_text(config: RunConfig) -> None:
    kind, text, takes = config.model.kind, config.text, input_of(config)
    _known("text.fusion", text.fusion, FUSIONS)
    require(takes != TOKENS or bool(text.encoder), f"model.kind is {kind}; name a text encoder by text.encoder")
    require(
        takes != TOKENS or not text.sound,
        f"model.kind is {kind}, which takes no sound; leave out text.sound, or give another kind",
    )
    whole = ", ".join(name for name, other in ENCODERS.items() if other.takes not in (LOG_MEL, TOKENS))
    require(
        takes != LOG_MEL or not text.encoder,
        f"model.kind is {kind}, which answers windows of a stream, and a text belongs to a whole clip; beside "
        f"text.encoder give {whole}, or text for the text alone",
    )


def _known(setting: str, name: str, names: Iterable[str]) -> None:
    require(name in names, f"{setting} is {name}; give one of {', '.join(names)}")


def build_model(config: RunConfig, n_classes: int) -> Model:
    """The model of a run, with random weights. Raises InputError for names and settings that do not go together."""
    check_kind(config)
    if config.model.kind == CRNN_KIND:
        return CRNN(config.features, config.model, n_classes)
    kind = ENCODERS[config.model.kind]
    encoder = kind.build(config)
    parts = [SEQUENCES[name] for name in config.system.sequence]
    pool, settings = POOLINGS[config.system.pooling], (config.model, config.system, n_classes)
    if config.text.encoder and kind.takes != TOKENS:
        text = text_encoder_of(config)
        joined = FUSIONS[config.text.fusion]
        return TextModel(encoder, FusionHead((encoder.width, text.width), parts, pool, joined, *settings), text)
    head = SystemHead(encoder.width, parts, pool, *settings)
    return WindowModel(encoder, head) if kind.takes == LOG_MEL else ClipModel(encoder, head)


def inputs_of(model: Model, config: RunConfig, stored: Steps | None = None, tokens: Steps | None = None) -> Inputs:
    """What the model of a run takes; with a frozen encoder, its steps as they are `stored`, or computed anew; with text
    the `tokens` of what is said (`crnn.training.text.open_text`)."""
    takes = input_of(config)
    if config.text.encoder and tokens is None:
        raise ValueError("a model that takes text has no tokens of it")
    if takes == TOKENS and tokens:
        texts = tokens.found
        return StepInputs(lambda name, _: texts[name])
    if isinstance(model, ClipModel) and model.pretrained and takes == STEPS:
        steps = model.pretrained.steps
        found = stored.found if stored else {}  # of the corpora that are trained on
        sound: StepInputs | WaveformInputs | LogMelInputs = StepInputs(
            lambda name, waveform: found[name] if name in found else steps(waveform)
        )
    else:
        sound = WaveformInputs(config) if takes == WAVEFORM else LogMelInputs(config)
    return TextInputs(sound, tokens.rows) if tokens else sound
