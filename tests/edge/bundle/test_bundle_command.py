"""`python -m edge.bundle` prints the properties of a bundle, without torch, and checks its hashes."""

import json
import shutil
import subprocess
import sys

from helpers import ROOT, edit_json, one_clear_line

from edge.bundle import PRETRAINED, Bundle
from edge.bundle.manifest import list_files


def info(*arguments) -> subprocess.CompletedProcess:
    code = (
        "import sys; sys.modules['torch'] = None\n"  # an import of torch now fails
        "from edge.bundle.__main__ import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_text_names_files_shapes_and_figures(bundle_path):
    result = info(bundle_path)
    assert result.returncode == 0, result.stderr
    manifest = Bundle.open(bundle_path).manifest
    for part in (
        ", ".join(manifest.labels),
        f"log_mel (1, 64, {manifest.geometry.block_frames}) -> steps",
        "onnx       static_int8: ",
        "uncertain below",
        "GENERATED voices",
        f"{manifest.provenance['n_params']:,} parameters",
        manifest.provenance["split_hash"],
        *(facts["sha256"][:12] for facts in manifest.files.values()),
    ):
        assert part in result.stdout, part


def test_both_models_of_a_pair_are_described():
    """Corpora, seed, identity, contracts and types of the small one; figures say that they are of both."""
    folder, small = PRETRAINED.with_name("large"), Bundle.open(PRETRAINED.with_name("float32")).manifest
    origin, identity = small.provenance, small.identity
    text = info(folder)
    assert text.returncode == 0, text.stderr
    names = [f"{beside}{part}.onnx" for beside, part in (
        ("", "encoder.weight_int8"), ("", "head.float32"), ("small.", "encoder.float32"), ("small.", "head.float32"),
    )]  # fmt: skip
    for part in (
        f"trained on {'+'.join(origin['corpora_heard'])}, seed {origin['seed']}, taught by whisper whisper, layers",
        f"{origin['n_params']:,} parameters, 57.6 M multiply-accumulates per window, of the bundle {identity[:12]}",
        "80 log-mel bands from 50 to 4627 Hz, frames of 1024 samples every 200; window of 3.09 s",
        "onnx       weight_int8, beside it float32: golden values given",
        "small.encoder.float32.onnx: log_mel (1, 80, 82) -> steps (1, 5, 320)",
        "small.head.float32.onnx: steps (1, 55, 320) -> logits_arousal_and_pooled (1, 103)",
        f"{small.files['head.float32.onnx']['sha256'][:12]}  float32 596,124, int64 32",
        "14,613,773 parameters, 2192.1 M multiply-accumulates per window, both models together",
        "684 clips, both models together, before compression",
        f"{' + '.join(names)}, both models together: UAR 72.0% on dev",
    ):
        assert part in text.stdout, part

    made = json.loads(info(folder, "--json").stdout)
    beside = made["beside"]
    assert beside["origin"]["identity"] == identity
    assert beside["origin"]["corpora_heard"] == origin["corpora_heard"]
    assert (beside["origin"]["seed"], beside["window_seconds"]) == (origin["seed"], 3.089)
    assert beside["runtimes"]["onnx"]["contracts"]["small.head.float32.onnx"]["output_shape"] == [1, 103]
    assert made["files"]["small.head.float32.onnx"]["tensors"] == origin["tensors"]["head.float32.onnx"]
    (row,) = made["provenance"]["files_on_dev"]
    assert (row["files"].split(" + "), row["bytes"]) == (names, sum(made["files"][name]["bytes"] for name in names))


def test_json_holds_sizes_types_and_intervals(bundle_path):
    made = json.loads(info(bundle_path, "--json").stdout)
    assert made["bytes"] == sum(path.stat().st_size for path in bundle_path.iterdir())
    head = made["files"]["head.dynamic_int8.onnx"]
    assert head["checked"]
    assert head["tensors"]["int8"] > 0
    low, high = made["provenance"]["trained_model"]["dev"]["uar_ci95"]
    assert 0 <= low <= high <= 1
    assert made["hop_seconds"] == 0.25


def test_a_damaged_bundle_is_refused_in_one_line(bundle_path, tmp_path):
    copy = shutil.copytree(bundle_path, tmp_path / "b")
    (copy / "golden.npz").write_bytes(b"no")
    one_clear_line(info(copy), "golden.npz", "hash")
    one_clear_line(info(tmp_path / "nothing"), "not a bundle")


def test_files_that_a_runtime_refuses_differ_from_a_bad_bundle(bundle_path, tmp_path):
    """The hashes are correct, but the labels differ from those of the golden values."""
    copy = shutil.copytree(bundle_path, tmp_path / "b")
    edit_json(copy / "bundle.json", lambda v: v["labels"].reverse())
    result = info(copy)
    assert result.returncode == 1
    assert "refused" in result.stdout


def test_a_runtime_that_is_not_installed_is_reported(bundle_path, tmp_path):
    copy = shutil.copytree(bundle_path, tmp_path / "b")
    edit_json(
        copy / "bundle.json",
        lambda v: (v["models"].update(hailo=v["models"]["onnx"]), v.update(files=list_files(copy))),
    )
    edit_json(copy / "bundle.json", lambda v: v["files"].pop("bundle.json"))
    assert "hailo      static_int8: not installed" in info(copy).stdout
