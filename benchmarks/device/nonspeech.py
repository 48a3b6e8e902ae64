"""Sounds without a voice, as they occur at home: noise, hum, fans, music, knocks, and recordings.

A session is five minutes of one sound in a quiet room, in stretches with pauses between. The seed decides
everything. The hash of the file name decides the split of a recording; longer recordings are cut in the middle, one
half for each split.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy.signal import butter, sosfilt

from benchmarks.harness.corpora import folder
from crnn.data.audio import read_audio
from crnn.errors import require

RATE = 16000
SESSION_SECONDS = 300
SPLITS = ("dev", "test")
ROOM_DBFS = -70.0
"""White noise of the room, in pauses too"""
LEVELS = (-60.0, -50.0, -40.0, -30.0, -22.0, -15.0)
"""dBFS of a stretch, in turn from session to session; of a recording its loudest second"""
Maker = Callable[[np.random.Generator, int], np.ndarray]
"""Generator, n -> `(n,)` samples at any level"""


def coloured(exponent: float) -> Maker:
    """Noise whose power falls with frequency to the power of `exponent`: 0 white, 1 pink, 2 brown (from 20 Hz on)."""

    def make(rng: np.random.Generator, n: int) -> np.ndarray:
        spectrum = np.fft.rfft(rng.standard_normal(n))
        frequency = np.maximum(np.fft.rfftfreq(n, 1 / RATE), 20.0)
        return np.fft.irfft(spectrum * frequency ** (-exponent / 2), n)

    return make


def hum(mains: float) -> Maker:
    """Mains hum: eight harmonics at random levels and phases."""

    def make(rng: np.random.Generator, n: int) -> np.ndarray:
        time = np.arange(n) / RATE
        partials = [
            rng.uniform(0.3, 1) / k * np.sin(2 * np.pi * (k * mains * time + rng.random())) for k in range(1, 9)
        ]
        return np.sum(partials, axis=0)

    return make


def fan(rng: np.random.Generator, n: int) -> np.ndarray:
    """Dull noise and a blade tone, 3 dB up and down every 2 to 10 s."""
    time = np.arange(n) / RATE
    noise = sosfilt(butter(1, rng.uniform(200, 800), fs=RATE, output="sos"), rng.standard_normal(n))
    tone = np.sin(2 * np.pi * rng.uniform(60, 200) * time) * noise.std() * rng.uniform(0.1, 0.7)
    return (noise + tone) * 10 ** (1.5 / 20 * np.sin(2 * np.pi * rng.uniform(0.1, 0.5) * time))


def notes(rng: np.random.Generator, n: int, voices: int, vibrato: float, seconds: tuple[float, float]) -> np.ndarray:
    """Notes of six harmonics, `voices` at a time, attack 30 ms, slow decay; `vibrato` in semitones at 5.5 Hz."""
    out = np.zeros(n)
    at = 0
    while at < n:
        length = min(n - at, round(rng.uniform(*seconds) * RATE))
        time = np.arange(length) / RATE
        for semitone in rng.choice(30, voices, replace=False):
            pitch = 130.8 * 2 ** ((semitone + vibrato * np.sin(2 * np.pi * 5.5 * time)) / 12)
            phase = 2 * np.pi * np.cumsum(pitch) / RATE
            tone = np.sum([np.sin(k * phase) / k for k in range(1, 7)], axis=0)
            out[at : at + length] += tone * np.minimum(1, time / 0.03) * np.exp(-time / rng.uniform(0.5, 3))
        at += length
    return out


def chords(rng: np.random.Generator, n: int) -> np.ndarray:
    return notes(rng, n, voices=4, vibrato=0.0, seconds=(0.5, 2.0))


def melody(rng: np.random.Generator, n: int) -> np.ndarray:
    return notes(rng, n, voices=1, vibrato=0.4, seconds=(0.2, 1.0))


def drums(rng: np.random.Generator, n: int) -> np.ndarray:
    """Bass drum and snare alternate, hi-hat between, at 80 to 140 beats a minute."""
    beat = round(30 / rng.uniform(80, 140) * RATE)
    strike = np.arange(min(n, round(0.3 * RATE))) / RATE
    bass = np.sin(2 * np.pi * 55 * strike) * np.exp(-strike / 0.08)
    out = np.zeros(n + len(strike))
    for number, at in enumerate(range(0, n, beat)):
        rattle = np.diff(rng.standard_normal(len(strike) + 1))
        snare = 0.4 * rattle * np.exp(-strike / 0.06)
        hat = 0.1 * rattle * np.exp(-strike / 0.02)
        out[at : at + len(strike)] += (bass, hat, snare, hat)[number % 4] * rng.uniform(0.6, 1)
    return out[:n]


def bursts(decay: float, pitch: tuple[float, float], gap: tuple[float, float], per_group: tuple[int, int]) -> Maker:
    """Groups of short resonant strikes: clicks, ticks, knocks. All in s and Hz; `gap` between groups, 0.2 s within."""

    def make(rng: np.random.Generator, n: int) -> np.ndarray:
        out = np.zeros(n)
        at = 0
        while at < n:
            for _ in range(rng.integers(*per_group)):
                time = np.arange(min(max(n - at, 0), round(8 * decay * RATE))) / RATE
                tone = np.sin(2 * np.pi * rng.uniform(*pitch) * time) + 0.5 * rng.standard_normal(len(time))
                out[at : at + len(time)] += tone * np.exp(-time / decay) * rng.uniform(0.5, 1)
                at += round(rng.uniform(0.15, 0.25) * RATE)
            at += round(rng.uniform(*gap) * RATE)
        return out

    return make


MADE: dict[str, Maker] = {
    "white noise": coloured(0),
    "pink noise": coloured(1),
    "brown noise": coloured(2),
    "hum 50 Hz": hum(50.0),
    "hum 60 Hz": hum(60.0),
    "fan": fan,
    "chords": chords,
    "melody": melody,
    "drums": drums,
    "clicks": bursts(0.002, (1000, 4000), (0.3, 3.0), (1, 2)),
    "ticks": bursts(0.004, (1500, 3000), (0.3, 0.8), (1, 2)),
    "door knocks": bursts(0.03, (90, 300), (2.0, 8.0), (2, 6)),
}
RECORDED = {
    "dog": "esc10/001_Dog_bark",
    "rain": "esc10/002_Rain",
    "sea": "esc10/003_Sea_waves",
    "clock": "esc10/005_Clock_tick",
    "helicopter": "esc10/007_Helicopter",
    "chainsaw": "esc10/008_Chainsaw",
    "rooster": "esc10/009_Rooster",
    "fire": "esc10/010_Fire_crackling",
    "dishes": "speech_commands/doing_the_dishes.flac",
    "exercise bike": "speech_commands/exercise_bike.flac",
}
SINGLE = ("dog", "rooster")
"""One recording per stretch; the others play recording after recording"""
SOUNDS = (*MADE, *RECORDED)


def half(name: str) -> str:
    """The split of a file or a speaker."""
    return SPLITS[hashlib.sha256(name.encode()).digest()[0] % 2]


def recordings(sound: str, split: str) -> list[np.ndarray]:
    """Waveforms of one split, the loudest second at 0 dBFS RMS. Raises InputError if there is none."""
    place = place_of(sound)
    if place.is_file():
        whole = read_audio(place, RATE)
        middle = len(whole) // 2
        waves = [whole[:middle] if split == SPLITS[0] else whole[middle:]]
    else:
        files = sorted(place.rglob("*.flac"))
        waves = [read_audio(file, RATE) for file in files if half(file.name) == split]
    require(bool(waves), f"{place}: no recordings of split {split} there")
    return [wave / loudest_second(wave) for wave in waves]


def place_of(sound: str) -> Path:
    """Its file or folder below $SER_DATA. Raises InputError if there is none."""
    place = folder("noise") / RECORDED[sound]
    require(place.exists(), f"{place}: no such recordings; put them there")
    return place


def loudest_second(wave: np.ndarray) -> float:
    """Root mean square of the loudest second."""
    seconds = wave[: len(wave) // RATE * RATE].reshape(-1, RATE)
    return max(float(np.sqrt(np.mean(np.square(seconds), axis=1)).max()), 1e-6)


def recorded(waves: list[np.ndarray]) -> Maker:
    """The recordings in random order, as many as fit."""

    def make(rng: np.random.Generator, n: int) -> np.ndarray:
        parts: list[np.ndarray] = []
        while sum(map(len, parts)) < n:
            parts.append(waves[int(rng.integers(len(waves)))])
        return np.concatenate(parts)[:n]

    return make


def maker(sound: str, split: str) -> Maker:
    return recorded(recordings(sound, split)) if sound in RECORDED else MADE[sound]


def sessions(sound: str, split: str, hours: float, seed: int) -> Iterator[np.ndarray]:
    """Sessions of `sound`, at least `hours` together, each `(time,)` float32 in [-1, 1]; they begin in the sound."""
    make = maker(sound, split)
    for number in range(int(np.ceil(hours * 3600 / SESSION_SECONDS))):
        rng = np.random.default_rng([seed, SPLITS.index(split), SOUNDS.index(sound), number])
        yield session(rng, make, LEVELS[number % len(LEVELS)], one_by_one=sound in SINGLE, all_over=number % 3 == 0)


def session(rng: np.random.Generator, make: Maker, dbfs: float, one_by_one: bool, all_over: bool) -> np.ndarray:
    n = SESSION_SECONDS * RATE
    audio = rng.standard_normal(n) * 10 ** (ROOM_DBFS / 20)
    at = 0
    while at < n:
        wanted = 5.0 if one_by_one else SESSION_SECONDS if all_over else rng.uniform(10, 60)
        length = min(n - at, round(wanted * RATE))
        if length > RATE:
            sound = make(rng, length)
            audio[at : at + length] += sound / loudest_second(sound) * 10 ** (dbfs / 20)
        at += length + round(rng.uniform(3, 20) * RATE)
    return np.clip(audio, -1, 1).astype(np.float32)
