"""Instructions per second of audio: the loop, the stream, its parts and silero-vad, on speech and in silence.

    python -m benchmarks.device.instructions [BUNDLE]

Counted by Valgrind (`benchmarks.harness.callgrind`), one thread, ONNX Runtime; so other load changes nothing, and 1 %
can be seen. Takes some minutes. Writes benchmarks/results/instructions.json.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.device.counted_parts import PLAYED
from benchmarks.device.stream_systems import RATE
from benchmarks.device.streaming import SPEECH, quiet_room
from benchmarks.harness.callgrind import counted
from benchmarks.harness.results import add_row
from crnn.cli.command import command
from crnn.errors import require
from edge.audio.sources import from_file
from edge.bundle import PRETRAINED, Bundle

OUT = Path("benchmarks/results/instructions.json")


def measure(bundle: Path, seconds: float) -> list[dict]:
    """A row for each part: millions of instructions per second of speech and of silence."""
    speech = np.concatenate(list(from_file(SPEECH, RATE)))
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{name}.npy" for name in ("speech", "silence")]
        for path, samples in zip(paths, (speech, quiet_room(len(speech))), strict=True):
            np.save(path, samples)
        found = counted("benchmarks.device.counted_parts", [*map(str, (bundle, *paths)), "--seconds", str(seconds)])
    return [
        {"part": part} | {kind: round(found[f"{part} {kind}"] / seconds / 1e6, 3) for kind in ("speech", "silence")}
        for part in PLAYED
        if f"{part} speech" in found
    ]


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", type=Path, default=PRETRAINED, help="default: the int8 model that ships")
    parser.add_argument("--seconds", type=float, default=10, help="of audio that are counted (default: 10)")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(argv)
    require(args.seconds >= 1, f"--seconds {args.seconds:g}: give at least 1")
    bundle = Bundle.open(args.bundle.resolve())
    for row in measure(bundle.path, args.seconds):
        add_row(args.out, {"bundle": bundle.path.name} | row, ("bundle", "part"))
        sys.stdout.write("  ".join(f"{key}={value}" for key, value in row.items()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
