"""Steady noise: what of it is taken away, and that the voice stays."""

import numpy as np
import pytest
from sounds import RATE, rms

from augment.denoise import Denoise


def words(level: float) -> np.ndarray:
    """Three syllables of a voice, 0.3 s apart."""
    time = np.arange(int(0.3 * RATE)) / RATE
    voice = sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 20)) * np.hanning(len(time))
    return np.tile(np.concatenate([np.zeros_like(voice), level * voice]), 3).astype(np.float32)


def test_denoised_speech_on_another_noise_does_not_tell_how_far_above_its_own_it_was_spoken():
    rng = np.random.default_rng(4)
    pause = slice(int(0.65 * RATE), int(0.85 * RATE))
    above = {}
    for level in (0.02, 0.2):
        spoken = words(level)
        heard = spoken + 0.003 * rng.standard_normal(len(spoken)).astype(np.float32)
        made = Denoise(1.0, RATE)(heard, rng)
        assert made.shape == heard.shape
        assert made.dtype == np.float32
        assert rms(made) == pytest.approx(rms(spoken), rel=0.1), "the voice stays as loud as it was"
        laid = made + 10 ** (-30 / 20) * rms(made) * rng.standard_normal(len(made))
        above[level] = [20 * np.log10(rms(x) / rms(x[pause])) for x in (heard, made, laid)]
    assert min(made for _, made, _ in above.values()) > 40, "hardly anything of the noise is left"
    as_recorded, _, on_another = np.abs(np.subtract(above[0.2], above[0.02]))
    assert as_recorded == pytest.approx(20, abs=3)
    assert on_another < 1


def test_denoising_knows_digital_silence_and_comes_as_often_as_it_was_told():
    rng = np.random.default_rng(4)
    noise = 0.003 * rng.standard_normal(2 * RATE).astype(np.float32)
    noise[: RATE // 2] = 0
    assert rms(Denoise(1.0, RATE)(noise, rng)) < 0.1 * rms(noise), "zeros at the edge are not the recording's noise"
    made = [Denoise(0.5, RATE)(noise, rng) is noise for _ in range(60)]
    assert 18 <= sum(made) <= 42
    for short in (np.zeros(RATE, np.float32), noise[:100]):
        assert Denoise(1.0, RATE)(short, rng) is short
