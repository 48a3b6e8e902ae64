"""Starting from a run or a bundle: weights by name, classes by emotion, and nobody who has heard the wrong people."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from helpers import SMALL, describe_nobody, edit_json, make_bundle, one_clear_line, own_voices, script

from crnn.config import ModelConfig
from crnn.data.corpora import Utterance
from crnn.data.protocols import LeakError, Split
from crnn.errors import InputError
from crnn.models.crnn import CRNN, Encoder
from crnn.run_config import RunConfig
from crnn.training.checkpoint import model_weights
from crnn.training.initial_weights import Start, refuse_heard, start_from, start_of_run
from crnn.training.run_folder import RunFolder
from edge import bundle
from edge.export import pipeline as compress
from edge.export.trained import load_trained
from edge.export.verify import torch_recognizer
from edge.export.weights import FLOAT32, open_start
from edge.stream.decision import DecisionConfig


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
    heard = start_from(model, RunFolder(run).read_config()[0], start_of_run(run), split)
    assert "synthetic:05" in heard
    weights, labels = model_weights(run / "checkpoints" / "best.ckpt"), RunFolder(run).read("split")["labels"]
    assert torch.equal(model.encoder.blocks[0][0].weight, weights["encoder.blocks.0.0.weight"])
    rows, theirs = model.head.classifier.weight, weights["head.classifier.weight"]
    assert torch.equal(rows[0], theirs[labels.index("angry")])
    assert torch.equal(rows[2], theirs[labels.index("neutral")])
    assert torch.equal(rows[1], untouched.head.classifier.weight[1]), "no namesake: as it was"


def test_a_run_that_has_heard_a_judge_is_refused(run, voices, cache, tmp_path):
    again = script(
        *("train.py", *SMALL, "--data", f"synthetic:{voices}", "--cache", cache, "--out", tmp_path / "out"),
        *("--optim.epochs", "1", "--init", run),
    )
    one_clear_line(again, str(run), "it has heard synthetic:", "who are dev here")
    assert not (tmp_path / "out").exists()


def test_a_run_that_has_not_is_where_training_starts(run, voices, cache, tmp_path):
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
    assert remembered == ["synthetic:elsewhere"], "a third run must know of it too"


def test_what_cannot_be_started_from_is_named(run, tmp_path):
    config, _, _ = RunFolder(run).read_config()
    split = Split("other", 0, ("angry", "neutral"), (), (), ())
    with pytest.raises(InputError, match="not a finished run folder"):
        open_start(str(tmp_path))
    with pytest.raises(InputError, match="no such folder; give a run of train.py, a float32 bundle, or pretrained"):
        open_start("elsewhere")
    others = replace(config, model=ModelConfig(channels=(8, 8, 8, 8), inputs=("local",)))
    with pytest.raises(InputError) as error:
        start_from(CRNN(others.features, others.model, 2), others, start_of_run(run), split)
    assert str(error.value) == (
        f"--init {run}: its model has other settings; leave yours out, or give --model.lstm_units 16 "
        '--model.attention_units 8 --model.inputs "[local,change]"'
    )
    louder = replace(
        config, features=replace(config.features, log_offset=1e-3), model=replace(config.model, dropout=0.5)
    )
    with pytest.raises(InputError, match=r"or give --features.log_offset 1e-06$"):  # same shapes, another meaning
        start_from(model_like(run), louder, start_of_run(run), split)
    assert issubclass(LeakError, InputError)


def test_other_words_for_an_emotion_start_from_it(run):
    config = RunFolder(run).read_config()[0]
    split = Split("own-data", 0, ("anger", "calm", "sarcastic"), (), (), ())
    model, untouched = model_like(run), model_like(run)
    start = start_of_run(run)
    start_from(model, config, start, split)
    theirs = start.weights["head.classifier.bias"]
    assert model.head.classifier.bias[0] == theirs[start.labels.index("angry")]
    assert model.head.classifier.bias[1] == theirs[start.labels.index("calm")]
    assert model.head.classifier.bias[2] == untouched.head.classifier.bias[2]


MODELS = [
    ModelConfig(channels=(4, 6, 8, 5), lstm_units=7, attention_units=9),
    ModelConfig(channels=(4, 6, 8, 5), stem="pool", head="pool", inputs=("level",)),
    ModelConfig(
        channels=(4, 5), pool_mels=(4, 4), pool_frames=(2, 2), head="both", inputs=("contrast", "shape", "change")
    ),
    ModelConfig(channels=(4, 6, 8, 5), spectral_floor_db=-25),
]


def settled(config: RunConfig, labels: int) -> CRNN:
    """A model with random weights, batch norms included."""
    torch.manual_seed(3)
    model = CRNN(config.features, config.model, labels)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values, low in (
                (module.weight, -1.5),
                (module.bias, -1),
                (module.running_mean, -1),
                (module.running_var, 0.1),
            ):
                torch.nn.init.uniform_(values, low, 2)
    torch.nn.init.uniform_(model.encoder.band_mean, -9, -7)
    torch.nn.init.uniform_(model.encoder.band_scale, 0.2, 0.5)
    return model.eval()


def exported(model: CRNN, config: RunConfig, folder: Path, labels=("angry", "sad")) -> Path:
    """A float32 ONNX bundle of any model, as quantize.py writes it, without the proof on recordings."""
    draft = bundle.Manifest(bundle.SCHEMA, labels, config.features, config.geometry, DecisionConfig(), {}, {})
    block = torch.randn(1, config.features.n_mels, config.geometry.block_frames).numpy()
    with bundle.new_folder(folder) as part:
        runtime, scheme, encoder, head = compress.export_all(model, config, ("onnx",), [block], part)[0]
        for path in set(part.iterdir()) - {encoder, head}:
            path.unlink()
        describe_nobody(part, model.head.classifier.in_features, len(labels))
        known = {"corpora_heard": ["emodb"], "model": asdict(config.model), "window": asdict(config.window)}
        models = {runtime: asdict(bundle.ModelFiles(scheme, encoder.name, head.name))}
        bundle.seal(part, replace(draft, models=models, provenance=known), torch_recognizer(model, draft))
    return folder


@pytest.mark.parametrize("model_config", MODELS)
def test_a_bundle_gives_back_the_model_it_was_made_of(model_config, tmp_path):
    config = RunConfig(model=model_config)
    model = settled(config, 2)
    start = open_start(str(exported(model, config, tmp_path / "b")))
    assert (start.labels, start.model, start.window, start.heard) == (
        ("angry", "sad"), model_config, config.window, ("emodb:*",),
    )  # fmt: skip
    again = CRNN(config.features, config.model, 2).eval()
    start_from(again, config, start, Split("own-data", 0, ("angry", "sad"), (), (), ()))
    log_mel = -8 + 2 * torch.randn(3, 64, config.geometry.frames_for(config.geometry.window_steps))
    with torch.no_grad():
        assert torch.allclose(again(log_mel), model(log_mel), atol=1e-5)


@pytest.mark.parametrize("model_config", MODELS)
def test_learned_norms_change_nothing_but_what_training_sees(model_config):
    config = RunConfig(model=model_config)
    encoder = settled(config, 2).encoder
    log_mels = [-8 + 2 * torch.randn(64, 300) for _ in range(6)]
    batch = torch.stack(log_mels)
    with torch.no_grad():
        before = encoder(batch)
        encoder.inputs.train()
        without_floor = encoder(batch)
        encoder.inputs.eval()
        encoder.learn_norms(log_mels)
        assert torch.allclose(encoder(batch), before, atol=1e-4)
        assert not encoder.training
        in_training = _without_dropout(encoder.train())(batch)
    # A step of training normalizes by its own batch, here the very recordings: the function it starts from is the same.
    assert torch.allclose(in_training, without_floor, atol=2e-3)


def _without_dropout(encoder: Encoder) -> Encoder:
    encoder.dropout.p = 0.0
    return encoder


def test_the_shipped_bundle_is_a_start():
    start = open_start("pretrained")
    assert start.folded
    assert start.heard == ("crema_d:*", "emodb:*", "ravdess:*")
    assert start.settings["model.channels"] == (16, 24, 32, 48)
    assert start.settings["window.window_seconds"] == 3.0


def changed(tmp_path, change) -> Path:
    copy = shutil.copytree(FLOAT32, tmp_path / "copy")
    edit_json(copy / "bundle.json", change)
    return copy


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda v: v["provenance"].pop("model"), "provenance lacks model; make the bundle again"),
        (lambda v: v["provenance"].pop("corpora_heard"), "provenance lacks corpora_heard"),
        (lambda v: v["provenance"]["model"].update(channels=[16, 24, 32, 50]), "do not hold the model"),
        (lambda v: v["provenance"]["model"].update(inputs=["change", "local"]), "off the golden values; not a start"),
        (lambda v: v["provenance"]["model"].update(head="pool"), "do not hold the model"),
        (lambda v: v["provenance"]["window"].update(window_seconds=2.0), "do not give its geometry"),
        (lambda v: v["models"].pop("onnx"), "start from float32 onnx files, this bundle has none"),
    ],
)
def test_a_bundle_that_is_no_start_says_why(change, part, tmp_path):
    with pytest.raises(InputError, match=part):
        open_start(str(changed(tmp_path, change)))


def test_an_int8_bundle_is_no_start():
    with pytest.raises(InputError, match="this bundle has static_int8; make one with quantize.py --scheme float32"):
        open_start(str(bundle.PRETRAINED))


def judged(part: str, *utterances: Utterance) -> Split:
    return replace(Split("any", 0, ("angry", "sad"), (), (), ()), **{part: utterances})


def start_that_heard(*heard: str) -> Start:
    config = RunConfig()
    return Start("X", ("angry",), config.features, config.model, config.window, {}, heard)


@pytest.mark.parametrize("part", ["dev", "test", "dev_unseen"])
def test_whoever_has_been_heard_may_not_judge(part):
    actor = Utterance(Path("/r/03-01-05-01-01-01-07.wav"), "ravdess", "07", None, "angry")
    for heard in ("ravdess:07", "ravdess:*"):
        with pytest.raises(LeakError, match=f"--init X: it has heard ravdess.*{part}"):
            refuse_heard(start_that_heard(heard), judged(part, actor))
    refuse_heard(start_that_heard("ravdess:08", "emodb:*"), judged(part, actor))
    refuse_heard(start_that_heard("ravdess:*"), judged("train", actor))


def test_a_corpus_that_was_heard_is_known_by_its_file_names():
    """Published recordings laid out as somebody's own."""
    mine = Utterance(Path("/m/angry/03-01-05-01-01-01-07.wav"), "own", "somebody", None, "angry", key="angry/x")
    for heard in ("ravdess:*", "ravdess:07"):
        with pytest.raises(LeakError, match="it has heard ravdess, and /m/angry/03-01-05-01-01-01-07.wav .test. has a"):
            refuse_heard(start_that_heard(heard), judged("test", mine))
    refuse_heard(start_that_heard("ravdess:08", "emodb:*", "crema_d:*"), judged("test", mine))
    ordinary = Utterance(Path("/m/angry/anna_01.wav"), "own", "anna", None, "angry")
    refuse_heard(start_that_heard("ravdess:*", "emodb:*", "crema_d:*"), judged("test", ordinary))
    with pytest.raises(LeakError, match="it has heard own"):
        refuse_heard(start_that_heard("own:*"), judged("test", ordinary))


def test_the_shipped_model_may_not_be_tested_on_what_it_has_heard(recordings, cache, tmp_path):
    result = script(
        *("train.py", "--init", "pretrained", "--protocol", "emodb-loso", "--data", f"emodb:{recordings / 'emodb'}"),
        *("--augment.noise", "false", "--augment.room", "false", "--cache", cache, "--out", tmp_path / "out"),
    )
    one_clear_line(result, "--init pretrained: it has heard emodb, who are dev here")
    assert not (tmp_path / "out").exists()


def test_own_recordings_from_a_bundle_with_its_settings_as_defaults(small_run, voices, cache, tmp_path):
    """The model's settings need not be repeated; what is set all the same is held against them; the next run knows."""
    made = make_bundle(small_run, tmp_path / "b", cache, "--prune", "0", "--scheme", "float32", "--formats", "onnx")
    assert made.returncode == 0, made.stderr[-2000:]
    mine = own_voices(tmp_path / "mine")
    settings = ["--protocol", "own-data", "--init", tmp_path / "b", "--cache", cache, "--optim.epochs", "1"]
    settings += ["--augment.noise", "false", "--augment.room", "false", "--augment.copies", "1"]
    done = script("train.py", *settings, "--data", f"folder:{mine}", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr[-2000:]
    config, _, _ = RunFolder(tmp_path / "run").read_config()
    assert config.model.channels == (8, 8, 8, 8)
    assert config.model.lstm_units == 16
    heard = RunFolder(tmp_path / "run").read("split")["heard"]
    assert heard["before"] == ["synthetic:*"]
    assert load_trained(RunFolder(tmp_path / "run")).trained_corpora == {"own", "synthetic"}

    other = script(
        "train.py", *settings, "--data", f"folder:{mine}", "--out", tmp_path / "no", "--model.lstm_units", "20"
    )
    one_clear_line(other, "its model has other settings", "--model.lstm_units 16")
    disguised = tmp_path / "disguised"
    for path in voices.rglob("*.wav"):
        target = disguised / f"emotion{path.stem.split('-')[2]}" / f"{path.parent.name}" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    layout = ["--layout", "{emotion}/{speaker}/*", "--data", f"folder:{disguised}"]
    one_clear_line(
        script("train.py", *settings, *layout, "--out", tmp_path / "no"), "it has heard synthetic, and", "name"
    )
    assert not (tmp_path / "no").exists()
