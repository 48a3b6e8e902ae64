"""Other models than the CRNN, as a user trains them; what takes a CRNN alone refuses their runs in one line."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import ROOT, called, one_clear_line
from sounds import speech
from tiny_whisper import write_tiny_whisper

import quantize
import train
from crnn.config import CRNN_KIND, STREAMED
from crnn.data.inputs import LOG_MEL, STEPS, WAVEFORM, LogMelInputs
from crnn.models.clip_model import Model
from crnn.models.crnn import CRNN
from crnn.models.pretrained import SpeechEncoder, open_encoder
from crnn.models.registry import ENCODERS, build_model, input_of
from crnn.run_config import LossConfig, RunConfig
from crnn.training.checkpoint import model_weights
from crnn.training.run_folder import RunFolder
from crnn.training.task import EmotionTask
from crnn.training.trained_run import open_run
from edge.bundle import Bundle
from edge.stream.recognizer import clip_decisions

CONFIGS = sorted((ROOT / "configs" / "systems").glob("*.yaml"))
QUICK = [
    *("--protocol", "synthetic-demo", "--augment.noise", "false", "--augment.room", "false", "--augment.copies", "2"),
    *("--model.channels", "[4,4,4,4]", "--optim.epochs", "1", "--optim.epoch_clips", "16"),
    *("--system.units", "8", "--system.heads", "2"),
]


def trained(voices: Path, cache: Path, out: Path, *settings) -> dict:
    """The metrics of a run with these settings."""
    given = ("--data", f"synthetic:{voices}", "--cache", cache, "--out", out, "--json", *settings)
    result = called(train.main, *QUICK, *given)
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def cnn_run(voices, cache, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("systems") / "cnn"
    settings = ("--model.kind", "cnn", "--system.sequence", "[bigru,matching]", "--model.arousal", "true")
    metrics = trained(voices, cache, out, *settings, "--system.pooling", "qkv")
    assert 0 <= metrics["test"]["uar"] <= 1
    assert metrics["n_params"] > 0
    assert "arousal" in metrics["test"]
    return out


def test_a_run_of_another_kind_is_a_run_like_any_other(cnn_run, voices, cache):
    assert {path.name for path in cnn_run.iterdir()} == {
        *("config.json", "split.json", "metrics.json", "report.html", "checkpoints"),
    }
    config, _, _ = RunFolder(cnn_run).read_config()
    assert (config.model.kind, config.system.sequence, config.system.pooling) == ("cnn", ("bigru", "matching"), "qkv")
    model = build_model(config, 8)
    model.load_state_dict(model_weights(cnn_run / "checkpoints" / "best.ckpt"))
    assert bool(model.encoder.band_mean.any()), "learned from the recordings"
    again = ("--data", f"synthetic:{voices}", "--cache", cache, "--out", cnn_run, "--resume", "--model.kind", "cnn")
    one_clear_line(called(train.main, *QUICK, *again), str(cnn_run), "system.pooling was qkv")


def test_a_cnn_over_log_mel_becomes_a_bundle_whose_stream_is_the_model(cnn_run, voices, cache, tmp_path):
    out, data = tmp_path / "bundle", ("--data", f"synthetic:{voices}", "--cache", cache)
    given = (cnn_run, *data, "--out", out, "--scheme", "float32", "--formats")
    one_clear_line(called(quantize.main, *given, "tflite"), "system.sequence", "--formats onnx")
    assert not out.exists()
    made = called(quantize.main, *given, "onnx")
    assert made.returncode == 0, made.stderr[-2000:]
    bundle = Bundle.open(out)
    origin = bundle.manifest.provenance
    assert (origin["model"]["kind"], origin["system"]["pooling"]) == ("cnn", "qkv")

    trained, waveform = open_run(RunFolder(cnn_run)), speech(4.0)
    whole = LogMelInputs(trained.config).clip("clip", waveform)[None]
    with torch.inference_mode():
        wanted = trained.model.clip_logits(whole, torch.tensor([len(waveform)]), trained.config.geometry)[0].numpy()
    streamed = clip_decisions(bundle.recognizer("onnx"), waveform)
    assert len(streamed) > 1
    assert streamed.mean(axis=0) == pytest.approx(wanted, abs=1e-4)
    start = called(train.main, "--protocol", "synthetic-demo", *data, "--out", tmp_path / "run", "--init", out)
    one_clear_line(start, str(out), "no crnn")


def test_pruning_is_for_a_crnn(cnn_run, tmp_path):
    refused = called(quantize.main, cnn_run, "--out", tmp_path / "out", "--prune", "0.2")
    one_clear_line(refused, "model.kind is cnn", "only a crnn is pruned")


def test_what_can_become_a_bundle_is_what_is_over_log_mel():
    assert set(STREAMED) == {CRNN_KIND, *(name for name, kind in ENCODERS.items() if kind.takes == LOG_MEL)}


def test_no_reader_of_a_crnn_takes_it_for_one(cnn_run, voices, cache, tmp_path):
    out = tmp_path / "out"
    data = ("--data", f"synthetic:{voices}", "--cache", cache, "--out", out)
    for option, given in (("--init", cnn_run), ("--loss.teachers", f"[{cnn_run}]")):
        refused = called(train.main, "--protocol", "synthetic-demo", *data, option, given, "--augment.noise", "false")
        one_clear_line(refused, "model.kind is cnn")
    assert not out.exists()


def test_a_crnn_gives_its_weights_to_a_crnn_alone(small_run, voices, cache, tmp_path):
    data = ("--data", f"synthetic:{voices}", "--cache", cache, "--out", tmp_path / "out", "--init", small_run)
    refused = called(train.main, "--protocol", "synthetic-demo", *data, "--model.kind", "cnn")
    one_clear_line(refused, str(small_run), "--model.kind crnn")


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        (("--model.kind", "transformer"), ("transformer", "residual-cnn")),
        (("--model.kind", "cnn", "--system.pooling", "median"), ("median", "conv-max")),
        (("--model.kind", "cnn", "--system.sequence", "[gru]"), ("gru", "bigru")),
        (("--system.pooling", "max"), ("model.kind",)),
    ],
)
def test_names_that_are_none_are_refused(settings, parts, voices, cache, tmp_path):
    given = ("--protocol", "synthetic-demo", "--data", f"synthetic:{voices}", "--cache", cache)
    one_clear_line(called(train.main, *given, "--out", tmp_path / "out", *settings), *parts)
    assert not (tmp_path / "out").exists()


def described(path: Path, whisper: Path) -> tuple[RunConfig, Model, torch.Tensor]:
    """The settings of a file, its model with random weights and without dropout, and a batch of three for it."""
    _, config, _, _ = train.parse(["--config", f"systems/{path.name}"])
    rests = ENCODERS[config.model.kind].pretrained
    if rests:
        config = replace(config, system=replace(config.system, encoder=str(whisper), encoder_layers=(1, 2)))
    torch.manual_seed(0)
    model = build_model(replace(config, model=replace(config.model, dropout=0.0)), 4)
    assert not isinstance(model, CRNN)
    if input_of(config) == STEPS:
        batch = torch.randn(3, 20, 2, 16)
    elif input_of(config) == WAVEFORM:
        batch = torch.randn(3, 4000 if rests else 2 * model.encoder.least_samples)
    else:
        batch = torch.randn(3, config.features.n_mels, config.geometry.frames_for(config.geometry.window_steps))
    return config, model, batch


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_is_a_model(path, whisper):
    _, model, batch = described(path, whisper)
    pooled = model.training_pooled(batch)
    model.head.classify(pooled).square().sum().backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    wanted = {name for name, p in model.named_parameters() if p.requires_grad}
    # The first matrix of LoRA has none as long as the second is zero; the bias of a key never has.
    missed = {name for name in wanted - reached if "lora_A" not in name and not name.endswith("key.bias")}
    assert not missed


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_can_unlearn_speakers(path, whisper):
    """Clips without an emotion: what reaches the model comes from the speaker adversary."""
    config, model, batch = described(path, whisper)
    task = EmotionTask(replace(config, loss=LossConfig(adversary_weight=1.0)), model, n_speakers=3)
    for weight in (0.0, 1.0):
        task.zero_grad()
        task.auxiliary.adversary.weight = weight
        task.batch_loss(batch, torch.zeros(3, 4), torch.ones(3, 4, dtype=torch.bool), torch.eye(3)).backward()
        trained = [p for p in model.encoder.parameters() if p.requires_grad]
        assert any(bool(p.grad.any()) for p in trained if p.grad is not None) == bool(weight)
        assert all(bool(p.grad.any()) for p in task.auxiliary.adversary.parameters())


def test_a_cnn_over_waveforms_is_trained_on_augmented_waveforms(voices, cache, tmp_path):
    kernels = ("--system.waveform_kernels", "[9,9,9]", "--system.waveform_channels", "[4,4,4]")
    settings = ("--model.kind", "waveform-cnn", "--system.pooling", "max", *kernels)
    metrics = trained(voices, cache, tmp_path / "run", *settings)
    assert metrics["macs_per_window"] > 1000
    assert metrics["test"]["n_clips"] == 64
    refused = called(quantize.main, tmp_path / "run", "--out", tmp_path / "bundle", "--cache", cache)
    one_clear_line(refused, "model.kind is waveform-cnn", "whole clips", "residual-cnn")


@pytest.fixture(scope="module")
def whisper(tmp_path_factory) -> Path:
    return write_tiny_whisper(tmp_path_factory.mktemp("whisper"))


def test_a_frozen_encoder_runs_once_over_each_recording(voices, cache, tmp_path, whisper, monkeypatch):
    settings = ("--model.kind", "frozen-encoder", "--system.encoder", whisper, "--system.encoder_layers", "[1,2]")
    metrics = trained(voices, cache, tmp_path / "run", *settings, "--system.pooling", "attention")
    assert metrics["taught_by"] == [open_encoder(whisper, (1, 2)).describe()]
    assert metrics["frozen_params"] > metrics["n_params"]
    weights = model_weights(tmp_path / "run" / "checkpoints" / "best.ckpt")
    assert bool(weights["encoder.sum.mean"].any()), "learned from the recordings"

    monkeypatch.setattr(SpeechEncoder, "steps", None)  # they are stored
    unused = (
        *("--features.n_mels", "40", "--features.f_max", "4000", "--features.n_fft", "512"),
        *("--features.hop_length", "160", "--window.window_seconds", "2", "--window.interval_seconds", "0.2"),
        *("--model.channels", "[8,8,8,8]", "--model.inputs", "[level]"),
    )
    trained(voices, cache, tmp_path / "again", *settings, "--system.pooling", "attention", *unused)
    again = model_weights(tmp_path / "again" / "checkpoints" / "best.ckpt")
    assert again.keys() == weights.keys() and all(torch.equal(again[name], weights[name]) for name in weights)
    write_tiny_whisper(shutil.copytree(whisper, tmp_path / "other"), seed=5)
    (tmp_path / "run" / "metrics.json").unlink()
    monkeypatch.undo()
    data = ("--data", f"synthetic:{voices}", "--cache", cache, "--out", tmp_path / "run", "--resume")
    settings = [*settings[:3], tmp_path / "other", *settings[4:], "--system.pooling", "attention"]
    one_clear_line(called(train.main, *QUICK, *data, *settings), "system.encoder was")


def test_an_encoder_is_trained_by_lora(voices, cache, tmp_path, whisper):
    settings = ("--model.kind", "tuned-encoder", "--system.encoder", whisper, "--system.lora_rank", "2")
    metrics = trained(voices, cache, tmp_path / "run", *settings)
    assert metrics["taught_by"][0]["family"] == "whisper"
    base = open_encoder(whisper, (3,)).hidden_states().state_dict()
    weights = model_weights(tmp_path / "run" / "checkpoints" / "best.ckpt")
    assert torch.equal(weights["encoder.states.conv1.weight"], base["conv1.weight"])
    assert any("lora_B" in name and bool(value.any()) for name, value in weights.items())
    refused = called(quantize.main, tmp_path / "run", "--out", tmp_path / "bundle", "--cache", cache)
    one_clear_line(refused, "model.kind is tuned-encoder")


@pytest.mark.parametrize(
    ("encoder", "parts"),
    [("/nowhere/at/all", ("/nowhere/at/all", "no speech encoder")), ("", ("system.encoder",))],
)
def test_a_folder_that_is_no_encoder_is_refused(encoder, parts, voices, cache, tmp_path):
    data = ("--data", f"synthetic:{voices}", "--cache", cache, "--out", tmp_path / "out")
    given = ("--model.kind", "frozen-encoder", "--system.encoder", encoder)
    one_clear_line(called(train.main, "--protocol", "synthetic-demo", *data, *given), *parts)
    assert not (tmp_path / "out").exists()
