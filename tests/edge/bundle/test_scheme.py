"""A manifest states the scheme of its files truthfully: their constants are read, and others are refused by name."""

import json
import os
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
from helpers import called, edit_json

from crnn.errors import InputError
from edge import runtimes
from edge.bundle import MANIFEST, PRETRAINED, Bundle
from edge.bundle.__main__ import main as describe
from edge.bundle.manifest import list_files

SHIPPED = {name: PRETRAINED.with_name(name) for name in ("float32", "int8", "large")}
LITERT = pytest.mark.skipif(not runtimes.installed("tflite"), reason="needs the extra tflite or litert")


def linked(source, folder):
    """A copy with a manifest that can be changed."""
    shutil.copytree(source, folder, copy_function=os.link)
    (folder / MANIFEST).unlink()
    shutil.copy(source / MANIFEST, folder)
    return folder


@pytest.mark.parametrize(
    ("name", "runtime", "scheme", "file", "weights"),
    [
        ("float32", "onnx", "static_int8", "head.float32.onnx", "float32"),
        ("float32", "onnx", "dynamic_int8", "head.float32.onnx", "float32"),
        ("float32", "onnx", "float16", "encoder.float32.onnx", "float32"),
        ("int8", "onnx", "float32", "encoder.static_int8.onnx", "int8"),
        ("int8", "onnx", "float16", "encoder.static_int8.onnx", "int8"),
        ("int8", "onnx", "dynamic_int8", "encoder.static_int8.onnx", "int8"),
        pytest.param("float32", "tflite", "float16", "encoder.float32.tflite", "float32", marks=LITERT),
        pytest.param("float32", "tflite", "dynamic_int8", "encoder.float32.tflite", "float32", marks=LITERT),
        pytest.param("int8", "tflite", "float32", "encoder.float16.tflite", "float16", marks=LITERT),
        pytest.param("int8", "tflite", "dynamic_int8", "encoder.float16.tflite", "float16", marks=LITERT),
    ],
)
def test_another_scheme_than_that_of_the_files_is_refused(name, runtime, scheme, file, weights, tmp_path):
    folder = linked(SHIPPED[name], tmp_path / "b")
    edit_json(folder / MANIFEST, lambda v: v["models"][runtime].update(scheme=scheme))
    says = f"{folder / MANIFEST}: models.{runtime}.scheme is {scheme}, but {file} has {weights} weights; "
    with pytest.raises(InputError) as caught:
        Bundle.open(folder).proved(runtime, threads=1)
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize("scheme", ["static_int8", "float16"])
def test_so_is_one_of_the_small_model_in_a_pair(scheme, tmp_path):
    folder = linked(SHIPPED["large"], tmp_path / "b")
    edit_json(folder / MANIFEST, lambda v: v["beside"]["models"]["onnx"].update(scheme=scheme))
    described = called(describe, folder)
    part = "head" if scheme == "static_int8" else "encoder"
    says = f"{MANIFEST}: beside.models.onnx.scheme is {scheme}, but small.{part}.float32.onnx has float32 weights"
    assert (described.returncode, says in described.stdout) == (1, True), described.stdout


@pytest.mark.skipif(not find_spec("onnx"), reason="needs the extra export")
def test_a_larger_encoder_in_float32_is_no_weight_int8(tmp_path):
    from onnx import TensorProto, helper, numpy_helper, save

    folder = linked(SHIPPED["large"], tmp_path / "b")
    encoder = folder / "encoder.weight_int8.onnx"
    given, made = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("log_mel", [1, 80, 300]), ("means", [1, 1024]))
    )
    nodes = [
        helper.make_node("ReduceMean", ["log_mel"], ["bands"], axes=[2], keepdims=0),
        helper.make_node("MatMul", ["bands", "weights"], ["means"]),
    ]
    weights = numpy_helper.from_array(np.ones((80, 1024), np.float32), "weights")
    graph = helper.make_graph(nodes, "encoder", [given], [made], [weights])
    encoder.unlink()
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), encoder)
    edit_json(folder / MANIFEST, lambda v: v["files"].update({encoder.name: list_files(folder)[encoder.name]}))
    says = f"models.onnx.scheme is weight_int8, but {encoder.name} has float32 weights"
    with pytest.raises(InputError, match=says):
        Bundle.open(folder).proved("onnx", threads=1)


@pytest.mark.parametrize("name", SHIPPED)
def test_constants_read_without_the_workstations_packages_are_those_that_the_export_wrote(name):
    folder = SHIPPED[name]
    stated = json.loads((folder / MANIFEST).read_text())["provenance"]["tensors"]
    for file, types in stated.items():
        assert runtimes.constants(file.rpartition(".")[2], folder / file) == types
    assert set(runtimes.constants("onnx", PRETRAINED / "encoder.static_int8.onnx")) >= {"int8", "float32"}


def test_a_damaged_file_is_named(tmp_path):
    for runtime in ("onnx", "tflite"):
        path = tmp_path / f"a.{runtime}"
        path.write_bytes(b"\xff" * 64)
        with pytest.raises(InputError, match=rf"^{path}: holds .*; not run$"):
            runtimes.constants(runtime, path)
