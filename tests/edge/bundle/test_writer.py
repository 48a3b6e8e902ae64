"""A bundle is written completely or not at all, and the version before reads it."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crnn.errors import InputError
from crnn.files.atomic import new_folder
from edge.bundle import PRETRAINED, Bundle, build_recognizer, seal

FLOAT32 = PRETRAINED.parent / "float32"


def test_a_new_folder_is_complete_or_absent(tmp_path):
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "out") as part:
        (part / "file").write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with new_folder(tmp_path / "out") as part:
        (part / "file").write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    with pytest.raises(InputError, match="exists already"), new_folder(tmp_path / "out"):
        pass


def test_a_new_folder_is_on_the_disk_before_it_is_renamed(tmp_path, monkeypatch):
    done = []
    rename, fsync = Path.rename, os.fsync
    monkeypatch.setattr(Path, "rename", lambda self, target: done.append("renamed") or rename(self, target))
    monkeypatch.setattr(os, "fsync", lambda handle: done.append(os.fstat(handle).st_ino) or fsync(handle))
    with new_folder(tmp_path / "out") as part:
        (part / "file").write_text("whole")
    inodes = [path.stat().st_ino for path in (tmp_path / "out" / "file", tmp_path / "out", tmp_path)]
    assert done == [*inodes[:2], "renamed", inodes[2]]


def test_a_new_folder_is_hidden_beside_its_place_until_it_is_complete(tmp_path):
    out = tmp_path / "made" / "too" / "out"
    with new_folder(str(out)) as part:
        assert part.parent == out.parent and part.name.startswith(".out.")
        assert not out.exists()
        (part / "inner").mkdir()
        (part / "inner" / "file").write_text("whole")
    assert (out / "inner" / "file").read_text() == "whole"
    assert out.stat().st_mode & 0o777 == 0o755
    with pytest.raises(InputError) as caught, new_folder(out):
        pass
    assert str(caught.value).startswith(f"{out}: exists already")
    assert "--out" not in str(caught.value), "--save and Python's callers make folders as well"
    (out.parent / "file").write_text("in the way")
    with pytest.raises(InputError, match="file: exists already"), new_folder(out.parent / "file"):
        pass


@pytest.mark.parametrize(("arousal", "schema"), [(False, 4), (True, 5)])
def test_a_sealed_folder_is_a_bundle_and_without_arousal_one_of_the_version_before(tmp_path, arousal, schema):
    """The files of the shipped bundle, sealed anew by one runtime, with that runtime as the float32 model. Whether the
    first column behind the logits is the arousal or part of the pooled vector is up to the manifest."""
    shipped = Bundle.open(FLOAT32).manifest
    folder = tmp_path / "bundle"
    folder.mkdir()
    for name in ("encoder.float32.onnx", "head.float32.onnx", "speakers.npz"):
        shutil.copy(FLOAT32 / name, folder)
    draft = replace(shipped, models={"onnx": shipped.models["onnx"]}, files={}, schema=schema, arousal=arousal)
    sealed = seal(folder, draft, build_recognizer(FLOAT32, draft, "onnx", 1))
    assert sealed == Bundle.open(folder).manifest
    assert replace(sealed, files={}) == draft
    for name in ("encoder.float32.onnx", "head.float32.onnx", "speakers.npz"):
        assert sealed.files[name] == shipped.files[name]
    text = (folder / "bundle.json").read_text()
    assert text.startswith(f'{{\n "schema": {schema},\n "labels"')
    assert text.endswith("\n}\n")
    assert '"hop_steps"' in text and "interval_steps" not in text
    assert ("arousal" in json.loads(text)) is arousal, "a key that the version before would refuse"
    with np.load(folder / "golden.npz") as made, np.load(FLOAT32 / "golden.npz") as before:
        assert any("arousal" in name for name in made.files) is arousal
        for name in made.files:
            if name.endswith("pooled") and arousal is not shipped.arousal:
                continue  # one column more or less
            if made[name].dtype.kind == "f":
                np.testing.assert_allclose(made[name], before[name], atol=1e-3)
            else:
                np.testing.assert_array_equal(made[name], before[name])
