"""Shipping on a small trained run: two bundles and a clip; the former bundle stays where an export fails."""

import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from helpers import ROOT, script

from benchmarks.export import ship
from benchmarks.harness import jobs, recipes
from crnn.synthetic import SAMPLE_RATE, demo_clip
from edge.bundle import Bundle
from edge.export.trained import load_trained
from edge.export.weights import open_start


@pytest.fixture
def shipped(small_run, tmp_path, monkeypatch):
    """A finished run in place of the recipe's, and a folder in place of edge/pretrained."""
    job = jobs.Job("small", "synthetic-demo", 0, 0)
    shutil.copytree(small_run, tmp_path / "runs" / job.name)
    monkeypatch.setattr(jobs, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(recipes, "job", lambda *_: job)
    monkeypatch.setattr(ship, "folders", lambda protocol, fold: load_trained(job.folder).data)
    monkeypatch.setattr(ship, "PRETRAINED", tmp_path / "pretrained")
    monkeypatch.setattr(sys, "argv", ["ship.py"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(ROOT)
    return tmp_path / "pretrained"


def test_two_bundles_and_the_clip_are_written(shipped, monkeypatch, capsys):
    def quantize(command, **_):  # quantize.py itself, for one runtime
        result = script(command[1], *command[2:], "--formats", "onnx")
        assert result.returncode == 0, result.stderr[-2000:]
        return result

    (shipped / "int8").mkdir(parents=True)
    (shipped / "int8" / "of the version before").touch()
    monkeypatch.setattr(ship, "subprocess", SimpleNamespace(run=quantize, PIPE=None))
    assert ship.main() == 0
    samples, rate = soundfile.read(shipped / "synthetic_voice.flac", dtype="float32")
    assert rate == SAMPLE_RATE
    assert np.abs(samples - demo_clip()).max() < 1e-4
    printed = capsys.readouterr().out.splitlines()
    for name, line in zip(("float32", "int8"), printed, strict=True):
        assert line.startswith(f"{name}: onnx ")
        recognizer = Bundle.open(shipped / name).recognizer("onnx")
        assert recognizer.push(samples)
    assert open_start(str(shipped / "float32")).trained_on == ("synthetic:*",)
    assert sorted(path.name for path in shipped.iterdir()) == ["float32", "int8", "synthetic_voice.flac"]
    assert not (shipped / "int8" / "of the version before").exists()


def test_the_bundle_before_stays_where_the_new_one_is_past_a_limit(shipped, monkeypatch, capsys):
    def refuse(command, **_):
        return subprocess.CompletedProcess(command, 1, "")

    before = shipped / "float32" / "bundle.json"
    before.parent.mkdir(parents=True)
    before.write_text("{}")
    monkeypatch.setattr(ship, "subprocess", SimpleNamespace(run=refuse, PIPE=None))
    assert ship.main() == 2
    assert "float32 bundle" in capsys.readouterr().err
    assert before.read_text() == "{}"
    assert [path.name for path in shipped.iterdir()] == ["float32"]
