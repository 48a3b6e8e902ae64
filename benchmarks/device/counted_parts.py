"""The loop, the stream and their parts, counted under Valgrind by `benchmarks.device.instructions`, which starts this.

Each part is given what it was given inside the stream. silero-vad is counted beside them if it is installed.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.device.stream_systems import RATE, SileroAlone, endless
from benchmarks.harness.callgrind import Counter
from crnn.cli.command import command
from crnn.errors import InputError
from edge.audio.vad import make_vad
from edge.bundle import Bundle
from edge.bundle.reader import build_recognizer
from edge.loop.utterances import UtteranceRecognizer
from edge.stream.recognizer import StreamingRecognizer

PARTS = ("log_mel", "encoder", "head")
"""Of `StreamingRecognizer`, without their underscore"""
PLAYED = ("stream", *PARTS, "loop", "vad", "silero_vad")
"""What is counted, for speech and for silence"""


def play(push: Callable[[np.ndarray], object], audio: np.ndarray, size: int, seconds: float) -> None:
    """Push `seconds` s of `audio`, repeated, in chunks of `size` samples."""
    chunks = endless(audio, size)
    for _ in range(round(seconds * RATE / size)):
        push(next(chunks))


class Recorded:
    """A part of the stream that stores what it is given."""

    def __init__(self, part: object) -> None:
        self._call, self.contract, self._given = getattr(part, "run", part), getattr(part, "contract", None), []

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self._given.append(x.copy())
        return self._call(x)

    run = __call__

    def repeat(self) -> None:
        """Compute again what it was given."""
        for x in self._given:
            self._call(x)


def recorded_parts(
    recognizer: StreamingRecognizer, audio: np.ndarray, size: int, seconds: float
) -> dict[str, Recorded]:
    """The parts of a recognizer, with what `seconds` s of `audio` give them."""
    parts = {name: getattr(recognizer, f"_{name}") for name in PARTS}
    recorded = {name: Recorded(part) for name, part in parts.items()}
    for name, part in recorded.items():
        setattr(recognizer, f"_{name}", part)
    play(recognizer.push, audio, size, seconds)
    for name, part in parts.items():
        setattr(recognizer, f"_{name}", part)
    return recorded


def count_audio(count: Callable[[str, Callable[[], object]], None], bundle: Bundle, audio: np.ndarray, seconds: float):
    """Count everything on `seconds` s of `audio`, each after as much of it."""
    recognizer = build_recognizer(bundle.path, bundle.manifest, "onnx", 1)
    size = recognizer.geometry.interval_samples
    play(recognizer.push, audio, size, seconds)
    count("stream", lambda: play(recognizer.push, audio, size, seconds))
    for name, part in recorded_parts(recognizer, audio, size, seconds).items():
        count(name, part.repeat)
    vad = make_vad("energy", RATE)
    loop = UtteranceRecognizer(recognizer, vad)
    play(loop.push, audio, size, seconds)
    count("loop", lambda: play(loop.push, audio, size, seconds))
    frames = size // vad.frame_samples * vad.frame_samples  # whole ones of a push, as the loop gives them
    count("vad", lambda: play(lambda x: vad.update(x[:frames].reshape(-1, vad.frame_samples)), audio, size, seconds))
    try:
        silero = SileroAlone(Path(), "onnx", Path())
    except InputError as error:
        sys.stderr.write(f"skipped silero_vad: {error}\n")
        return
    play(silero.process, audio, silero.interval_samples, 1.0)
    count("silero_vad", lambda: play(silero.process, audio, silero.interval_samples, seconds))


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("audio", type=Path, nargs="+", help="NAME.npy, mono at 16 kHz")
    parser.add_argument("--seconds", type=float, required=True, help="of each that are counted")
    args = parser.parse_args(argv)
    bundle, counter = Bundle.open(args.bundle), Counter()
    for path in args.audio:
        named = partial(lambda kind, part, call: counter.count(f"{part} {kind}", call), path.stem)
        count_audio(named, bundle, np.load(path), args.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
