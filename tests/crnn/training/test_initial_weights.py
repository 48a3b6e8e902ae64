"""Starting from a run or a bundle: weights match by name, classes by emotion; leaks are refused."""

import json
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers import SMALL, called, make_bundle, one_clear_line, own_voices, script

import train
from crnn.config import ModelConfig
from crnn.data.corpora import Utterance
from crnn.data.protocols import LeakError, Split
from crnn.errors import InputError
from crnn.models.crnn import CRNN
from crnn.run_config import RunConfig
from crnn.training.checkpoint import model_weights
from crnn.training.initial_weights import Start, refuse_trained_on, start_from, start_of_run
from crnn.training.run_folder import RunFolder
from edge.export.trained import load_trained
from edge.export.weights import open_start


@pytest.fixture
def run(small_run, tmp_path):
    return shutil.copytree(small_run, tmp_path / "run")


def model_like(run) -> CRNN:
    config, _, _ = RunFolder(run).read_config()
    torch.manual_seed(7)
    return CRNN(config.features, config.model, 3)


def test_weights_are_copied_and_classes_matched_by_name(run):
    split = Split("other", 0, ("angry", "bored", "neutral"), (), (), ())
    model, untouched = model_like(run), model_like(run)
    trained_on = start_from(model, RunFolder(run).read_config()[0], start_of_run(run), split)
    assert "synthetic:05" in trained_on
    weights, labels = model_weights(run / "checkpoints" / "best.ckpt"), RunFolder(run).read("split")["labels"]
    assert torch.equal(model.encoder.blocks[0][0].weight, weights["encoder.blocks.0.0.weight"])
    rows, theirs = model.head.classifier.weight, weights["head.classifier.weight"]
    assert torch.equal(rows[0], theirs[labels.index("angry")])
    assert torch.equal(rows[2], theirs[labels.index("neutral")])
    assert torch.equal(rows[1], untouched.head.classifier.weight[1]), "a new class keeps its initial weights"


def test_a_run_trained_on_a_development_speaker_is_refused(run, voices, cache, tmp_path):
    again = called(
        *(train.main, *SMALL, "--data", f"synthetic:{voices}", "--cache", cache, "--out", tmp_path / "out"),
        *("--optim.epochs", "1", "--init", run),
    )
    one_clear_line(again, str(run), "trained on synthetic:", " dev ")
    assert not (tmp_path / "out").exists()


def test_training_starts_from_a_run_of_other_speakers(run, voices, cache, tmp_path):
    split = json.loads((run / "split.json").read_text())
    split["heard"] = {"train": ["synthetic:elsewhere"], "dev": [], "before": []}
    (run / "split.json").write_text(json.dumps(split))
    result = script(
        *("train.py", *SMALL, "--data", f"synthetic:{voices}", "--cache", cache, "--out", tmp_path / "out", "--json"),
        *("--optim.epochs", "1", "--init", run),
    )
    assert result.returncode == 0, result.stderr[-2000:]
    before = json.loads((run / "metrics.json").read_text())["history"]
    after = json.loads(result.stdout)["history"]
    assert after[0]["train_loss"] < before[0]["train_loss"]
    remembered = json.loads((tmp_path / "out" / "split.json").read_text())["heard"]["before"]
    assert remembered == ["synthetic:elsewhere"], "a third run needs it too"


def test_an_unusable_start_is_named(run, tmp_path):
    config, _, _ = RunFolder(run).read_config()
    split = Split("other", 0, ("angry", "neutral"), (), (), ())
    with pytest.raises(InputError, match=f"{tmp_path}.*run folder"):
        open_start(str(tmp_path))
    with pytest.raises(InputError, match="elsewhere.* pretrained"):
        open_start("elsewhere")
    others = replace(config, model=ModelConfig(channels=(8, 8, 8, 8), inputs=("local",)))
    with pytest.raises(InputError) as error:
        start_from(CRNN(others.features, others.model, 2), others, start_of_run(run), split)
    assert str(error.value).startswith(f"--init {run}: ")
    assert str(error.value).endswith(
        ' --model.lstm_units 16 --model.attention_units 8 --model.inputs "[local,change]"'
    ), "to be pasted"
    louder = replace(
        config, features=replace(config.features, log_offset=1e-3), model=replace(config.model, dropout=0.5)
    )
    with pytest.raises(InputError, match=r" --features\.log_offset 1e-06$"):  # same shapes, another meaning
        start_from(model_like(run), louder, start_of_run(run), split)
    assert issubclass(LeakError, InputError)


def test_a_synonym_of_an_emotion_starts_from_its_weights(run):
    config = RunFolder(run).read_config()[0]
    split = Split("own-data", 0, ("anger", "calm", "sarcastic"), (), (), ())
    model, untouched = model_like(run), model_like(run)
    start = start_of_run(run)
    start_from(model, config, start, split)
    theirs = start.weights["head.classifier.bias"]
    assert model.head.classifier.bias[0] == theirs[start.labels.index("angry")]
    assert model.head.classifier.bias[1] == theirs[start.labels.index("calm")]
    assert model.head.classifier.bias[2] == untouched.head.classifier.bias[2]


def judged(part: str, *utterances: Utterance) -> Split:
    return replace(Split("any", 0, ("angry", "sad"), (), (), ()), **{part: utterances})


def start_trained_on(*speakers: str) -> Start:
    config = RunConfig()
    return Start("X", ("angry",), config.features, config.model, config.window, {}, speakers)


@pytest.mark.parametrize("part", ["dev", "test", "dev_unseen"])
def test_a_training_speaker_may_not_be_tested(part):
    actor = Utterance(Path("/r/03-01-05-01-01-01-07.wav"), "ravdess", "07", None, "angry")
    for speaker in ("ravdess:07", "ravdess:*"):
        with pytest.raises(LeakError, match=f"--init X: .*ravdess.*{part}"):
            refuse_trained_on(start_trained_on(speaker), judged(part, actor))
    refuse_trained_on(start_trained_on("ravdess:08", "emodb:*"), judged(part, actor))
    refuse_trained_on(start_trained_on("ravdess:*"), judged("train", actor))


def test_a_training_corpus_is_recognized_by_its_file_names():
    """Published recordings in the layout of own recordings."""
    mine = Utterance(Path("/m/angry/03-01-05-01-01-01-07.wav"), "own", "somebody", None, "angry", key="angry/x")
    for speaker in ("ravdess:*", "ravdess:07"):
        with pytest.raises(LeakError, match=r"ravdess.*/m/angry/03-01-05-01-01-01-07\.wav .test."):
            refuse_trained_on(start_trained_on(speaker), judged("test", mine))
    refuse_trained_on(start_trained_on("ravdess:08", "emodb:*", "crema_d:*"), judged("test", mine))
    ordinary = Utterance(Path("/m/angry/anna_01.wav"), "own", "anna", None, "angry")
    refuse_trained_on(start_trained_on("ravdess:*", "emodb:*", "crema_d:*"), judged("test", ordinary))
    with pytest.raises(LeakError, match="trained on own"):
        refuse_trained_on(start_trained_on("own:*"), judged("test", ordinary))


def test_the_shipped_model_may_not_be_tested_on_its_training_corpora(tmp_path):
    """Refused before any copy of the recordings is computed. Sounds under names of EmoDB: by these it knows them."""
    for number in (3, 8, 9, 10, 11, 12, 13, 14, 15, 16):
        for text, emotion in product(("a01", "b03"), "WLEAFTN"):
            noise = np.random.default_rng([number, ord(emotion), ord(text[0])]).normal(0, 0.1, 8000)
            soundfile.write(tmp_path / f"{number:02}{text}{emotion}a.wav", noise, 16000)
    cache = tmp_path / "cache"
    result = called(
        *(train.main, "--init", "pretrained", "--protocol", "emodb-loso", "--data", f"emodb:{tmp_path}"),
        *("--augment.noise", "false", "--augment.room", "false", "--cache", cache, "--out", tmp_path / "out"),
    )
    one_clear_line(result, "--init pretrained: ", "emodb", " dev ")
    assert not (tmp_path / "out").exists()
    assert list(cache.glob("*.f32")) and not list(cache.glob("*.f16"))


def test_own_recordings_from_a_bundle_with_its_settings_as_defaults(small_run, voices, cache, tmp_path):
    """The model's settings are the defaults; other settings are refused; the next run knows the trained corpora."""
    made = make_bundle(small_run, tmp_path / "b", cache, "--scheme", "float32", "--formats", "onnx", here=True)
    assert made.returncode == 0, made.stderr[-2000:]
    mine = own_voices(tmp_path / "mine")
    settings = ["--protocol", "own-data", "--init", tmp_path / "b", "--cache", cache, "--optim.epochs", "1"]
    settings += ["--augment.noise", "false", "--augment.room", "false", "--augment.copies", "1"]
    done = script("train.py", *settings, "--data", f"folder:{mine}", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr[-2000:]
    config, _, _ = RunFolder(tmp_path / "run").read_config()
    assert config.model.channels == (8, 8, 8, 8)
    assert config.model.lstm_units == 16
    trained_on = RunFolder(tmp_path / "run").read("split")["heard"]
    assert trained_on["before"] == ["synthetic:*"]
    assert load_trained(RunFolder(tmp_path / "run")).trained_corpora == {"own", "synthetic"}

    other = called(
        train.main, *settings, "--data", f"folder:{mine}", "--out", tmp_path / "no", "--model.lstm_units", "20"
    )
    one_clear_line(other, "--model.lstm_units 16")
    disguised = tmp_path / "disguised"
    for path in voices.rglob("*.wav"):
        target = disguised / f"emotion{path.stem.split('-')[2]}" / f"{path.parent.name}" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    layout = ["--layout", "{emotion}/{speaker}/*", "--data", f"folder:{disguised}"]
    one_clear_line(
        called(train.main, *settings, *layout, "--out", tmp_path / "no"), "trained on synthetic", str(disguised)
    )
    assert not (tmp_path / "no").exists()
