"""Hostile files of models: ONNX and safetensors. Hypothesis strategies of bytes, as in `benchmarks.fuzz.inputs`."""

import json
import struct

import numpy as np
from hypothesis import strategies as st

from benchmarks.fuzz.inputs import damaged, json_like


@st.composite
def onnx_like(draw, data: bytes) -> bytes:
    """An ONNX file with nodes, constants or ends changed; or damaged."""
    import onnx
    from onnx import TensorProto, helper

    if draw(st.integers(0, 3)) == 0:
        return draw(damaged(data))
    model = onnx.load_from_string(data)
    graph = model.graph
    for _ in range(draw(st.integers(1, 2))):
        node = graph.node[draw(st.integers(0, len(graph.node) - 1))]
        constant = graph.initializer[draw(st.integers(0, len(graph.initializer) - 1))]
        kind = draw(st.integers(0, 12))
        if kind == 0:
            known = sorted({other.op_type for other in graph.node})
            node.op_type = draw(
                st.sampled_from([*known, "Loop", "If", "Scan", "ConstantOfShape", "Expand", "", "\x1b"])
            )
        elif kind == 1:
            node.domain = draw(st.sampled_from(["", "com.microsoft", "evil", "ai.onnx.ml", "\u202e"]))
        elif kind == 2:
            _endless(graph, helper, TensorProto)
        elif kind == 3:
            constant.data_location = TensorProto.EXTERNAL
            constant.external_data.add(
                key="location", value=draw(st.sampled_from(["../x", "/etc/passwd", "bundle.json"]))
            )
        elif kind == 4:
            del constant.dims[:]
            constant.dims.extend(draw(st.sampled_from([[2**40], [-1], [2**31, 2**31], [], [0], [1] * 9])))
        elif kind == 5:
            constant.data_type = draw(st.integers(0, 25))
        elif kind == 6:
            end = draw(st.sampled_from([graph.input, graph.output]))[0]
            end.type.tensor_type.elem_type = draw(st.sampled_from([0, 2, 7, 8, 10, 11]))
        elif kind == 7:
            end = draw(st.sampled_from([graph.input, graph.output]))[0]
            for size in end.type.tensor_type.shape.dim:
                size.dim_param = "n"
        elif kind == 8:
            graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
        elif kind == 9:
            graph.node.remove(node)
        elif kind == 10 and node.attribute:
            attribute = node.attribute[draw(st.integers(0, len(node.attribute) - 1))]
            if attribute.ints:
                attribute.ints[0] = draw(st.sampled_from([-1, 0, 3, 1000, 2**20, 2**40, -(2**62)]))
            else:
                attribute.i = draw(st.sampled_from([-1, 0, 3, 1000, 2**20, 2**40]))
        elif kind == 11 and constant.raw_data:
            constant.raw_data = draw(damaged(constant.raw_data))
        else:
            node.input.append(draw(st.sampled_from(["", "nowhere", node.output[0] if node.output else "x"])))
        if not graph.node:
            break
    return model.SerializeToString()


def _endless(graph, helper, types) -> None:
    """A Loop without an end before the output."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["again"]), helper.make_node("Identity", ["state"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("i", types.INT64, []),
            helper.make_tensor_value_info("go", types.BOOL, []),
            helper.make_tensor_value_info("state", types.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("again", types.BOOL, []),
            helper.make_tensor_value_info("next", types.FLOAT, None),
        ],
    )
    graph.initializer.append(helper.make_tensor("true", types.BOOL, [], [True]))
    name = graph.output[0].name
    for node in graph.node:
        for place, made in enumerate(node.output):
            if made == name:
                node.output[place] = "before"
    graph.node.append(helper.make_node("Loop", ["", "true", "before"], [name], body=body))


@st.composite
def safetensors_like(draw, data: bytes) -> bytes:
    """A safetensors file whose header, values or bytes are changed."""
    size = 8 + int.from_bytes(data[:8], "little")
    header, values = json.loads(data[8:size]), data[size:]
    kind = draw(st.integers(0, 7))
    if kind == 0:
        return draw(damaged(data))
    if kind <= 2:
        made = draw(json_like(header))
    else:
        name = draw(st.sampled_from(sorted(header)))
        if kind == 3:
            header[name]["dtype"] = draw(
                st.sampled_from(["BOOL", "U8", "I8", "F8_E5M2", "I16", "F16", "BF16", "U32", "F64", "C64", "F4", "X"])
            )
        elif kind == 4:
            shape = [[0], [], [-1], [2**40, 2**40], [1] * 70, header[name]["shape"][::-1], [*header[name]["shape"], 1]]
            header[name]["shape"] = draw(st.sampled_from(shape))
        elif kind == 5:
            start, end = header[name]["data_offsets"]
            ends = [[end, start], [0, 2**63], [start, start], [start + 1, end + 1], [0, end - start]]
            header[name]["data_offsets"] = draw(st.sampled_from(ends))
        elif kind == 6:
            at = draw(st.integers(0, len(values) // 4 - 1)) * 4
            number = struct.pack("<f", draw(st.sampled_from([np.nan, np.inf, 1e30, -1.0, 0.0])))
            values = values[:at] + number + values[at + 4 :]
        else:
            empty = draw(st.sampled_from(["F32", "I64", "BOOL", "X"]))
            header[f"{name}x"] = {"dtype": empty, "shape": [0], "data_offsets": [len(values)] * 2}
        made = json.dumps(header).encode()
    length = draw(st.sampled_from([len(made)] * 9 + [0, max(0, len(made) - 1), 2**63]))
    return struct.pack("<Q", length) + made + values
