"""Verification finds every way in which an export can be silently wrong, each made on purpose."""

from dataclasses import replace

import pytest
import torch

from crnn.config import ModelConfig
from crnn.data.cache import open_cache
from crnn.data.corpora import read_corpus
from crnn.data.loaders import EvalClips
from crnn.data.protocols import make_split
from crnn.features import LogMel
from crnn.models.crnn import CRNN
from crnn.models.head import OpenHead
from crnn.run_config import RunConfig
from edge.bundle import Manifest
from edge.export import verify
from edge.export.limits import ExportLimits
from edge.stream.decision import DecisionConfig
from edge.stream.recognizer import StreamingRecognizer

CONFIG = RunConfig(model=ModelConfig(arousal=True))


@pytest.fixture(scope="module")
def world(voices, cache):
    """An untrained model with real normalisation and loud enough logits, and a development clip of each emotion."""
    utterances = read_corpus("synthetic", voices).utterances
    audio = open_cache(utterances, 16000, cache)
    split = make_split("synthetic-demo", 0, utterances)
    torch.manual_seed(0)
    model = CRNN(CONFIG.features, CONFIG.model, 8).eval()
    model.encoder.learn_bands(torch.from_numpy(LogMel(CONFIG.features)(audio.waveform(u.name))) for u in split.train)
    model.head.classifier.weight.data *= 20
    of_each = {u.emotion: u for u in split.dev}
    clips = EvalClips(audio, [*of_each.values()], split.labels, CONFIG)
    manifest = Manifest(1, split.labels, CONFIG.features, CONFIG.geometry, DecisionConfig(), {}, {})
    reference = verify.stream_torch(model, manifest, clips)
    uar = verify.figures_of(reference, clips, split.labels)["uar"]
    return model, manifest, clips, reference, uar


@pytest.fixture(autouse=True)
def _no_clock(monkeypatch):
    """How long it takes is no fault that verification finds, and measuring that takes longer than the clips."""
    monkeypatch.setattr(verify, "cost", lambda recognizer: (0.0, 0.0))


def copy(model: CRNN) -> CRNN:
    twin = CRNN(CONFIG.features, CONFIG.model, 8).eval()
    twin.load_state_dict(model.state_dict())
    return twin


def judge(
    world, model: CRNN, features=CONFIG.features, scheme="float32", limits: ExportLimits | None = None
) -> tuple[str, ...]:
    _, manifest, clips, reference, uar = world
    g = CONFIG.geometry
    encoder = verify.TorchModel(model.encoder, torch.zeros(1, features.n_mels, g.block_frames))
    head = verify.TorchModel(OpenHead(model.head), torch.zeros(1, g.window_steps, encoder.contract.output_shape[-1]))
    candidate = StreamingRecognizer(encoder, head, features, g, manifest.labels, arousal=True)
    return verify.compare(candidate, clips, manifest.labels, reference, uar, limits or ExportLimits(), scheme).failures


def test_the_same_model_passes(world):
    assert judge(world, copy(world[0])) == ()


def swapped_labels(model):
    for p in (model.head.classifier.weight.data, model.head.classifier.bias.data):
        p[[0, 1]] = p[[1, 0]]


def wrong_mean(model):
    model.encoder.band_mean += 1.0


def no_scale(model):
    model.encoder.band_scale.fill_(1.0)


def transposed_gates(model):
    weight = model.head.lstm.weight_ih_l0.data
    n = CONFIG.model.lstm_units
    weight[:n], weight[2 * n : 3 * n] = weight[2 * n : 3 * n].clone(), weight[:n].clone()


def per_channel_scale(model):
    weight = model.head.classifier.weight.data
    weight *= torch.linspace(0.7, 1.3, len(weight))[:, None]


def other_arousal(model):
    model.head.arousal[0].bias.data += 0.1  # 0.025 of 1


def nan_weight(model):
    model.head.classifier.bias.data[0] = float("nan")


@pytest.mark.parametrize(
    "mutate", [swapped_labels, wrong_mean, no_scale, transposed_gates, per_channel_scale, other_arousal, nan_weight]
)
def test_a_wrong_export_is_found(world, mutate):
    wrong = copy(world[0])
    mutate(wrong)
    assert judge(world, wrong), mutate.__name__


def test_a_nan_limit_lets_nothing_pass(world):
    assert judge(world, copy(world[0]), limits=ExportLimits(max_uar_drop=float("nan")))


def test_other_features_are_found(world):
    assert judge(world, copy(world[0]), replace(CONFIG.features, f_max=6000.0))
    assert judge(world, copy(world[0]), replace(CONFIG.features, log_offset=1e-4))


def test_int8_has_its_own_limit(world):
    slightly = copy(world[0])
    slightly.head.classifier.weight.data *= 1.01
    assert judge(world, slightly, scheme="float32")
    assert judge(world, slightly, scheme="dynamic_int8") == ()
