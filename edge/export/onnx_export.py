"""Writes encoder and head as ONNX files, in the shapes that the stream uses, one pair per scheme."""

import warnings
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from edge.export.exporters import Part, pairs
from edge.export.tensor_types import StoredTensor, feeds

RUNTIME = "onnx"
OPSET = 17
MADE_WITH = ("torch", "onnx", "onnxruntime")
"""Packages whose versions a bundle records"""


def installed() -> bool:
    """Whether the export extra is installed."""
    return all(find_spec(package) for package in ("onnx", "onnxruntime"))


def write(encoder: Part, head: Part, blocks: Sequence[np.ndarray], folder: Path) -> dict[str, tuple[Path, Path]]:
    """Write the files of every scheme into `folder`; returns scheme -> (encoder file, head file).

    `blocks`: inputs of the encoder, float32, to calibrate static_int8 on. Under dynamic_int8 the encoder is the float32
    file: it has only convolutions, and dynamically quantized convolutions are slower than float32.
    """
    from edge.export import onnx_quantize  # needs the export extra

    for part in (encoder, head):
        float32 = folder / f"{part.name}.float32.onnx"
        export(part, float32)
        onnx_quantize.float16(float32, folder / f"{part.name}.float16.onnx")
    onnx_quantize.static_int8(folder / "encoder.float32.onnx", folder / "encoder.static_int8.onnx", blocks)
    onnx_quantize.dynamic_int8(folder / "head.float32.onnx", folder / "head.dynamic_int8.onnx")
    made = {
        "float32": ("float32", "float32"),
        "float16": ("float16", "float16"),
        "dynamic_int8": ("float32", "dynamic_int8"),
        "static_int8": ("static_int8", "dynamic_int8"),
    }
    return pairs(made, folder, ".onnx")


def write_window(encoder: Part, head: Part, folder: Path) -> tuple[Path, Path]:
    """Write the parts of a larger bundle: the encoder with int8 weights, and the head, 4 % of its size, in float32."""
    from edge.export import onnx_quantize

    float32, small, linear = folder / "large.onnx", folder / "encoder.weight_int8.onnx", folder / "head.float32.onnx"
    export(encoder, float32)
    onnx_quantize.weight_int8(float32, small)
    float32.unlink()
    export(head, linear)
    return small, linear


def export(part: Part, path: Path) -> None:
    """Write a part as float32 for inputs of exactly its example's shape."""
    from edge.export import onnx_quantize

    with warnings.catch_warnings():
        # torch recommends its newer exporter; this one is much faster, and `edge.export.verify` checks the files.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="Exporting a model to ONNX with a batch_size other than 1")
        torch.onnx.export(
            part.module.eval(),
            (part.example,),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=[part.input_name],
            output_names=[part.output_name],
        )
    onnx_quantize.fold(path)


def saturating(path: Path) -> list[str]:
    """Names of the int8 weights of a file whose sums saturate on some processors (`edge.export.onnx_quantize`)."""
    from edge.export import onnx_quantize

    return onnx_quantize.saturating(path)


def tensors(path: Path) -> Iterable[StoredTensor]:
    """Every constant of a file, for `edge.export.tensor_types`."""
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    consumers = {name: (node.op_type, node.output[0]) for node in reversed(graph.node) for name in node.input}
    for item in graph.initializer:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(item.data_type)
        size = int(np.prod(item.dims, dtype=np.int64)) * dtype.itemsize
        yield StoredTensor(item.name, dtype.name, tuple(item.dims), size, feeds(item.name, consumers))
