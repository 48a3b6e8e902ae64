"""The manifest of two models that answer together: what is wrong with the small one is said of `beside`, and where it
comes from is checked."""

import json
import os
import re
import shutil

import pytest
from helpers import called, edit_json, one_clear_line

from crnn.errors import InputError
from edge.bundle import MANIFEST, PRETRAINED, Bundle
from edge.bundle.__main__ import main as describe

LARGE = PRETRAINED.with_name("large")


@pytest.fixture
def pair(tmp_path):
    """The pair that ships, with a manifest that can be changed."""
    folder = shutil.copytree(LARGE, tmp_path / "pair", copy_function=os.link)
    (folder / MANIFEST).unlink()
    shutil.copy(LARGE / MANIFEST, folder)
    return folder


def refusal(folder, change) -> str:
    """What is said of the changed manifest, without the path that it begins with."""
    edit_json(folder / MANIFEST, change)
    with pytest.raises(InputError) as caught:
        Bundle.open(folder)
    one_clear_line(called(describe, folder), str(caught.value))
    found = str(caught.value).removeprefix("unknown key ")
    start = f"{folder / MANIFEST}: "
    assert found.startswith(start), found
    return found.removeprefix(start)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda v: v["features"].update(n_mels=0), "beside.features.n_mels is 0; give 1 to 512"),
        (lambda v: v["features"].update(n_mels="80"), "beside.features.n_mels is '80'; give a value of type int"),
        (lambda v: v["features"].update(n_mel=80), "beside.features.n_mel; known: sample_rate, n_fft"),
        (lambda v: v["geometry"].pop("n_fft"), "beside.geometry lacks n_fft"),
        (
            lambda v: v["features"].update(sample_rate=22050),
            "beside.features.sample_rate is 22050, features.sample_rate",
        ),
        (lambda v: v["features"].update(n_fft=512), "beside.geometry does not fit beside.features"),
        (lambda v: v["geometry"].update(interval_steps=0), "beside.geometry.interval_steps is 0; give 1 to 4194304"),
        (lambda v: v["geometry"].update(window_seconds=3), "beside.geometry.window_seconds; known: n_fft"),
        (lambda v: v.pop("geometry"), "beside lacks geometry"),
        (lambda v: v.update(labels=[]), "beside.labels; known: features, geometry, models"),
        (lambda v: v.update(models={}), "beside.models has files for 0 runtimes"),
        (lambda v: v["models"].update(tflite=v["models"]["onnx"]), "beside.models has onnx, tflite, models onnx; "),
        (lambda v: v["models"].update({"a b": v["models"]["onnx"]}), "beside.models: 'a b' is not the name"),
        (lambda v: v["models"]["onnx"].pop("head"), "beside.models.onnx lacks head"),
        (lambda v: v["models"]["onnx"].update(head="no.onnx"), "beside.models.onnx.head is 'no.onnx', which is not"),
    ],
)
def test_a_fault_of_the_small_models_section_is_named_as_such(pair, change, says):
    assert refusal(pair, lambda v: change(v["beside"])).startswith(says)


ORIGIN = "provenance.beside"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: p.pop("beside"), f"{ORIGIN} is missing"),
        (lambda p: p.update(beside=None), f"{ORIGIN} is missing"),
        (lambda p: p.update(beside=7), f"{ORIGIN} must hold named values, not 7"),
        (lambda p: p.update(beside={}), f"{ORIGIN} lacks corpora_heard, n_params, macs_per_window, identity"),
        (lambda p: p["beside"].pop("identity"), f"{ORIGIN} lacks identity"),
        (lambda p: p["beside"].update(identity="8fce"), f"{ORIGIN}.identity is '8fce'; give a SHA-256"),
        (lambda p: p["beside"].update(identity=7), f"{ORIGIN}.identity is 7; give a value of type str"),
        (lambda p: p["beside"].update(seed="0"), f"{ORIGIN}.seed is '0'; give a value of type int"),
        (lambda p: p["beside"].update(n_params=-1), f"{ORIGIN}.n_params is -1; "),
        (lambda p: p["beside"].update(corpora_heard="ravdess"), f"{ORIGIN}.corpora_heard must be a list"),
        (
            lambda p: p["beside"].update(corpora_heard=[]),
            "provenance.corpora_heard and provenance.beside.corpora_heard",
        ),
        (lambda p: p["beside"].update(corpora_heard=["tess"]), f"{ORIGIN}.corpora_heard has 'tess', which"),
        (lambda p: p.pop("corpora_heard"), "provenance.corpora_heard and"),
        (lambda p: p["beside"]["taught_by"][0].update(sha256="x"), f"{ORIGIN}.taught_by.0.sha256 is 'x'; give a SHA"),
        (lambda p: p["beside"].update(taught_by={}), f"{ORIGIN}.taught_by must be a list"),
    ],
)
def test_a_damaged_origin_of_the_small_model_is_refused(pair, change, says):
    assert refusal(pair, lambda v: change(v["provenance"])).startswith(says)


def test_what_a_later_version_or_an_untaught_model_says_of_it_is_read(pair):
    def change(values: dict) -> None:
        values["provenance"]["beside"] |= {"new": 1}
        for key in ("seed", "taught_by"):
            values["provenance"]["beside"].pop(key)

    edit_json(pair / MANIFEST, change)
    assert Bundle.open(pair).manifest.provenance["beside"]["new"] == 1


@pytest.mark.parametrize(("window_intervals", "full"), [(3, True), (11, True), (12, False), (22, False)])
def test_the_windows_of_the_small_model_are_filled_by_those_of_the_larger_one(pair, window_intervals, full):
    """Eleven intervals of 0.25 s, and the context of the first, are 3.09 s: three seconds, rounded as every window."""

    def change(values: dict) -> None:
        values["beside"]["geometry"]["window_intervals"] = window_intervals

    if full:
        edit_json(pair / MANIFEST, change)
        assert Bundle.open(pair).manifest.small.geometry.window_intervals == window_intervals
    else:
        samples = 49424 + 4000 * (window_intervals - 11)
        assert re.match(rf"beside.geometry has windows of {samples} samples, .* 48000;", refusal(pair, change))


def test_the_origin_that_ships_is_that_of_its_files():
    made = json.loads((LARGE / MANIFEST).read_text())["provenance"]
    small = json.loads((LARGE.with_name("float32") / MANIFEST).read_text())["provenance"]
    assert made["beside"]["seed"] == small["seed"]
    assert made["beside"]["taught_by"] == small["taught_by"]
