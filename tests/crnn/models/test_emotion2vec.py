"""emotion2vec: equal to FunASR's answers, alone and beside longer clips, frozen or trained; weights that do not fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import needs
from tiny_emotion2vec import CONFIG, changed, write_folder, write_tiny_emotion2vec

from crnn.config import ModelConfig
from crnn.data.padded import Padded
from crnn.errors import InputError
from crnn.models import emotion2vec
from crnn.models.cost import count_frozen, macs_per_window
from crnn.models.pretrained import leveled, open_encoder
from crnn.models.registry import build_model
from crnn.run_config import RunConfig
from crnn.system_config import SystemConfig

needs("funasr", "omegaconf", "sklearn", reason="needs the emotion2vec extra (funasr)")

FORMS = {
    "published": CONFIG,
    "norm first": changed("layer_norm_first: false", "layer_norm_first: true"),
    "scale per layer": changed("scale_per_layer: false", "scale_per_layer: true"),
    "not normalized": changed("normalize: true", "normalize: false"),
    "without tokens": changed("num_extra_tokens: 4", "num_extra_tokens: 0"),
    "without alibi": changed("use_alibi_encoder: true", "use_alibi_encoder: false"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("emotion2vec")
    write_tiny_emotion2vec(folder)
    return folder


def noise(*lengths: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [0.1 * torch.randn(n, generator=generator) for n in lengths]


def config_of(folder, kind: str = "frozen-encoder", **system) -> RunConfig:
    given = {"units": 8, "heads": 2, "encoder_layers": (2, 3), "encoder": str(folder)} | system
    return replace(RunConfig(), model=ModelConfig(kind=kind, dropout=0.0), system=SystemConfig(**given))


def made(config: RunConfig):
    torch.manual_seed(0)
    return build_model(config, 5).eval()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("granularity", ["frame", "utterance"])
def test_the_last_layer_is_the_feature_that_funasr_publishes(form, granularity, tmp_path):
    theirs = write_tiny_emotion2vec(tmp_path, config=FORMS[form])
    (clip,) = noise(24_000)
    level = leveled(clip.numpy() + 0.1)
    with torch.no_grad():
        answer, _ = theirs.inference([level], key=["clip"], device="cpu", granularity=granularity)
    expected = answer[0]["feats"]
    encoder = open_encoder(tmp_path, (3,))
    if granularity == "utterance":
        assert np.abs(encoder.embed(clip.numpy() + 0.1) - expected).max() < 1e-5
    else:
        states = encoder.hidden_states()(torch.from_numpy(level)[None])[3][0].detach().numpy()
        assert states.shape == expected.shape == (24_000 // 320 - 1, 16)
        assert np.abs(states - expected).max() < 1e-5
    assert np.ptp(expected) > 0.1


@pytest.mark.parametrize("form", ["published", "norm first"])
def test_earlier_layers_do_not_depend_on_later_ones(form, tmp_path):
    write_tiny_emotion2vec(tmp_path, config=FORMS[form])
    (clip,) = noise(8000)
    with torch.no_grad():
        whole = open_encoder(tmp_path, ()).hidden_states()(clip[None])
        cut = open_encoder(tmp_path, (0, 1)).hidden_states()(clip[None])
        first = open_encoder(tmp_path, (0,)).hidden_states()(clip[None])
    assert len(whole) == 4
    assert [len(cut), len(first)] == [2, 1]
    assert torch.allclose(whole[0], first[0], atol=1e-6)
    assert torch.allclose(whole[1], cut[1], atol=1e-6)
    assert not torch.allclose(whole[1], whole[2], atol=0.1)


def test_layers_are_those_that_the_blocks_give(folder):
    """Its own forward returns no layers; a hook of the test's own model does."""
    theirs, (clip,) = write_tiny_emotion2vec(folder), noise(8000)
    seen: list[torch.Tensor] = []
    for block in theirs.blocks:
        block.register_forward_hook(lambda module, given, output: seen.extend((given[0], output[0])))
    with torch.no_grad():
        theirs.extract_features(torch.nn.functional.layer_norm(clip[None], (8000,)))
        ours = open_encoder(folder, ()).hidden_states()(clip[None])
    expected = [seen[0], *seen[1::2]]
    assert all(torch.allclose(a, b[:, 4:], atol=1e-5) for a, b in zip(ours, expected, strict=True))


def test_a_clip_alone_and_in_a_batch_with_a_longer_one(folder):
    """Frozen features are made of one clip at a time; a tuned encoder takes clips of one length together."""
    clips = noise(9000, 24_000, 9000, 800)
    frozen = made(config_of(folder, pooling="mean-std"))
    steps = [torch.from_numpy(frozen.pretrained.steps(clip.numpy()).astype(np.float32)) for clip in clips]
    after_a_longer = open_encoder(folder, (2, 3))
    after_a_longer.steps(clips[1].numpy())  # FunASR keeps the distances of the longest clip so far
    assert np.array_equal(after_a_longer.steps(clips[0].numpy()), frozen.pretrained.steps(clips[0].numpy()))
    with torch.no_grad():
        alone = torch.cat([frozen(Padded.of([clip])) for clip in steps])
        assert torch.allclose(frozen(Padded.of(steps)), alone, atol=1e-5)
        tuned = made(config_of(folder, "tuned-encoder", lora_rank=2, pooling="mean-std"))
        alone = torch.cat([tuned(clip[None]) for clip in clips])
        assert torch.allclose(tuned(Padded.of(clips)), alone, atol=1e-5)
        states = frozen.pretrained.hidden_states()
        both = states(torch.stack([clips[0], clips[2]]))
        assert all(torch.allclose(a[:1], b, atol=1e-5) for a, b in zip(both, states(clips[0][None]), strict=True))


def test_of_a_long_clip_the_beginning_counts(folder, monkeypatch):
    monkeypatch.setattr(emotion2vec, "LONGEST", 8000)
    encoder = open_encoder(folder, (3,))
    (clip,) = noise(8000)
    assert encoder.steps(np.concatenate([clip.numpy()] * 3)).shape == encoder.steps(clip.numpy()).shape == (24, 1, 16)


def test_level_and_offset_change_nothing(folder):
    encoder, (clip,) = open_encoder(folder, (3,)), noise(8000)
    assert np.allclose(encoder.embed(clip.numpy()), encoder.embed(0.01 * clip.numpy() + 0.3), atol=1e-2)


def test_names_of_weights_within_another_model(folder, tmp_path):
    write_tiny_emotion2vec(tmp_path, prefix="d2v_model.")
    (clip,) = noise(8000)
    assert np.array_equal(
        open_encoder(tmp_path, (3,)).embed(clip.numpy()), open_encoder(folder, (3,)).embed(clip.numpy())
    )


def state(folder) -> dict:
    return torch.load(folder / "model.pt", weights_only=True)["model"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: {k: v for k, v in s.items() if k != "blocks.1.attn.qkv.weight"}, "lacks blocks.1.attn.qkv.weight"),
        (lambda s: s | {"blocks.1.norm1.bias": torch.zeros(17)}, r"blocks.1.norm1.bias has shape \[17\], and \[16\]"),
        (lambda s: s | {"blocks.1.norm1.bias": torch.full((16,), torch.nan)}, "NaN"),
        (lambda s: {}, "lacks modality_encoders"),
    ],
)
def test_weights_that_do_not_fit(folder, tmp_path, change, says):
    write_folder(tmp_path)
    torch.save({"model": change(state(folder))}, tmp_path / "model.pt")
    with pytest.raises(InputError, match=says) as refused:
        open_encoder(tmp_path, (1, 2, 3)).embed(noise(8000)[0].numpy())
    assert "\n" not in str(refused.value)
    assert str(tmp_path) in str(refused.value)


def test_half_precision_is_read_as_float32(folder, tmp_path):
    write_folder(tmp_path)
    torch.save({name: value.half() for name, value in state(folder).items()}, tmp_path / "model.pt")
    (clip,) = noise(8000)
    embedded = open_encoder(tmp_path, (3,)).embed(clip.numpy())
    assert embedded.dtype == np.float32
    assert np.allclose(embedded, open_encoder(folder, (3,)).embed(clip.numpy()), atol=0.02)


def test_lora_and_the_last_layers_are_trained_and_no_others(folder):
    model = made(config_of(folder, "tuned-encoder", lora_rank=2, trained_layers=1)).train()
    trained = [name for name, p in model.encoder.states.named_parameters() if p.requires_grad]
    assert sum("lora" in name for name in trained) == 3 * 2, "in each of three layers, two matrices"
    model(torch.stack(noise(6000, 6000))).square().sum().backward()
    reached = {name for name, p in model.encoder.states.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached <= {*trained}
    assert any("lora_B" in name for name in reached)
    assert {name for name in reached if "lora" not in name}
    assert not model.encoder.states.layers[2].training


def test_what_it_costs_is_counted(folder):
    frozen = made(config_of(folder))
    assert count_frozen(frozen) == sum(p.numel() for p in frozen.pretrained.hidden_states().parameters()) > 1000
    assert macs_per_window(frozen, config_of(folder)) > 1e6
