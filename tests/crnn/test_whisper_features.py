"""Whisper's features are those of transformers without padding, and do not depend on level or offset."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_whisper import needs_transformers

from crnn.whisper_features import RMS, WhisperLogMel, at_level, whisper_features


def sound(n_samples: int, seed: int) -> np.ndarray:
    """A tone that swells in noise, with a stretch of digital silence."""
    rng = np.random.default_rng(seed)
    time = np.arange(n_samples) / 16000
    made = rng.normal(0, 10 ** rng.uniform(-4, -1), n_samples) + 0.2 * time * np.sin(2 * np.pi * 300 * time)
    made[n_samples // 3 : n_samples // 2] = 0
    return made.astype(np.float32)


@settings(max_examples=25)
@given(st.integers(201, 50000), st.integers(0, 2**32 - 1), st.sampled_from([80, 128]))
def test_they_are_those_of_transformers_without_padding(n_samples, seed, n_mels):
    needs_transformers()
    from transformers import WhisperFeatureExtractor

    waveform = sound(n_samples, seed)
    extractor = WhisperFeatureExtractor(feature_size=n_mels)
    theirs = extractor(waveform, sampling_rate=16000, padding="do_not_pad", return_tensors="np").input_features[0]
    ours = WhisperLogMel(whisper_features(n_mels))(waveform)
    assert ours.shape == theirs.shape == (n_mels, n_samples // 160)
    assert ours.dtype == np.float32
    assert np.abs(ours - theirs).max(initial=0) < 1e-4


@settings(max_examples=20)
@given(st.floats(1e-3, 10), st.floats(-0.5, 0.5))
def test_level_and_offset_change_nothing(gain, offset):
    waveform = np.random.default_rng(1).normal(0, 0.1, 8000).astype(np.float32)
    made = at_level((gain * waveform + offset).astype(np.float32))
    assert np.sqrt(np.mean(made**2)) == pytest.approx(RMS, rel=1e-3)
    assert np.abs(made - at_level(waveform)).max() < 1e-4


def test_silence_is_finite_and_what_is_no_waveform_is_refused():
    features = WhisperLogMel(whisper_features())
    assert np.all(features(at_level(np.zeros(1600, np.float32))) == -1.5)
    for wrong in (np.zeros((2, 1600), np.float32), np.zeros(200, np.float32)):
        with pytest.raises(ValueError, match=str(wrong.shape[0])):
            features(wrong)
