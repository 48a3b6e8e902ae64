"""Speech encoders of three narrow layers with random weights, in the folder format of transformers."""

import importlib
from pathlib import Path

from helpers import needs


def needs_transformers() -> None:
    """At the top of a test file: skip it where the extra is missing."""
    needs("torch", "transformers", "sklearn", reason="needs the teacher extra")
    importlib.import_module("augment.torchaudio_import")  # transformers is importable beside a CPU-only torch


def write_tiny_whisper(folder: Path, seed: int = 0, layers: int = 3, positions: int = 100) -> Path:
    """Layers of 16 values; clips of at most 2 s, with 100 positions."""
    needs_transformers()
    import torch
    from transformers import WhisperConfig, WhisperModel

    torch.manual_seed(seed)
    sizes = {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    tokens = {"vocab_size": 8, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 3}
    config = WhisperConfig(
        d_model=16,
        encoder_layers=layers,
        decoder_layers=1,
        max_source_positions=positions,
        init_std=0.3,
        **sizes,
        **tokens,
    )
    WhisperModel(config).save_pretrained(folder)
    return folder


OTHERS = {
    "wav2vec2": ("Wav2Vec2Config", "Wav2Vec2Model"),
    "hubert": ("HubertConfig", "HubertModel"),
    "wavlm": ("WavLMConfig", "WavLMModel"),
    "data2vec-audio": ("Data2VecAudioConfig", "Data2VecAudioModel"),
}
"""`model_type` -> classes of transformers"""


def write_tiny_encoder(folder: Path, family: str, seed: int = 0) -> Path:
    """An encoder of `OTHERS`, or a Whisper: layers of 16 values, a step per 10 ms."""
    if family == "whisper":
        return write_tiny_whisper(folder, seed)
    needs_transformers()
    import torch
    import transformers

    torch.manual_seed(seed)
    config_class, model_class = (getattr(transformers, name) for name in OTHERS[family])
    convolutions = {"conv_dim": (8, 8, 8), "conv_kernel": (10, 8, 4), "conv_stride": (5, 8, 4)}
    positions = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "conv_pos_kernel_size": 5}
    sizes = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
    config = config_class(vocab_size=8, initializer_range=0.3, **sizes, **convolutions, **positions)
    model_class(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text('{"do_normalize": true, "sampling_rate": 16000}')
    return folder
