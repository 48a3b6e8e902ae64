"""Bundles with one deliberate fault each and correct hashes: loading must refuse them.

test_reader.py tests the hashes, test_verify.py the checks before a bundle is written.
"""

import shutil
from dataclasses import asdict, replace
from fnmatch import fnmatch

import numpy as np
import onnx
import pytest
import torch
from helpers import describe_nobody, edit_json
from onnx import numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from crnn.config import ModelConfig
from crnn.errors import InputError
from crnn.features import LogMel
from crnn.models.crnn import CRNN
from crnn.models.head import OpenHead
from crnn.run_config import RunConfig
from crnn.synthetic import demo_clip
from edge import bundle
from edge.bundle import Bundle, Manifest, ModelFiles
from edge.bundle.manifest import list_files
from edge.export import onnx_export as export_onnx
from edge.export.exporters import Part, export_all
from edge.export.verify import torch_recognizer
from edge.stream.decision import DecisionConfig

CONFIG = RunConfig(model=ModelConfig(channels=(4, 8, 8, 12), lstm_units=16, attention_units=8))
LABELS = ("neutral", "happy", "sad", "angry", "fearful", "disgust")


def make_model(seed: int, **changes) -> CRNN:
    """Untrained but normalized, with logits as large as those of a trained model."""
    torch.manual_seed(seed)
    model = CRNN(CONFIG.features, replace(CONFIG.model, **changes), len(LABELS)).eval()
    model.encoder.learn_bands([torch.from_numpy(LogMel(CONFIG.features)(demo_clip()))])
    for parameter in (model.head.lstm.weight_ih_l0, model.head.lstm.weight_hh_l0, model.head.classifier.weight):
        parameter.data *= 6
    return model


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """An int8 bundle without a fault."""
    folder, scratch = tmp_path_factory.mktemp("sound"), tmp_path_factory.mktemp("files")
    log_mel = LogMel(CONFIG.features)(demo_clip())[None]
    frames = CONFIG.geometry.block_frames
    blocks = [np.ascontiguousarray(log_mel[:, :, at : at + frames]) for at in range(0, 200, 20)]
    files = {scheme: pair for _, scheme, *pair in export_all(make_model(0), CONFIG, ("onnx",), blocks, scratch)}
    for path in files["static_int8"]:
        shutil.copy(path, folder)
    describe_nobody(folder, 2 * CONFIG.model.lstm_units, len(LABELS))
    models = {"onnx": asdict(ModelFiles("static_int8", *(path.name for path in files["static_int8"])))}
    draft = Manifest(bundle.SCHEMA, LABELS, CONFIG.features, CONFIG.geometry, DecisionConfig(), models, {})
    bundle.seal(folder, draft, torch_recognizer(make_model(0), draft))
    return folder


@pytest.fixture
def copy(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "bundle")


def hash_again(folder) -> None:
    files = {name: facts for name, facts in list_files(folder).items() if name != "bundle.json"}
    edit_json(folder / "bundle.json", lambda v: v.update(files=files))


def edit_constant(path, name: str, change) -> None:
    """Change a constant of an ONNX file: by a pattern of its name, or by the operation it is an input of."""
    model = onnx.load(path)
    for node in model.graph.node:
        if node.op_type == name:
            name = next(given for given in node.input[1:])
    (item,) = [item for item in model.graph.initializer if fnmatch(item.name, name)]
    array = numpy_helper.to_array(item).copy()
    item.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(change(array)), item.name))
    onnx.save(model, path)


def reorder_gates(weights: np.ndarray) -> np.ndarray:
    """ONNX orders input, output, forget, cell; another convention would have forget and cell before output."""
    gates = np.split(weights, 4, axis=-1)
    return np.concatenate([gates[0], gates[2], gates[3], gates[1]], axis=-1)


def encoder_of_another_run(folder) -> None:
    frames = torch.zeros(1, CONFIG.features.n_mels, CONFIG.geometry.block_frames)
    part = Part("encoder", make_model(1).encoder, frames, "log_mel", "steps")
    export_onnx.export(part, folder / "encoder.static_int8.onnx")


def head_of_another_width(folder) -> None:
    model = make_model(1, channels=(4, 8, 8, 10))
    steps = torch.zeros(1, CONFIG.geometry.window_steps, model.head.lstm.input_size)
    export_onnx.export(
        Part("head", OpenHead(model.head), steps, "steps", "logits_and_pooled"), folder / "head.dynamic_int8.onnx"
    )


def head_of_eight_bits(folder) -> None:
    """As before version 4 of the layout: correct on ARM and with VNNI, saturated sums on other x86 processors."""
    steps = torch.zeros(1, CONFIG.geometry.window_steps, make_model(0).head.lstm.input_size)
    part = Part("head", OpenHead(make_model(0).head), steps, "steps", "logits_and_pooled")
    export_onnx.export(part, folder / "float32.onnx")
    quantize_dynamic(folder / "float32.onnx", folder / HEAD, weight_type=QuantType.QInt8, per_channel=True)
    (folder / "float32.onnx").unlink()


def cut(folder, name: str) -> None:
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])


HEAD, ENCODER = "head.dynamic_int8.onnx", "encoder.static_int8.onnx"
CLASSIFIER = "head.classifier.weight*_quantized"
"""ONNX Runtime puts `_Transposed` between from 1.32 on"""
MUTATIONS = {
    "labels swapped in the manifest": (
        lambda f: edit_json(f / "bundle.json", lambda v: v.update(labels=[*v["labels"][1::-1], *v["labels"][2:]])),
        "labels ",
    ),
    "labels swapped in the file": (
        lambda f: edit_constant(f / HEAD, CLASSIFIER, lambda a: np.roll(a, 1, axis=-1)),
        "logits under onnx ",
    ),
    "another filterbank": (
        lambda f: edit_json(f / "bundle.json", lambda v: v["features"].update(f_min=0.0)),
        "log_mel under onnx ",
    ),
    "another mean": (lambda f: edit_constant(f / ENCODER, "band_mean", lambda a: a + 2), "logits under onnx "),
    "no scale": (lambda f: edit_constant(f / ENCODER, "band_scale", np.ones_like), "logits under onnx "),
    "gates reordered": (
        lambda f: edit_constant(f / HEAD, "DynamicQuantizeLSTM", reorder_gates),
        "logits under onnx ",
    ),
    "gates transposed": (
        lambda f: edit_constant(f / HEAD, "DynamicQuantizeLSTM", lambda a: a[:, ::-1]),
        "logits under onnx ",
    ),
    "truncated encoder": (lambda f: cut(f, ENCODER), f"{ENCODER}: .*damaged"),
    "truncated golden values": (lambda f: cut(f, "golden.npz"), "golden.npz: "),
    "encoder of another run": (encoder_of_another_run, "logits under onnx "),
    "head of eight bits": (head_of_eight_bits, "(logits|pooled) under onnx "),
    "head of another width": (head_of_another_width, "need"),
    "another window": (
        lambda f: edit_json(f / "bundle.json", lambda v: v["geometry"].update(hop_steps=4)),
        "need",
    ),
    "a label too many": (lambda f: edit_json(f / "bundle.json", lambda v: v["labels"].append("calm")), "labels"),
}


@pytest.mark.parametrize("case", MUTATIONS)
def test_a_wrong_bundle_is_refused(case, copy):
    mutate, part = MUTATIONS[case]
    mutate(copy)
    hash_again(copy)
    with pytest.raises(InputError, match=part):
        Bundle.open(copy).recognizer("onnx")


def test_verification_finds_weights_of_eight_bits(copy):
    assert export_onnx.saturating(copy / HEAD) == export_onnx.saturating(copy / ENCODER) == []
    head_of_eight_bits(copy)
    assert export_onnx.saturating(copy / HEAD)


def test_new_hashes_alone_change_nothing(copy):
    hash_again(copy)
    Bundle.open(copy).recognizer("onnx")


def test_a_runtime_that_is_not_installed_names_its_extra(sound, monkeypatch):
    monkeypatch.setattr("edge.runtimes.find_spec", lambda package: None)
    with pytest.raises(InputError, match=r"runtimes .*\(onnx"):
        Bundle.open(sound).recognizer()
    with pytest.raises(InputError, match=r"onnx .*pip install -e '\.\[device\]'"):
        Bundle.open(sound).recognizer("onnx")
