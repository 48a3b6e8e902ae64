"""quantize.py as a user runs it: what it writes, what the files hold, and that the gate holds."""

import json
import shutil

import pytest
import torch
from helpers import edit_json, make_bundle, one_clear_line, script

from edge.export_tflite import installed as tflite_extra
from edge.runtimes import REGISTRY


def test_table_names_every_file(small_run, cache, tmp_path):
    result = make_bundle(small_run, tmp_path / "b", cache, "--prune", "0", "--formats", "onnx")
    assert result.returncode == 0, result.stderr[-2000:]
    lines = result.stdout.splitlines()
    assert lines[0].split()[:4] == ["files", "runtime", "scheme", "bytes"]
    assert [line.split()[4] for line in lines[1:5]] == ["float32", "float16", "dynamic_int8", "static_int8"]
    assert [line.endswith("ships") for line in lines[1:5]] == [False, False, False, True]
    assert "bundle" in lines[-1]
    if not tflite_extra():
        result = make_bundle(small_run, tmp_path / "c", cache, "--prune", "0", "--formats", "tflite")
        one_clear_line(result, "pip install '.[tflite]'")


def test_json_is_the_only_thing_on_standard_output(small_run, cache, tmp_path):
    """Also with the TFLite converters, which print as they go."""
    result = make_bundle(small_run, tmp_path / "b", cache, "--prune", "0", "--json")
    rows = json.loads(result.stdout)["rows"]
    wanted = {(n, s) for n, r in REGISTRY.items() for s in r.schemes if n == "onnx" or tflite_extra()}
    assert [(row["runtime"], row["scheme"]) for row in rows if row["ships"]] == [
        (name, runtime.int8) for name, runtime in REGISTRY.items() if name == "onnx" or tflite_extra()
    ]
    assert {(row["runtime"], row["scheme"]) for row in rows} == wanted


def test_a_scheme_that_a_runtime_does_not_have(small_run, tmp_path):
    arguments = ("--formats", "tflite", "--scheme", "static_int8")
    result = script("quantize.py", small_run, "--out", tmp_path / "b", *arguments)
    one_clear_line(result, *(["--scheme static_int8: tflite"] if tflite_extra() else ["pip install '.[tflite]'"]))


def test_the_same_run_gives_the_same_bytes(small_run, cache, tmp_path):
    for name in ("a", "b"):
        assert make_bundle(small_run, tmp_path / name, cache, "--prune", "0").returncode == 0
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("a", "b"))
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_past_a_limit_nothing_is_written(small_run, cache, tmp_path):
    result = make_bundle(
        small_run, tmp_path / "b", cache, "--prune", "0", "--formats", "onnx", "--max-abs-diff-int8", "0"
    )
    assert result.returncode == 1
    assert "static_int8.onnx + head.dynamic_int8.onnx: max difference" in result.stderr
    assert "static_int8" in result.stdout, "the table is shown all the same"
    assert list(tmp_path.iterdir()) == []


def test_a_scheme_that_does_not_ship_may_be_past_a_limit(small_run, cache, tmp_path):
    arguments = ("--prune", "0", "--formats", "onnx", "--max-abs-diff-int8", "0", "--scheme", "float16")
    result = make_bundle(small_run, tmp_path / "b", cache, *arguments)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "past a limit" in result.stdout
    assert {p.name for p in (tmp_path / "b").glob("*.onnx")} == {"encoder.float16.onnx", "head.float16.onnx"}


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
    "no development figures": (
        lambda run: edit_json(run / "metrics.json", lambda v: v.pop("dev")),
        ["metrics.json", "development speakers", "train again"],
    ),
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
    "a label set per corpus": (
        lambda run: edit_config(run, lambda v: v["run"].update(protocol="cross-all-labels")),
        ["cross-all-labels", "never told apart", "--init"],
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
