"""`python -m edge.bundle` prints the properties of a bundle, without torch, and checks its hashes."""

import json
import shutil
import subprocess
import sys

from helpers import ROOT, edit_json, one_clear_line

from edge.bundle import Bundle
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
