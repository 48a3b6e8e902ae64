"""A Whisper of three narrow layers with random weights, in the folder format of transformers."""

import importlib
from pathlib import Path

import pytest


def needs_transformers() -> None:
    """Skip where the extra is missing; else make transformers importable beside a CPU-only torch."""
    pytest.importorskip("torch", reason="needs the train extra")
    importlib.import_module("augment.torchaudio_import")
    for package in ("transformers", "sklearn"):
        pytest.importorskip(package, reason="needs the teacher extra")


def write_tiny_whisper(folder: Path, seed: int = 0) -> Path:
    """Layers of 16 values; clips of at most 2 s."""
    needs_transformers()
    import torch
    from transformers import WhisperConfig, WhisperModel

    torch.manual_seed(seed)
    sizes = {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    tokens = {"vocab_size": 8, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 3}
    config = WhisperConfig(
        d_model=16, encoder_layers=3, decoder_layers=1, max_source_positions=100, init_std=0.3, **sizes, **tokens
    )
    WhisperModel(config).save_pretrained(folder)
    return folder
