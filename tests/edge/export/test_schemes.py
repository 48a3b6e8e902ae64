"""The tensors of the written files have the types that their scheme's name states."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from crnn.config import ModelConfig
from crnn.errors import InputError
from crnn.models.crnn import CRNN
from crnn.models.head import OpenHead
from crnn.run_config import RunConfig
from edge import runtimes
from edge.export.exporters import export_all, exporter
from edge.export.tensor_types import bytes_by_type, inventory

CONFIG = RunConfig(
    model=ModelConfig(channels=(8, 8, 12, 16), lstm_units=24, attention_units=16, spectral_floor_db=-25, arousal=True)
)
RUNTIMES = [name for name in runtimes.REGISTRY if exporter(name).installed()]
WEIGHTS = {"Conv", "LSTM", "DynamicQuantizeLSTM", "MatMul", "MatMulInteger", "Gemm"} | {
    "CONV_2D",
    "FULLY_CONNECTED",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
}


@pytest.fixture(scope="module")
def blocks():
    rng = np.random.default_rng(0)
    shape = (1, CONFIG.features.n_mels, CONFIG.geometry.block_frames)
    return [rng.normal(-4, 3, shape).astype(np.float32) for _ in range(16)]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return CRNN(CONFIG.features, CONFIG.model, 6).eval()


@pytest.fixture(scope="module")
def files(model, blocks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    made = export_all(model, CONFIG, tuple(RUNTIMES), blocks, folder)
    return {(runtime, scheme): (encoder, head) for runtime, scheme, encoder, head in made}


def stored(path) -> dict[str, set[str]]:
    """Type of the weights (matrices and filters) of every kind of operation."""
    found: dict[str, set[str]] = {}
    for tensor in inventory(path):
        if tensor.feeds in WEIGHTS and len(tensor.shape) > 1:
            found.setdefault(tensor.feeds, set()).add(tensor.dtype)
    return found


def test_onnx_files_have_the_types_of_their_schemes(files):
    wanted = {
        "float32": ({"Conv": {"float32"}}, {"LSTM": {"float32"}, "MatMul": {"float32"}, "Gemm": {"float32"}}),
        "float16": ({"Conv": {"float16"}}, {"LSTM": {"float16"}, "MatMul": {"float16"}, "Gemm": {"float16"}}),
        "dynamic_int8": ({"Conv": {"float32"}}, {"MatMulInteger": {"int8"}}),
        "static_int8": ({"Conv": {"float32", "int8"}}, {"MatMulInteger": {"int8"}}),
    }
    for scheme, (encoder, head) in wanted.items():
        encoder_file, head_file = files["onnx", scheme]
        assert stored(encoder_file) == encoder, scheme
        found = stored(head_file)
        assert head.items() <= found.items(), scheme
    lstm = [t for t in inventory(head_file) if t.feeds == "DynamicQuantizeLSTM" and len(t.shape) == 3]
    assert [t.dtype for t in lstm] == ["int8", "int8"]


def test_static_int8_has_a_scale_per_channel_and_a_float_front(files):
    """InputChannels, band normalisation and the first convolution compute in float32: nothing is quantized before."""
    graph = onnx.load(files["onnx", "static_int8"][0]).graph
    arrays = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    first, *others = [node for node in graph.node if node.op_type == "Conv"]
    assert arrays[first.input[1]].dtype == np.float32
    assert len(others) == 3
    for node in others:
        weight, scale = (arrays[name] for name in made_by[node.input[1]].input[:2])
        assert scale.shape == (weight.shape[0],)
        assert np.abs(weight).max() <= 64, "7 bits: right on processors whose 8-bit products overflow"
    before, waiting = set(), [first.input[0]]
    while waiting:
        node = made_by.get(waiting.pop())
        if node is not None:
            before.add(node.op_type)
            waiting += node.input
    assert {"Sub", "Mul"} <= before, "the normalisation"
    assert not before & {"QuantizeLinear", "DequantizeLinear"}


@pytest.mark.skipif("tflite" not in RUNTIMES, reason="needs the tflite extra")
def test_tflite_files_have_the_types_of_their_schemes(files):
    for scheme, dtype in (("float32", "float32"), ("float16", "float16"), ("dynamic_int8", "int8")):
        encoder, head = files["tflite", scheme]
        assert stored(encoder) == {"CONV_2D": {dtype}}
        found = stored(head)
        assert found["UNIDIRECTIONAL_SEQUENCE_LSTM"] == {dtype}
        assert dtype in found["FULLY_CONNECTED"]


def test_every_scheme_is_smaller_than_float32_and_gives_the_models_values(files, model, blocks):
    with torch.no_grad():
        steps = model.encoder(torch.from_numpy(blocks[0]))
        window = steps.repeat(1, CONFIG.geometry.window_intervals, 1)
        expected = OpenHead(model.head)(window).numpy()
    for (runtime, scheme), pair in files.items():
        size = sum(path.stat().st_size for path in pair)
        full = sum(path.stat().st_size for path in files[runtime, "float32"])
        assert scheme == "float32" or size < full
        encoder, head = (runtimes.load(runtime, path) for path in pair)
        assert (encoder.contract.input_name, encoder.contract.output_name) == ("log_mel", "steps")
        assert (head.contract.input_name, head.contract.output_name) == ("steps", "logits_arousal_and_pooled")
        tolerance = {"float32": 1e-5, "float16": 2e-3}.get(scheme, 0.1)
        assert np.abs(encoder.run(blocks[0]) - steps.numpy()).max() < tolerance * np.abs(steps.numpy()).max(), scheme
        for _ in range(2):  # the state of an LSTM must not carry over
            assert np.abs(head.run(window.numpy()) - expected).max() < tolerance, (runtime, scheme)


def test_inventory_counts_bytes_and_refuses_what_it_cannot_read(files, tmp_path):
    path = files["onnx", "float32"][1]
    assert bytes_by_type(inventory(path))["float32"] == pytest.approx(path.stat().st_size, rel=0.1)
    for name, data, part in (
        ("a.onnx", b"\x08not a model", "cannot be read"),
        ("a.tflite", b"no", "cannot be read"),
        ("a.txt", b"", "onnx"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=part):
            inventory(tmp_path / name)
