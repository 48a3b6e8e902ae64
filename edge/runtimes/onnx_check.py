"""Checks an .onnx file before ONNX Runtime loads it. Standard library only: a device does not have the onnx package.

A file of quantize.py is one graph of constants and of operators whose cost follows from their shapes. Refused are other
operators, and with them control flow (a Loop may never end) and functions; data outside the file; constants with more
values than the file has bytes.
"""

import math
from collections import Counter
from collections.abc import Iterator

PLAIN = """
    Abs Add AveragePool BatchNormalization Cast Clip Concat Constant Conv ConvInteger DequantizeLinear Div Dropout
    DynamicQuantizeLinear Erf Exp Flatten GRU Gemm GlobalAveragePool Identity LSTM LayerNormalization LeakyRelu Log
    LogSoftmax MatMul MatMulInteger Max MaxPool Min Mul Neg Pad Pow QLinearConv QLinearMatMul QuantizeLinear Reciprocal
    ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum ReduceSumSquare Relu Reshape Sigmoid Slice Softmax Split Sqrt
    Squeeze Sub Tanh Transpose Unsqueeze
"""
CONTRIBUTED = """
    DynamicQuantizeLSTM DynamicQuantizeMatMul FusedConv FusedGemm FusedMatMul MatMulIntegerToFloat QLinearAdd
    QLinearAveragePool QLinearConcat QLinearMul QLinearSigmoid QLinearSoftmax
"""
OPERATORS = {"": frozenset(PLAIN.split()), "com.microsoft": frozenset(CONTRIBUTED.split())}
"""Domain -> operators"""
MOST_NODES = 2000
LARGEST_SETTING = 2**20
"""Largest absolute value of an integer attribute of an operator: pads, strides, sizes"""
NUMBERS = {
    1: ("float32", 4), 2: ("uint8", 1), 3: ("int8", 1), 4: ("uint16", 2), 5: ("int16", 2), 6: ("int32", 4),
    7: ("int64", 8), 9: ("bool", 1), 10: ("float16", 2), 11: ("float64", 8), 12: ("uint32", 4), 13: ("uint64", 8),
}  # fmt: skip
"""Data types of constants, with their bytes: numbers of 8 to 64 bits and bool; no text"""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types of protobuf"""

Value = int | memoryview
"""Of a protobuf field"""


def check(data: bytes) -> None:
    """Raises ValueError that names what is not allowed in the ONNX file `data`."""
    model = _fields(memoryview(data))
    graphs = [value for number, value in model if number == 7]
    _demand(len(graphs) == 1, f"{len(graphs)} graphs, expected 1")
    for number, value in _fields(memoryview(data)):
        _demand(number not in (20, 25), "functions or training information")
        if number == 8:
            domain = _text(_first(value, 1))
            _demand(domain in ("", "ai.onnx", "com.microsoft"), f"operators of {domain!r}")
    nodes = 0
    for number, value in _fields(graphs[0]):
        if number == 1:
            nodes += 1
            _demand(nodes <= MOST_NODES, f"more than {MOST_NODES} nodes")
            _check_node(value)
        elif number == 5:
            _check_tensor(value)
        _demand(number != 15, "sparse constants")


def constants(data: bytes) -> Counter[str]:
    """Type -> bytes of all constants of the ONNX file `data`, most first. Raises ValueError where it is damaged."""
    found: Counter[str] = Counter()
    for graph in (value for number, value in _fields(memoryview(data)) if number == 7):
        for number, value in _fields(graph):
            tensors = [value] if number == 5 else []
            if number == 1:  # an operator; a Constant has its tensor in an attribute
                settings = (inner for part, inner in _fields(value) if part == 5)
                tensors = [tensor for inner in settings for part, tensor in _fields(inner) if part == 5]
            for tensor in tensors:
                sizes, kind = _sizes_and_type(tensor)
                name, size = NUMBERS.get(kind, ("other", 1))
                found[name] += math.prod(sizes) * size
    return Counter(dict(found.most_common()))


def _check_node(node: Value) -> None:
    domain, operator = (_text(_first(node, number)) for number in (7, 4))
    known = OPERATORS.get("" if domain == "ai.onnx" else domain, ())
    _demand(operator in known, f"the operator {f'{domain}.' if domain else ''}{operator}")
    for number, value in _fields(node):
        if number == 5:
            for part, inner in _fields(value):
                _demand(part not in (6, 10, 11, 22, 23), f"{operator} with a graph or other than plain settings")
                if part == 5:
                    _check_tensor(inner)
                elif part in (3, 8):
                    for setting in [inner] if isinstance(inner, int) else _varints(inner):
                        _demand(
                            abs(_signed(setting)) <= LARGEST_SETTING, f"{operator} with the number {_signed(setting)}"
                        )


def _check_tensor(tensor: Value) -> None:
    for number, value in _fields(tensor):
        _demand(number != 13 and (number != 14 or value == 0), "a constant whose data lie outside the file")
    sizes, kind = _sizes_and_type(tensor)
    _demand(kind in NUMBERS, f"a constant of data type {kind}")
    count = math.prod(sizes)  # a negative size reads as an enormous one
    size = len(_message(tensor))
    _demand(count <= size, f"a constant of {count} values in {size} bytes")


def _sizes_and_type(tensor: Value) -> tuple[list[int], int]:
    sizes: list[int] = []
    kind = 0
    for number, value in _fields(tensor):
        if number == 1:
            sizes += [value] if isinstance(value, int) else list(_varints(value))
        elif number == 2 and isinstance(value, int):
            kind = value
        _demand(len(sizes) <= 8, "a constant of more than 8 dimensions")
    return sizes, kind


def _fields(message: Value) -> Iterator[tuple[int, Value]]:
    """Field number and value of every field of a protobuf message. Raises ValueError where it is damaged."""
    data, at = _message(message), 0
    value: Value
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = _varint(data, at)
        else:
            if wire == BYTES:
                size, at = _varint(data, at)
            else:
                size = {FIXED64: 8, FIXED32: 4}.get(wire, len(data))
            value, at = data[at : at + size], at + size
            _demand(wire in (BYTES, FIXED64, FIXED32) and at <= len(data), "a damaged message")
        yield number, value


def _message(value: Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a damaged message")
    return value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        _demand(at < len(data), "a damaged message")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a damaged number")


def _varints(data: memoryview) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _first(message: Value, number: int) -> Value:
    """The last value of a field, as protobuf reads it; empty if there is none."""
    found: Value = memoryview(b"")
    for field, value in _fields(message):
        if field == number:
            found = value
    return found


def _text(value: Value) -> str:
    return bytes(_message(value)).decode("utf-8")  # UnicodeDecodeError is a ValueError


def _demand(condition: bool, problem: str) -> None:
    if not condition:
        raise ValueError(problem)
