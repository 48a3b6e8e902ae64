"""What config.yaml of an emotion2vec folder says, every value of it checked (`crnn.models.emotion2vec`). No torch."""

import contextlib
import dataclasses
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from crnn.errors import InputError, require
from crnn.files.printable import brief
from crnn.files.settings_file import read_yaml
from crnn.files.typed import from_dict
from crnn.models.pretrained import MIN_SAMPLES

NAME = "Emotion2vec"
"""`model` of config.yaml, and FunASR's class"""
HOP = 320
"""Samples per step: 50 steps per second"""


@dataclass(frozen=True)
class AudioSettings:
    """`model_conf.modalities.audio` of config.yaml, as far as the encoder depends on it."""

    extractor_mode: Literal["layer_norm", "default"]
    feature_encoder_spec: str
    conv_pos_width: int
    conv_pos_groups: int
    conv_pos_depth: int
    conv_pos_pre_ln: bool
    num_extra_tokens: int
    prenet_depth: int
    model_depth: int
    use_alibi_encoder: bool
    num_alibi_heads: int
    learned_alibi: Literal[False]
    learned_alibi_scale_per_head: bool
    learned_alibi_scale_per_layer: bool


@dataclass(frozen=True)
class Modalities:
    """`model_conf.modalities` of config.yaml."""

    audio: AudioSettings


@dataclass(frozen=True)
class Settings:
    """`model_conf` of config.yaml, as far as the encoder depends on it."""

    depth: int
    embed_dim: int
    num_heads: int
    mlp_ratio: float
    norm_eps: float
    norm_affine: bool
    layer_norm_first: bool
    normalize: bool
    """Whether a clip is given mean 0 and variance 1"""
    modalities: Modalities


RANGES = {
    "depth": (1, 64),
    "embed_dim": (1, 4096),
    "num_heads": (1, 256),
    "mlp_ratio": (0.1, 16),
    "norm_eps": (1e-12, 1),
    "conv_pos_width": (1, 1000),
    "conv_pos_groups": (1, 4096),
    "conv_pos_depth": (1, 16),
    "num_extra_tokens": (0, 100),
    "prenet_depth": (0, 64),
    "model_depth": (1, 64),
    "num_alibi_heads": (1, 256),
}


def read_settings(where: Path) -> Settings:
    """What config.yaml says, every value of it checked. Raises InputError, naming the value."""
    given = read_yaml(where)
    require(given.get("model") == NAME, f"{where}: model is {brief(given.get('model'))}; {NAME} is read")
    label = f"{where}: model_conf"
    known = _known(Settings, given.get("model_conf"), label)
    known["modalities"] = _known(Modalities, known.get("modalities"), f"{label}.modalities")
    known["modalities"]["audio"] = _known(AudioSettings, known["modalities"].get("audio"), f"{label}.modalities.audio")
    with contextlib.suppress(KeyError, TypeError, ValueError):  # YAML 1.1 takes 1e-05, without a point, for text
        known["norm_eps"] = float(known["norm_eps"])
    settings = from_dict(Settings, known, label)
    audio = settings.modalities.audio
    for part in (settings, audio):
        for name, (least, most) in RANGES.items():
            value = getattr(part, name, least)
            require(least <= value <= most, f"{label}: {name} is {value}; {least} to {most} is read")
    for name, many in (("num_heads", settings.num_heads), ("conv_pos_groups", audio.conv_pos_groups)):
        require(settings.embed_dim % many == 0, f"{label}: {name} is {many}, which does not divide embed_dim")
    require(audio.num_alibi_heads <= settings.num_heads, f"{label}: num_alibi_heads is above num_heads")
    require(audio.model_depth == settings.depth, f"{label}: depth and model_depth differ")
    convolutions(audio.feature_encoder_spec, label)
    return settings


def _known(cls: type, values: object, label: str) -> dict[str, Any]:
    """What of `values` the dataclass `cls` takes; the rest is for pretraining."""
    if not isinstance(values, dict):
        raise InputError(f"{label} must hold named values, not {brief(values)}")
    return {item.name: values[item.name] for item in dataclasses.fields(cls) if item.name in values}


def convolutions(spec: str, label: str) -> list[tuple[int, int, int]]:
    """Channels, kernel and stride of each convolution that `feature_encoder_spec` lists. It is text of a Python
    expression, of which nothing is evaluated. Raises InputError, beginning with `label`, unless they make a step of
    every 320 samples.

    >>> convolutions("[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] + [(512,2,2)]", "config.yaml")[:2]
    [(512, 10, 5), (512, 3, 2)]
    """
    found: list[tuple[int, int, int]] = []
    for term in re.sub(r"\s", "", spec).split("+"):
        listed = re.fullmatch(r"\[((?:\(\d{1,4},\d{1,4},\d{1,4}\),?)+)\](?:\*(\d{1,2}))?", term)
        if listed is None:
            raise InputError(
                f"{label}: feature_encoder_spec is {brief(spec)}; lists of (channels, kernel, stride) are read"
            )
        one = [tuple(map(int, numbers)) for numbers in re.findall(r"\((\d+),(\d+),(\d+)\)", listed[1])]
        found += [(channels, kernel, stride) for channels, kernel, stride in one] * int(listed[2] or 1)
    fits = 1 <= len(found) <= 32 and all(min(layer) >= 1 for layer in found)
    step = math.prod(stride for _, _, stride in found)
    require(
        fits and step == HOP and _receptive_field(found) <= MIN_SAMPLES,
        f"{label}: feature_encoder_spec is {brief(spec)}; at most 32 convolutions that make a step of every {HOP} "
        f"samples, from {MIN_SAMPLES} or less, are read",
    )
    return found


def _receptive_field(layers: list[tuple[int, int, int]]) -> int:
    samples = 1
    for _, kernel, stride in reversed(layers):
        samples = (samples - 1) * stride + kernel
    return samples


def model_conf(settings: Settings) -> dict[str, Any]:
    """The configuration that FunASR's class receives: without the decoder, masks and losses of pretraining, and without
    dropout."""
    audio = settings.modalities.audio
    undropped = ("encoder_dropout", "attention_dropout", "activation_dropout", "post_mlp_drop", "dropout_input")
    no_drop_path = {"start_drop_path_rate": 0.0, "end_drop_path_rate": 0.0}
    conf = dataclasses.asdict(settings) | dict.fromkeys(undropped, 0.0) | no_drop_path
    conf |= {"layerdrop": 0.0, "end_of_block_targets": False}
    conf["modalities"]["audio"] |= no_drop_path | {
        "feature_encoder_spec": str(convolutions(audio.feature_encoder_spec, "")),
        "prenet_layerdrop": 0.0,
        "prenet_dropout": 0.0,
        "local_grad_mult": 1.0,
        "init_extra_token_zero": True,
        "alibi_scale": 1.0,  # as the tokens: its values are among the weights
        "learned_alibi_scale": True,
        "alibi_max_pos": None,
        "decoder": None,
    }
    return conf
