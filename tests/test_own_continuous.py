"""Continuous labels of own recordings through the scripts, beside classes, speaker adversary and contrast."""

import csv
import json
from pathlib import Path

import pytest
from helpers import SMALL, called, one_clear_line, own_voices

import quantize
import train
from crnn.continuous_labels import ContinuousLabel
from crnn.data.continuous_values import values_of
from crnn.data.utterances import Utterance
from crnn.errors import InputError
from crnn.run_config import RunConfig
from crnn.training.run_folder import RunFolder
from crnn.training.trained_run import open_run

VALENCE = {"angry": 2, "calm": 4, "sad": 1}


@pytest.fixture(scope="module")
def listed(tmp_path_factory) -> Path:
    """A list with a column `valence`, 1 to 5, empty in every seventh row."""
    folder = own_voices(tmp_path_factory.mktemp("rated") / "mine")
    rows = [
        (p.relative_to(folder.parent), p.parent.name, p.stem.split("_")[0], VALENCE[p.parent.name] if n % 7 else "")
        for n, p in enumerate(sorted(folder.rglob("*.wav")))
    ]
    path = folder.parent / "my.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "emotion", "speaker", "valence"), *rows])
    return path


def arguments(listed: Path, out: Path, cache: Path, continuous: str = "[valence:1:5]") -> list:
    given = ("--protocol", "own-data", "--data", f"csv:{listed}", "--out", out, "--cache", cache)
    losses = ("--model.continuous", continuous, "--loss.adversary_weight", 1, "--loss.adversary_epochs", 0)
    return [*SMALL, *given, *losses, "--loss.contrast_weight", 0.1, "--loss.continuous", "ccc", "--optim.epochs", 2]


def test_from_a_list_to_a_report(listed, tmp_path, cache):
    out = tmp_path / "run"
    done = called(train.main, *arguments(listed, out, cache), "--model.arousal", "false", "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    metrics = json.loads(done.stdout)
    for part in ("dev", "test"):
        found = metrics[part]["continuous"]["valence"]
        assert 0 < found["n_clips"] < metrics[part]["n_clips"], "some cells are empty"
        assert 0 < found["rmse"] < 4
        several = len(metrics[part]["per_speaker_uar"]) > 1
        assert bool(found["rmse_ci95"]) == several, "one speaker has no interval"
    assert metrics["history"][-1]["adversary_weight"] > 0
    page = (out / "report.html").read_text()
    assert all(f"valence, 1 to 5: {name}" in page for name in ("RMSE", "Pearson correlation", "CCC"))
    again = called(train.main, *arguments(listed, out, cache), "--model.arousal", "false", "--resume")
    assert f"test   valence, 1 to 5: RMSE {metrics['test']['continuous']['valence']['rmse']:.2f}" in again.stdout
    model = open_run(RunFolder(out)).model
    assert not [name for name in model.state_dict() if "adversary" in name or "contrast" in name]
    assert model.head.n_continuous == 1
    refused = called(quantize.main, out, "--out", tmp_path / "bundle", "--cache", cache)
    one_clear_line(refused, str(out), "valence:1:5", "model.continuous")
    assert not (tmp_path / "bundle").exists()


def test_a_value_out_of_range_is_one_line_and_nothing_is_written(listed, tmp_path, cache):
    given = arguments(listed, tmp_path / "run", cache, "[valence]")
    one_clear_line(called(train.main, *given, "--model.arousal", "false"), "valence is", "give a number from 0 to 1")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("cell", "ends", "value"),
    [
        ("2,5", (1, 5), 2.5),
        ("0,125", (0, 1000), 0.125),
        ("2,500", (1, 5), 2.5),  # 2500 is no valence
        ("-1e-1", (-1, 1), -0.1),
        ("1,000", (0, 5000), "may be 1 or 1000; write it without a comma"),
        ("-2,500", (-5000, 5000), "may be -2.5 or -2500"),
        ("1_0", (0, 100), "give a number from 0 to 100"),
        ("inf", (0, 100), "give a number from 0 to 100"),
    ],
)
def test_a_number_is_read_as_it_was_meant_or_refused(cell, ends, value):
    rated = Utterance(Path("a.wav"), "own", "ann", None, "sad", columns=(("valence", cell),))
    label = ContinuousLabel("valence", *ends)
    if isinstance(value, float):
        assert values_of([rated], [label]).tolist() == [[value]]
    else:
        with pytest.raises(InputError, match=f"a.wav: valence is '{cell}'.*{value}"):
            values_of([rated], [label])


def test_a_run_folder_of_before_means_what_it_meant(tmp_path):
    """Its settings lack all of these."""
    folder = RunFolder(tmp_path)
    folder.write_config(RunConfig(), {}, {})
    values = json.loads((tmp_path / "config.json").read_text())
    new = ("continuous", "adversary", "contrast", "accumulate", "restart", "min_learning_rate")
    for section in ("loss", "optim"):
        values["run"][section] = {k: v for k, v in values["run"][section].items() if not k.startswith(new)}
    values["run"]["loss"]["arousal_weight"] = 0.5
    (tmp_path / "config.json").write_text(json.dumps(values))
    config, _, _ = folder.read_config()
    assert config.loss.continuous_weight == 0.5
    assert config.loss.continuous == "squared-error"
    assert (config.loss.adversary_weight, config.loss.contrast_weight, config.optim.accumulate) == (0, 0, 1)
    assert config.optim == RunConfig().optim
