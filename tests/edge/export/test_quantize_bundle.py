"""quantize.py with a float32 bundle in place of a run folder, for models whose run folder is gone."""

import json
import shutil

import pytest
from helpers import edit_json, make_bundle, one_clear_line

from edge.export import onnx_export as export_onnx


@pytest.fixture(scope="module")
def float32(tmp_path_factory, small_run, cache):
    out = tmp_path_factory.mktemp("whole") / "float32"
    result = make_bundle(small_run, out, cache, "--scheme", "float32", "--formats", "onnx", here=True)
    assert result.returncode == 0, result.stderr[-2000:]
    return out


def provenance(folder) -> dict:
    return json.loads((folder / "bundle.json").read_text())["provenance"]


def test_a_bundle_gives_the_int8_files_that_its_run_gives(float32, small_run, voices, cache, tmp_path):
    for source, name in ((small_run, "of_run"), (float32, "of_bundle")):
        arguments = ("--formats", "onnx", "--data", f"synthetic:{voices}")
        result = make_bundle(source, tmp_path / name, cache, *arguments, here=True)
        assert result.returncode == 0, result.stderr[-2000:]
    ours, theirs = provenance(tmp_path / "of_bundle"), provenance(tmp_path / "of_run")
    for key in ("protocol", "split_hash", "development_split", "seed", "model", "n_params", "trained_model"):
        assert ours[key] == theirs[key], key
    for file in (tmp_path / "of_bundle").iterdir():
        if file.name != "bundle.json":
            assert file.read_bytes() == (tmp_path / "of_run" / file.name).read_bytes(), file.name
    assert ours["files_on_dev"] == theirs["files_on_dev"]
    for file in (tmp_path / "of_bundle").glob("*int8.onnx"):
        assert export_onnx.saturating(file) == []


def test_a_bundle_cannot_be_pruned(float32, voices, cache, tmp_path):
    arguments = ("--prune", "0.25", "--data", f"synthetic:{voices}")
    result = make_bundle(float32, tmp_path / "b", cache, *arguments, here=True)
    one_clear_line(result, "augmentation", "--prune")
    assert not (tmp_path / "b").exists()


def test_an_int8_bundle_is_refused(bundle_path, cache, tmp_path):
    result = make_bundle(bundle_path, tmp_path / "b", cache, here=True)
    one_clear_line(result, "weights.safetensors", "float32 bundle")


def test_a_bundle_without_its_protocol_is_refused(float32, cache, tmp_path):
    copy = shutil.copytree(float32, tmp_path / "copy")
    edit_json(copy / "bundle.json", lambda v: v["provenance"].pop("protocol"))
    one_clear_line(make_bundle(copy, tmp_path / "b", cache, here=True), "bundle.json: provenance", "protocol")
