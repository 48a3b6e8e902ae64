"""What every exporter is given and gives back, and all of them at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from crnn.config import StreamGeometry
from crnn.data.loaders import EvalClips
from crnn.models.crnn import CRNN, OpenHead
from crnn.run_config import RunConfig
from edge import runtimes

CALIBRATION_BLOCKS = 2048
"""Blocks of development recordings from which the static scheme takes its ranges"""


@dataclass(frozen=True)
class Part:
    """A half of the model and the shape in which the stream uses it."""

    name: str
    """encoder or head"""
    module: nn.Module
    example: Tensor
    """float32; exported files take exactly this shape"""
    input_name: str
    output_name: str


def pairs(made: dict[str, tuple[str, str]], folder: Path, suffix: str) -> dict[str, tuple[Path, Path]]:
    """Scheme -> (encoder file, head file), from scheme -> what the two files are called by."""
    return {
        scheme: (folder / f"encoder.{encoder}{suffix}", folder / f"head.{head}{suffix}")
        for scheme, (encoder, head) in made.items()
    }


def exporter(runtime: str) -> ModuleType:
    """The module that makes a runtime's files: `installed` and `write`."""
    return import_module(runtimes.REGISTRY[runtime].exporter)


def calibration_blocks(clips: EvalClips, geometry: StreamGeometry) -> list[np.ndarray]:
    """Blocks of recordings as the streaming encoder meets them, `(1, n_mels, block_frames)` float32: every clip gives
    some, from all over it."""
    per_clip = max(1, CALIBRATION_BLOCKS // len(clips))
    blocks = []
    for index in range(0, len(clips), max(1, len(clips) // CALIBRATION_BLOCKS)):
        log_mel = clips[index][0].numpy()
        starts = range(0, log_mel.shape[1] - geometry.block_frames + 1, geometry.interval_frames)
        for start in starts[:: max(1, len(starts) // per_clip)][:per_clip]:
            block = log_mel[None, :, start : start + geometry.block_frames]
            blocks.append(np.array(block, dtype=np.float32, order="C"))
    return blocks


def parts(model: CRNN, config: RunConfig) -> tuple[Part, Part]:
    """Encoder and head as a device gets them."""
    g = config.geometry
    frames = torch.zeros(1, config.features.n_mels, g.block_frames)
    steps = torch.zeros(1, g.window_steps, config.model.encoder_features(config.features.n_mels))
    encoder = Part("encoder", model.encoder, frames, "log_mel", "steps")
    return encoder, Part("head", OpenHead(model.head), steps, "steps", "logits_and_pooled")


def export_all(
    model: CRNN, config: RunConfig, formats: tuple[str, ...], blocks: Sequence[np.ndarray], folder: Path
) -> list[tuple[str, str, Path, Path]]:
    """Write encoder and head in every format and scheme; returns (runtime, scheme, encoder file, head file)."""
    encoder, head = parts(model, config)
    return [
        (runtime, scheme, *files)
        for runtime in formats
        for scheme, files in exporter(runtime).write(encoder, head, blocks, folder).items()
    ]
