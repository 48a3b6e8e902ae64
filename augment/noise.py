"""Background noise at a drawn signal-to-noise ratio, and rooms, by audiomentations."""

import logging
from collections.abc import Sequence
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import audiomentations
import numpy as np
import soundfile

from augment.seeding import seeded

log = logging.getLogger(__name__)

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3"})
LFS_POINTER = b"version https://git-lfs"
CHECKED_SECONDS = 1.0
"""s, length of the beginning and of the end of each file that are decoded before training"""


class UnreadableSoundError(OSError):
    """A noise or room file could not be used when it was drawn. The message is one line that names it."""


class Transform:
    """One audiomentations transform; it draws from the given generator, also whether it is applied."""

    def __init__(self, transform: audiomentations.core.transforms_interface.BaseWaveformTransform, sample_rate: int):
        self._transform = transform
        self._sample_rate = sample_rate

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """`waveform (time,)` float32 -> the same shape."""
        with seeded(rng):
            try:
                made = self._transform(waveform, self._sample_rate)
            except Exception as error:  # decoders raise many types; all are about the drawn file
                raise UnreadableSoundError(
                    f"{self._drawn()}: cannot be read as audio ({error or repr(error)})"
                ) from error
        if made is not waveform and not np.isfinite(made).all():
            raise UnreadableSoundError(f"{self._drawn()}: holds NaN or infinite samples")
        return made

    def _drawn(self) -> str:
        parameters = self._transform.parameters
        return parameters.get("noise_file_path") or parameters.get("ir_file_path") or "the recording"


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
    """Convolution with a drawn room impulse response; the output has the level of the input.

    audiomentations scales its result to a peak of 0.5. The level of the input is restored, because it carries emotion.
    """

    def __init__(self, files: Sequence[Path], p: float, sample_rate: int) -> None:
        transform = audiomentations.ApplyImpulseResponse(ir_path=[str(f) for f in files], p=p)
        self._transform = Transform(transform, sample_rate)

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """`waveform (time,)` float32 -> the same shape and root mean square."""
        return at_level_of(waveform, self._transform(waveform, rng))


def at_level_of(waveform: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """`changed (time,)` at the root mean square of `waveform`; `waveform` itself if `changed` is silent."""
    level, new_level = (float(np.sqrt(np.mean(np.square(x)))) for x in (waveform, changed))
    return changed * np.float32(level / new_level) if new_level > 0 else waveform


def audio_files(folder: Path, exclude: Sequence[str], what: str) -> list[Path]:
    """Audio files below `folder`, without those that match a pattern of `exclude` (reserved for robustness tests).

    Files that cannot be decoded (empty, git-lfs pointers, macOS's ._ files, links to nothing) are left out and named in
    the log. Raises FileNotFoundError if none is left.
    """
    found = sorted(f for f in Path(folder).rglob("*") if f.suffix.lower() in SUFFIXES) if folder else []
    wanted = [f for f in found if not any(fnmatch(str(f.relative_to(folder)), pattern) for pattern in exclude)]
    reasons = {f: "hidden" if _is_hidden(f, Path(folder)) else _fault(f) for f in wanted if not f.is_dir()}
    usable = [f for f, reason in reasons.items() if reason is None]
    faulty = [f"{f}: {reason}" for f, reason in reasons.items() if reason is not None]
    if not usable:
        raise FileNotFoundError(
            f"{folder or '(no folder given)'}: no {what} recordings{f' ({faulty[0]})' if faulty else ''}; set "
            f"--augment.{what}_dir, or switch it off with --augment.{what} false"
        )
    if faulty:
        log.warning("%d of %d %s files left out: %s", len(faulty), len(reasons), what, "; ".join(faulty[:5]))
    return usable


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in file.relative_to(folder).parts)


def _fault(file: Path) -> str | None:
    """Why a file cannot be used, judged by its first and last second; None if it can."""
    if not file.is_file():
        return "a link to nothing"
    facts = file.stat()
    return _decoding_fault(file, facts.st_size, facts.st_mtime_ns)


@cache
def _decoding_fault(file: Path, size: int, changed_ns: int) -> str | None:
    """The same, cached for one state of the file, because the chain lists its files more than once."""
    if size == 0:
        return "empty"
    with file.open("rb") as opened:
        if opened.read(len(LFS_POINTER)) == LFS_POINTER:
            return "a git-lfs pointer; run git lfs pull"
    try:
        with soundfile.SoundFile(file) as sound:
            length = round(CHECKED_SECONDS * sound.samplerate)
            samples = [sound.read(length, dtype="float32")]
            if sound.frames > 2 * length:
                sound.seek(sound.frames - length)
                samples.append(sound.read(length, dtype="float32"))
    except (soundfile.LibsndfileError, RuntimeError) as error:
        return f"not readable as audio ({str(error).splitlines()[0]})"
    if not len(samples[0]) or not len(samples[-1]):
        return "holds no samples, or is truncated"
    return None if all(np.isfinite(part).all() for part in samples) else "holds NaN or infinite samples"
