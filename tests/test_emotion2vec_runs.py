"""A run of train.py that rests on emotion2vec, and what it says where funasr or the network is missing."""

import json

import pytest
from helpers import called, one_clear_line
from tiny_emotion2vec import NEEDS_FUNASR, changed, write_folder, write_tiny_emotion2vec

import train
from crnn.models import pretrained
from crnn.models.pretrained import SpeechEncoder, open_encoder

QUICK = ("--protocol", "synthetic-demo", "--config", "systems/emotion2vec-linear.yaml", "--optim.epochs", "2")
LAYERS = ("--system.encoder_layers", "[3]")


@NEEDS_FUNASR
def test_the_features_of_each_recording_are_made_once(voices, cache, tmp_path, monkeypatch):
    folder = tmp_path / "emotion2vec"
    write_tiny_emotion2vec(folder)
    given = (*QUICK, *LAYERS, "--system.encoder", folder, "--data", f"synthetic:{voices}", "--cache", cache, "--json")
    result = called(train.main, *given, "--out", tmp_path / "run")
    assert result.returncode == 0, result.stderr[-2000:]
    metrics = json.loads(result.stdout)
    assert metrics["taught_by"] == [open_encoder(folder, (3,)).describe()]
    assert metrics["frozen_params"] > 1000
    monkeypatch.setattr(SpeechEncoder, "steps", None)  # they are stored
    again = called(train.main, *given, "--out", tmp_path / "again", "--system.pooling", "max")
    assert again.returncode == 0, again.stderr[-2000:]
    other = write_folder(tmp_path / "other", changed("normalize: true", "normalize: false"))
    (other / "model.pt").write_bytes((folder / "model.pt").read_bytes())
    with pytest.raises(TypeError):  # nothing is stored for another folder
        train.main([str(word) for word in (*given, "--out", tmp_path / "third", "--system.encoder", other)])


def refused(voices, cache, tmp_path, *settings):
    data = ("--data", f"synthetic:{voices}", "--cache", cache, "--out", tmp_path / "out")
    result = called(train.main, *QUICK, *data, *settings)
    assert not (tmp_path / "out").exists()
    return result


def test_without_funasr_the_extra_is_named(voices, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    folder = write_folder(tmp_path / "emotion2vec")
    result = refused(voices, cache, tmp_path, *LAYERS, "--system.encoder", folder)
    one_clear_line(result, "funasr", "pip install", "emotion2vec")


def test_its_name_without_a_network(voices, cache, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    one_clear_line(refused(voices, cache, tmp_path), "emotion2vec/emotion2vec_base", "hub", "give a folder")


def test_its_name_where_nothing_can_fetch_it(voices, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    one_clear_line(refused(voices, cache, tmp_path), "emotion2vec/emotion2vec_base", "pip install", "hub")
