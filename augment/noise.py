"""Background noise at a drawn signal-to-noise ratio, and rooms, by audiomentations."""

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import audiomentations
import numpy as np

from augment.seeding import seeded


class Transform:
    """One audiomentations transform, applied with probability `p`, whose chance comes from the generator given."""

    def __init__(self, transform: audiomentations.core.transforms_interface.BaseWaveformTransform, sample_rate: int):
        self._transform = transform
        self._sample_rate = sample_rate

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """`waveform (time,)` float32 -> the same shape."""
        with seeded(rng):
            return self._transform(waveform, self._sample_rate)


def background_noise(
    files: Sequence[Path], min_snr_db: float, max_snr_db: float, p: float, sample_rate: int
) -> Transform:
    """A stretch of a noise file, mixed in at a signal-to-noise ratio drawn between the two, in decibels."""
    return Transform(
        audiomentations.AddBackgroundNoise(
            sounds_path=[str(f) for f in files], min_snr_db=min_snr_db, max_snr_db=max_snr_db, p=p
        ),
        sample_rate,
    )


class Room:
    """Convolution with a drawn room impulse response, at the level of the input.

    audiomentations scales its result to a peak of 0.5; level carries emotion, so the input's is restored.
    """

    def __init__(self, files: Sequence[Path], p: float, sample_rate: int) -> None:
        transform = audiomentations.ApplyImpulseResponse(ir_path=[str(f) for f in files], p=p)
        self._transform = Transform(transform, sample_rate)

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """`waveform (time,)` float32 -> the same shape and root mean square."""
        return at_level_of(waveform, self._transform(waveform, rng))


def at_level_of(waveform: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """`changed (time,)` at the root mean square of `waveform`; `waveform` itself where nothing is left of it."""
    level, new_level = (float(np.sqrt(np.mean(np.square(x)))) for x in (waveform, changed))
    return changed * np.float32(level / new_level) if new_level > 0 else waveform


def audio_files(folder: Path, exclude: Sequence[str], what: str) -> list[Path]:
    """Audio files below `folder`, less those that match a pattern of `exclude` (kept for robustness tests).

    Raises FileNotFoundError if there is none.
    """
    suffixes = {".wav", ".flac", ".ogg"}
    found = sorted(f for f in Path(folder).rglob("*") if f.suffix.lower() in suffixes) if folder else []
    kept = [f for f in found if not any(fnmatch(str(f.relative_to(folder)), pattern) for pattern in exclude)]
    if not kept:
        raise FileNotFoundError(
            f"{folder or '(no folder given)'}: no {what} recordings; set --augment.{what}_dir, "
            f"or switch it off with --augment.{what} false"
        )
    return kept
