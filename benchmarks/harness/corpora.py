"""Folders of the recordings and of the speech encoder, and the names of the corpora in result files."""

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np

from crnn.data.audio import read_audio
from crnn.data.audio_files import audio_files
from crnn.data.corpora import read_corpus
from crnn.data.protocols import corpora_of
from crnn.errors import require

RATE = 16000
LOW_HZ, HIGH_HZ = 5000, 5800
"""A recording that was once at 11.025 kHz has nothing above 5.5 kHz"""
CUT_DB = -50.0
"""Power above HIGH_HZ, relative to that below LOW_HZ: CREMA-D at 11.025 kHz has -57 or less, at 16 kHz -40 or more"""
SAMPLE = 9
"""Recordings that are measured"""


def folders(protocol: str, fold: int) -> dict[str, str]:
    """Corpus -> folder below $SER_DATA."""
    return {corpus: str(folder(corpus)) for corpus in corpora_of(protocol, fold)}


def folder(corpus: str) -> Path:
    """Of a corpus, or of noise or rooms, below $SER_DATA. Raises InputError if it is missing."""
    found = recordings() / corpus
    require(found.is_dir(), f"{found}: no such folder; put the recordings there, or set SER_DATA to another folder")
    return found


def recordings() -> Path:
    """$SER_DATA. Raises InputError if that is not set, or names no folder."""
    return _named_by("SER_DATA", "set SER_DATA to the folder that holds ravdess/, emodb/, crema_d/ ...")


def speech_encoder() -> Path:
    """$SER_ENCODER, a folder of Whisper base. Raises InputError if that is not set, or names no folder."""
    return _named_by("SER_ENCODER", "set SER_ENCODER to a folder of Whisper base in transformers' format")


def _named_by(variable: str, wanted: str) -> Path:
    given = os.environ.get(variable)
    require(bool(given), wanted)
    require(Path(given).is_dir(), f"{given}: no such folder; {wanted}")
    return Path(given).resolve()


def sexes(names: Iterable[str]) -> dict[str, str | None]:
    """Speaker -> female, male or None, of some corpora."""
    return {u.speaker_id: u.sex for corpus in names for u in read_corpus(corpus, folder(corpus)).utterances}


@cache
def title(folder: str | Path) -> str:
    """Name of a corpus in result files: that of its folder. CREMA-D's says which copy it is: figures of one without
    high frequencies must not look like figures of the corpus."""
    name = Path(folder).name
    if name != "crema_d":
        return name
    return "CREMA-D (11 kHz)" if high_frequencies_db(Path(folder)) < CUT_DB else "CREMA-D"


def high_frequencies_db(folder: Path) -> float:
    """Power above 5.8 kHz relative to that below 5 kHz, the median of some recordings below a folder.

    Raises InputError if it holds none.
    """
    files = audio_files(folder)
    require(bool(files), f"{folder}: no recordings there")
    found = []
    for path in files[:: max(1, len(files) // SAMPLE)]:
        waveform = read_audio(path, RATE)
        power = np.square(np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)))))
        hz = np.fft.rfftfreq(len(waveform), 1 / RATE)
        ratio = power[hz > HIGH_HZ].sum() / max(power[hz < LOW_HZ].sum(), 1e-12)
        found.append(10 * np.log10(max(ratio, 1e-12)))
    return float(np.median(found))


def titles(data: dict[str, str]) -> str:
    return " + ".join(title(folder) for folder in data.values())
