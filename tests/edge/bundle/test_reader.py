"""A bundle that was changed, cut, mixed up or made by a newer version is refused with the reason."""

import shutil

import numpy as np
import pytest
from helpers import edit_json

from crnn.errors import InputError
from edge.bundle import Bundle


@pytest.fixture
def copy(bundle_path, tmp_path):
    return shutil.copytree(bundle_path, tmp_path / "bundle")


def edit(folder, change) -> None:
    edit_json(folder / "bundle.json", change)


def test_a_valid_bundle_loads_and_names_its_origin(bundle_path):
    bundle = Bundle.open(bundle_path)
    provenance = bundle.manifest.provenance
    assert provenance["synthetic"] is True
    assert provenance["protocol"] == "synthetic-demo"
    assert len(provenance["split_hash"]) == 12
    assert provenance["trained_model"]["test"]["uar_ci95"]
    assert provenance["channels"] == [8, 8, 8, 8]
    assert bundle.manifest.decision.temperature > 0
    assert bundle.manifest.arousal
    assert provenance["trained_model"]["dev"]["arousal"]["synthetic"].keys() == {"spearman"}
    assert {p.name for p in bundle_path.iterdir()} == set(bundle.manifest.files) | {"bundle.json"}
    assert all(
        "_int8" in n or n.endswith(".float16.tflite") or n in ("golden.npz", "speakers.npz")
        for n in bundle.manifest.files
    )
    assert bundle.recognizer().labels == bundle.manifest.labels


def test_any_changed_byte_is_found(copy):
    for path in sorted(copy.iterdir()):
        if path.name == "bundle.json":
            continue
        data = path.read_bytes()
        for at in (0, len(data) // 2, len(data) - 1):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            with pytest.raises(InputError, match=f"{path.name}: its hash"):
                Bundle.open(copy)
        path.write_bytes(data)
    Bundle.open(copy)


def test_a_bundle_that_hides_or_invents_its_arousal_is_refused(copy, bundle_without_arousal):
    edit(copy, lambda v: (v.pop("arousal"), v.update(schema=4)))
    with pytest.raises(InputError, match="pooled under .* has shape"):
        Bundle.open(copy).recognizer()
    assert not Bundle.open(bundle_without_arousal).recognizer().arousal
    edit(bundle_without_arousal, lambda v: v.update(arousal=True, schema=5))
    with pytest.raises(InputError, match="pooled under .* has shape"):
        Bundle.open(bundle_without_arousal).recognizer()


def test_a_missing_file_is_named(copy):
    (copy / "head.dynamic_int8.onnx").unlink()
    with pytest.raises(InputError, match=r"head\.dynamic_int8\.onnx: missing"):
        Bundle.open(copy)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda v: v.update(schema=99), "schema 99.* 4.* update"),
        (lambda v: v.update(schema=3), "schema 3.* 4.* the bundle again"),
        (lambda v: v["files"].pop("speakers.npz"), "no speakers.npz"),
        (lambda v: v.update(colour="red"), "unknown key .*colour"),
        (lambda v: v.pop("labels"), "lacks labels"),
        (lambda v: v["features"].update(n_mels="64"), "n_mels"),
        (
            lambda v: v["files"].update({"../../etc/passwd": {"sha256": "", "bytes": 0}}),
            "/etc/passwd.* out of the bundle",
        ),
        (lambda v: v["files"].pop("encoder.static_int8.onnx"), "encoder is .encoder.static_int8.onnx., .*hash"),
        (lambda v: v["models"]["onnx"].update(encoder="/etc/passwd"), "encoder is ./etc/passwd., .*hash"),
        (lambda v: v["files"].update({"golden.npz": {}}), "files.golden.npz lacks sha256, bytes"),
        (lambda v: v["features"].update(hop_length=100), "bundle.json: .*geometry .*features"),
        (lambda v: v["geometry"].update(n_fft=300), "bundle.json: .*geometry .*features"),
        (lambda v: v["geometry"].update(lead_frames=10**6), "window: .* 200000000 "),
        (lambda v: v["decision"].update(temperature=float("inf")), "Infinity"),
        (lambda v: v["decision"].update(temperature=1e300), "temperature .*1e\\+300.* 0.001 to 1000"),
    ],
)
def test_a_wrong_manifest_is_refused(copy, change, part):
    edit(copy, change)
    with pytest.raises(InputError, match=part):
        Bundle.open(copy)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda v: v["features"].update(f_max=7000.0), "log_mel under onnx "),
        (lambda v: v["features"].update(log_offset=1e-3), "log_mel under onnx "),
        (lambda v: v["geometry"].update(window_hops=10), "need"),
        (lambda v: v["labels"].reverse(), "labels"),
        (lambda v: v["labels"].append("other"), "labels"),
        (lambda v: v["models"]["onnx"].update(head="encoder.static_int8.onnx"), "need"),
        (lambda v: v["models"]["onnx"].update(scheme="int3"), "int3"),
    ],
)
def test_the_golden_waveform_finds_faults_that_hashes_do_not(copy, change, part):
    edit(copy, change)
    with pytest.raises(InputError, match=part):
        Bundle.open(copy).recognizer("onnx")


def test_other_golden_logits_are_refused(copy):
    with np.load(copy / "golden.npz") as golden:
        values = dict(golden)
    values["onnx_logits"] = values["onnx_logits"] + 0.2
    np.savez(copy / "golden.npz", **values)
    from edge.bundle.manifest import list_files

    edit(copy, lambda v: v["files"].update({"golden.npz": list_files(copy)["golden.npz"]}))
    with pytest.raises(InputError, match=r"logits under onnx .* 0\.2 "):
        Bundle.open(copy).recognizer("onnx")


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a bundle"):
        Bundle.open(tmp_path)
    for text in ("{", "[" * 100_000):
        (tmp_path / "bundle.json").write_text(text)
        with pytest.raises(InputError, match="not valid JSON"):
            Bundle.open(tmp_path)
