"""Degradations of speech: noise, rooms, levels, clipping, telephone lines, codecs, microphones, speed.

Noise files and rooms are those that training excludes. All random numbers come from the given generator.
"""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr
from scipy.signal import firwin2, oaconvolve

from augment.config import AugmentConfig
from augment.noise import audio_files
from crnn.data.audio import read_audio
from edge.battery import perturbations

Condition = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""`waveform (time,)` float32, generator -> degraded waveform"""

RATE = 16000
HELD_OUT = AugmentConfig()


def noise(files: list[np.ndarray], snr_db: float) -> Condition:
    def spoil(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        sound = files[int(rng.integers(len(files)))]
        return perturbations.mixed(waveform, perturbations.stretch(sound, len(waveform), rng), snr_db)

    return spoil


def room(response: np.ndarray) -> Condition:
    return lambda waveform, rng: perturbations.in_room(waveform, response)


def gain(decibels: float) -> Condition:
    return lambda waveform, rng: np.clip(waveform * np.float32(10 ** (decibels / 20)), -1, 1)


def clipping(share: float) -> Condition:
    """Peaks cut so that `share` of the samples are at the limit."""

    return lambda waveform, rng: perturbations.clipped(waveform, share)


def telephone(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """300 to 3400 Hz at 8 kHz, and back."""
    return perturbations.telephone(waveform, RATE, companded=False)


def coded(kind: str, subtype: str, level: float) -> Condition:
    """Through a lossy codec (libsndfile) and back."""

    def spoil(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        buffer = io.BytesIO()
        soundfile.write(buffer, np.clip(waveform, -1, 1), RATE, format=kind, subtype=subtype, compression_level=level)
        buffer.seek(0)
        return soundfile.read(buffer, dtype="float32")[0]

    return spoil


def microphone(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A cheap electret: no bass, a broad peak of 8 dB near 3 kHz, less above 5 kHz."""
    frequencies = np.array([0, 80, 200, 400, 1000, 2000, 3000, 4500, 6000, 8000]) / 8000
    decibels = np.array([-40, -24, -9, -2, 0, 4, 8, 2, -8, -20])
    return oaconvolve(waveform, firwin2(511, frequencies, 10 ** (decibels / 20)), mode="same").astype(np.float32)


def speed(factor: float) -> Condition:
    return lambda waveform, rng: soxr.resample(waveform, factor, 1.0).astype(np.float32)


def conditions(data: Path) -> dict[tuple[str, str], Condition]:
    """(condition, level) -> its function."""
    held = {
        kind: [f for f in audio_files(data / folder, (), kind) if any(f.match(p) for p in patterns)]
        for kind, folder, patterns in (
            ("noise", "noise", HELD_OUT.noise_exclude),
            ("room", "rir", HELD_OUT.room_exclude),
        )
    }
    sounds = [read_audio(f, RATE) for f in held["noise"]]
    made: dict[tuple[str, str], Condition] = {("clean", ""): lambda waveform, rng: waveform}
    made |= {("noise", f"{snr} dB"): noise(sounds, snr) for snr in (20, 10, 5, 0)}
    made |= {("room", f.stem): room(read_audio(f, RATE)) for f in held["room"]}
    made |= {("gain", f"{db:+d} dB"): gain(db) for db in (-30, -20, -10, 10)}
    made |= {("clipping", f"{share:.0%}"): clipping(share) for share in (0.01, 0.1)}
    made |= {
        ("telephone", "8 kHz"): telephone,
        ("codec", "MP3, lowest rate"): coded("MP3", "MPEG_LAYER_III", 0.99),
        ("codec", "Opus, lowest rate"): coded("OGG", "OPUS", 0.99),
        ("microphone", "electret"): microphone,
        ("speed", "-10 %"): speed(0.9),
        ("speed", "+10 %"): speed(1.1),
    }
    return made
