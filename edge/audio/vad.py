"""Is anyone speaking? Vads listen in short frames and answer with hysteresis; `edge.loop.utterances` does the rest.

Two kinds, by name: `energy` compares the level with the room's own noise and costs almost nothing; it tells a voice
from steady noise, but not from a dog. `silero` is the small neural network of silero-vad under ONNX Runtime, which
tells a voice from most other sounds. `auto` is silero where it is installed, else energy.
"""

import argparse
from collections.abc import Callable
from typing import Protocol

import numpy as np

from crnn.errors import require
from edge.audio.energy_vad import EnergyVad
from edge.audio.speech_evidence import Voice


class Vad(Protocol):
    """Hears frame after frame of `frame_samples` samples."""

    frame_samples: int

    name: str

    def update(self, frames: np.ndarray) -> list[Voice]:
        """Hear `frames (n, frame_samples)` float32, one after the other; returns whether there is a voice in each.

        The answers do not depend on how many come at once.
        """

    def reset(self) -> None:
        """Forget everything heard."""


def _silero(sample_rate: int) -> Vad:
    from edge.audio.silero_vad import (
        SileroVad,  # only for those who ask: it needs ONNX Runtime and a package of its own
    )

    return SileroVad(sample_rate)


def _auto(sample_rate: int) -> Vad:
    return VADS[chosen(DEFAULT, sample_rate)](sample_rate)


DEFAULT = "auto"
VADS: dict[str, Callable[[int], Vad]] = {DEFAULT: _auto, "energy": EnergyVad, "silero": _silero}


def add_vad_option(parser: argparse.ArgumentParser) -> None:
    """Add `--vad NAME` to a command: `args.vad` is a key of `VADS`."""
    parser.add_argument(
        "--vad",
        choices=tuple(VADS),
        default=DEFAULT,
        help="voice activity detection: silero (a small network, extra vad), energy (the level alone; accepts barking "
        f"dogs too), or {DEFAULT}: silero where it is installed, else energy (default: {DEFAULT})",
    )
    # The old name of the option, for one more version.
    parser.add_argument("--gate", dest="vad", choices=tuple(VADS), default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def chosen(name: str, sample_rate: int) -> str:
    """`name`, or the gate that is taken for "auto" here."""
    if name != DEFAULT:
        return name
    from edge.audio import silero_vad as silero

    return "silero" if silero.available(sample_rate) else "energy"


def make_vad(name: str, sample_rate: int) -> Vad:
    """The gate `name` for audio at `sample_rate` Hz; its own `name` says which was taken for `auto`.

    Raises InputError for an unknown name, and where what the gate needs is not installed, naming what to install.
    """
    require(name in VADS, f"unknown gate {name}; known: {', '.join(VADS)}")
    return VADS[name](sample_rate)
