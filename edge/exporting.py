"""What every exporter is given and what it gives back."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn


@dataclass(frozen=True)
class Part:
    """A half of the model and the shape in which the stream uses it."""

    name: str
    """encoder or head"""
    module: nn.Module
    example: Tensor
    """float32; exported files take exactly this shape"""
    input_name: str
    output_name: str


def pairs(made: dict[str, tuple[str, str]], folder: Path, suffix: str) -> dict[str, tuple[Path, Path]]:
    """Scheme -> (encoder file, head file), from scheme -> what the two files are called by."""
    return {
        scheme: (folder / f"encoder.{encoder}{suffix}", folder / f"head.{head}{suffix}")
        for scheme, (encoder, head) in made.items()
    }
