"""Folders of emotion2vec: what is read of them, what is refused, and that nothing in them is run. Without funasr."""

import itertools
import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tiny_emotion2vec import CONFIG, changed, write_folder

from crnn.config import ModelConfig
from crnn.errors import InputError
from crnn.models import emotion2vec, pretrained
from crnn.models.emotion2vec import emotion2vec_folder, read_weights
from crnn.models.emotion2vec_config import convolutions, model_conf, read_settings
from crnn.models.encoder_folders import READERS
from crnn.models.pretrained import open_encoder
from crnn.models.registry import build_model
from crnn.run_config import RunConfig
from crnn.system_config import SystemConfig

BASE = "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] + [(512,2,2)]"
"""Of the published models"""


@pytest.fixture
def installed(monkeypatch) -> None:
    """As if funasr were installed; opening a folder does not import it."""
    monkeypatch.setattr(pretrained, "find_spec", lambda name: object())


@pytest.fixture
def not_installed(monkeypatch) -> None:
    for module in (pretrained, emotion2vec):
        monkeypatch.setattr(module, "find_spec", lambda name: None)


def one_line(refused) -> str:
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_what_a_folder_says(tmp_path, installed):
    folder = write_folder(tmp_path / "tiny")
    found = emotion2vec_folder(folder)
    assert (found.family, found.n_layers, found.layer_width) == ("emotion2vec", 3, 16)
    settings = read_settings(folder / "config.yaml")
    assert settings.norm_eps == 1e-5, "YAML 1.1 takes 1e-05 for text"
    assert settings.normalize
    encoder = open_encoder(folder, ())
    assert (encoder.layers, encoder.width) == ((0, 1, 2, 3), 64)
    assert encoder.describe()["family"] == "emotion2vec"


def test_the_key_follows_weights_settings_and_layers(tmp_path, installed):
    folders = {
        "one": write_folder(tmp_path / "one"),
        "weights": write_folder(tmp_path / "weights", weights=b"others"),
        "config": write_folder(tmp_path / "config", changed("normalize: true", "normalize: false")),
    }
    encoders = {name: open_encoder(folder, (3,)) for name, folder in folders.items()}
    assert len({encoder.key for encoder in encoders.values()}) == 3
    assert encoders["one"].sha256 == encoders["config"].sha256 != encoders["weights"].sha256
    assert open_encoder(folders["one"], (2, 3)).key != encoders["one"].key
    again = write_folder(tmp_path / "elsewhere" / "moved")
    assert open_encoder(again, (3,)).key == encoders["one"].key


def test_the_missing_extra_is_named(tmp_path, not_installed):
    folder = write_folder(tmp_path / "tiny")
    with pytest.raises(InputError, match=r"funasr: pip install .*emotion2vec") as refused:
        open_encoder(folder, (3,))
    one_line(refused)
    with pytest.raises(InputError, match=r"funasr: pip install .*emotion2vec") as refused:
        emotion2vec.model_class()
    one_line(refused)
    system = SystemConfig(encoder=str(folder), encoder_layers=(3,))
    config = replace(RunConfig(), model=ModelConfig(kind="frozen-encoder"), system=system)
    with pytest.raises(InputError, match="emotion2vec"):
        build_model(config, 4)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("model: Emotion2vec", "model: SenseVoice", "model is 'SenseVoice'; Emotion2vec"),
        ("depth: 3\n    start", "depth: three\n    start", "model_conf.depth is 'three'"),
        ("depth: 3\n    start", "depth: 10000000\n    start", "depth is 10000000; 1 to 64"),
        ("depth: 3\n    start", "depth: 2\n    start", "depth and model_depth differ"),
        ("embed_dim: 16", "embed_dim: true", "embed_dim is True"),
        ("embed_dim: 16", "embed_dim: 1e9", "embed_dim"),
        ("embed_dim: 16", "embed_dim: 17", "num_heads is 2, which does not divide embed_dim"),
        ("norm_eps: 1e-05", "norm_eps: tiny", "norm_eps is 'tiny'"),
        ("norm_eps: 1e-05", "norm_eps: nan", "norm_eps"),
        ("norm_eps: 1e-05", "norm_eps: [1]", "norm_eps"),
        ("normalize: true", "normalise: true", "lacks normalize"),
        ("normalize: true", "normalize: ${oc.env:HOME}", "normalize is '\\$"),
        ("num_alibi_heads: 2", "num_alibi_heads: 4", "num_alibi_heads"),
        ("learned_alibi: false", "learned_alibi: true", "learned_alibi is True"),
        ("extractor_mode: layer_norm", "extractor_mode: group", "extractor_mode is 'group'"),
        ("        audio:", "        image:", "modalities.audio must hold named values"),
        ("            decoder:", "            decoder: !!python/object/apply:os.system", "tags are not read"),
        ("            decoder:", "            decoder: &all", "anchors"),
    ],
)
def test_settings_that_are_not_read(tmp_path, old, new, says):
    folder = write_folder(tmp_path / "tiny", changed(old, new))
    with pytest.raises(InputError, match=says) as refused:
        open_encoder(folder, (3,))
    assert str(folder / "config.yaml") in one_line(refused)


def test_every_value_that_is_used_is_needed(tmp_path):
    """Without any one of them, or with text in its place, config.yaml is refused."""
    conf = model_conf(read_settings(write_folder(tmp_path / "tiny") / "config.yaml"))
    fixed = {"encoder_dropout", "attention_dropout", "activation_dropout", "post_mlp_drop", "dropout_input"}
    fixed |= {"layerdrop", "end_of_block_targets", "start_drop_path_rate", "end_drop_path_rate", "modalities"}
    used = [name for name in conf if name not in fixed]
    assert len(used) == 8
    for name in used:
        for change in ({name: "text"}, None):
            values = yaml.safe_load(CONFIG)
            if change:
                values["model_conf"] |= change
            else:
                del values["model_conf"][name]
            folder = write_folder(tmp_path / "other", yaml.safe_dump(values))
            with pytest.raises(InputError, match=name):
                read_settings(folder / "config.yaml")


def test_the_published_convolutions():
    expected = [(512, 10, 5), *[(512, 3, 2)] * 4, *[(512, 2, 2)] * 2]
    assert convolutions(BASE, "") == expected
    assert convolutions(str(expected), "") == expected


@pytest.mark.parametrize(
    "spec",
    [
        "__import__('os').system('touch ran')",
        "[(512, 10, 5)] + __import__('os').environ",
        "[(512, 10, 5)] * 10 ** 9",
        "[(512, 10, 5)] * 99",
        "[(8, 3, 2)] * 4",
        "[(8, 320, 320), (0, 1, 1)]",
        "[(8, 3200, 320)]",
        "[]",
        "",
    ],
)
def test_convolutions_are_not_evaluated(tmp_path, monkeypatch, spec):
    monkeypatch.chdir(tmp_path)
    line = "feature_encoder_spec: '[(8, 10, 5)] + [(8, 3, 2)] * 4 + [(8,2,2)] + [(8,2,2)]'"
    quoted = "feature_encoder_spec: '" + spec.replace("'", "''") + "'"
    folder = write_folder(tmp_path / "tiny", changed(line, quoted))
    with pytest.raises(InputError, match="feature_encoder_spec") as refused:
        open_encoder(folder, (3,))
    one_line(refused)
    assert not Path("ran").exists()


@given(st.permutations([5, 2, 2, 2, 2, 2, 2]), st.lists(st.integers(1, 3), min_size=7, max_size=7), st.booleans())
def test_lists_of_convolutions_are_what_python_makes_of_them(strides, kernels, spaced):
    layers = [(8, kernel, stride) for kernel, stride in zip(kernels, strides, strict=True)]
    spec = "+".join(f"[{layer}]*{len([*run])}" for layer, run in itertools.groupby(layers))
    assert convolutions(spec if spaced else spec.replace(" ", ""), "config.yaml") == layers


class Runs:
    """An object that runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: torch.save({"model": {"a": torch.zeros(1)}, "args": Runs()}, path),
        lambda path: path.write_bytes(pickle.dumps({"model": Runs()})),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PK\x03\x04 no archive"),
        lambda path: (torch.save({"a": torch.zeros(1000)}, path), path.write_bytes(path.read_bytes()[:-300])),
    ],
    ids=["object beside tensors", "pickle alone", "empty", "no archive", "cut off"],
)
def test_weights_are_never_unpickled(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pt"
    write(path)
    with pytest.raises(InputError, match="holds more than tensors") as refused:
        read_weights(path)
    assert str(path) in one_line(refused)
    assert not Path("ran").exists()


def test_weights_of_every_form(tmp_path):
    from safetensors.torch import save_file

    tensors = {"a": torch.arange(3.0)}
    for number, form in enumerate((tensors, {"model": tensors}, {"state_dict": tensors, "epoch": 3})):
        torch.save(form, tmp_path / f"{number}.pt")
        assert torch.equal(read_weights(tmp_path / f"{number}.pt")["a"], tensors["a"])
    save_file(tensors, tmp_path / "model.safetensors")
    assert torch.equal(read_weights(tmp_path / "model.safetensors")["a"], tensors["a"])
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(InputError, match=r"list.pt: holds no named tensors"):
        read_weights(tmp_path / "list.pt")
    (tmp_path / "broken.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(InputError, match=r"broken.safetensors: cannot be read"):
        read_weights(tmp_path / "broken.safetensors")


def test_files_of_weights(tmp_path):
    folder = write_folder(tmp_path / "tiny")
    (folder / "model.pt").rename(folder / "emotion2vec_base.pt")
    assert emotion2vec_folder(folder).weights == (folder / "emotion2vec_base.pt",)
    (folder / "model.safetensors").write_bytes(b"")
    assert emotion2vec_folder(folder).weights == (folder / "model.safetensors",)
    for path in folder.glob("*.*t*"):
        if path.name != "config.yaml":
            path.unlink()
    with pytest.raises(InputError, match="lacks its weights"):
        open_encoder(folder, (3,))


def test_a_folder_of_neither_kind_is_told_of_both(tmp_path):
    with pytest.raises(InputError, match=r"no speech encoder; .*config.json.*config.yaml") as refused:
        open_encoder(tmp_path, (1,))
    assert all(name in one_line(refused) for name in READERS)


def test_layers_it_has_not(tmp_path, installed):
    with pytest.raises(InputError, match=r"\[4\].*layers 1 to 3"):
        open_encoder(write_folder(tmp_path / "tiny"), (2, 4))
