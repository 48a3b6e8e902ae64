"""Models that rest on a pretrained encoder, of every family that is read: equal to the library, frozen or trained."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_whisper import OTHERS, needs_transformers, write_tiny_encoder

from crnn.config import FeatureConfig, ModelConfig
from crnn.data.padded import Padded
from crnn.errors import InputError
from crnn.models.clip_model import ClipModel
from crnn.models.cost import count_frozen, count_parameters, macs_per_window
from crnn.models.hidden_states import FAMILIES
from crnn.models.pretrained import leveled, located, open_encoder
from crnn.models.registry import build_model
from crnn.run_config import RunConfig
from crnn.system_config import SystemConfig

needs_transformers()


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict:
    base = tmp_path_factory.mktemp("encoders")
    return {family: write_tiny_encoder(base / family, family) for family in FAMILIES}


def config_of(folder, kind: str = "tuned-encoder", **system) -> RunConfig:
    given = {"units": 8, "heads": 2, "encoder_layers": (1, 2)}
    system = SystemConfig(encoder=str(folder), **(given | system))
    return replace(RunConfig(), model=ModelConfig(kind=kind, dropout=0.0), system=system)


def made(config: RunConfig) -> ClipModel:
    torch.manual_seed(0)
    return build_model(config, 5)


def noise(*lengths: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [0.1 * torch.randn(n, generator=generator) for n in lengths]


@pytest.mark.parametrize("family", OTHERS)
def test_hidden_states_are_the_librarys(family, folders):
    import transformers

    theirs = getattr(transformers, OTHERS[family][1]).from_pretrained(folders[family]).eval()
    (clip,) = noise(8000)
    standard = (clip - clip.mean()) / clip.std(unbiased=False)
    with torch.no_grad():
        expected = theirs(standard[None], output_hidden_states=True).hidden_states
    encoder = open_encoder(folders[family], ())
    assert encoder.layers == (0, 1, 2, 3)
    steps = encoder.steps(clip.numpy())
    assert steps.shape == (expected[0].shape[1], 4, 16)
    assert steps.dtype == np.float16
    for layer, states in enumerate(expected):
        assert np.abs(steps[:, layer] - states[0].numpy()).max() < 0.02
    means = open_encoder(folders[family], (1, 3)).embed(clip.numpy())
    assert np.allclose(means, np.concatenate([expected[i][0].mean(dim=0).numpy() for i in (1, 3)]), atol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_clip_alone_and_in_a_batch_of_longer_ones(family, folders):
    """Also where the library's norms run over time, and for one shorter than the encoder takes."""
    model, each = made(config_of(folders[family], lora_rank=2, pooling="mean-std")).eval(), noise(9000, 800, 9000, 5000)
    with torch.no_grad():
        together = model(Padded.of(each))
        alone = torch.cat([model(clip[None]) for clip in each])
        louder = model(3 * each[0][None] + 0.2)
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.allclose(louder, alone[:1], atol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_lora_trains_in_every_layer_and_leaves_the_base_as_it_is(family, folders):
    model = made(config_of(folders[family], lora_rank=2, encoder_layers=(2,))).train()
    base = {name: p.clone() for name, p in model.named_parameters() if not p.requires_grad}
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    adapters = [name for name in trained if "lora" in name]
    assert len(adapters) == 2 * 2 * 2, "two linear layers in each of two layers, two matrices in each"
    assert all("lora" in name or name.startswith(("encoder.sum", "head")) for name in trained)
    optimizer = torch.optim.SGD(trained.values(), lr=1.0)
    batch = torch.stack(noise(6000, 6000))
    for _ in range(2):  # the second matrix of LoRA begins at zero, so the first has a gradient from the second step on
        optimizer.zero_grad()
        model(batch).square().sum().backward()
        optimizer.step()
    for name, p in trained.items():
        if name != "encoder.sum.scores":  # of a single layer
            assert p.grad.abs().sum() > 0, name
    assert all(torch.equal(p, base[name]) for name, p in model.named_parameters() if name in base)


@pytest.mark.parametrize("family", ["whisper", "wavlm"])
def test_the_last_layers_are_trained_and_no_others(family, folders):
    model = made(config_of(folders[family], trained_layers=1)).train()
    model(torch.stack(noise(6000, 6000))).square().sum().backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    layers = {id(p) for p in model.encoder.states.layers[1].parameters()}
    inside = {name for name, p in model.named_parameters() if id(p) in layers and p.requires_grad}
    assert inside & reached
    assert {name for name in reached if name.startswith("encoder.states")} <= inside
    assert not model.encoder.states.layers[0].training


def test_a_frozen_encoder_is_no_part_of_the_model(folders):
    """The model takes stored steps: the same answer as of an encoder inside it."""
    frozen = made(config_of(folders["whisper"], "frozen-encoder")).eval()
    tuned = made(config_of(folders["whisper"], trained_layers=1)).eval()
    assert not any("states" in name for name in frozen.state_dict())
    weights = tuned.state_dict()
    frozen.load_state_dict({name: weights[name] for name in frozen.state_dict()})
    clips = noise(9000, 5000)
    steps = [torch.from_numpy(frozen.pretrained.steps(clip.numpy()).astype(np.float32)) for clip in clips]
    with torch.no_grad():
        assert torch.allclose(frozen(Padded.of(steps)), tuned(Padded.of(clips)), atol=0.02)
    assert count_frozen(frozen) == sum(p.numel() for p in frozen.pretrained.hidden_states().parameters())
    assert count_parameters(frozen) == 2 + 5 * 17
    config = config_of(folders["whisper"], "frozen-encoder")
    assert macs_per_window(frozen, config) == macs_per_window(tuned, config) > 1e6


def test_layers_are_weighted_by_softmax(folders):
    model = made(config_of(folders["whisper"], "frozen-encoder"))
    model.encoder.sum.scores.data = torch.tensor([1.0, -0.5])
    values = torch.randn(2, 7, 2, 16, generator=torch.Generator().manual_seed(1))
    weights = np.exp([1.0, -0.5]) / np.exp([1.0, -0.5]).sum()
    expected = values[:, :, 0] * weights[0] + values[:, :, 1] * weights[1]
    assert torch.allclose(model.encoder(Padded.full(values)).values, expected, atol=1e-6)

    model.encoder.sum.learn_scale([100 * values[0] + 3, 100 * values[1] + 3])
    x = values.flatten(0, 1).double()
    x = (x - x.mean(dim=0)) / x.std(dim=0, unbiased=False)
    expected = (x[:, 0] * weights[0] + x[:, 1] * weights[1]).view(2, 7, 16)
    assert torch.allclose(model.encoder(Padded.full(100 * values + 3)).values, expected.float(), atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "system", "says"),
    [
        ("frozen-encoder", {"encoder": ""}, "system.encoder"),
        ("frozen-encoder", {"encoder": "/nowhere/at/all"}, "/nowhere/at/all: no speech encoder"),
        ("frozen-encoder", {"encoder_layers": (1, 9)}, r"\[9\].*1 to 3"),
        ("tuned-encoder", {}, "trained_layers or system.lora_rank"),
        ("tuned-encoder", {"trained_layers": 3}, "trained_layers is 3; .* 2 layers"),
        ("waveform-cnn", {}, "waveform-cnn, which takes no system.encoder"),
    ],
)
def test_settings_that_make_no_model_are_refused(folders, kind, system, says):
    config = config_of(folders["whisper"], kind, **{k: v for k, v in system.items() if k != "encoder"})
    config = replace(config, system=replace(config.system, encoder=system.get("encoder", config.system.encoder)))
    with pytest.raises(InputError, match=says) as refused:
        build_model(config, 5)
    assert "\n" not in str(refused.value)


def test_other_sampling_rates_are_refused(folders, tmp_path):
    folder = write_tiny_encoder(tmp_path / "narrow", "hubert")
    (folder / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": 8000}))
    with pytest.raises(InputError, match=r"preprocessor_config.json: sampling_rate is 8000; .*16000"):
        build_model(config_of(folder, "frozen-encoder"), 5)
    slow = replace(config_of(folders["hubert"], "frozen-encoder"), features=FeatureConfig(sample_rate=8000, f_max=3800))
    with pytest.raises(InputError, match=r"features.sample_rate is 8000; .*16000"):
        build_model(slow, 5)


def test_a_name_on_a_hub_that_cannot_be_reached(monkeypatch, folders):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="nobody/no-such-model: no such folder.*hub") as refused:
        located("nobody/no-such-model")
    assert "\n" not in str(refused.value)
    assert located(str(folders["whisper"])) == folders["whisper"]


def test_lora_without_its_package_is_refused(monkeypatch, folders):
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(InputError, match=r"peft.*teacher"):
        made(config_of(folders["whisper"], lora_rank=2))


def test_what_is_given_to_an_encoder_is_at_one_level():
    (clip,) = noise(8000)
    level = leveled(5 * clip.numpy() + 0.3)
    assert abs(float(level.mean())) < 1e-6
    assert float(np.sqrt((level**2).mean())) == pytest.approx(0.05, rel=1e-3)
    assert len(leveled(clip.numpy()[:100])) == 1600
