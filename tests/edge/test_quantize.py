"""quantize.py as a user runs it: what it writes, what the files hold, and that the gate holds."""

import json
import shutil

import onnx
import pytest
import torch
from helpers import edit_json, make_bundle, one_clear_line, script
from onnx import TensorProto

from edge.export_tflite import installed as tflite_extra


def test_table_names_every_file(small_run, cache, tmp_path):
    result = make_bundle(small_run, tmp_path / "b", cache, "--prune", "0", "--formats", "onnx")
    assert result.returncode == 0, result.stderr[-2000:]
    lines = result.stdout.splitlines()
    assert lines[0].split()[:4] == ["files", "runtime", "scheme", "bytes"]
    assert [line.split()[4] for line in lines[1:3]] == ["float32", "dynamic_int8"]
    assert "bundle" in lines[-1]
    if not tflite_extra():
        result = make_bundle(small_run, tmp_path / "c", cache, "--prune", "0", "--formats", "tflite")
        one_clear_line(result, "pip install '.[tflite]'")


def test_json_is_the_only_thing_on_standard_output(small_run, cache, tmp_path):
    """Also with the TFLite converters, which print as they go."""
    result = make_bundle(small_run, tmp_path / "b", cache, "--prune", "0", "--json")
    rows = json.loads(result.stdout)["rows"]
    assert {(row["runtime"], row["scheme"]) for row in rows} >= {("onnx", "float32"), ("onnx", "dynamic_int8")}
    assert len(rows) == (4 if tflite_extra() else 2)


def test_int8_is_in_the_file(bundle_path):
    """The scheme's name is read off the tensors, not off the file name."""
    head = onnx.load(bundle_path / "head.dynamic_int8.onnx")
    types = {t.name: t.data_type for t in head.graph.initializer}
    assert "DynamicQuantizeLSTM" in {node.op_type for node in head.graph.node}
    lstm = next(node for node in head.graph.node if node.op_type == "DynamicQuantizeLSTM")
    assert {types[name] for name in lstm.input[1:3]} == {TensorProto.INT8}
    encoder = onnx.load(bundle_path / "encoder.dynamic_int8.onnx")
    assert {node.op_type for node in encoder.graph.node} & {"Conv", "FusedConv"}, "convolutions stay float32"


def test_past_a_limit_nothing_is_written(small_run, cache, tmp_path):
    result = make_bundle(
        small_run, tmp_path / "b", cache, "--prune", "0", "--formats", "onnx", "--max-abs-diff-int8", "0"
    )
    assert result.returncode == 1
    assert "dynamic_int8.onnx: max difference" in result.stderr
    assert "dynamic_int8" in result.stdout, "the table is shown all the same"
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def run_copy(small_run, tmp_path):
    return shutil.copytree(small_run, tmp_path / "run")


def edit_config(run, change) -> None:
    edit_json(run / "config.json", change)


def edit_weights(run, change) -> None:
    path = run / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    change(checkpoint["state_dict"])
    torch.save(checkpoint, path)


BROKEN = {
    "no run": (lambda run: shutil.rmtree(run), ["config.json", "not a finished run"]),
    "unfinished": (lambda run: (run / "metrics.json").unlink(), ["metrics.json"]),
    "no checkpoint": (lambda run: (run / "checkpoints" / "best.ckpt").unlink(), ["best.ckpt", "train again"]),
    "older version": (lambda run: edit_config(run, lambda v: v.update(schema=0)), ["schema 0"]),
    "unknown key": (lambda run: edit_config(run, lambda v: v["run"].update(fast=True)), ["unknown key fast"]),
    "another configuration": (
        lambda run: edit_config(run, lambda v: v["run"]["model"].update(channels=[8, 8, 8, 9])),
        ["best.ckpt", "does not fit"],
    ),
    "NaN weights": (
        lambda run: edit_weights(run, lambda s: s["model.head.classifier.bias"].fill_(float("nan"))),
        ["best.ckpt", "head.classifier.bias", "NaN"],
    ),
    "other recordings": (
        lambda run: edit_json(run / "split.json", lambda v: v.update(split_hash="000000000000")),
        ["belongs to split 000000000000", "train again"],
    ),
    "nobody heard": (
        lambda run: edit_json(run / "split.json", lambda v: v.pop("heard")),
        ["split.json", "does not say whom the run has heard"],
    ),
    "moved recordings": (
        lambda run: edit_config(run, lambda v: v.update(data={"synthetic": "/nowhere"})),
        ["/nowhere", "no such folder"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_run_that_cannot_be_used(case, run_copy, cache, tmp_path):
    damage, parts = BROKEN[case]
    damage(run_copy)
    one_clear_line(make_bundle(run_copy, tmp_path / "b", cache, "--formats", "onnx"), *parts)
    assert not (tmp_path / "b").exists()


def test_a_checkpoint_that_would_run_code_is_not_unpickled(run_copy, cache, tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    (run_copy / "checkpoints" / "best.ckpt").write_bytes(pickle.dumps(Evil()))
    one_clear_line(make_bundle(run_copy, tmp_path / "b", cache, "--formats", "onnx"), "best.ckpt")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(("option", "value"), [("--prune", "1"), ("--coverage", "0"), ("--fine-tune-epochs", "-1")])
def test_values_out_of_range(option, value, small_run, tmp_path):
    one_clear_line(script("quantize.py", small_run, "--out", tmp_path / "b", option, value), option)


def test_out_must_not_exist_and_must_be_writable(small_run, cache, tmp_path):
    one_clear_line(make_bundle(small_run, tmp_path, cache), str(tmp_path), "exists already")
    one_clear_line(make_bundle(small_run, "/proc/nowhere/b", cache, "--formats", "onnx"), "/proc/nowhere")
