"""How often the live label changes and how often it is right, at several settings of its smoothing.

    SER_DATA=FOLDER python -m benchmarks.device.live_label --part test

Plays the clips of one set of speakers of ravdess-luna5 fold 0 one after another, with a VAD that always reports a
voice. Plays only speech: the parts within 35 dB of the clip's loud frames, including breaks below 0.3 s. Writes
benchmarks/results/live_label.json.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from benchmarks.harness.results import add_row
from crnn.cli.command import command
from crnn.data import prepare as preparation
from crnn.data.prepare import Prepared
from crnn.run_config import RunConfig
from edge.audio.speech_evidence import Voice
from edge.bundle import PRETRAINED, Bundle
from edge.loop.utterances import UtteranceRecognizer, UtteranceSettings
from edge.stream.live_label import SmoothingConfig
from edge.stream.recognizer import StreamingRecognizer
from edge.stream.results import StreamResult

RESULTS = Path("benchmarks/results")
PROTOCOL = "ravdess-luna5"
RATE = 16000
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


class AlwaysOpen:
    """A VAD that always reports a voice."""

    name = "open"
    frame_samples = TRUTH_FRAME

    def reset(self) -> None:
        pass

    def update(self, frames: np.ndarray) -> list[Voice]:
        return [Voice.SURE] * len(frames)


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--part", choices=("dev", "test"), default="test")
    args = parser.parse_args(argv)
    config = RunConfig(protocol=PROTOCOL, fold=0)
    prepared = preparation.prepare(config, preparation.locate_data(PROTOCOL, 0, {}))
    live_labels(Bundle.open(PRETRAINED).recognizer(), prepared, args.part)
    return 0


def live_labels(recognizer: StreamingRecognizer, prepared: Prepared, part: str) -> None:
    for half_life, margin in SMOOTHINGS:
        row = {"part": part, "half_life_seconds": half_life, "margin": margin}
        row |= live_label(recognizer, prepared, part, SmoothingConfig(half_life, margin))
        add_row(RESULTS / "live_label.json", row, ("part", "half_life_seconds", "margin"))
        print(row, flush=True)


def speech(wave: np.ndarray) -> np.ndarray:
    """`(time,)` bool: the clean recording is within 35 dB of its loud frames. Includes breaks below 0.3 s."""
    n = len(wave) // TRUTH_FRAME
    level = 10 * np.log10(np.maximum((wave[: n * TRUTH_FRAME].reshape(n, -1) ** 2).mean(axis=1), 1e-12))
    loud = np.flatnonzero(level > np.percentile(level, 95) - 35)
    mask = np.zeros(len(wave), bool)
    for this, following in zip(loud, [*loud[1:], loud[-1]], strict=True):
        last = following if (following - this) * TRUTH_FRAME < 0.3 * RATE else this
        mask[this * TRUTH_FRAME : (last + 1) * TRUTH_FRAME] = True
    return mask


def live_label(
    recognizer: StreamingRecognizer, prepared: Prepared, part: str, smoothing: SmoothingConfig
) -> dict[str, float]:
    """Changes of the shown label per minute, and the share of time it is right, if someone speaks without a pause and
    changes emotion after about every fourth clip. The bundle was trained on these speakers, so the two figures only
    compare settings."""
    loop = UtteranceRecognizer(recognizer, AlwaysOpen(), UtteranceSettings(smoothing=smoothing))
    rng = np.random.default_rng(0)
    changes, right = 0, []
    for speaker in sorted({u.speaker for u in getattr(prepared.split, part)}):
        loop.reset()
        shown: list[str] = []
        for emotion in rng.permutation(recognizer.labels):
            own = [u for u in getattr(prepared.split, part) if (u.speaker, u.emotion) == (speaker, emotion)]
            for u in (own[i] for i in rng.permutation(len(own))[:4]):
                wave = prepared.cache.waveform(u.name)
                events = loop.push(wave[speech(wave)])
                fresh = [r.emotion for r in events if isinstance(r, StreamResult) and r.emotion]
                shown += fresh
                right += [answer == emotion for answer in fresh]
        changes += sum(a != b for a, b in zip(shown, shown[1:], strict=False))
    minutes = len(right) * recognizer.geometry.interval_samples / RATE / 60
    return {"changes_per_minute": changes / minutes, "right": float(np.mean(right)), "minutes": minutes}


if __name__ == "__main__":
    sys.exit(main())
