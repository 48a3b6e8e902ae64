"""Voice activity detection: does a short frame hold a voice? `edge.loop.utterances` makes utterances of the answers.

Two kinds, by name: `energy` compares the level with the noise of the room and costs almost nothing; it separates a
voice from steady noise, but not from a barking dog. `silero` is the small neural network of silero-vad under ONNX
Runtime, which separates a voice from most other sounds. `auto` is silero where it is installed, else energy.
"""

import argparse
from collections.abc import Callable
from typing import Protocol

import numpy as np

from crnn.errors import require
from edge.audio.energy_vad import EnergyVad
from edge.audio.speech_evidence import Voice


class Vad(Protocol):
    """Classifies frame after frame of `frame_samples` samples."""

    frame_samples: int

    name: str

    def update(self, frames: np.ndarray) -> list[Voice]:
        """Classify `frames (n, frame_samples)` float32, one after the other: whether there is a voice in each.

        The answers do not depend on how many come at once.
        """

    def reset(self) -> None:
        """Begin another recording."""


def _silero(sample_rate: int) -> Vad:
    from edge.audio.silero_vad import SileroVad  # on demand: it needs ONNX Runtime and another package

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
    """`name`, or the name of the VAD that "auto" stands for here."""
    if name != DEFAULT:
        return name
    from edge.audio import silero_vad as silero

    return "silero" if silero.available(sample_rate) else "energy"


def make_vad(name: str, sample_rate: int) -> Vad:
    """The VAD `name` for audio at `sample_rate` Hz; its own `name` says what `auto` stands for.

    Raises InputError for an unknown name, and where a package it needs is not installed, naming what to install.
    """
    require(name in VADS, f"unknown VAD {name}; known: {', '.join(VADS)}")
    return VADS[name](sample_rate)
