"""Settings without effect are named, with what they need; those that have an effect are not."""

import logging

import pytest
from helpers import called

import train
from augment.config import AugmentConfig, with_folders
from augment.pipeline import settings_given
from crnn.config import from_dict
from crnn.run_config import RunConfig
from crnn.training.unused_settings import unused_settings


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"loss": {"continuous": "ccc"}},
            "loss.continuous without effect: only with model.arousal or model.continuous",
        ),
        ({"loss": {"continuous": "ccc"}, "model": {"continuous": ["valence:1:5"]}}, ""),
        ({"loss": {"adversary_share": 0.5}}, "loss.adversary_share without effect: only with loss.adversary_weight"),
        ({"loss": {"adversary_share": 0.5, "adversary_weight": 0.1}}, ""),
        (
            {"loss": {"contrast_temperature": 0.2, "contrast_components": 8}},
            "loss.contrast_temperature, loss.contrast_components without effect: only with loss.contrast_weight",
        ),
        ({"loss": {"teacher_share": 0.9}}, "loss.teacher_share without effect: only with loss.teachers"),
        ({"teacher": {"components": 8}}, "teacher.components without effect: only with teacher.encoder"),
        (
            {"optim": {"schedule": "cosine", "plateau_factor": 0.1, "restart_factor": 2}},
            "optim.plateau_factor without effect: only with optim.schedule plateau; "
            "optim.restart_factor without effect: only with optim.schedule warm-restarts",
        ),
        ({"optim": {"schedule": "warm-restarts", "restart_factor": 2}}, ""),
        (
            {"model": {"kind": "cnn"}, "system": {"lora_rank": 2, "waveform_kernels": [3] * 7}},
            "system.lora_rank without effect: only with model.kind tuned-encoder; "
            "system.waveform_kernels without effect: only with model.kind waveform-cnn",
        ),
        (
            {"model": {"kind": "text"}, "text": {"encoder": "x", "column": "said", "fusion": "gated"}},
            "text.fusion without effect: only with a model.kind that takes sound as well",
        ),
        (
            {
                "model": {"kind": "frozen-encoder", "channels": [8, 8, 8, 8], "lstm_units": 8},
                "system": {"encoder": "x"},
                "features": {"n_mels": 40, "hop_length": 160},
                "window": {"window_seconds": 2.0},
            },
            "features.n_mels, model.channels without effect: only with a model.kind over log-mel features; "
            "features.hop_length, window.window_seconds without effect: only with a model.kind that is trained on "
            "windows of sound; model.lstm_units without effect: only with model.kind crnn",
        ),
        (
            {"model": {"kind": "waveform-cnn"}, "features": {"n_mels": 40, "hop_length": 160}},
            "features.n_mels without effect: only with a model.kind over log-mel features",
        ),
        ({"model": {"kind": "cnn"}, "features": {"n_mels": 40, "hop_length": 160}}, ""),
        ({}, ""),
    ],
)
def test_what_has_no_effect_is_named(settings, line):
    assert "; ".join(unused_settings(from_dict(RunConfig, settings), {})) == line


def test_augmentation_of_stored_outputs_has_no_effect():
    frozen = from_dict(RunConfig, {"model": {"kind": "frozen-encoder"}, "system": {"encoder": "x"}})
    (line,) = unused_settings(frozen, {"copies": False})
    assert line.startswith("augment.* without effect: model.kind frozen-encoder")
    assert unused_settings(RunConfig(), {"copies": False, "style": True}) == unused_settings(frozen, {}) == []


def test_augmentation_of_features_has_no_effect_on_waveforms():
    waveforms = from_dict(RunConfig, {"model": {"kind": "waveform-cnn"}})
    given = settings_given(with_folders(AugmentConfig(copies=4, mixup_p=0.2, reverberation=True, min_drr_db=0.0)))
    (line,) = unused_settings(waveforms, given)
    assert line.startswith("augment.reverberation, augment.min_drr_db without effect: only with a model.kind over")
    assert unused_settings(waveforms, settings_given(with_folders(AugmentConfig(copies=4, mixup=False)))) == []


def test_train_says_so(tmp_path, caplog):
    """Before it looks at a recording, of which there are none here."""
    (tmp_path / "voices").mkdir()
    data = ("--protocol", "synthetic-demo", "--data", f"synthetic:{tmp_path / 'voices'}", "--out", tmp_path / "run")
    with caplog.at_level(logging.WARNING):
        assert called(train.main, *data, "--loss.continuous", "ccc").returncode == 2
    assert "loss.continuous without effect" in caplog.text
