"""The hidden layers of a speech encoder: equal to the library's own, whatever the level; folders that are none."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_whisper import needs_transformers, write_tiny_whisper

from crnn.errors import InputError
from crnn.models.pretrained import RMS, open_encoder


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    return write_tiny_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def encoder(whisper):
    return open_encoder(whisper, (1, 2))


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(16000 * seconds))).astype(np.float32)


def test_layers_are_those_of_the_library(whisper, encoder):
    """Its own forward takes clips of the full length alone, here 2 s."""
    needs_transformers()
    import torch
    from transformers import WhisperFeatureExtractor, WhisperModel

    clip = noise(2.0)
    level = (clip - clip.mean()) / clip.std() * RMS
    inputs = WhisperFeatureExtractor(chunk_length=2)(level, sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        theirs = (
            WhisperModel.from_pretrained(whisper)
            .encoder.eval()(inputs.input_features, output_hidden_states=True)
            .hidden_states
        )
    expected = torch.cat([theirs[layer][0].mean(dim=0) for layer in (1, 2)]).numpy()
    got = encoder.embed(clip)
    assert got.shape == (encoder.width,) == (32,)
    assert got.dtype == np.float32
    assert np.abs(got - expected).max() < 1e-4
    assert np.ptp(expected) > 0.1


@settings(max_examples=20)
@given(gain=st.floats(1e-3, 10), offset=st.floats(-0.5, 0.5), seconds=st.floats(0.05, 1.5))
def test_level_and_offset_change_nothing(encoder, gain, offset, seconds):
    clip = noise(seconds)
    assert np.allclose(encoder.embed(clip), encoder.embed((gain * clip + offset).astype(np.float32)), atol=0.02)


def test_a_long_recording_is_known_by_its_beginning(encoder):
    beginning = noise(2.0)
    alike = np.concatenate([beginning, beginning])  # of the same level and offset
    assert np.allclose(encoder.embed(beginning), encoder.embed(alike), atol=1e-4)


def test_the_key_follows_weights_and_layers(whisper, encoder, tmp_path):
    other = write_tiny_whisper(tmp_path / "other", seed=1)
    keys = [
        open_encoder(folder, layers).key for folder, layers in ((whisper, (1, 2)), (whisper, (1, 3)), (other, (1, 2)))
    ]
    assert keys[0] == encoder.key
    assert len({*keys}) == 3
    assert open_encoder(other, (1, 2)).describe()["sha256"] != encoder.sha256


@pytest.fixture
def folder(whisper, tmp_path):
    return shutil.copytree(whisper, tmp_path / "encoder")


def edited(folder, **values) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("change", "layers", "says"),
    [
        (lambda folder: (folder / "config.json").unlink(), (1,), "config.json"),
        (lambda folder: edited(folder, model_type="bert"), (1,), "model_type .*'bert'"),
        (lambda folder: edited(folder, encoder_layers="three"), (1,), "encoder_layers"),
        (lambda folder: None, (1, 4), r"\[4\].*layers 1 to 3"),
        (lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"), (1,), "safetensors"),
    ],
)
def test_what_is_no_encoder_is_refused(folder, change, layers, says):
    change(folder)
    with pytest.raises(InputError, match=says) as refused:
        open_encoder(folder, layers)
    assert "\n" not in str(refused.value)
    assert str(folder) in str(refused.value)


def cut(folder) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def without_a_weight(folder) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    (name,) = (name for name in weights if name.endswith("encoder.layers.1.fc1.weight"))
    save_file({k: v for k, v in weights.items() if k != name}, folder / "model.safetensors", {"format": "pt"})


def not_finite(folder) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    (name,) = (name for name in weights if name.endswith("encoder.conv1.bias"))
    save_file(weights | {name: weights[name] * float("nan")}, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (cut, "cannot be opened"),
        (without_a_weight, "encoder.layers.1.fc1.weight"),
        (not_finite, "NaN"),
        (lambda folder: edited(folder, d_model=32), "cannot be opened"),
    ],
)
def test_broken_weights_are_refused_when_they_are_used(folder, change, says):
    change(folder)
    with pytest.raises(InputError, match=says) as refused:
        open_encoder(folder, (1, 2)).embed(noise(0.5))
    assert "\n" not in str(refused.value)
    assert str(folder) in str(refused.value)
