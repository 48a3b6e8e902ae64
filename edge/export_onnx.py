"""Encoder and head as ONNX files, in the shapes the stream uses."""

import warnings
from pathlib import Path

import torch
from torch import nn

OPSET = 17


def export(module: nn.Module, example: torch.Tensor, path: Path, input_name: str, output_name: str) -> None:
    """Write `module` to `path` for inputs of exactly the example's shape."""
    with warnings.catch_warnings():
        # torch prefers its newer exporter; this one is much faster, and the gate checks what it writes.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="Exporting a model to ONNX with a batch_size other than 1")
        torch.onnx.export(
            module.eval(),
            (example,),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=[input_name],
            output_names=[output_name],
        )
