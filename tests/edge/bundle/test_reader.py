"""A bundle that was changed, cut, mixed up or made by a newer version is refused with the reason."""

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import edit_json

from crnn.errors import InputError
from edge import runtimes
from edge.bundle import PRETRAINED, Bundle, Manifest, build_recognizer
from edge.stream.profile import Profile


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
    assert provenance["channels"] == [4, 4, 4, 4]
    assert bundle.manifest.decision.temperature > 0
    assert {p.name for p in bundle_path.iterdir()} == set(bundle.manifest.files) | {"bundle.json"}
    assert all("_int8" in n or n in ("golden.npz", "speakers.npz") for n in bundle.manifest.files)
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


def test_a_missing_file_is_named(copy):
    (copy / "head.dynamic_int8.onnx").unlink()
    with pytest.raises(InputError, match=r"head\.dynamic_int8\.onnx: missing"):
        Bundle.open(copy)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda v: v.update(schema=99), "schema 99, this version reads 4; update this software"),
        (lambda v: v.update(schema=3), "make the bundle again"),
        (lambda v: v["files"].pop("speakers.npz"), "lists no speakers.npz; make the bundle again"),
        (lambda v: v.update(colour="red"), "unknown key .*colour"),
        (lambda v: v.pop("labels"), "lacks labels"),
        (lambda v: v["features"].update(n_mels="64"), "n_mels"),
        (lambda v: v["files"].update({"../../etc/passwd": {"sha256": "", "bytes": 0}}), "leads out of the bundle"),
        (lambda v: v["files"].pop("encoder.static_int8.onnx"), "not listed with a hash"),
        (lambda v: v["models"]["onnx"].update(encoder="/etc/passwd"), "not listed with a hash"),
        (lambda v: v["files"].update({"golden.npz": {}}), "files.golden.npz lacks sha256, bytes"),
        (lambda v: v["features"].update(hop_length=100), "bundle.json: its geometry does not fit its features"),
        (lambda v: v["geometry"].update(n_fft=300), "bundle.json: its geometry does not fit its features"),
        (lambda v: v["geometry"].update(lead_frames=10**6), "more than any model of this project needs"),
        (lambda v: v["decision"].update(temperature=float("inf")), "Infinity is no number"),
        (lambda v: v["decision"].update(temperature=1e300), "give a finite number above 0, 0.001 to 1000"),
    ],
)
def test_a_wrong_manifest_is_refused(copy, change, part):
    edit(copy, change)
    with pytest.raises(InputError, match=part):
        Bundle.open(copy)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda v: v["features"].update(f_max=7000.0), "log_mel under onnx differs"),
        (lambda v: v["features"].update(log_offset=1e-3), "log_mel under onnx differs"),
        (lambda v: v["geometry"].update(window_hops=10), "need"),
        (lambda v: v["labels"].reverse(), "labels"),
        (lambda v: v["labels"].append("other"), "labels"),
        (lambda v: v["models"]["onnx"].update(head="encoder.static_int8.onnx"), "need"),
        (lambda v: v["models"]["onnx"].update(scheme="int3"), "unknown scheme int3"),
    ],
)
def test_the_golden_waveform_finds_faults_that_hashes_do_not(copy, change, part):
    edit(copy, change)
    with pytest.raises(InputError, match=part):
        Bundle.open(copy).recognizer("onnx")


def test_a_runtime_of_a_newer_version_is_skipped(copy):
    edit(copy, lambda v: v.update(models={"hailo": v["models"]["onnx"]} | v["models"]))
    assert Bundle.open(copy).default_runtime() == "onnx"
    edit(copy, lambda v: v.update(models={"hailo": v["models"]["onnx"]}))
    with pytest.raises(InputError, match=r"none of its runtimes is installed here \(hailo\)"):
        Bundle.open(copy).recognizer()


@pytest.mark.parametrize("name", ["bundle.json", "golden.npz"])
def test_an_unreadable_file_is_named(copy, name, monkeypatch):
    opened = os.open

    def refuse(path, *arguments, **options):
        if str(path).endswith(name):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)  # root may read any file
    with pytest.raises(InputError, match=rf"{name}: cannot be read \(Permission denied\)"):
        Bundle.open(copy)


def test_other_golden_logits_are_refused(copy):
    with np.load(copy / "golden.npz") as golden:
        values = dict(golden)
    values["onnx_logits"] = values["onnx_logits"] + 0.2
    np.savez(copy / "golden.npz", **values)
    from edge.bundle.manifest import list_files

    edit(copy, lambda v: v["files"].update({"golden.npz": list_files(copy)["golden.npz"]}))
    with pytest.raises(InputError, match=r"logits under onnx differs from the golden values by 0\.2"):
        Bundle.open(copy).recognizer("onnx")


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a bundle"):
        Bundle.open(tmp_path)
    for text in ("{", "[" * 100_000):
        (tmp_path / "bundle.json").write_text(text)
        with pytest.raises(InputError, match="not valid JSON"):
            Bundle.open(tmp_path)


FLOAT32 = PRETRAINED.parent / "float32"


@pytest.fixture(scope="module")
def shipped() -> Manifest:
    return Bundle.open(FLOAT32).manifest


def test_a_shipped_bundle_is_known_by_its_folder_however_it_is_given(tmp_path):
    for path in (FLOAT32, str(FLOAT32), FLOAT32 / ".." / "int8"):
        bundle = Bundle.open(path)
        assert bundle.ships
        assert isinstance(bundle.path, Path)
    shutil.copytree(FLOAT32, tmp_path / "pretrained" / "float32")
    assert not Bundle.open(tmp_path / "pretrained" / "float32").ships


@pytest.fixture
def loaded(monkeypatch) -> list:
    """What the runtimes load: runtime, file name and number of threads."""
    found, load = [], runtimes.load

    def note(name, path, threads):
        found.append((name, path.name, threads))
        return load(name, path, threads)

    monkeypatch.setattr(runtimes, "load", note)
    return found


def test_both_files_of_the_runtime_are_loaded_with_the_threads_asked_for(loaded):
    bundle = Bundle.open(FLOAT32)
    bundle.recognizer()
    bundle.recognizer("onnx", threads=2)
    expected = [("onnx", f"{part}.float32.onnx", threads) for threads in (1, 2) for part in ("encoder", "head")]
    assert loaded == expected
    with pytest.raises(InputError, match="the bundle has no files for hailo; it has onnx, tflite"):
        bundle.recognizer("hailo")


def test_a_recognizer_has_what_the_manifest_states(shipped):
    recognizer = Bundle.open(FLOAT32).recognizer("onnx")
    assert (recognizer.features, recognizer.geometry) == (shipped.features, shipped.geometry)
    assert (recognizer.labels, recognizer.decision) == (shipped.labels, shipped.decision)
    assert recognizer.profile is None
    encoder, head = recognizer.models
    assert (encoder.contract.input_name, head.contract.input_name) == ("log_mel", "steps")
    assert recognizer.pooled_width == head.contract.output_shape[-1] - len(shipped.labels)


def test_the_training_speakers_fit_the_recognizer(shipped):
    bundle = Bundle.open(FLOAT32)
    recognizer = bundle.recognizer("onnx")
    with np.load(FLOAT32 / "speakers.npz") as stored:
        speakers = bundle.speakers(recognizer)
        np.testing.assert_array_equal(speakers.center, stored["center"])
    assert speakers.whiten.shape == (recognizer.pooled_width,) * 2
    recognizer.labels = recognizer.labels[1:]
    with pytest.raises(InputError, match=r"speakers\.npz: "):
        bundle.speakers(recognizer)


def test_a_profile_is_loaded_for_this_bundle_alone(shipped, tmp_path):
    width, n = 96, len(shipped.labels)
    weights = np.full((width, n), 0.5, np.float32)
    mine = Profile(shipped.identity, shipped.labels, {"neutral": 2}, weights, np.ones(n, np.float32))
    mine.save(tmp_path / "mine.json")
    replace(mine, bundle="0" * 64).save(tmp_path / "others.json")
    replace(mine, weights=weights[1:]).save(tmp_path / "narrow.json")
    bundle = Bundle.open(FLOAT32)
    profile = bundle.recognizer("onnx", profile=tmp_path / "mine.json").profile
    np.testing.assert_array_equal(profile.weights, weights)
    assert (profile.bundle, profile.labels) == (shipped.identity, shipped.labels)
    for name, part in (("others", f"this one is {shipped.identity[:12]}"), ("narrow", "damaged")):
        with pytest.raises(InputError, match=part):
            bundle.recognizer("onnx", profile=tmp_path / f"{name}.json")


@pytest.mark.parametrize(
    ("change", "file", "needs"),
    [
        (lambda m: {"labels": m.labels * 17}, "head", "(1, 55, 288) -> (1, 103)"),
        (lambda m: {"features": replace(m.features, n_mels=95)}, "encoder", "(1, 95, 82) -> (1, 5, 288)"),
        (lambda m: {"geometry": replace(m.geometry, window_intervals=12)}, "head", "(1, 60, 288) -> (1, 102)"),
        (lambda m: {"geometry": replace(m.geometry, receptive_frames=74)}, "encoder", "(1, 96, 90) -> (1, 5, 288)"),
    ],
)
def test_files_that_do_not_fit_the_manifest_are_named_with_the_shapes_needed(shipped, change, file, needs):
    with pytest.raises(InputError) as caught:
        build_recognizer(FLOAT32, replace(shipped, **change(shipped)), "onnx", 1)
    found = str(caught.value)
    assert found.startswith(f"{FLOAT32 / file}.float32.onnx: ")
    assert found.endswith(f"; the bundle's features, window and labels need {needs}")
    contract = runtimes.load("onnx", FLOAT32 / f"{file}.float32.onnx").contract
    assert str(contract) in found


def test_an_unknown_scheme_is_named_with_the_manifest(shipped):
    models = {"onnx": shipped.models["onnx"] | {"scheme": "int3"}}
    with pytest.raises(InputError, match=rf"^{FLOAT32}/bundle\.json: unknown scheme int3$"):
        build_recognizer(FLOAT32, replace(shipped, models=models), "onnx", 1)
