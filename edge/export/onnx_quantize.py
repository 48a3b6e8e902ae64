"""Folds and quantizes ONNX files: float16, dynamic int8, static int8. Each function reads a file and writes a file.

Every int8 weight uses 7 of its 8 bits. x86 processors without VNNI add pairs of products of an unsigned activation and
a signed weight in 16 bits: 2 * 255 * 64 fits, 2 * 255 * 127 does not, and the sum saturates without an error. ARM cores
and x86 processors with VNNI add in 32 bits. With 7 bits all of them compute the same sums (`saturating`).
"""

import logging
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static

WEIGHTY = ("Conv", "MatMul", "Gemm", "LSTM")
"""Operations that hold nearly all weights"""
CONVOLUTIONS = ("Conv", "Relu", "MaxPool")
"""Operations that static int8 quantizes, in the blocks after the first. Inputs, band normalisation and the first
convolution stay float32: the range of logarithms is open, and values past the calibrated range would be cut off."""

SMALLEST_SCALE = 1e-12
"""Of the largest weight of an output; a smaller one counts as this"""
LARGEST_WEIGHT = 64
"""Absolute value of an int8 weight up to which no processor's sums saturate"""

NAMELESS = re.compile(r"[/:]|^v\d")
"""Names that the exporter or `_save` made up"""


def fold(path: Path) -> None:
    """Replace constant expressions by their values; the exporter leaves shapes to be computed in every pass."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    # Products stay MatMul, which dynamic_int8 quantizes. A constant that two operations shared would be quantized twice
    # under one name.
    unwanted = ["MatMulAddFusion", "ConstantSharing"]
    onnxruntime.InferenceSession(
        path.read_bytes(), options, providers=["CPUExecutionProvider"], disabled_optimizers=unwanted
    )
    model = onnx.load(path)
    _drop_zero_states(model.graph)
    _save(model, path)


def float16(float32: Path, out: Path) -> None:
    """Store weights as float16; they are cast to float32 when the file is loaded."""
    model = onnx.load(float32)
    graph = model.graph
    weights = {name for node in graph.node if node.op_type in WEIGHTY for name in node.input[1:]}
    casts = []
    for item in graph.initializer:
        if item.name in weights and len(item.dims) > 1:
            half = numpy_helper.to_array(item).astype(np.float16)
            casts.append(helper.make_node("Cast", [f"{item.name}.half"], [item.name], to=TensorProto.FLOAT))
            item.CopyFrom(numpy_helper.from_array(half, f"{item.name}.half"))
    _insert(graph, casts)
    _save(model, out)


def weight_int8(float32: Path, out: Path) -> None:
    """Store weights as int8, one scale per output; they become float32 when the file is loaded, and so is all
    arithmetic. It costs what float32 costs, and a deep network gives the same answer on every processor: where
    activations are quantized, a difference of 1e-6 between two processors becomes one of a whole step, layer by layer.
    """
    model = onnx.load(float32)
    graph = model.graph
    outputs = {node.input[1]: 0 if node.op_type == "Conv" else -1 for node in graph.node if node.op_type in WEIGHTY}
    restored, scales = [], []
    for item in graph.initializer:
        if item.name in outputs and len(item.dims) > 1:
            name, weights = item.name, numpy_helper.to_array(item)
            others = tuple(axis for axis in range(weights.ndim) if axis != outputs[name] % weights.ndim)
            scale = np.maximum(np.abs(weights).max(axis=others, keepdims=True), SMALLEST_SCALE) / 127
            small = np.round(weights / scale).astype(np.int8)
            item.CopyFrom(numpy_helper.from_array(small, f"{name}.int8"))
            scales.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale"))
            restored.append(helper.make_node("Cast", [f"{name}.int8"], [f"{name}.steps"], to=TensorProto.FLOAT))
            restored.append(helper.make_node("Mul", [f"{name}.steps", f"{name}.scale"], [name]))
    graph.initializer.extend(scales)
    _insert(graph, restored)
    _save(model, out)


def dynamic_int8(float32: Path, out: Path) -> None:
    """MatMul, Gemm and LSTM weights to int8 per channel, in 7 of 8 bits; activations are quantized at run time."""
    with _quiet():
        quantize_dynamic(
            float32,
            out,
            op_types_to_quantize=["MatMul", "Gemm", "LSTM"],
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
    _save(onnx.load(out), out)


def static_int8(float32: Path, out: Path, blocks: Sequence[np.ndarray]) -> None:
    """Convolution blocks after the first to int8: weights per channel, in 7 of 8 bits; activations by their ranges on
    `blocks` (float32, the input's shape).
    """
    (given,) = onnx.load(float32).graph.input
    with _quiet(), tempfile.TemporaryDirectory() as scratch:
        named = Path(scratch) / "named.onnx"
        first = _name_nodes(float32, named)
        quantize_static(
            named,
            out,
            _Blocks(given.name, blocks),
            per_channel=True,
            reduce_range=True,
            op_types_to_quantize=list(CONVOLUTIONS),
            nodes_to_exclude=first,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    _save(onnx.load(out), out)


def saturating(path: Path) -> list[str]:
    """Names of the int8 constants of a file that use more than 7 bits, so that their sums may saturate; those that
    become float32 first (`weight_int8`) cannot."""
    graph = onnx.load(path).graph
    multiplied = {name for node in graph.node if node.op_type != "Cast" for name in node.input}
    int8 = (item for item in graph.initializer if item.data_type == TensorProto.INT8)
    arrays = ((item.name, item) for item in int8 if item.name in multiplied)
    wide = [(name, np.abs(numpy_helper.to_array(item).astype(np.int16))) for name, item in arrays]
    return [name for name, magnitude in wide if magnitude.size and magnitude.max() > LARGEST_WEIGHT]


class _Blocks(CalibrationDataReader):
    def __init__(self, name: str, blocks: Sequence[np.ndarray]) -> None:
        self._rest: Iterator[dict] = iter([{name: block} for block in blocks])

    def get_next(self) -> dict | None:
        return next(self._rest, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide ONNX Runtime's advice: a pre-processing pass that changes nothing in these graphs, and a line for every
    tensor that is not quantized."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _drop_zero_states(graph: onnx.GraphProto) -> None:
    """Remove initial LSTM states that are zero: without an initial state an LSTM starts from zeros."""
    arrays = {item.name: item for item in graph.initializer}
    for node in graph.node:
        states = node.input[5:] if node.op_type == "LSTM" else []
        if states and not any(numpy_helper.to_array(arrays[name]).any() for name in states if name in arrays):
            del node.input[5:]
    used = {name for node in graph.node for name in node.input}
    for name in set(arrays) - used:
        graph.initializer.remove(arrays[name])


def _insert(graph: onnx.GraphProto, first: list[NodeProto]) -> None:
    nodes = [*first, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _name_nodes(source: Path, out: Path) -> list[str]:
    """Number the nodes, because the static quantizer identifies them by name and `_save` removes names. Returns the
    names of the nodes before the second convolution."""
    model = onnx.load(source)
    for number, node in enumerate(model.graph.node):
        node.name = f"node{number}"
    onnx.save(model, out)
    second = [node.name for node in model.graph.node if node.op_type == "Conv"][1:2]
    names = [node.name for node in model.graph.node]
    return names[: names.index(second[0])] if second else names


def _save(model: ModelProto, path: Path) -> None:
    """Write without what no runtime reads: node names, inferred shapes, long names of values, unused operator sets.

    Parameters of the module keep their names. New names end in an underscore, so that a suffix that a quantizer appends
    cannot make one name into another.
    """
    graph = model.graph
    fixed = {value.name for value in (*graph.input, *graph.output)}
    fixed |= {item.name for item in graph.initializer if not NAMELESS.search(item.name)}
    short: dict[str, str] = {"": ""}
    for item in graph.initializer:
        item.name = item.name if item.name in fixed else short.setdefault(item.name, f"v{len(short)}_")
        item.ClearField("doc_string")
    for node in graph.node:
        node.name = node.doc_string = ""
        for names in (node.input, node.output):
            for at, name in enumerate(names):
                names[at] = name if name in fixed else short.setdefault(name, f"v{len(short)}_")
    del graph.value_info[:]
    domains = {node.domain for node in graph.node}
    used = [entry for entry in model.opset_import if entry.domain in domains]
    del model.opset_import[:]
    model.opset_import.extend(used)
    del model.metadata_props[:]
    model.doc_string = graph.doc_string = ""
    onnx.save(model, path)
