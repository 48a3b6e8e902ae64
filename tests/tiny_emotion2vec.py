"""An emotion2vec of three narrow layers with random weights, in the folder format that FunASR publishes."""

import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

CONFIG = """# network architecture
model: Emotion2vec
model_conf:
    loss_beta: 0.0
    loss_scale: null
    depth: 3
    start_drop_path_rate: 0.0
    end_drop_path_rate: 0.0
    num_heads: 2
    norm_eps: 1e-05
    norm_affine: true
    encoder_dropout: 0.1
    post_mlp_drop: 0.1
    attention_dropout: 0.1
    activation_dropout: 0.0
    dropout_input: 0.0
    layerdrop: 0.05
    embed_dim: 16
    mlp_ratio: 2.0
    layer_norm_first: false
    average_top_k_layers: 3
    end_of_block_targets: false
    clone_batch: 8
    normalize: true
    project_dim:
    modalities:
        audio:
            type: AUDIO
            prenet_depth: 2
            prenet_layerdrop: 0.05
            prenet_dropout: 0.1
            start_drop_path_rate: 0.0
            end_drop_path_rate: 0.0
            num_extra_tokens: 4
            init_extra_token_zero: true
            mask_noise_std: 0.01
            mask_prob: 0.5
            mask_prob_min: null
            mask_length: 5
            local_grad_mult: 1.0
            use_alibi_encoder: true
            alibi_scale: 1.0
            learned_alibi: false
            alibi_max_pos: null
            learned_alibi_scale: true
            learned_alibi_scale_per_head: true
            learned_alibi_scale_per_layer: false
            num_alibi_heads: 2
            model_depth: 3
            decoder:
                decoder_dim: 8
                decoder_groups: 2
                decoder_kernel: 3
                decoder_layers: 1
                input_dropout: 0.1
                add_positions_masked: false
                add_positions_all: false
                decoder_residual: true
                projection_layers: 1
                projection_ratio: 2.0
            extractor_mode: layer_norm
            feature_encoder_spec: '[(8, 10, 5)] + [(8, 3, 2)] * 4 + [(8,2,2)] + [(8,2,2)]'
            conv_pos_width: 15
            conv_pos_groups: 4
            conv_pos_depth: 3
            conv_pos_pre_ln: false
tokenizer: CharTokenizer
scope_map:
  - 'd2v_model.'
  - none
"""
"""With the names, and the kinds of values, that published ones have"""

NEEDS_FUNASR = pytest.mark.skipif(find_spec("funasr") is None, reason="needs the emotion2vec extra (funasr)")


def changed(old: str, new: str) -> str:
    """`CONFIG` with one line changed."""
    assert CONFIG.count(old) == 1, old
    return CONFIG.replace(old, new)


def write_folder(folder: Path, config: str = CONFIG, weights: bytes = b"no weights") -> Path:
    """A folder with such files, for what reads no weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(config)
    (folder / "model.pt").write_bytes(weights)
    return folder


def write_tiny_emotion2vec(folder: Path, seed: int = 0, config: str = CONFIG, prefix: str = "") -> Any:
    """A folder of a model that FunASR's class makes of the whole of `config` as FunASR reads it; that model."""
    import torch
    import yaml
    from omegaconf import OmegaConf

    importlib.import_module("augment.torchaudio_import")
    from crnn.models.emotion2vec import model_class

    torch.manual_seed(seed)
    write_folder(folder, config)
    values = OmegaConf.to_container(OmegaConf.create(config))
    assert yaml.safe_load(config).keys() == values.keys()
    model = model_class()(**values).eval()
    for p in model.parameters():  # its own first values leave the tokens, and what the layers add, near zero
        p.data = p.data + 0.2 * torch.randn_like(p)
    state = {f"{prefix}{name}": value for name, value in model.state_dict().items()}
    torch.save({"model": state}, folder / "model.pt")
    return model
