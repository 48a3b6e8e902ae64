"""Writes encoder and head as TFLite files, in the shapes that the stream uses, one pair per scheme."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from crnn.errors import require
from edge.export.exporters import Part, pairs
from edge.export.tensor_types import StoredTensor, feeds

MADE_WITH = ("torch", "litert-torch", "ai-edge-quantizer")
"""Packages whose versions a bundle records"""


def installed() -> bool:
    """Whether the tflite extra is installed."""
    return all(find_spec(package) for package in ("litert_torch", "ai_edge_quantizer"))


def write(encoder: Part, head: Part, blocks: Sequence[np.ndarray], folder: Path) -> dict[str, tuple[Path, Path]]:
    """Write the files of every scheme into `folder`; returns scheme -> (encoder file, head file).

    `blocks` are not used, because no TFLite scheme is calibrated.
    """
    from edge.export import tflite_lstm, tflite_quantize  # need the tflite extra

    split = tflite_lstm.split(head.module)
    lstm, after = split if split else (None, head.module)
    recurrent = any(isinstance(part, torch.nn.RNNBase) for part in head.module.modules())
    require(
        lstm is not None or not recurrent, "recurrent parts of system.sequence have no TFLite files; add --formats onnx"
    )
    if lstm is not None:
        states = torch.zeros(*head.example.shape[:2], 2 * lstm.hidden_size)
        head = replace(head, module=after, example=states)
    for part in (encoder, head):
        float32 = folder / f"{part.name}.float32.tflite"
        export(part, float32)
        tflite_quantize.dynamic_int8(float32, folder / f"{part.name}.dynamic_int8.tflite")
        tflite_quantize.float16(float32, folder / f"{part.name}.float16.tflite")
    schemes = {"float32": "float32", "float16": "float16", "dynamic_int8": "int8"}
    made = pairs({scheme: (scheme, scheme) for scheme in schemes}, folder, ".tflite")
    for scheme, weights in schemes.items():
        encoder_file, head_file = made[scheme]
        if lstm is not None:
            tflite_lstm.prepend(lstm, head.example.shape[1], head_file, weights)
        tflite_lstm.finish(encoder_file, encoder.input_name, encoder.output_name)
        tflite_lstm.finish(head_file, head.input_name, head.output_name)
    return made


def export(part: Part, path: Path) -> None:
    """Write a part as float32 for inputs of exactly its example's shape."""
    import litert_torch  # large and slow to import

    litert_torch.convert(part.module.eval(), (part.example,)).export(str(path))


def saturating(path: Path) -> list[str]:
    """None: LiteRT's int8 kernels add in 32 bits on every processor (tests/edge/bundle/test_processors.py)."""
    return []


def tensors(path: Path) -> Iterable[StoredTensor]:
    """Every constant of a file, for `edge.export.tensor_types`."""
    from ai_edge_litert import schema_py_generated as schema

    def names(kind: type) -> dict[int, str]:
        return {value: name for name, value in vars(kind).items() if isinstance(value, int)}

    types, operations = names(schema.TensorType), names(schema.BuiltinOperator)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(path.read_bytes(), 0))
    for graph in model.subgraphs:
        consumers: dict[int, tuple[str, int]] = {}
        for node in reversed(graph.operators):
            code = model.operatorCodes[node.opcodeIndex]
            kind = operations[max(code.builtinCode, code.deprecatedBuiltinCode)]
            consumers |= {int(at): (kind, int(node.outputs[0])) for at in node.inputs}
        for at, tensor in enumerate(graph.tensors):
            data = model.buffers[tensor.buffer].data
            if data is not None and len(data):
                shape = tuple(int(n) for n in tensor.shape) if tensor.shape is not None else ()
                fed = feeds(at, consumers)
                yield StoredTensor((tensor.name or b"").decode(), types[tensor.type].lower(), shape, len(data), fed)
