"""CNNs over raw waveforms: the published sizes, torch's own functions, and clips of any length and level."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from crnn.config import ModelConfig
from crnn.data.padded import Padded
from crnn.errors import InputError
from crnn.models.cost import count_parameters
from crnn.models.registry import build_model
from crnn.models.waveform_cnn import WaveformCNN, leveled
from crnn.run_config import RunConfig
from crnn.system_config import SystemConfig

KERNELS, CHANNELS = (9, 7, 5), (4, 4, 6)


def config_of(**system) -> RunConfig:
    given = {"waveform_kernels": KERNELS, "waveform_channels": CHANNELS, "units": 8, "heads": 2, "pooling": "max"}
    return replace(RunConfig(), model=ModelConfig(kind="waveform-cnn"), system=SystemConfig(**(given | system)))


def made(**system) -> torch.nn.Module:
    torch.manual_seed(0)
    model = build_model(config_of(**system), 5).eval()
    for block in model.encoder.blocks:  # as after training: batch norm is no identity
        block[2].running_mean.uniform_(-0.2, 0.2)
        block[2].running_var.uniform_(0.5, 1.5)
    return model


def clips(*lengths: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(n, generator=generator) for n in lengths]


@pytest.mark.parametrize(
    ("kernels", "channels", "parameters"),
    [
        ((21, 19, 17, 15, 13, 11, 9), (32, 64, 128, 256, 512, 1024, 1024), 17_587_776),
        ((19, 17, 15, 13), (32, 64, 128, 256), 585_728),
    ],
)
def test_the_published_ones_have_so_many_parameters(kernels, channels, parameters):
    """Of a block: weights, biases, and two numbers per channel of batch norm."""
    with torch.device("meta"):
        encoder = WaveformCNN(config_of(waveform_kernels=kernels, waveform_channels=channels))
    before = (1, *channels)
    expected = sum(k * a * b + 3 * b for k, a, b in zip(kernels, before, channels, strict=False))
    assert count_parameters(encoder) == expected == parameters


def test_blocks_are_convolution_relu_batch_norm_pooling():
    model, (clip,) = made(), clips(500)
    x = ((clip - clip.mean()) / clip.std(unbiased=False))[None, None]
    for block in model.encoder.blocks:
        convolution, norm = block[0], block[2]
        x = functional.conv1d(x, convolution.weight, convolution.bias).relu()
        x = functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        x = functional.max_pool1d(x, 2)
    assert torch.allclose(model.encoder(Padded.of([clip])).values, x.transpose(1, 2), atol=1e-5)
    expected = model.head.classifier(x.amax(dim=2))
    assert torch.allclose(model.clip_logits(Padded.of([clip]), torch.tensor([500]), RunConfig().geometry), expected)


LEAST = WaveformCNN(config_of()).least_samples


@settings(max_examples=15)
@given(
    lengths=st.lists(st.integers(LEAST, 400), min_size=2, max_size=4), sequence=st.sampled_from(["bigru", "matching"])
)
def test_a_clip_alone_and_in_a_batch_of_longer_ones(lengths, sequence):
    model, each = made(sequence=(sequence,), pooling="mean-std"), clips(*lengths)
    with torch.no_grad():
        steps = model.encoder(Padded.of(each))
        assert [int(n) for n in steps.lengths] == [model.encoder(Padded.of([clip])).values.shape[1] for clip in each]
        together, alone = model(Padded.of(each)), torch.cat([model(clip[None]) for clip in each])
    assert torch.allclose(together, alone, atol=1e-5)


@settings(max_examples=20)
@given(gain=st.floats(0.01, 100), offset=st.floats(-0.5, 0.5))
def test_level_and_offset_change_nothing(gain, offset):
    (clip,) = clips(300)
    assert torch.allclose(leveled(Padded.of([gain * clip + offset])), leveled(Padded.of([clip])), atol=1e-3)
    assert bool((leveled(Padded.of([0 * clip])) == 0).all()), "silence stays silence"


def test_outputs_are_logits_arousal_and_what_they_are_computed_from():
    torch.manual_seed(0)
    config = config_of()
    model = build_model(replace(config, model=replace(config.model, arousal=True)), 5).eval()
    batch = Padded.of(clips(300, 200))
    rows = model.clip_outputs(batch, torch.tensor([300, 200]), config.geometry)
    logits, arousal, pooled = rows.split([5, 1, CHANNELS[-1]], dim=1)
    assert torch.allclose(logits, model.head.classifier(pooled), atol=1e-6)
    assert torch.allclose(arousal, model.head.arousal(pooled), atol=1e-6)


def test_too_short_a_waveform_and_too_long_kernels_are_refused():
    model = made()
    with pytest.raises(InputError, match=rf"{LEAST - 1} samples .*{LEAST}"):
        model(torch.zeros(1, LEAST - 1))
    assert model(torch.randn(1, LEAST)).shape == (1, 5)
    with pytest.raises(InputError, match="waveform_kernels .* 3200"):
        made(waveform_kernels=(1000, 1000, 500))


@pytest.mark.parametrize(
    ("system", "says"),
    [
        ({"waveform_kernels": (9, 7)}, "2 numbers, waveform_channels 3"),
        ({"waveform_kernels": (9, 0, 5)}, "waveform_kernels"),
        ({"waveform_channels": (4, 9000, 4)}, "waveform_channels"),
    ],
)
def test_settings_that_make_no_cnn_are_refused(system, says):
    with pytest.raises(InputError, match=says):
        config_of(**system)


def test_it_does_not_learn_from_teachers_over_log_mel_features():
    config = config_of()
    with pytest.raises(InputError, match=r"waveform-cnn.*loss\.teachers"):
        build_model(replace(config, loss=replace(config.loss, teachers=("run",))), 5)
