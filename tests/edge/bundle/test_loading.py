"""Loading a bundle: its runtime, threads, speakers and profile, and shapes that do not fit its manifest."""

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crnn.errors import InputError
from edge import runtimes
from edge.bundle import PRETRAINED, Bundle, Manifest, build_recognizer
from edge.stream.profile import Profile

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
    with pytest.raises(InputError, match="hailo.* onnx, tflite"):
        bundle.recognizer("hailo")


def test_a_recognizer_has_what_the_manifest_states(shipped):
    recognizer = Bundle.open(FLOAT32).recognizer("onnx")
    assert (recognizer.features, recognizer.geometry) == (shipped.features, shipped.geometry)
    assert (recognizer.labels, recognizer.decision) == (shipped.labels, shipped.decision)
    assert recognizer.profile is None
    encoder, head = recognizer.models
    assert (encoder.contract.input_name, head.contract.input_name) == ("log_mel", "steps")
    for arousal in (False, True):
        recognizer = build_recognizer(FLOAT32, replace(shipped, arousal=arousal), "onnx", 1)
        assert recognizer.arousal is arousal
        assert recognizer.pooled_width == head.contract.output_shape[-1] - len(shipped.labels) - arousal


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
    for name, part in (("others", shipped.identity[:12]), ("narrow", "damaged")):
        with pytest.raises(InputError, match=part):
            bundle.recognizer("onnx", profile=tmp_path / f"{name}.json")


@pytest.mark.parametrize(
    ("change", "file", "needs"),
    [
        (lambda m: {"labels": m.labels * 18, "arousal": False}, "head", "(1, 55, {width}) -> (1, 109)"),
        (lambda m: {"labels": m.labels * 17, "arousal": True}, "head", "(1, 55, {width}) -> (1, 104)"),
        (lambda m: {"features": replace(m.features, n_mels=79)}, "encoder", "(1, 79, 82) -> (1, 5, {width})"),
        (lambda m: {"geometry": replace(m.geometry, window_intervals=12)}, "head", "(1, 60, {width}) -> (1, {made})"),
        (lambda m: {"geometry": replace(m.geometry, receptive_frames=74)}, "encoder", "(1, 80, 90) -> (1, 5, {width})"),
    ],
)
def test_files_that_do_not_fit_the_manifest_are_named_with_the_shapes_needed(shipped, change, file, needs):
    with pytest.raises(InputError) as caught:
        build_recognizer(FLOAT32, replace(shipped, **change(shipped)), "onnx", 1)
    found = str(caught.value)
    assert found.startswith(f"{FLOAT32 / file}.float32.onnx: ")
    head = runtimes.load("onnx", FLOAT32 / "head.float32.onnx").contract
    assert found.endswith(f" {needs.format(width=head.input_shape[-1], made=head.output_shape[-1])}")
    contract = runtimes.load("onnx", FLOAT32 / f"{file}.float32.onnx").contract
    assert str(contract) in found


def test_an_unknown_scheme_is_named_with_the_manifest(shipped):
    models = {"onnx": shipped.models["onnx"] | {"scheme": "int3"}}
    with pytest.raises(InputError, match=rf"^{FLOAT32}/bundle\.json: .*int3$"):
        build_recognizer(FLOAT32, replace(shipped, models=models), "onnx", 1)


def test_a_runtime_of_a_newer_version_is_skipped(shipped):
    models = {"hailo": shipped.models["onnx"]}
    assert Bundle(FLOAT32, replace(shipped, models=models | shipped.models)).default_runtime() == "onnx"
    turned = dict(reversed(shipped.models.items()))
    for made in (shipped.models, turned):
        bundle = Bundle(FLOAT32, replace(shipped, models=made))
        assert bundle.default_runtime() == next(filter(runtimes.installed, made))
    bundle = Bundle(FLOAT32, replace(shipped, models=models | {"rknn": shipped.models["onnx"]}))
    with pytest.raises(InputError) as caught:
        bundle.recognizer()
    assert str(caught.value).startswith(f"{FLOAT32}: ")
    assert str(caught.value).endswith("(hailo, rknn)")


@pytest.mark.parametrize("name", ["bundle.json", "golden.npz"])
def test_an_unreadable_file_is_named(name, monkeypatch):
    opened = os.open

    def refuse(path, *arguments, **options):
        if str(path).endswith(name):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)  # root may read any file
    with pytest.raises(InputError) as caught:
        Bundle.open(FLOAT32)
    assert str(caught.value).startswith(f"{FLOAT32 / name}: ")
    assert "Permission denied" in str(caught.value)
