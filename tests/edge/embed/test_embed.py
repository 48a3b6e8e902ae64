"""Embeddings are those of which the answers are made: of a run, and of a bundle as the device computes them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import called, needs, one_clear_line

from crnn.config import ModelConfig
from crnn.data.audio import read_audio
from crnn.features import LogMel
from crnn.files.npz import read_arrays
from crnn.models.crnn import CRNN
from crnn.models.registry import build_model
from crnn.offset import pad_clip
from crnn.run_config import RunConfig
from crnn.system_config import SystemConfig
from crnn.training.run_folder import RunFolder
from edge.bundle import PRETRAINED, Bundle
from edge.embed.__main__ import main
from edge.embed.embeddings import steps_of

needs("sklearn", "lightning", reason="needs the train and embed extras")

FLOAT32 = PRETRAINED.parent / "float32"


@pytest.fixture(scope="module")
def made(small_run, voices, cache, tmp_path_factory):
    """Everything that the command writes of the small run, and what it printed."""
    folder = tmp_path_factory.mktemp("embedded")
    outputs = ("--out", folder / "all.npz", "--frames", "--map", folder / "map.svg", "--json")
    result = called(main, small_run, "--data", f"synthetic:{voices}", "--cache", cache, *outputs)
    assert result.returncode == 0, result.stderr
    return read_arrays(folder / "all.npz"), json.loads(result.stdout), folder


def test_the_predicted_classes_of_test_speakers_are_those_of_the_run(made, small_run):
    arrays, result, _ = made
    metrics = json.loads((small_run / "metrics.json").read_text())["test"]
    test = arrays["subset"] == "test"
    assert test.sum() == metrics["n_clips"]
    for row, true in enumerate(metrics["labels"]):
        for column, decided in enumerate(metrics["labels"]):
            both = (arrays["emotion"][test] == true) & (arrays["predicted"][test] == decided)
            assert both.sum() == metrics["confusion"][row][column]
    assert len(arrays["embeddings"]) == result["n_clips"] == 128
    assert arrays["embeddings"].shape == (128, result["width"]) == (128, 32)
    assert set(arrays["speaker"]) == {f"{number:02d}" for number in range(1, 9)}
    assert all(Path(path).is_file() for path in arrays["path"])
    assert np.all((arrays["arousal"] >= 0) & (arrays["arousal"] <= 1))


def test_steps_lie_within_their_clips_and_are_evenly_spaced(made):
    arrays, _, _ = made
    assert set(arrays["step_clip"]) == set(range(128))
    for clip in (0, 127):
        seconds = arrays["step_seconds"][arrays["step_clip"] == clip]
        assert 0 <= seconds[0] < 0.25
        assert seconds[-1] <= len(read_audio(Path(arrays["path"][clip]), 16000)) / 16000 < seconds[-1] + 0.1
        assert np.ptp(np.diff(seconds)) < 1e-4
    assert len(arrays["steps"]) == len(arrays["step_clip"]) == len(arrays["step_seconds"])


@pytest.mark.parametrize("at", [0.5, 1.1])
def test_a_step_is_where_the_sound_is_that_it_depends_on(at):
    """The steps that a short sound changes lie around it."""
    config = RunConfig(model=ModelConfig(inputs=("level",)))
    model = CRNN(config.features, config.model, 3).eval()
    waveforms = 1e-3 * np.random.default_rng(0).normal(size=(1, 32000)).astype(np.float32).repeat(2, axis=0)
    waveforms[1, round(at * 16000) - 80 : round(at * 16000) + 80] += 0.1
    log_mels = [torch.from_numpy(LogMel(config.features)(pad_clip(each, config.geometry))) for each in waveforms]
    made = steps_of(model, config, [(log_mel, 32000, 0) for log_mel in log_mels])
    without, with_it = (made.vectors[made.clip == number] for number in (0, 1))
    changed = made.seconds[made.clip == 0][np.abs(with_it - without).max(axis=1) > 1e-6]
    assert changed.mean() == pytest.approx(at, abs=0.05)
    assert np.ptp(changed) < 0.5


def test_a_run_of_another_kind_has_embeddings_and_steps_too(voices, cache, tmp_path):
    """A CNN over raw waveforms with random weights."""
    system = SystemConfig(waveform_kernels=(9, 5), waveform_channels=(8, 12), pooling="mean")
    config = RunConfig(protocol="synthetic-demo", model=ModelConfig(kind="waveform-cnn"), system=system)
    folder = RunFolder(tmp_path / "run")
    folder.checkpoints.mkdir(parents=True)
    folder.write("split", {"labels": ["happy", "sad"], "clips": {}})
    folder.write_config(config, {}, {})
    model = build_model(config, 2).eval()
    torch.save({"state_dict": {f"model.{name}": v for name, v in model.state_dict().items()}}, folder.best_checkpoint)
    shutil.copytree(voices / "Actor_05", tmp_path / "few" / "Actor_05")
    given = ("--data", f"synthetic:{tmp_path / 'few'}", "--cache", cache, "--out", tmp_path / "few.npz", "--frames")
    result = called(main, folder.path, *given)
    assert result.returncode == 0, result.stderr
    arrays = read_arrays(tmp_path / "few.npz")
    assert arrays["embeddings"].shape == (16, 12)
    for clip in (0, 15):  # mean pooling: the embedding is the mean over the steps
        mine = arrays["step_clip"] == clip
        assert np.abs(arrays["steps"][mine].mean(axis=0) - arrays["embeddings"][clip]).max() < 1e-5
        waveform = torch.from_numpy(read_audio(Path(arrays["path"][clip]), 16000))
        with torch.inference_mode():
            decided = model(waveform[None]).argmax()
        assert arrays["predicted"][clip] == ("happy", "sad")[decided]
        assert arrays["step_seconds"][mine].mean() == pytest.approx(len(waveform) / 32000, abs=1e-3)


def test_the_map_has_a_panel_for_each_property_and_the_probe_a_figure(made):
    _, result, folder = made
    drawn = (folder / "map.svg").read_text()
    for panel in ("emotion (8)", "speaker (8)", "estimated arousal"):
        assert f"<!-- {panel} -->" in drawn
    assert set(result["probes"]) == {"emotion", "speaker"}
    for found in result["probes"].values():
        assert found["chance"] == 1 / 8 and 0 <= found["uar"] <= 1


def test_a_map_is_the_same_twice_and_another_with_another_seed(made, tmp_path):
    from edge.embed.map import place

    arrays, _, _ = made
    some = arrays["embeddings"][:30]
    first = place(some, 0)
    assert first.shape == (30, 2)
    assert np.array_equal(first, place(some, 0))


def test_a_bundle_gives_the_pooled_vectors_of_the_device_also_as_parquet(voices, cache, tmp_path):
    """float32 weights beside ONNX Runtime, on clips of one speaker."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the embed extra")
    shutil.copytree(voices / "Actor_03", tmp_path / "few" / "Actor_03")
    given = (FLOAT32, "--data", f"synthetic:{tmp_path / 'few'}", "--cache", cache, "--out", tmp_path / "few.parquet")
    result = called(main, *given, "--frames")
    assert result.returncode == 0, result.stderr
    assert "speaker  too few" in result.stdout
    rows = parquet.read_table(tmp_path / "few.parquet").to_pylist()
    assert len(rows) == 16
    recognizer = Bundle.open(FLOAT32).recognizer("onnx")
    row = next(row for row in rows if row["emotion"] == "calm")  # an emotion that the bundle does not know
    waveform = read_audio(Path(row["path"]), 16000)
    recognizer.reset()
    results = [each for each in recognizer.push(waveform) + recognizer.flush() if each.pooled is not None]
    assert np.abs(np.mean([each.pooled for each in results], axis=0) - row["embedding"]).max() < 1e-4
    logits = np.mean([each.logits for each in results], axis=0)
    assert row["predicted"] == recognizer.labels[logits.argmax()]
    assert len(row["steps"]) == len(row["step_seconds"]) > 5
    assert row["subset"] == ""


def test_the_probes_of_two_models_stand_side_by_side(made, small_run, voices, cache):
    _, alone, _ = made
    data = ("--data", f"synthetic:{voices}", "--cache", cache)
    both = called(main, small_run, "--against", FLOAT32, *data, "--json")
    assert both.returncode == 0, both.stderr
    result = json.loads(both.stdout)
    assert result["probes"] == alone["probes"]
    assert result["against"].keys() == {"model", "width", "probes"}
    assert (result["against"]["model"], result["against"]["width"]) == (str(FLOAT32), 96)
    assert result["against"]["probes"]["speaker"]["n_names"] == 8
    assert result["against"]["probes"]["speaker"]["uar"] != alone["probes"]["speaker"]["uar"]
    refused = called(main, small_run, "--against", FLOAT32, *data, "--subset", "test")
    one_clear_line(refused, "--subset test", str(FLOAT32))


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--out", "x.csv"], ["--out x.csv", ".npz"]),
        (["--map", "x.pdf"], ["--map x.pdf", ".svg"]),
        (["--out", "nowhere/x.npz"], ["nowhere"]),
        (["--frames"], ["--frames", "--out"]),
        (["--umap"], ["--umap", "--map"]),
        (["--seed", "-1"], ["--seed is -1"]),
    ],
)
def test_a_wrong_option_is_one_line(options, parts, small_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one_clear_line(called(main, small_run, "--data", "synthetic:nowhere", *options), *parts)
    assert not list(tmp_path.iterdir())


def test_what_is_not_there_is_one_line(small_run, voices, cache, tmp_path):
    data = ("--data", f"synthetic:{voices}", "--cache", cache)
    one_clear_line(called(main, tmp_path / "none", *data), "none")
    one_clear_line(called(main, FLOAT32, *data, "--subset", "test"), "float32", "--subset")
    one_clear_line(called(main, small_run, "--data", f"synthetic:{tmp_path}"), str(tmp_path))
    one_clear_line(called(main, small_run, *data, "--subset", "dev_unseen"), "dev_unseen")
