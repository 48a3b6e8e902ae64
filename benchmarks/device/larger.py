"""The cost of the larger bundle beside the small one that ships, in turns.

    python -m benchmarks.device.larger BUNDLE --rounds 3

Each turn opens a bundle in a process of its own, proves it and times its stream on one thread (`edge.doctor.selftest`).
Writes the median of the turns of each bundle to benchmarks/results/larger.json.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.harness.results import RESULTS, add_row
from crnn.cli.command import command
from crnn.errors import require
from edge.bundle import MANIFEST, PRETRAINED, WINDOW, Bundle

RUNTIME = "onnx"
MEASURED = ("startup_s", "latency_ms_p50", "latency_ms_p95", "rtf", "rss_mb")


def turn(bundle: Path) -> dict[str, float]:
    """The figures of one process. Raises InputError with its last line if it fails."""
    program = [sys.executable, "-m", "edge.doctor.selftest", str(bundle.resolve()), RUNTIME]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    require(done.returncode == 0, f"{bundle}: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout.splitlines()[-1])


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="made by quantize.py --large")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "larger.json")
    args = parser.parse_args(argv)
    require(args.rounds >= 1, f"--rounds {args.rounds}: give 1 or more")
    large = Bundle.open(args.bundle).manifest
    require(large.kind == WINDOW, f"{args.bundle}: no larger bundle; make one with quantize.py --large")
    places = {"small": PRETRAINED, "large": args.bundle}
    turns: dict[str, list[dict]] = {name: [] for name in places}
    for _ in range(args.rounds):
        for name, place in places.items():
            turns[name].append(turn(place))
    for name, place in places.items():
        manifest = Bundle.open(place).manifest
        used = manifest.model_files(RUNTIME)
        files = {*manifest.files, MANIFEST}
        if name == "small":  # what a device with this runtime needs
            files -= {file for other in manifest.models if other != RUNTIME for file in _models(manifest, other)}
        row = {
            "system": name,
            "runtime": RUNTIME,
            "scheme": used.scheme,
            "rounds": args.rounds,
            "bytes": sum((place / file).stat().st_size for file in files),
            "n_params": manifest.provenance["n_params"],
            "macs_per_window": manifest.provenance["macs_per_window"],
            "interval_seconds": turns[name][0]["hop_seconds"],
        }
        row |= {key: round(statistics.median(found[key] for found in turns[name]), 5) for key in MEASURED}
        add_row(args.out, row, ("system", "runtime"))
        print(json.dumps(row))
    return 0


def _models(manifest, runtime: str) -> tuple[str, str]:
    files = manifest.model_files(runtime)
    return files.encoder, files.head


if __name__ == "__main__":
    sys.exit(main())
