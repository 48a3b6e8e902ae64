"""The model: budget, receptive field, and clip logits that equal the mean of the stream's."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from crnn.config import FeatureConfig, ModelConfig
from crnn.errors import InputError
from crnn.models.cost import count_macs, count_parameters
from crnn.models.crnn import CRNN
from crnn.models.encoder import InputChannels
from crnn.run_config import RunConfig

CONFIG = RunConfig()
N_MELS = CONFIG.features.n_mels


def make(config: ModelConfig = CONFIG.model) -> CRNN:
    torch.manual_seed(0)
    return CRNN(CONFIG.features, config, 8).eval()


def test_bands_are_not_learned_from_nothing():
    encoder = make().encoder
    with pytest.raises(ValueError, match="no recording"):
        encoder.learn_bands([])
    assert bool((encoder.band_scale == 1).all())


def test_default_budget():
    g = CONFIG.geometry
    assert g.window_samples >= 3.0 * CONFIG.features.sample_rate
    assert count_parameters(make()) <= 700_000
    assert count_macs(make(), N_MELS, g.frames_for(g.window_steps)) <= 60_000_000


def test_macs_are_those_of_the_layers_shapes():
    model, frames = make(), CONFIG.geometry.frames_for(CONFIG.geometry.window_steps)
    macs = []

    def count(layer, inputs, output) -> None:
        if isinstance(layer, nn.LSTM):
            weights = [p.numel() for name, p in layer.named_parameters() if "weight" in name]
            macs.append(CONFIG.geometry.window_steps * sum(weights))
        else:  # of each output value: the weights that it is made with
            macs.append(output.numel() * layer.weight[0].numel())

    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear, nn.LSTM)):
            layer.register_forward_hook(count)
    with torch.no_grad():
        model(torch.zeros(1, N_MELS, frames))
    expected = sum(macs)
    assert len(macs) == 4 + 1 + 3
    assert count_macs(make(), N_MELS, frames) == expected


shapes = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from([1, 2]), st.sampled_from([1, 2, 3])), min_size=1, max_size=4
)


@settings(max_examples=25, deadline=None)
@given(
    shapes,
    st.integers(0, 3),
    st.sampled_from([(("level",), None), (("local", "change"), None), (("change",), -25)]),
)
def test_step_k_depends_on_its_receptive_field_and_nothing_else(blocks, k, seen):
    inputs, spectral_floor_db = seen
    channels, pool_mels, pool_frames = (tuple(column) for column in zip(*blocks, strict=True))
    config = ModelConfig(
        channels,
        pool_mels,
        pool_frames,
        lstm_units=4,
        attention_units=4,
        dropout=0,
        inputs=inputs,
        context_frames=5,
        spectral_floor_db=spectral_floor_db,
    )
    torch.manual_seed(0)
    encoder = CRNN(FeatureConfig(n_mels=16), config, 3).eval().encoder
    s, r = config.stride_frames, config.receptive_frames
    frames = (k + 2) * s + r
    x = torch.randn(1, 16, frames)
    steps = encoder(x)
    assert steps.shape == (1, (frames - r) // s + 1, config.encoder_features(16))
    outside = torch.ones(frames, dtype=torch.bool)
    outside[k * s : k * s + r] = False
    y = x.clone()
    y[:, :, outside] = 100 * torch.randn(1, 16, int(outside.sum()))
    assert torch.equal(encoder(y)[:, k], steps[:, k])
    # No frame inside is ignored: with positive weights and mean pooling nothing can cancel or be masked.
    if inputs != ("level",):
        return  # differences do cancel
    for block in encoder.blocks:
        block[0].weight.data.abs_()
        if len(block) == 4:
            block[3] = nn.AvgPool2d(block[3].kernel_size)
    z = torch.rand(1, 16, frames, requires_grad=True)
    encoder(z)[:, k].sum().backward()
    assert torch.equal(z.grad[0].abs().sum(dim=0) > 0, ~outside)


@pytest.mark.parametrize("lengths", [[1600], [49000, 49001, 16000], [80000, 52999, 53000, 53001]])
def test_clip_logits_are_the_mean_over_the_streams_windows(lengths):
    model, g = make(), CONFIG.geometry
    rng = torch.Generator().manual_seed(1)
    frames = CONFIG.features.n_frames(max(lengths) + sum(g.padding(max(lengths))))
    log_mel = torch.randn(len(lengths), N_MELS, frames, generator=rng)
    with torch.no_grad():
        together = model.clip_logits(log_mel, torch.tensor(lengths), g)
        for row, length in enumerate(lengths):
            windows = [
                log_mel[row : row + 1, :, first : first + g.frames_for(g.window_steps)]
                for first in range(
                    0, (g.n_intervals(length) - g.window_intervals + 1) * g.interval_frames, g.interval_frames
                )
            ]
            expected = torch.stack([model(window)[0] for window in windows]).mean(dim=0)
            assert torch.allclose(together[row], expected, atol=1e-5)


def test_pooling_away_all_bands_is_refused():
    with pytest.raises(InputError, match="pool_mels"):
        make(ModelConfig(pool_mels=(4, 4, 4, 4)))


@pytest.mark.parametrize("n_mels", [40, 63, 65, 95, 96, 127])
def test_any_number_of_bands_fits_the_head(n_mels):
    model = CRNN(FeatureConfig(n_mels=n_mels), ModelConfig(), 8).eval()
    with torch.no_grad():
        assert model(torch.zeros(1, n_mels, 120)).shape == (1, 8)


@pytest.mark.parametrize("spectral_floor_db", [None, -25])
@pytest.mark.parametrize("inputs", [("local",), ("local", "change"), ("change",)])
def test_a_change_of_level_leaves_relative_inputs_as_they_are(inputs, spectral_floor_db):
    encoder = make(ModelConfig(inputs=inputs, spectral_floor_db=spectral_floor_db)).encoder
    log_mel = torch.randn(1, N_MELS, 120)
    with torch.no_grad():
        assert torch.allclose(encoder(log_mel), encoder(log_mel - 4.6), atol=1e-4), "20 dB softer"
        level = make(ModelConfig(inputs=("level",))).encoder
        assert not torch.allclose(level(log_mel), level(log_mel - 4.6), atol=1e-2)


def test_levels_far_below_the_spectral_floor_have_no_effect():
    floored, open_ended = InputChannels(ModelConfig(spectral_floor_db=-25)).eval(), InputChannels(ModelConfig()).eval()
    voice = torch.full((1, N_MELS, 80), -18.0)
    voice[:, ::4] = -4.0  # harmonics; between them a recording that is digitally clean
    noisy = torch.log(voice.exp() + math.exp(-4.0) * 10**-4.5)  # 45 dB below them
    assert (open_ended(noisy) - open_ended(voice)).abs().max() > 1
    assert (floored(noisy) - floored(voice)).abs().max() < 0.1
    assert torch.equal(floored(noisy, spectral_floor=False), open_ended(noisy)), "training sees the whole range"


def test_a_steady_sound_does_not_change_while_the_spectral_floor_falls():
    """The spectral floor falls with the power of the last frames; `change` must not show it in a steady band."""
    log_mel = torch.full((1, N_MELS, 160), -9.0)
    log_mel[:, 0, :80] = 2.0
    inputs = InputChannels(ModelConfig(inputs=("change",), spectral_floor_db=-25)).eval()(log_mel)
    assert inputs[:, :, 1:].abs().max() < 1e-5


def test_the_head_gives_logits_and_weights_that_sum_to_one():
    model = make()
    steps = model.encoder(torch.randn(2, N_MELS, 150))
    seen, weights = model.head.attend(steps)
    assert model.head(steps).shape == (2, 8)
    assert seen.shape[:2] == weights.shape[:2]
    assert torch.allclose(weights.sum(dim=1), torch.ones(2, 1), atol=1e-5)
