"""Encoder and head as TFLite files, in the shapes the stream uses (the tflite extra)."""

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn


def installed() -> bool:
    """Whether the tflite extra is here."""
    return all(find_spec(package) for package in ("litert_torch", "ai_edge_quantizer"))


def export(module: nn.Module, example: torch.Tensor, path: Path) -> None:
    """Write `module` to `path` for inputs of exactly the example's shape. The LSTM is unrolled over its steps."""
    import litert_torch  # large and slow to load: only where it is used

    litert_torch.convert(module.eval(), (example,)).export(str(path))
