"""Recordings that are mixed into speech: noise, coughs, music, rooms; and speech of others, for babble."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

from crnn.data.audio import read_audio
from crnn.data.audio_files import audio_files, unusable_file
from crnn.errors import require
from edge.battery.perturbations import rms, stretch

MAX_SECONDS = 600.0
BODILY = ("*cough*", "*sneez*")
"""Names of recordings, or of their folders, that hold a cough or a sneeze"""
RESERVED = {
    "noise": ("*Dog_bark*", "*Chainsaw*", "*Rooster*", "*exercise_bike*"),
    "rooms": ("*hall*", "*stairway*"),
}
"""What the default training leaves to tests (`augment.noise_exclude`, `augment.room_exclude`): used alone where it is
among the recordings given"""
BABBLE_VOICES = (4, 7)
"""Fewest and most speech recordings in babble"""


@dataclass(frozen=True)
class Sounds:
    """Waveforms `(time,)` float32; none where no recordings were given."""

    noise: tuple[np.ndarray, ...] = ()
    bodily: tuple[np.ndarray, ...] = ()
    """Coughs and sneezes"""
    music: tuple[np.ndarray, ...] = ()
    rooms: tuple[np.ndarray, ...] = ()
    """Impulse responses"""


def read_sounds(places: Mapping[str, Path | None], rate: int) -> Sounds:
    """The recordings below each of `places` (noise, music, rooms: a folder or a file, or None), at `rate` Hz.

    Raises InputError for a place that is not there, holds no recording, or a recording that cannot be read.
    """
    noise = _files("noise", places.get("noise"))
    bodily = [file for file, name in noise if _matches(name, BODILY)]
    return Sounds(
        noise=_read(_reserved("noise", [pair for pair in noise if pair[0] not in bodily]), rate),
        bodily=_read(bodily, rate),
        music=_read([file for file, _ in _files("music", places.get("music"))], rate),
        rooms=_read(_reserved("rooms", _files("rooms", places.get("rooms"))), rate),
    )


def _files(option: str, place: Path | None) -> list[tuple[Path, str]]:
    """Recordings, each with its name below the place."""
    if place is None:
        return []
    require(place.exists(), f"--{option} {place}: no such file or folder")
    if place.is_file():
        return [(place, place.name)]
    found = [file for file in audio_files(place) if unusable_file(file, place) is None]
    require(bool(found), f"--{option} {place}: holds no recording")
    return [(file, str(file.relative_to(place))) for file in found]


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(name.lower(), pattern.lower()) for pattern in patterns)


def _reserved(option: str, files: Sequence[tuple[Path, str]]) -> list[Path]:
    """Those that training did not use, or all if none of them is known to be such."""
    reserved = [file for file, name in files if _matches(name, RESERVED[option])]
    return reserved or [file for file, _ in files]


def _read(files: Sequence[Path], rate: int) -> tuple[np.ndarray, ...]:
    waveforms = [(file, read_audio(file, rate, MAX_SECONDS)) for file in files]
    for file, waveform in waveforms:
        require(len(waveform) > 0 and rms(waveform) > 0, f"{file}: silent throughout; leave it out")
    return tuple(waveform for _, waveform in waveforms)


class Babble:
    """Four to seven voices at once, at one level: clips of a corpus, without those of the person who speaks.

    Args:
        clips: (speaker, waveform) of each clip.
    """

    def __init__(self, clips: Sequence[tuple[str, np.ndarray]]) -> None:
        self._of = {who: [clip for other, clip in clips if other != who] for who in {who for who, _ in clips}}

    def __bool__(self) -> bool:
        """Whether every speaker has another to be mixed with."""
        return all(self._of.values())

    def __call__(self, speaker: str, length: int, rng: np.random.Generator) -> np.ndarray:
        """`(length,)`, without `speaker`."""
        others = self._of[speaker]
        chosen = [others[int(rng.integers(len(others)))] for _ in range(rng.integers(*BABBLE_VOICES, endpoint=True))]
        return np.sum([stretch(clip, length, rng) / np.float32(max(rms(clip), 1e-6)) for clip in chosen], axis=0)
