"""A Whisper of three narrow layers with random weights, in the folder format of transformers."""

import importlib
from pathlib import Path

from helpers import needs


def needs_transformers() -> None:
    """At the top of a test file: skip it where the extra is missing."""
    needs("torch", "transformers", "sklearn", reason="needs the teacher extra")
    importlib.import_module("augment.torchaudio_import")  # transformers is importable beside a CPU-only torch


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
