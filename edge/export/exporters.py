"""What an exporter receives and returns, and the function that runs every exporter."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from crnn.config import StreamGeometry
from crnn.data.loaders import EvalClips
from crnn.models.crnn import WindowModel
from crnn.models.head import OpenHead
from crnn.run_config import RunConfig
from edge import runtimes
from edge.bundle import ModelFiles

CALIBRATION_BLOCKS = 2048
"""Number of blocks of development recordings that give static_int8 its activation ranges"""


@dataclass(frozen=True)
class Part:
    """Encoder or head, and the input shape that the stream uses."""

    name: str
    """encoder or head"""
    module: nn.Module
    example: Tensor
    """float32; an exported file accepts exactly this shape"""
    input_name: str
    output_name: str


class ExportedPair(NamedTuple):
    """Encoder and head files of one runtime and scheme."""

    runtime: str
    scheme: str
    encoder: Path
    head: Path

    @property
    def files(self) -> ModelFiles:
        """The entry of the manifest."""
        return ModelFiles(self.scheme, self.encoder.name, self.head.name)

    @property
    def bytes(self) -> int:
        """Size of both files."""
        return self.encoder.stat().st_size + self.head.stat().st_size


def pairs(made: dict[str, tuple[str, str]], folder: Path, suffix: str) -> dict[str, tuple[Path, Path]]:
    """Scheme -> (encoder file, head file), from scheme -> (scheme in the encoder's name, scheme in the head's name)."""
    return {
        scheme: (folder / f"encoder.{encoder}{suffix}", folder / f"head.{head}{suffix}")
        for scheme, (encoder, head) in made.items()
    }


def exporter(runtime: str) -> ModuleType:
    """The module that writes a runtime's files: `edge.export.onnx_export` or `edge.export.tflite_export`."""
    return import_module(runtimes.REGISTRY[runtime].exporter)


def calibration_blocks(clips: EvalClips, geometry: StreamGeometry) -> list[np.ndarray]:
    """Blocks of recordings as the streaming encoder receives them, `(1, n_mels, block_frames)` float32, spread over all
    clips and over the length of each clip."""
    per_clip = max(1, CALIBRATION_BLOCKS // len(clips))
    blocks = []
    for index in range(0, len(clips), max(1, len(clips) // CALIBRATION_BLOCKS)):
        log_mel = clips[index][0].numpy()
        starts = range(0, log_mel.shape[1] - geometry.block_frames + 1, geometry.interval_frames)
        for start in starts[:: max(1, len(starts) // per_clip)][:per_clip]:
            block = log_mel[None, :, start : start + geometry.block_frames]
            blocks.append(np.array(block, dtype=np.float32, order="C"))
    return blocks


def parts(model: WindowModel, config: RunConfig) -> tuple[Part, Part]:
    """Encoder and head as they are exported."""
    g = config.geometry
    frames = torch.zeros(1, config.features.n_mels, g.block_frames)
    steps = torch.zeros(1, g.window_steps, config.model.encoder_features(config.features.n_mels))
    encoder = Part("encoder", model.encoder, frames, "log_mel", "steps")
    output = "logits_and_pooled" if model.head.arousal is None else "logits_arousal_and_pooled"
    return encoder, Part("head", OpenHead(model.head), steps, "steps", output)


def export_all(
    model: WindowModel, config: RunConfig, formats: tuple[str, ...], blocks: Sequence[np.ndarray], folder: Path
) -> list[ExportedPair]:
    """Write encoder and head into `folder` for every runtime in `formats`, in every scheme of the runtime.

    `blocks`: float32 `(1, n_mels, block_frames)` each, to calibrate static_int8 on.
    """
    encoder, head = parts(model, config)
    return [
        ExportedPair(runtime, scheme, *files)
        for runtime in formats
        for scheme, files in exporter(runtime).write(encoder, head, blocks, folder).items()
    ]
