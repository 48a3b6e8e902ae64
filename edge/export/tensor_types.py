"""Reads a model file: every constant tensor, its type, its bytes, and the operation that uses it.

The name of a scheme states an intention; this module reads what the file holds.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TypeVar

from crnn.errors import InputError, require
from edge.runtimes import REGISTRY

THROUGH = {"Cast", "DequantizeLinear", "DEQUANTIZE"}
"""Operations that only convert a stored type to the one that is computed with"""
Name = TypeVar("Name")
"""What a file calls its tensors: text in ONNX, a number in TFLite"""


@dataclass(frozen=True)
class StoredTensor:
    """One constant of a model file."""

    name: str
    dtype: str
    """float32, float16, int8, uint8, int32, int64 ..."""
    shape: tuple[int, ...]
    bytes: int
    feeds: str
    """Operation that computes with it, casts skipped: Conv, LSTM, CONV_2D ..."""


def inventory(path: Path) -> list[StoredTensor]:
    """The constants of a runtime's file. Raises InputError for another suffix or a file it cannot read."""
    exporters = {runtime.suffix: runtime.exporter for runtime in REGISTRY.values()}
    require(path.suffix in exporters, f"{path}: give a file that ends in {' or '.join(exporters)}")
    try:
        return list(import_module(exporters[path.suffix]).tensors(path))
    except Exception as error:  # protobuf and flatbuffers raise their own types, struct.error, IndexError ...
        raise InputError(f"{path}: cannot be read as a model ({error})") from error


def bytes_by_type(tensors: Iterable[StoredTensor]) -> dict[str, int]:
    """Type -> bytes of all its tensors, most first."""
    count: Counter = Counter()
    for tensor in tensors:
        count[tensor.dtype] += tensor.bytes
    return dict(count.most_common())


def feeds(name: Name, consumers: Mapping[Name, tuple[str, Name]]) -> str:
    """The first operation after a constant that is not a cast."""
    operation = ""
    while name in consumers:
        operation, name = consumers[name]
        if operation not in THROUGH:
            break
    return operation
