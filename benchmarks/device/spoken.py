"""Real utterances at their natural level, clean or in noise, one per session, which a VAD must detect."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.device import nonspeech
from benchmarks.device.live_label import speech
from benchmarks.device.nonspeech import RATE, half
from benchmarks.harness.corpora import folder
from crnn.data.audio import AUDIO_SUFFIXES, read_audio

SPEAKERS = {"ravdess": r"-(\d\d)$", "emodb": r"^(\d\d)", "crema_d": r"^(\d{4})_", "emovo": r"-(..)-"}
"""Corpus -> pattern of the speaker in a file name"""
CORPORA = tuple(SPEAKERS)
SILENT = "1076_MTI_SAD_XX"
"""A recording of CREMA-D without any sound"""
SNRS = (None, 20.0, 10.0)
"""dB; None: a quiet room at ROOM_DBFS"""
ROOM_DBFS = -75.0
NOISES = ("white noise", "pink noise", "fan", "rain", "sea", "helicopter", "fire", "dishes")
"""Continuous noises, in turn from session to session"""
TAIL_SECONDS = 2.0


@dataclass(frozen=True)
class Spoken:
    """A session."""

    audio: np.ndarray
    """`(time,)` float32 in [-1, 1]"""
    start_seconds: float
    """s, start of the clip; 0 in every third session, else after 1 to 8 s of noise"""
    end_seconds: float


def speaker(corpus: str, path: Path) -> str | None:
    """The speaker of a recording; None if its name is not of the corpus."""
    found = re.search(SPEAKERS[corpus], path.stem)
    return found[1] if found else None


def clips(corpus: str, split: str, n: int, seed: int) -> list[Path]:
    """`n` recordings of the speakers of one split, at random."""
    files = folder(corpus).rglob("*.*")
    found = [
        path
        for path in sorted(files)
        if path.suffix in AUDIO_SUFFIXES
        and path.stem != SILENT
        and (who := speaker(corpus, path))
        and half(f"{corpus} {who}") == split
    ]
    rng = np.random.default_rng([seed, nonspeech.SPLITS.index(split)])
    return [found[i] for i in rng.permutation(len(found))[:n]]


def sessions(corpus: str, split: str, snr_db: float | None, n_clips: int, seed: int) -> Iterator[Spoken]:
    background = {name: nonspeech.maker(name, split) for name in NOISES}
    for number, path in enumerate(clips(corpus, split, n_clips, seed)):
        rng = np.random.default_rng([seed, nonspeech.SPLITS.index(split), CORPORA.index(corpus), number])
        wave = read_audio(path, RATE)
        start = round((rng.uniform(1, 8) if number % 3 else 0.0) * RATE)
        n = start + len(wave) + round(TAIL_SECONDS * RATE)
        if snr_db is None:
            noise = rng.standard_normal(n) * 10 ** (ROOM_DBFS / 20)
        else:
            noise = background[NOISES[number % len(NOISES)]](rng, n)
            loud = np.sqrt(np.mean(np.square(wave[speech(wave)])) / np.mean(np.square(noise)))
            noise = noise * loud * 10 ** (-snr_db / 20)
        noise[start : start + len(wave)] += wave
        yield Spoken(np.clip(noise, -1, 1).astype(np.float32), start / RATE, (start + len(wave)) / RATE)
