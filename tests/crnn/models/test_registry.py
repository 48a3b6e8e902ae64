"""The registry: every kind of model with every part, names that are none, and CNNs that stream like the CRNN."""

import json
from dataclasses import asdict, replace

import pytest
import torch

from crnn.config import ModelConfig, from_dict
from crnn.data.inputs import LOG_MEL
from crnn.errors import InputError
from crnn.models.cost import count_macs
from crnn.models.crnn import CRNN
from crnn.models.registry import BY_MOMENTS, ENCODERS, NORM, POOLINGS, SEQUENCES, build_model, check_kind
from crnn.run_config import RunConfig, plain_values
from crnn.system_config import SystemConfig
from crnn.text_config import TextConfig

SMALL = ModelConfig(channels=(4, 4, 4, 6), lstm_units=6, attention_units=4, dropout=0.0)
LOG_MEL_KINDS = [name for name, kind in ENCODERS.items() if kind.takes == LOG_MEL]


def config_of(kind: str, **system) -> RunConfig:
    return replace(RunConfig(), model=replace(SMALL, kind=kind), system=SystemConfig(units=8, heads=2, **system))


def made(config: RunConfig):
    torch.manual_seed(0)
    return build_model(config, 5).eval()


def test_the_default_is_the_crnn_to_the_bit():
    config = replace(RunConfig(), model=SMALL)
    torch.manual_seed(0)
    expected = CRNN(config.features, config.model, 5).state_dict()
    got = made(config).state_dict()
    assert got.keys() == expected.keys()
    assert all(torch.equal(got[name], value) for name, value in expected.items())


def test_run_folders_of_a_crnn_do_not_mention_other_kinds():
    """So that the version before reads them, and bundles keep their bytes."""
    values = json.loads(json.dumps(plain_values(RunConfig())))
    assert "system" not in values
    assert "kind" not in values["model"]
    assert from_dict(RunConfig, values) == RunConfig()
    other = config_of("cnn", pooling="max")
    unused = {"text", "self_supervised", "frozen"}
    assert plain_values(other) == {name: value for name, value in asdict(other).items() if name not in unused}
    assert from_dict(RunConfig, json.loads(json.dumps(plain_values(other)))) == other
    said = replace(other, text=TextConfig(encoder="bert", column="text"))
    assert from_dict(RunConfig, json.loads(json.dumps(plain_values(said)))) == said


@pytest.mark.parametrize("kind", LOG_MEL_KINDS)
def test_a_log_mel_cnn_answers_clips_by_the_windows_of_the_stream(kind):
    config = config_of(kind, sequence=("bigru",), pooling="mean-max")
    model, g = made(config), config.geometry
    lengths = [20_000, 61_000]
    frames = [config.features.n_frames(n + sum(g.padding(n))) for n in lengths]
    log_mel = torch.randn(2, config.features.n_mels, max(frames), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        together = model.clip_logits(log_mel, torch.tensor(lengths), g)
        width = g.frames_for(g.window_steps)
        for row, n_samples, found in zip(log_mel, lengths, together, strict=True):
            starts = [i * g.interval_frames for i in range(g.n_intervals(n_samples) - g.window_intervals + 1)]
            windows = torch.stack([row[:, start : start + width] for start in starts])
            assert torch.allclose(found, model(windows).mean(dim=0), atol=1e-5)
        outputs = model.clip_outputs(log_mel, torch.tensor(lengths), g)
    assert torch.allclose(outputs[:, :5], together, atol=1e-6)
    assert outputs.shape[1] == 5 + model.head.classifier.in_features


@pytest.mark.parametrize("kind", LOG_MEL_KINDS)
def test_a_step_depends_on_its_receptive_field_and_nothing_else(kind):
    config = config_of(kind)
    encoder, s, r = made(config).encoder, config.model.stride_frames, config.model.receptive_frames
    k, frames = 2, 4 * s + r
    x = torch.randn(1, 64, frames, generator=torch.Generator().manual_seed(1))
    outside = torch.ones(frames, dtype=torch.bool)
    outside[k * s : k * s + r] = False
    y = x.clone()
    y[..., outside] = 50.0
    steps = encoder(x)
    assert steps.shape == (1, 5, encoder.width)
    assert torch.equal(encoder(y)[:, k], steps[:, k])
    assert not torch.allclose(encoder(y)[:, k + 1], steps[:, k + 1])


def test_blocks_are_torchs_convolutions():
    """A depthwise and a pointwise convolution have far fewer weights; a residual block adds its input."""
    x = torch.randn(1, 4, 8, 9, generator=torch.Generator().manual_seed(1))
    residual = made(config_of("residual-cnn")).encoder.blocks[1]
    assert torch.equal(residual(x), residual.pool(residual.convolution(x) + x[..., 1:-1]))
    widens = made(config_of("residual-cnn")).encoder.blocks[3]
    assert widens.shortcut[0].weight.shape == (6, 4, 1, 1)
    depthwise, pointwise, *_ = made(config_of("separable-cnn")).encoder.blocks[1]
    for channel in range(4):
        alone = torch.nn.functional.conv2d(x[:, channel : channel + 1], depthwise.weight[channel][None], padding=(1, 0))
        assert torch.allclose(depthwise(x)[:, channel], alone[:, 0], atol=1e-6)
    assert pointwise.weight.shape == (4, 4, 1, 1)


@pytest.mark.parametrize("sequence", [(), *((name,) for name in SEQUENCES), (NORM, "bigru", "matching")])
def test_every_part_fits_every_other(sequence):
    window = torch.randn(2, 64, 130)
    for pooling in POOLINGS:
        if sequence == (NORM,) and pooling in BY_MOMENTS:
            continue
        model = made(config_of("cnn", sequence=sequence, pooling=pooling))
        assert model(window).shape == (2, 5)


def test_what_is_refused_behind_instance_norm_would_tell_no_clips_apart():
    """And no other pooling would do that."""
    system = SystemConfig(units=8, heads=2)
    norm, steps = SEQUENCES[NORM](6, system), torch.randn(2, 40, 6)
    for name, pool in POOLINGS.items():
        torch.manual_seed(0)
        one, other = pool(6, system)(norm(steps))
        assert torch.allclose(one, other, atol=1e-3) == (name in BY_MOMENTS), name


def test_macs_of_self_attention_are_counted():
    """In each layer four products with square matrices, and two of all steps with all steps."""
    parts = [made(config_of("cnn", sequence=sequence)) for sequence in ((), ("self-attention",))]
    without, with_it = (count_macs(model, 64, 130) for model in parts)
    n_steps, width = parts[0].encoder(torch.zeros(1, 64, 130)).shape[1:]
    attention = n_steps * (width * 8 + 4 * 8 * 8) + 2 * n_steps**2 * 8
    assert with_it - without == attention - (width - 8) * 5, "the classifier takes 8 values instead of the encoder's"


@pytest.mark.parametrize(
    ("model", "system", "says"),
    [
        ("rnn", {}, "model.kind is rnn; .*crnn, cnn"),
        ("cnn", {"sequence": ("gru",)}, "system.sequence is gru; .*bigru"),
        ("cnn", {"pooling": "median"}, "system.pooling is median; .*mean-std"),
        ("cnn", {"sequence_layers": 4}, "sequence_layers is 4"),
        ("cnn", {"units": 9, "heads": 2}, "system.units is 9"),
        ("crnn", {"pooling": "max"}, "model.kind"),
        ("crnn", {"sequence": ("instance-norm",)}, "model.kind"),
        ("cnn", {"sequence": ("bigru", "instance-norm")}, "ends with instance-norm.* system.pooling is mean;"),
        ("cnn", {"sequence": ("instance-norm",), "pooling": "mean-std"}, "ends with instance-norm"),
    ],
)
def test_what_is_no_part_is_refused_by_name(model, system, says):
    with pytest.raises(InputError, match=says) as refused:
        check_kind(from_dict(RunConfig, {"model": {"kind": model}, "system": system}))
    assert "\n" not in str(refused.value)
