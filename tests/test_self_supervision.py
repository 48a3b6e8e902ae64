"""Self-supervision by train.py: a run on recordings without labels, what may start from it, and what is refused."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
import torch
from helpers import called, one_clear_line, own_voices

import quantize
import train
from crnn import crossval
from crnn.config import ModelConfig
from crnn.data.protocols import Split
from crnn.models.crnn import CRNN
from crnn.run_config import RunConfig, plain_values
from crnn.training.initial_weights import start_from, start_of_run
from crnn.training.run_folder import RunFolder

CONFIG = ("--config", "configs/self-supervised.yaml")
SHAPE = ("--model.channels", "[4,4,4,4]", "--model.lstm_units", 6, "--model.attention_units", 4)
FEW = ("--augment.copies", 1, "--augment.noise", "false", "--augment.room", "false", "--optim.epochs", 1)


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory) -> Path:
    """A list of recordings that says nothing but their paths."""
    folder = tmp_path_factory.mktemp("speech")
    recordings = sorted(own_voices(folder / "own").rglob("*.wav"))
    listed = folder / "speech.csv"
    with listed.open("w", newline="") as file:
        csv.writer(file).writerows([["path"], *([str(path)] for path in recordings)])
    return listed


@pytest.fixture(scope="module")
def run(unlabelled, cache, tmp_path_factory):
    """A finished run on it, and what train.py printed."""
    out = tmp_path_factory.mktemp("runs") / "speech"
    data = ("--data", f"unlabelled:{unlabelled}", "--cache", cache, "--out", out)
    done = called(train.main, *CONFIG, *SHAPE, *FEW, *data, "--optim.batch_size", 16)
    assert done.returncode == 0, done.stderr[-2000:]
    return out, done.stdout


def test_a_list_of_paths_is_learned_from(run):
    out, said = run
    metrics = json.loads((out / "metrics.json").read_text())
    (row,) = metrics["history"]
    assert metrics["self_supervised"] == row
    assert {"frame_loss", "utterance_loss", "target_std", "embedding_std", "embedding_rank", "teacher_decay"} <= {*row}
    assert "dev" not in metrics and "test" not in metrics
    assert metrics["n_params"] == sum(p.numel() for p in CRNN(*shape_of(out), 1).parameters())
    assert f"loss at masked frames {row['frame_loss']:.3f}" in said
    assert "Standard deviation" not in said and "<h2>Training</h2>" in (out / "report.html").read_text()
    assert RunFolder(out).trained_on() == ["own:*"] and RunFolder(out).labels() == ("unlabelled",)


def shape_of(out: Path) -> tuple:
    config, _, _ = RunFolder(out).read_config()
    return config.features, config.model


def test_a_run_with_labels_starts_from_it(run, voices, cache, tmp_path):
    out, _ = run
    data = ("--protocol", "synthetic-demo", "--data", f"synthetic:{voices}", "--cache", cache, "--init", out)
    done = called(train.main, *data, *FEW, "--out", tmp_path / "tuned", "--frozen", "true", "--test", "false")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "own:*" in RunFolder(tmp_path / "tuned").trained_on()
    before, after = start_of_run(out).weights, start_of_run(tmp_path / "tuned").weights
    encoder = [name for name in after if name.startswith("encoder.")]
    assert any("running_var" in name for name in encoder)
    for name in encoder:  # averaging equal weights rounds
        torch.testing.assert_close(after[name], before[name], rtol=1e-6, atol=1e-6)
    assert not torch.equal(before["head.lstm.weight_ih_l0"], after["head.lstm.weight_ih_l0"])


def test_its_encoder_and_head_are_copied_and_the_classifier_is_not(run):
    start = start_of_run(run[0])
    config = replace(RunConfig(), features=start.features, model=start.model)
    torch.manual_seed(5)
    model = CRNN(config.features, config.model, 3)
    classifier = model.head.classifier.weight.clone()
    split = Split("own-data", 0, ("angry", "calm", "sad"), (), (), ())
    assert start_from(model, config, start, split) == ["own:*"]
    weights = model.state_dict()
    assert torch.equal(weights.pop("head.classifier.weight"), classifier)
    del weights["head.classifier.bias"]
    assert all(torch.equal(value, start.weights[name]) for name, value in weights.items())


def test_another_architecture_is_refused(run, voices, cache, tmp_path):
    data = ("--protocol", "synthetic-demo", "--data", f"synthetic:{voices}", "--cache", cache, "--out", tmp_path / "r")
    refused = called(train.main, *data, "--init", run[0], "--model.lstm_units", 8)
    one_clear_line(refused, str(run[0]), "other settings", "--model.lstm_units 6")


def test_it_knows_no_emotion(run, voices, cache, tmp_path):
    out, _ = run
    one_clear_line(called(quantize.main, out, "--out", tmp_path / "b", "--cache", cache), str(out), "without labels")
    data = ("--protocol", "synthetic-demo", "--data", f"synthetic:{voices}", "--cache", cache, "--out", tmp_path / "r")
    taught = called(train.main, *data, *SHAPE, *FEW, "--loss.teachers", f"[{out}]")
    one_clear_line(taught, "--loss.teachers", str(out), "without labels")


def test_nobody_who_may_be_listened_to_judges(run, cache, tmp_path):
    """Own recordings, whose speakers may be those of the list without names."""
    own = own_voices(tmp_path / "own")
    data = ("--protocol", "own-data", "--data", f"folder:{own}", "--cache", cache, "--out", tmp_path / "r")
    one_clear_line(called(train.main, *data, *FEW, "--init", run[0]), "name no speakers", str(run[0]))


def test_recordings_of_a_known_corpus_are_known_by_their_names(voices, cache, tmp_path):
    """Without labels, but with the names of the corpus's files."""
    data = ("--data", f"unlabelled:{voices}", "--cache", cache, "--out", tmp_path / "speech")
    done = called(train.main, *CONFIG, *SHAPE, *FEW, *data)
    assert done.returncode == 0, done.stderr[-2000:]
    assert {"synthetic:01", "ravdess:01", "own:*"} <= {*RunFolder(tmp_path / "speech").trained_on()}
    data = ("--protocol", "synthetic-demo", "--data", f"synthetic:{voices}", "--cache", cache, "--out", tmp_path / "r")
    refused = called(train.main, *data, *FEW, "--init", tmp_path / "speech")
    one_clear_line(refused, "it was trained on synthetic:", "who are dev here")


def test_of_a_protocol_the_training_speakers_alone_are_listened_to(voices, cache, tmp_path):
    data = ("--protocol", "synthetic-demo", "--data", f"synthetic:{voices}", "--cache", cache)
    done = called(train.main, *CONFIG, *data, *SHAPE, *FEW, "--out", tmp_path / "speech")
    assert done.returncode == 0, done.stderr[-2000:]
    split = json.loads((tmp_path / "speech" / "split.json").read_text())
    assert split["clips"]["train"] and not split["clips"]["dev"] and not split["clips"]["test"]
    tuned = called(
        train.main, *data, *FEW, "--out", tmp_path / "tuned", "--init", tmp_path / "speech", "--test", "false"
    )
    assert tuned.returncode == 0, tuned.stderr[-2000:]
    judges = json.loads((tmp_path / "tuned" / "split.json").read_text())["speakers"]
    listened = {speaker.split(":")[1] for speaker in RunFolder(tmp_path / "speech").trained_on()}
    assert listened == {*split["speakers"]["train"]} and not listened & {*judges["dev"], *judges["test"]}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--self_supervised.masked_share", "1"), ("masked_share is 1", "below 1")),
        (("--self_supervised.masked_share", "-0.1"), ("masked_share is -0.1",)),
        (("--self_supervised.masked_share", "0"), ("no labels to learn", "configs/self-supervised.yaml")),
        (("--self_supervised.utterance", "sum"), ("self_supervised.utterance",)),
        (("--self_supervised.utterance_weight", "-1"), ("utterance_weight is -1",)),
        (("--self_supervised.final_decay", "0.5"), ("final_decay 0.5",)),
        (("--self_supervised.chunk_tokens", "0"), ("chunk_tokens is 0",)),
        (("--self_supervised.span_steps", "7"), ("span_steps is 7", "27 frames", "at least 8")),
        (("--self_supervised.span_steps", "40"), ("span_steps is 40", "at most 30")),
        (("--optim.schedule", "plateau"), ("optim.schedule is plateau", "cosine")),
        (("--optim.batch_size", "1"), ("optim.batch_size is 1",)),
        (("--model.kind", "cnn"), ("model.kind is cnn", "only a crnn")),
        (("--loss.adversary_weight", "1"), ("loss.adversary_weight", "labels")),
        (("--loss.teachers", "[a]"), ("loss.teachers", "labels")),
        (("--frozen", "true"), ("frozen", "init")),
    ],
)
def test_settings_that_cannot_be_are_one_line(options, says, unlabelled, tmp_path):
    given = ("--data", f"unlabelled:{unlabelled}", "--out", tmp_path / "r")
    one_clear_line(called(train.main, *CONFIG, *given, *options), *says)
    assert not (tmp_path / "r").exists()


def test_settings_of_a_run_with_labels_have_nothing_of_it(tmp_path):
    values = plain_values(RunConfig())
    assert "self_supervised" not in values and "frozen" not in values
    alone = called(train.main, "--self_supervised.utterance", "global", "--out", tmp_path / "r")
    one_clear_line(alone, "self_supervised.masked_share")
    assert ModelConfig() == RunConfig().model


@pytest.mark.parametrize(("seconds", "n", "says"), [(0.5, 4, "two masked spans, 1.20 s"), (2.0, 1, "only recording")])
def test_recordings_that_are_too_short_or_too_few(seconds, n, says, cache, tmp_path):
    rng = torch.Generator().manual_seed(0)
    for number in range(n):
        sound = 0.1 * torch.randn(int(16000 * seconds), generator=rng).numpy()
        soundfile.write(tmp_path / f"{number}.wav", sound, 16000)
    given = ("--data", f"unlabelled:{tmp_path}", "--cache", cache, "--out", tmp_path / "r")
    one_clear_line(called(train.main, *CONFIG, *SHAPE, *FEW, *given), says)
    assert not (tmp_path / "r").exists()


def test_cross_validation_has_nothing_to_pool(tmp_path):
    given = ("--protocol", "emodb-loso", "--out", tmp_path / "r")
    one_clear_line(called(crossval.main, "configs/self-supervised.yaml", *given), "without labels")
