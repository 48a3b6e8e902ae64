"""The head of 256 on a frozen model: what it learns from, that the model stays as it is, and what a row identifies."""

from argparse import Namespace
from dataclasses import replace

import pytest
import torch

from benchmarks.accuracy import self_supervised
from benchmarks.accuracy.self_supervised import RANDOM, about, clips_of, frozen, head_uar, outputs, tuning
from crnn.config import ModelConfig
from crnn.data.prepare import prepare, without_test
from crnn.run_config import RunConfig

CONFIG = replace(
    RunConfig(), protocol="synthetic-demo", model=ModelConfig(channels=(4, 4, 4, 4), lstm_units=6, attention_units=4)
)


@pytest.fixture(scope="module")
def prepared(voices, cache):
    return without_test(prepare(CONFIG, {"synthetic": str(voices)}, cache))


def test_the_head_learns_and_the_model_does_not_move(prepared, monkeypatch):
    monkeypatch.setattr(self_supervised, "STEPS", 150)
    model = frozen(CONFIG, None, prepared, 0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = head_uar(model, CONFIG, prepared, 0)
    assert found > 2 / 8, "twice a guess among eight"
    assert found == head_uar(model, CONFIG, prepared, 0), "a function of the seed"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not torch.equal(before["encoder.band_mean"], torch.zeros_like(before["encoder.band_mean"]))


def test_a_clip_has_the_steps_that_its_sound_covers(prepared):
    model = frozen(CONFIG, None, prepared, 0)
    clips = clips_of(prepared.cache, prepared.split, "dev", CONFIG)
    made, labels = outputs(model, clips, CONFIG)
    assert labels.tolist() == clips.labels.tolist()
    for steps, u in zip(made, clips.utterances, strict=True):
        n = prepared.cache.clips[u.name][1]
        geometry = CONFIG.geometry
        later = geometry.n_intervals(n) - geometry.window_intervals
        assert steps.shape == (geometry.window_steps + later * geometry.interval_steps, 16 + 2 * 6)


def test_fine_tuning_reads_no_test_speaker(prepared, tmp_path):
    args = Namespace(runs=[tmp_path / "speech"], protocol="synthetic-demo", fold=0, epochs=3)
    for name, start in ((RANDOM, ()), ("speech", ("--init", str(tmp_path / "speech")))):
        settings = tuning(args, name, 1).settings
        assert settings[-len(start) :] == start if start else "--init" not in settings
        assert settings[settings.index("--test") + 1] == "false"
    assert about(args, prepared.split, RANDOM)["judged"] == "dev"
