"""The listening loop on speech, pauses and noise: what each gate misses and lets through, how calm the live label is.

    SER_DATA=FOLDER python -m benchmarks.listening --part test

Real clips of one set of speakers of ravdess-luna5 fold 0 (each speaker brought to one median level, so that a quiet
emotion stays quiet), between pauses of 3 to 12 s, all under continuous noise. Speech is what lies within 35 dB of the
clip's loud frames in the clean recording, breaks below 0.3 s included. `missed`: share of speech that no utterance
holds; `passed`: share of the rest that one does, pre-roll and hold included; gate `oracle` knows the truth and shows
what these two cost. Writes benchmarks/results/gates.json and live_label.json.
"""

import argparse
import os
from pathlib import Path

import numpy as np

from benchmarks.results import add_row
from crnn import prepare as preparation
from crnn.audio import read_audio
from crnn.prepare import Prepared
from crnn.run_config import RunConfig
from edge.bundle import PRETRAINED, Bundle
from edge.smoothing import SmoothingConfig
from edge.streaming import HopResult, StreamingRecognizer
from edge.utterances import UtteranceRecognizer, UtteranceSettings
from edge.vad import Gate, make_gate

RESULTS = Path("benchmarks/results")
PROTOCOL = "ravdess-luna5"
RATE = 16000
SPEECH_DBFS = -30.0
"""Median level of every speaker"""
NOISES = {
    "microphone": None,
    "fan": None,
    "dishes": "speech_commands/doing_the_dishes.flac",
    "rain": "esc10/002_Rain",
    "clock": "esc10/005_Clock_tick",
    "fire": "esc10/010_Fire_crackling",
    "dog": "esc10/001_Dog_bark",
}
CONDITIONS = [("microphone", -75.0), ("microphone", -60.0), ("fan", -55.0), ("fan", -45.0)] + [
    (name, level) for name in ("dishes", "rain", "clock", "fire", "dog") for level in (-55.0, -45.0)
]
SMOOTHINGS = [
    (0.0, 0.0),
    (0.0, 0.1),
    (0.0, 0.2),
    (0.0, 0.3),
    (0.25, 0.1),
    (0.25, 0.2),
    (0.5, 0.0),
    (0.5, 0.1),
    (1.0, 0.1),
]
TRUTH_FRAME = 320


class Oracle:
    """A gate that knows the truth, `(time,)` bool."""

    frame_samples = TRUTH_FRAME

    def __init__(self, truth: np.ndarray) -> None:
        self._truth = truth
        self.reset()

    def reset(self) -> None:
        self._at = 0

    def update(self, frames: np.ndarray) -> list[bool]:
        self._at += frames.size
        return self._truth[self._at - frames.size : self._at].reshape(frames.shape).any(axis=1).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--part", choices=("dev", "test"), default="test")
    parser.add_argument("--what", nargs="+", choices=("gates", "live_label"), default=["gates", "live_label"])
    parser.add_argument("--clips", type=int, default=60)
    args = parser.parse_args()
    config = RunConfig(protocol=PROTOCOL, fold=0)
    prepared = preparation.prepare(config, preparation.locate_data(PROTOCOL, 0, {}))
    recognizer = Bundle.open(PRETRAINED).recognizer()
    if "gates" in args.what:
        gates(recognizer, prepared, args.part, args.clips)
    if "live_label" in args.what:
        live_labels(recognizer, prepared, args.part)


def gates(recognizer: StreamingRecognizer, prepared: Prepared, part: str, n_clips: int) -> None:
    clean, truth = scene(prepared, part, n_clips)
    for noise, level in CONDITIONS:
        audio = clean + noise_like(noise, level, len(clean))
        for name in ("oracle", "energy", "silero"):
            gate = Oracle(truth) if name == "oracle" else make_gate(name, RATE)
            heard = passed(recognizer, gate, audio)
            row = {
                "part": part,
                "noise": noise,
                "noise_dbfs": level,
                "gate": name,
                "missed": float(1 - heard[truth].mean()),
                "passed": float(heard[~truth].mean()),
                "minutes": len(audio) / RATE / 60,
            }
            add_row(RESULTS / "gates.json", row, ("part", "noise", "noise_dbfs", "gate"))
            print(f"{noise:10} {level:5.0f}  {name:7} missed {row['missed']:6.1%}  passed {row['passed']:6.1%}")


def live_labels(recognizer: StreamingRecognizer, prepared: Prepared, part: str) -> None:
    for half_life, margin in SMOOTHINGS:
        row = {"part": part, "half_life_seconds": half_life, "margin": margin}
        row |= live_label(recognizer, prepared, part, SmoothingConfig(half_life, margin))
        add_row(RESULTS / "live_label.json", row, ("part", "half_life_seconds", "margin"))
        print(row, flush=True)


def scene(prepared: Prepared, part: str, n_clips: int) -> tuple[np.ndarray, np.ndarray]:
    """Clips and pauses, and where there is speech, bool; both `(time,)`."""
    rng = np.random.default_rng(0)
    utterances = getattr(prepared.split, part)
    chosen = [utterances[i] for i in rng.permutation(len(utterances))[:n_clips]]
    waves = [np.array(prepared.cache.waveform(u.name)) for u in chosen]
    spoken = [speech(wave) for wave in waves]
    levels = [10 * np.log10(np.mean(wave[mask] ** 2)) for wave, mask in zip(waves, spoken, strict=True)]
    audio, truth = [], []
    for u, wave, mask in zip(chosen, waves, spoken, strict=True):
        own = [level for other, level in zip(chosen, levels, strict=True) if other.speaker == u.speaker]
        pause = np.zeros(round(rng.uniform(3, 12) * RATE), np.float32)
        audio += [pause, wave * np.float32(10 ** ((SPEECH_DBFS - np.median(own)) / 20))]
        truth += [pause > 0, mask]
    return np.clip(np.concatenate(audio), -1, 1), np.concatenate(truth)


def speech(wave: np.ndarray) -> np.ndarray:
    """Where the clean recording is within 35 dB of its loud frames, breaks below 0.3 s included: `(time,)` bool."""
    n = len(wave) // TRUTH_FRAME
    level = 10 * np.log10(np.maximum((wave[: n * TRUTH_FRAME].reshape(n, -1) ** 2).mean(axis=1), 1e-12))
    loud = np.flatnonzero(level > np.percentile(level, 95) - 35)
    mask = np.zeros(len(wave), bool)
    for this, following in zip(loud, [*loud[1:], loud[-1]], strict=True):
        last = following if (following - this) * TRUTH_FRAME < 0.3 * RATE else this
        mask[this * TRUTH_FRAME : (last + 1) * TRUTH_FRAME] = True
    return mask


def noise_like(name: str, level: float, n_samples: int) -> np.ndarray:
    """Continuous noise at `level` dBFS: white (a microphone's own), brownish (a fan), or recordings one by one."""
    rng = np.random.default_rng(1)
    if name == "microphone":
        noise = rng.standard_normal(n_samples).astype(np.float32)
    elif name == "fan":
        spectrum = np.fft.rfft(rng.standard_normal(n_samples))
        spectrum /= np.maximum(np.fft.rfftfreq(n_samples, 1 / RATE), 100.0)
        noise = np.fft.irfft(spectrum, n_samples).astype(np.float32)
    else:
        place = Path(os.environ["SER_DATA"]) / "noise" / NOISES[name]
        files = [place] if place.is_file() else sorted(place.rglob("*.flac"))
        waves = [read_audio(file, RATE) for file in files]
        noise = np.resize(np.concatenate([w / max(float(np.sqrt(np.mean(w**2))), 1e-6) for w in waves]), n_samples)
    return (noise * np.float32(10 ** (level / 20) / np.sqrt(np.mean(noise**2)))).astype(np.float32)


def passed(recognizer: StreamingRecognizer, gate: Gate, audio: np.ndarray) -> np.ndarray:
    """Which samples an utterance holds, `(time,)` bool."""
    loop = UtteranceRecognizer(recognizer, gate)
    frame, s = gate.frame_samples, loop.settings
    before = round((s.pre_roll_seconds + s.onset_seconds) * RATE)
    heard = np.zeros(len(audio), bool)
    for at in range(0, len(audio) - frame + 1, frame):
        was_open = loop.open
        loop.push(audio[at : at + frame])
        if loop.open or was_open:
            heard[at if was_open else max(0, at + frame - before) : at + frame] = True
    return heard


def live_label(
    recognizer: StreamingRecognizer, prepared: Prepared, part: str, smoothing: SmoothingConfig
) -> dict[str, float]:
    """Someone speaks without a pause and changes emotion after every fourth clip or so: changes of the shown label per
    minute, and its share right. The bundle has heard these speakers: the two are for comparing settings alone."""
    always = Oracle(np.ones(3600 * RATE, bool))
    loop = UtteranceRecognizer(recognizer, always, UtteranceSettings(smoothing=smoothing))
    rng = np.random.default_rng(0)
    changes, right = 0, []
    for speaker in sorted({u.speaker for u in getattr(prepared.split, part)}):
        loop.reset()
        shown: list[str] = []
        for emotion in rng.permutation(recognizer.labels):
            own = [u for u in getattr(prepared.split, part) if (u.speaker, u.emotion) == (speaker, emotion)]
            for u in (own[i] for i in rng.permutation(len(own))[:4]):
                wave = prepared.cache.waveform(u.name)
                told = loop.push(wave[speech(wave)])
                fresh = [r.emotion for r in told if isinstance(r, HopResult) and r.emotion]
                shown += fresh
                right += [answer == emotion for answer in fresh]
        changes += sum(a != b for a, b in zip(shown, shown[1:], strict=False))
    minutes = len(right) * recognizer.geometry.hop_samples / RATE / 60
    return {"changes_per_minute": changes / minutes, "right": float(np.mean(right)), "minutes": minutes}


if __name__ == "__main__":
    main()
