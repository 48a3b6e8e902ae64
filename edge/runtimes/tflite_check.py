"""Checks a .tflite file before LiteRT loads it: one graph of known operators without control flow.

LiteRT follows the offsets of a damaged file out of its memory. `edge.bundle.sandbox` catches what this check misses.
"""

import struct
from collections import Counter

IDENTIFIER = b"TFL3"
OPERATORS = {
    "ADD": 0, "AVERAGE_POOL_2D": 1, "CONCATENATION": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 4, "DEQUANTIZE": 6,
    "FULLY_CONNECTED": 9, "LOGISTIC": 14, "MAX_POOL_2D": 17, "MUL": 18, "RELU": 19, "RELU6": 21, "RESHAPE": 22,
    "SOFTMAX": 25, "TANH": 28, "PAD": 34, "TRANSPOSE": 39, "MEAN": 40, "SUB": 41, "DIV": 42, "SQUEEZE": 43,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 44, "STRIDED_SLICE": 45, "EXP": 47, "SPLIT": 49, "CAST": 53, "MAXIMUM": 55,
    "MINIMUM": 57, "NEG": 59, "PADV2": 60, "SLICE": 65, "EXPAND_DIMS": 70, "LOG": 73, "SUM": 74, "SQRT": 75,
    "RSQRT": 76, "POW": 78, "REDUCE_MAX": 82, "PACK": 83, "REDUCE_MIN": 89, "SQUARE": 92, "REVERSE_V2": 105,
    "QUANTIZE": 114, "BATCH_MATMUL": 126,
}  # fmt: skip
"""Name -> number in LiteRT's schema"""
OPERATOR_CODES, SUBGRAPHS, BUFFERS = 1, 2, 4
"""Fields of the model's table"""
TENSORS, TENSOR_TYPE, TENSOR_BUFFER, BUFFER_DATA = 0, 1, 2, 0
"""Fields of the tables of a graph, a tensor and a buffer"""
TYPES = {
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8", 10: "float64",
}  # fmt: skip
"""Of tensors"""


def check(data: bytes) -> None:
    """Raises ValueError that names what is not allowed in the LiteRT file `data`."""
    if len(data) < 8 or data[4:8] != IDENTIFIER:
        raise ValueError("no LiteRT model")
    try:
        model = _follow(data, 0)
        graphs = _vector(data, model, SUBGRAPHS)
        if len(graphs) != 1:
            raise ValueError(f"{len(graphs)} graphs, expected 1")
        for code in _vector(data, model, OPERATOR_CODES):
            narrow, custom, wide = _field(data, code, 0), _field(data, code, 1), _field(data, code, 3)
            if custom is not None:
                raise ValueError("an operator of its own")
            number = max(_number("<b", data, narrow), _number("<i", data, wide))
            if number not in OPERATORS.values():
                raise ValueError(f"the operator number {number}")
    except struct.error as error:
        raise ValueError("an offset that leads out of the file") from error


def constants(data: bytes) -> Counter[str]:
    """Type -> bytes of all constants of the LiteRT file `data`, most first. Raises ValueError where it is damaged."""
    found: Counter[str] = Counter()
    try:
        model = _follow(data, 0)
        buffers = _vector(data, model, BUFFERS)
        for graph in _vector(data, model, SUBGRAPHS):
            for tensor in _vector(data, graph, TENSORS):
                kind = _number("<b", data, _field(data, tensor, TENSOR_TYPE))
                buffer = _number("<I", data, _field(data, tensor, TENSOR_BUFFER))
                if buffer >= len(buffers):
                    raise ValueError("a tensor without a buffer")
                at = _field(data, buffers[buffer], BUFFER_DATA)
                found[TYPES.get(kind, "other")] += 0 if at is None else _number("<I", data, _follow(data, at))
    except struct.error as error:
        raise ValueError("an offset that leads out of the file") from error
    return Counter({kind: size for kind, size in found.most_common() if size})


def _number(form: str, data: bytes, at: int | None) -> int:
    return 0 if at is None else struct.unpack_from(form, data, at)[0]


def _follow(data: bytes, at: int) -> int:
    target = at + struct.unpack_from("<I", data, at)[0]
    struct.unpack_from("<I", data, target)  # raises struct.error outside
    return target


def _field(data: bytes, table: int, number: int) -> int | None:
    """Position of a table's field; None if the table lacks it."""
    layout = table - struct.unpack_from("<i", data, table)[0]
    if layout < 0:
        raise ValueError("an offset that leads out of the file")
    place = 4 + 2 * number
    if place >= struct.unpack_from("<H", data, layout)[0]:
        return None
    offset = struct.unpack_from("<H", data, layout + place)[0]
    return table + offset if offset else None


def _vector(data: bytes, table: int, number: int) -> list[int]:
    """Positions of the tables of a vector."""
    at = _field(data, table, number)
    if at is None:
        return []
    start = _follow(data, at)
    count = struct.unpack_from("<I", data, start)[0]
    if 4 * count > len(data):
        raise ValueError("an offset that leads out of the file")
    return [_follow(data, start + 4 + 4 * index) for index in range(count)]
