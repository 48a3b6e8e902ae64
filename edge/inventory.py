"""What a model file really holds: every constant tensor, its type, its bytes, and the operation it feeds.

A scheme's name says what was asked for; this reads what was written.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crnn.config import InputError, require

THROUGH = {"Cast", "DequantizeLinear", "DEQUANTIZE"}
"""Operations that only bring a stored type to the one computed with"""


@dataclass(frozen=True)
class StoredTensor:
    """One constant of a model file."""

    name: str
    dtype: str
    """float32, float16, int8, uint8, int32, int64 ..."""
    shape: tuple[int, ...]
    bytes: int
    feeds: str
    """Operation that computes with it, casts passed over: Conv, LSTM, CONV_2D ..."""


def inventory(path: Path) -> list[StoredTensor]:
    """The constants of an .onnx or .tflite file. Raises InputError for another suffix or a file it cannot read."""
    readers = {".onnx": _onnx, ".tflite": _tflite}
    require(path.suffix in readers, f"{path}: give a file that ends in {' or '.join(readers)}")
    try:
        return list(readers[path.suffix](path))
    except Exception as error:  # protobuf and flatbuffers raise their own types, struct.error, IndexError ...
        raise InputError(f"{path}: cannot be read as a model ({error})") from error


def bytes_by_type(tensors: Iterable[StoredTensor]) -> dict[str, int]:
    """Type -> bytes of all its tensors, most first."""
    count: Counter = Counter()
    for tensor in tensors:
        count[tensor.dtype] += tensor.bytes
    return dict(count.most_common())


def _feeds(name: object, consumers: dict[object, tuple[str, object]]) -> str:
    """The first operation after a constant that is more than a cast."""
    operation, made = consumers.get(name, ("", None))
    while operation in THROUGH and made in consumers:
        operation, made = consumers[made]
    return operation


def _onnx(path: Path) -> Iterable[StoredTensor]:
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    consumers = {name: (node.op_type, node.output[0]) for node in reversed(graph.node) for name in node.input}
    for item in graph.initializer:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(item.data_type)
        size = int(np.prod(item.dims, dtype=np.int64)) * dtype.itemsize
        yield StoredTensor(item.name, dtype.name, tuple(item.dims), size, _feeds(item.name, consumers))


def _tflite(path: Path) -> Iterable[StoredTensor]:
    from ai_edge_litert import schema_py_generated as schema

    def names(kind: type) -> dict[int, str]:
        return {value: name for name, value in vars(kind).items() if isinstance(value, int)}

    types, operations = names(schema.TensorType), names(schema.BuiltinOperator)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(path.read_bytes(), 0))
    for graph in model.subgraphs:
        consumers = {}
        for node in reversed(graph.operators):
            code = model.operatorCodes[node.opcodeIndex]
            kind = operations[max(code.builtinCode, code.deprecatedBuiltinCode)]
            consumers |= {int(at): (kind, int(node.outputs[0])) for at in node.inputs}
        for at, tensor in enumerate(graph.tensors):
            data = model.buffers[tensor.buffer].data
            if data is not None and len(data):
                shape = tuple(int(n) for n in tensor.shape) if tensor.shape is not None else ()
                feeds = _feeds(at, consumers)
                yield StoredTensor((tensor.name or b"").decode(), types[tensor.type].lower(), shape, len(data), feeds)
