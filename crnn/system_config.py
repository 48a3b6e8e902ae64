"""Settings of the systems that the CRNN is compared with (`model.kind`). No torch."""

from dataclasses import dataclass

from crnn.errors import require


@dataclass(frozen=True)
class SystemConfig:
    """The parts of every model but the CRNN: encoder (`model.kind`), parts over time, pooling (docs/systems.md)."""

    sequence: tuple[str, ...] = ()
    """Parts over time, one after another: bigru, bilstm, self-attention, matching, instance-norm; empty = none"""
    sequence_layers: int = 1
    """Layers of each such part, 1 to 3"""
    pooling: str = "mean"
    """From the steps of a clip to one vector: mean, max, mean-max, mean-std, attention, conv-max, qkv"""
    units: int = 128
    """Units of parts over time (of recurrent ones per direction) and of pooling; a multiple of `heads`, even"""
    heads: int = 4
    """Attention heads"""
    waveform_kernels: tuple[int, ...] = (21, 19, 17, 15, 13, 11, 9)
    """Samples or steps under each convolution of waveform-cnn, one per block; each block halves the steps"""
    waveform_channels: tuple[int, ...] = (32, 64, 128, 256, 512, 1024, 1024)
    """Channels of each block of waveform-cnn"""
    encoder: str = ""
    """Of frozen-encoder and tuned-encoder: folder of a pretrained speech encoder (docs/systems.md), or, where a
    hub can be reached, its name there"""
    encoder_layers: tuple[int, ...] = ()
    """Its layers that are used, their outputs weighted by learned weights; 0 = the input of the first, empty = all"""
    trained_layers: int = 0
    """Of tuned-encoder: how many of its last used layers are trained"""
    lora_rank: int = 0
    """Of tuned-encoder: rank of the low-rank layers (LoRA) that are trained in all its layers, 0 = none"""

    def __post_init__(self) -> None:
        require(1 <= self.sequence_layers <= 3, f"system.sequence_layers is {self.sequence_layers}; give 1 to 3")
        require(
            1 <= self.heads <= self.units <= 2048 and self.units % self.heads == 0 and self.units % 2 == 0,
            f"system.units is {self.units}, system.heads {self.heads}; units must be even, a multiple of heads, and "
            "at most 2048",
        )
        blocks = len(self.waveform_kernels)
        require(
            1 <= blocks == len(self.waveform_channels) <= 16,
            f"system.waveform_kernels has {blocks} numbers, waveform_channels {len(self.waveform_channels)}; give one "
            "per block, at most 16 each",
        )
        for name, most in (("waveform_kernels", 1024), ("waveform_channels", 4096)):
            given = getattr(self, name)
            require(min(given) >= 1 and max(given) <= most, f"system.{name} is {list(given)}; give 1 to {most}")
        ordered = list(self.encoder_layers) == sorted(set(self.encoder_layers))
        require(
            ordered and min(self.encoder_layers, default=0) >= 0,
            f"system.encoder_layers is {list(self.encoder_layers)}; give 0 or more, ascending",
        )
        for name, most in (("trained_layers", 1000), ("lora_rank", 1024)):
            require(0 <= getattr(self, name) <= most, f"system.{name} is {getattr(self, name)}; give 0 to {most}")
