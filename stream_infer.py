"""Recognize emotion on a file, on standard input or on the microphone, without PyTorch.

python stream_infer.py recording.wav                      with the model that ships
python stream_infer.py BUNDLE recording.wav
arecord -t raw -f S16_LE -r 16000 | python stream_infer.py -
python stream_infer.py --mic
"""

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from crnn.config import InputError, require
from edge import sources
from edge.bundle import PRETRAINED, Bundle
from edge.events import AudioEvent, Segment
from edge.microphone import Microphone
from edge.streaming import HopResult
from edge.utterances import UtteranceRecognizer
from edge.vad import GATES, make_gate


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stream_infer.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="[BUNDLE] [FILE]",
        help="bundle folder made by quantize.py (default: the int8 model that ships), and a recording "
        "(WAV, FLAC, OGG ...) or - for raw s16le on standard input",
    )
    source = parser.add_argument_group("audio")
    source.add_argument("--mic", action="store_true", help="listen to a microphone (PyAudio), until Ctrl-C")
    source.add_argument("--device", help="microphone by index or part of its name (default: the system's)")
    source.add_argument("--rate", type=int, default=16000, help="Hz, of standard input (default: 16000)")
    source.add_argument("--channels", type=int, default=1, help="of standard input (default: 1)")
    parser.add_argument("--runtime", help="inference runtime (default: the bundle's first that is installed)")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="of the person who speaks, from edge.enroll")
    parser.add_argument("--threads", type=int, default=1, help="inference threads (default: 1)")
    parser.add_argument(
        "--gate", choices=tuple(GATES), default="energy", help="what tells speech from silence (default: energy)"
    )
    parser.add_argument("--json", action="store_true", help="JSON lines instead of text")
    return parser


def bundle_and_file(args: argparse.Namespace) -> tuple[Path, str | None]:
    """What the names mean: the last one is the recording unless --mic listens, one before it the bundle."""
    names = list(args.names)
    file = None if args.mic or not names else names.pop()
    require(
        args.mic or (file is not None and not Path(file).is_dir()),
        "name one source: a recording, - for standard input, or --mic (see --help)",
    )
    require(len(names) <= 1, f"too many names: {' '.join(args.names)}; give a bundle and one source (see --help)")
    return (Path(names[0]) if names else PRETRAINED), file


def microphone(sample_rate: int, device: str | None) -> Iterator[np.ndarray]:
    """The samples of a microphone; what happens to it goes to the log."""
    with Microphone(sample_rate, device) as audio:
        for heard in audio:
            if isinstance(heard, AudioEvent):
                logging.getLogger("stream_infer").info("microphone %s: %s", heard.kind.value, heard.message)
            else:
                yield heard


def chunks(args: argparse.Namespace, file: str | None, sample_rate: int) -> Iterator[np.ndarray]:
    if file is None:
        return microphone(sample_rate, args.device)
    if file == "-":
        return sources.from_raw(sys.stdin.buffer, args.rate, args.channels, sample_rate)
    return sources.from_file(Path(file), sample_rate)


def results(recognizer: UtteranceRecognizer, audio: Iterator[np.ndarray]) -> Iterator[HopResult | Segment]:
    """Hop results and segments as they come; Ctrl-C ends the audio, not the program."""
    try:
        for samples in audio:
            yield from recognizer.push(samples)
    except KeyboardInterrupt:
        logging.getLogger("stream_infer").info("stopped")
    yield from recognizer.flush()


def as_text(result: HopResult | Segment, labels: tuple[str, ...]) -> str:
    if isinstance(result, Segment):
        answer = result.emotion or result.verdict.value
        return f"{result.start_seconds:8.2f} s to {result.end_seconds:.2f} s: {answer} {result.confidence:.2f}"
    line = f"{result.seconds:8.2f} s  {result.state.value:10}  {result.level_dbfs:6.1f} dBFS"
    if result.probs is None:
        return line
    probs = "  ".join(f"{name} {p:.2f}" for name, p in zip(labels, result.probs, strict=True))
    return f"{line}  {result.emotion:10} {result.confidence:.2f}  | {probs}"


def as_json(result: HopResult | Segment, labels: tuple[str, ...]) -> str:
    if isinstance(result, Segment):
        return json.dumps({"segment": asdict(result)})
    values = {
        "seconds": round(result.seconds, 4),
        "state": result.state.value,
        "level_dbfs": round(result.level_dbfs, 2),
    }
    if result.probs is not None:
        probs = {name: round(float(p), 6) for name, p in zip(labels, result.probs, strict=True)}
        values |= {"emotion": result.emotion, "confidence": round(result.confidence, 6), "probs": probs}
    return json.dumps(values)


def main(argv: list[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    args = build_parser().parse_args(argv)
    show = as_json if args.json else as_text
    try:
        path, file = bundle_and_file(args)
        # Before any device is opened.
        recognizer = Bundle.open(path).recognizer(args.runtime, args.threads, args.profile)
        rate = recognizer.features.sample_rate
        utterances = UtteranceRecognizer(recognizer, make_gate(args.gate, rate))
        for result in results(utterances, chunks(args, file, rate)):
            sys.stdout.write(show(result, recognizer.labels) + "\n")
            sys.stdout.flush()
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except BrokenPipeError:  # the reader of our output has gone (`| head`)
        sys.stderr.close()
        return 0
    except OSError as error:
        sys.stderr.write(f"error: {error.filename or 'output'}: {error.strerror}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
