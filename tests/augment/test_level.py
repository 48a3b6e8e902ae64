"""Level, noise and long-term spectrum on features: each changes only what it should."""

import numpy as np
import pytest
import torch
from sounds import chance, speech

from augment.level import Gain, SteadyNoise, StyleMix
from crnn.config import FeatureConfig
from crnn.features import LogMel


@pytest.mark.parametrize("decibels", [-30.0, -6.0, 10.0])
def test_gain_on_features_is_gain_on_the_waveform(decibels):
    config = FeatureConfig()
    log_mel = LogMel(config)
    quiet = 0.1 * speech()
    expected = log_mel((quiet * 10 ** (decibels / 20)).astype(np.float32))
    made = Gain(decibels, decibels, config.log_offset)(torch.from_numpy(log_mel(quiet))[None], chance())[0]
    assert np.abs(made.numpy() - expected).max() < 1e-3


def test_style_moves_the_mean_of_bands_and_nothing_else():
    x = torch.randn(8, 40, 60) + torch.randn(8, 40, 1) * 3
    y = StyleMix(1.0, 1.0)(x, chance())
    assert not torch.allclose(x.mean(dim=2), y.mean(dim=2), atol=0.1)
    assert torch.allclose(x - x.mean(dim=2, keepdim=True), y - y.mean(dim=2, keepdim=True), atol=1e-5)
    assert torch.equal(StyleMix(0.0, 1.0)(x, chance()), x)


def test_steady_noise_lies_under_a_clip_as_far_as_drawn_and_falls_towards_high_bands():
    silence = torch.full((400, 64, 50), -30.0)
    silence[:, 10, 20] = 5.0  # all of the power: what the noise is measured against
    mean_db = 10 * torch.log10(silence.exp().mean(dim=(1, 2)))
    made = SteadyNoise(0.75, -30.0, -10.0)(silence, chance())
    level_db = 10 / np.log(10) * made[:, :, 0] - mean_db[:, None]
    with_noise = (made[:, 0, 0] > -29).numpy()
    assert with_noise.mean() == pytest.approx(0.75, abs=0.08)
    low, high = level_db[with_noise][:, 0], level_db[with_noise][:, -1]
    assert -30.1 <= low.min() < -28 < -12 < low.max() <= -9.9
    fall = low - high
    assert -0.1 <= fall.min() < 2 < 18 < fall.max() <= SteadyNoise.TILT_DB + 0.1
    assert torch.allclose(made[:, 10, 20], silence[:, 10, 20], atol=1e-2), "what is loud stays"
    assert torch.allclose(made[with_noise][:, 20, 0], made[with_noise][:, 20, -1]), "it is steady"
    assert torch.equal(SteadyNoise(0.0, -30.0, -10.0)(silence, chance()), silence.exp().log())


@pytest.mark.parametrize("part", [Gain(-5, 5, 1e-6), SteadyNoise(1.0, -35, -5), StyleMix(1.0, 1.0)])
def test_chance_is_drawn_on_the_processor_wherever_the_batch_lies(part):
    """torch's meta device stands for a GPU: it refuses to be mixed with the processor as one does."""
    assert part(torch.empty(4, 64, 90, device="meta"), chance(0)).device.type == "meta"
