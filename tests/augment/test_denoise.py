"""Denoising removes steady noise and leaves the voice."""

import numpy as np
import pytest
from sounds import RATE, rms

from augment.denoise import Denoise


def words(level: float) -> np.ndarray:
    """Three syllables of a voice, 0.3 s apart."""
    time = np.arange(int(0.3 * RATE)) / RATE
    voice = sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 20)) * np.hanning(len(time))
    return np.tile(np.concatenate([np.zeros_like(voice), level * voice]), 3).astype(np.float32)


def test_denoised_speech_in_new_noise_does_not_reveal_its_original_signal_to_noise_ratio():
    rng = np.random.default_rng(4)
    pause = slice(int(0.65 * RATE), int(0.85 * RATE))
    above = {}
    for level in (0.02, 0.2):
        spoken = words(level)
        noisy = spoken + 0.003 * rng.standard_normal(len(spoken)).astype(np.float32)
        made = Denoise(1.0, RATE)(noisy, rng)
        assert made.shape == noisy.shape
        assert made.dtype == np.float32
        assert rms(made) == pytest.approx(rms(spoken), rel=0.1), "the voice stays as loud as it was"
        mixed = made + 10 ** (-30 / 20) * rms(made) * rng.standard_normal(len(made))
        above[level] = [20 * np.log10(rms(x) / rms(x[pause])) for x in (noisy, made, mixed)]
    assert min(made for _, made, _ in above.values()) > 40, "little noise is left"
    as_recorded, _, on_another = np.abs(np.subtract(above[0.2], above[0.02]))
    assert as_recorded == pytest.approx(20, abs=3)
    assert on_another < 1


def test_denoising_ignores_digital_silence_and_changes_the_share_p_of_clips():
    rng = np.random.default_rng(4)
    noise = 0.003 * rng.standard_normal(2 * RATE).astype(np.float32)
    noise[: RATE // 2] = 0
    assert rms(Denoise(1.0, RATE)(noise, rng)) < 0.1 * rms(noise), "zeros at the edge are not the recording's noise"
    made = [Denoise(0.5, RATE)(noise, rng) is noise for _ in range(60)]
    assert 18 <= sum(made) <= 42
    for short in (np.zeros(RATE, np.float32), noise[:100]):
        assert Denoise(1.0, RATE)(short, rng) is short
