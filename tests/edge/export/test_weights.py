"""The weights beside a float32 bundle: what is written is read back, and anything else is refused."""

import hashlib
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import describe_nobody, edit_json
from safetensors.torch import load_file, save_file

from crnn.config import ModelConfig
from crnn.data.cache import open_cache
from crnn.data.corpora import read_corpus
from crnn.data.protocols import Split
from crnn.errors import InputError
from crnn.features import LogMel
from crnn.files.atomic import new_folder
from crnn.models.crnn import CRNN
from crnn.run_config import RunConfig
from crnn.training.initial_weights import Start, start_from
from edge import bundle
from edge.bundle.golden import GOLDEN, read, replay
from edge.bundle.weights_file import FACTS, WEIGHTS
from edge.export.exporters import export_all
from edge.export.verify import torch_recognizer
from edge.export.weights import FLOAT32, open_start, write_weights
from edge.stream.decision import DecisionConfig

MODELS = [
    ModelConfig(channels=(4, 6, 8, 5), lstm_units=7, attention_units=9),
    ModelConfig(channels=(4, 6, 8, 5), inputs=("level",)),
    ModelConfig(channels=(4, 5), pool_mels=(4, 4), pool_frames=(2, 2), inputs=("change", "level", "local")),
    ModelConfig(channels=(4, 6, 8, 5), spectral_floor_db=-25),
    ModelConfig(channels=(4, 6, 8, 5), arousal=True),
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
    given = (config.features, config.geometry, DecisionConfig(), {}, {})
    schema = bundle.AROUSAL_SCHEMA if config.model.arousal else bundle.SCHEMA
    draft = bundle.Manifest(schema, labels, *given, arousal=config.model.arousal)
    block = torch.randn(1, config.features.n_mels, config.geometry.block_frames).numpy()
    with new_folder(folder) as part:
        runtime, scheme, encoder, head = export_all(model, config, ("onnx",), [block], part)[0]
        for path in set(part.iterdir()) - {encoder, head}:
            path.unlink()
        describe_nobody(part, model.head.classifier.in_features, len(labels))
        known = {"corpora_heard": ["emodb"], "model": asdict(config.model), "window": asdict(config.window)}
        models = {runtime: asdict(bundle.ModelFiles(scheme, encoder.name, head.name))}
        sealed = bundle.seal(part, replace(draft, models=models, provenance=known), torch_recognizer(model, draft))
        write_weights(part, sealed, model)
    return folder


@pytest.mark.parametrize("model_config", MODELS)
def test_a_bundle_gives_back_every_weight_of_its_model(model_config, tmp_path):
    config = RunConfig(model=model_config)
    model = settled(config, 2)
    start = open_start(str(exported(model, config, tmp_path / "b")))
    assert (start.labels, start.model, start.window, start.trained_on) == (
        ("angry", "sad"), model_config, config.window, ("emodb:*",),
    )  # fmt: skip
    again = CRNN(config.features, config.model, 2).eval()
    start_from(again, config, start, Split("own-data", 0, ("angry", "sad"), (), (), ()))
    assert again.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in again.state_dict().items())


def model_of(start: Start) -> CRNN:
    model = CRNN(start.features, start.model, len(start.labels)).eval()
    model.load_state_dict(start.weights)
    return model


def test_training_can_start_from_the_shipped_bundle():
    start = open_start("pretrained")
    assert start.trained_on == ("crema_d:*", "emodb:*", "emospeech_india:*", "emotiontts:*", "emovo:*", "ravdess:*")
    assert start.settings["model.channels"] == (16, 28, 44, 64)
    assert start.settings["window.window_seconds"] == 3.0


def test_the_shipped_weights_give_the_golden_values():
    """Those of the trained model, and those of the exported files of both runtimes."""
    manifest = bundle.Bundle.open(FLOAT32).manifest
    golden = read(FLOAT32 / GOLDEN, manifest.geometry)
    found = replay(torch_recognizer(model_of(open_start("pretrained")), manifest), golden["waveform"])
    assert np.abs(found["log_mel"] - golden["log_mel"]).max() <= 1e-4
    for source in ("float32", *manifest.models):
        for what in ("logits", "pooled"):
            assert np.abs(found[what] - golden[f"{source}_{what}"]).max() <= 1e-4, (source, what)


def test_the_shipped_batch_norms_know_the_statistics_of_speech(recordings, cache):
    """Otherwise the first step of training, which normalizes by its batch, would start from another function."""
    utterances = read_corpus("ravdess", recordings / "ravdess").utterances[::30]
    audio = open_cache(utterances, 16000, cache)
    start = open_start("pretrained")
    front, encoder = LogMel(start.features), model_of(start).encoder
    clips = [front(audio.waveform(u.name))[:, :250] for u in utterances]
    log_mel = torch.from_numpy(np.stack([clip for clip in clips if clip.shape[1] == 250]))
    encoder.dropout.p = 0.0
    with torch.no_grad():
        expected = encoder.training_steps(log_mel)
        trained = encoder.train().training_steps(log_mel)
    correlation = torch.corrcoef(torch.stack([expected.flatten(), trained.flatten()]))[0, 1]
    assert correlation > 0.8  # 0.90; with placeholder statistics 0.44


def changed(tmp_path, change) -> Path:
    copy = shutil.copytree(FLOAT32, tmp_path / "copy")
    edit_json(copy / "bundle.json", change)
    return copy


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda v: v["provenance"].pop("model"), "bundle.json: provenance .*model"),
        (lambda v: v["provenance"].pop("corpora_heard"), "bundle.json: provenance.*corpora_heard"),
        (lambda v: v["provenance"]["model"].update(channels=[16, 24, 32, 50]), "does not hold the model"),
        (lambda v: v["provenance"]["model"].update(planes=["change", "local"]), "off the golden values"),
        (lambda v: v["provenance"]["model"].update(lstm_units=32), "does not hold the model"),
        (lambda v: v["provenance"]["window"].update(window_seconds=2.0), "bundle.json: .*geometry"),
    ],
)
def test_a_manifest_that_does_not_fit_the_weights_is_refused(change, part, tmp_path):
    with pytest.raises(InputError, match=part):
        open_start(str(changed(tmp_path, change)))


def rewritten(folder: Path, change) -> None:
    """Other weights under a hash that is right."""
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    edit_json(folder / FACTS, lambda values: values.update(sha256=digest))


def nan_bias(folder: Path) -> None:
    rewritten(folder, lambda weights: weights["head.classifier.bias"].fill_(float("nan")))


def garbage(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"\xff" * 100)
    edit_json(folder / FACTS, lambda v: v.update(sha256=hashlib.sha256(b"\xff" * 100).hexdigest()))


def unknown_type(folder: Path) -> None:
    header = json.dumps({"encoder.band_mean": {"dtype": "F4", "shape": [32], "data_offsets": [0, 16]}}).encode()
    data = len(header).to_bytes(8, "little") + header + bytes(16)
    (folder / WEIGHTS).write_bytes(data)
    edit_json(folder / FACTS, lambda v: v.update(sha256=hashlib.sha256(data).hexdigest()))


def damaged(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)


def linked(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder.parent / "elsewhere")
    (folder / WEIGHTS).symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (
            lambda folder: (folder / WEIGHTS).unlink(),
            ["weights.safetensors", "--scheme float32"],
        ),
        (lambda folder: (folder / FACTS).unlink(), ["weights.json"]),
        (damaged, ["weights.safetensors: ", "hash"]),
        (linked, ["weights.safetensors: is a link"]),
        (garbage, ["weights.safetensors: ", "safetensors file"]),
        (unknown_type, ["weights.safetensors: ", "safetensors file"]),
        (nan_bias, ["weights.safetensors: ", " nan ", "golden"]),
        (lambda folder: rewritten(folder, lambda w: w.pop("head.classifier.bias")), ["does not hold the model"]),
        (lambda folder: rewritten(folder, lambda w: w["encoder.band_mean"].add_(0.1)), ["off the golden values"]),
        (lambda folder: (folder / FACTS).write_text("[]"), ["weights.json"]),
        (lambda folder: edit_json(folder / FACTS, lambda v: v.update(bundle="0" * 64)), ["weights.json", "bundle"]),
        (lambda folder: edit_json(folder / FACTS, lambda v: v.update(sha256=1)), ["sha256"]),
    ],
)
def test_missing_damaged_or_foreign_weights_are_refused(change, parts, tmp_path):
    copy = shutil.copytree(FLOAT32, tmp_path / "copy")
    change(copy)
    with pytest.raises(InputError) as error:
        open_start(str(copy))
    for part in parts:
        assert part in str(error.value)
    bundle.Bundle.open(copy)  # a device does not read them


def test_an_int8_bundle_has_no_weights():
    with pytest.raises(InputError, match="weights.safetensors.* float32 bundle"):
        open_start(str(bundle.PRETRAINED))


def test_the_manifest_does_not_list_the_weights():
    """So that a bundle's identity, which profiles are bound to, is that of the files that a device reads."""
    manifest = bundle.Bundle.open(FLOAT32).manifest
    assert not {WEIGHTS, FACTS} & manifest.files.keys()
    assert json.loads((FLOAT32 / FACTS).read_text())["bundle"] == manifest.identity
