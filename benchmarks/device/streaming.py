"""Cost on one thread: this project with and without the stream, and other systems on the same audio, in one run.

    python -m benchmarks.device.streaming [BUNDLE] [--json]

Systems take turns, each time in a new process, so that other load on the machine affects all of them. Every figure is
the median over the rounds. Cost (rtf, CPU-seconds per hour) is CPU time, latency is wall-clock time. A system whose
package is not installed is reported as skipped. Writes benchmarks/results/streaming.json.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.device.stream_systems import RATE, OursRecompute
from benchmarks.harness.environment import measured
from benchmarks.harness.results import add_row
from crnn.cli.command import command
from crnn.errors import require
from crnn.offset import pad_clip
from edge.audio.sources import from_file
from edge.bundle import PRETRAINED, Bundle

ROOT = Path(__file__).resolve().parents[2]
SPEECH = PRETRAINED.parent / "synthetic_voice.flac"
RUNS = (
    ("ours", "onnx"),
    ("ours", "tflite"),
    ("ours_stream", "onnx"),
    ("ours_recompute", "onnx"),
    ("torch_recompute", "torch"),
    ("silero_vad", "onnx"),
    ("egemaps", "opensmile"),
)
TOLERANCE = 1e-3
"""Largest difference between the logits of stream and whole windows. The tests' 1e-5 holds if both process the same
blocks; here the order of float additions differs, and an int8 head may round differently."""
QUIET_ROOM = 10 ** (-70 / 20)
"""Root mean square of the silence; a microphone never gives zeros"""


def quiet_room(n_samples: int) -> np.ndarray:
    """The silence."""
    return np.random.default_rng(0).normal(0, QUIET_ROOM, n_samples).astype(np.float32)


def whole_window_encoder(bundle: Bundle, path: Path) -> None:
    """Write the bundle's ONNX encoder for all frames of a window at once: the same weights, another input length."""
    import onnx
    from onnx.numpy_helper import from_array, to_array

    g = bundle.manifest.geometry
    model = onnx.load(bundle.path / bundle.manifest.model_files("onnx").encoder)
    frames = g.frames_for(g.window_steps)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = frames
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = g.window_steps
    constants = {item.name: item for item in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Slice" and node.input[0] == "log_mel":  # of the input channels, to a frame of the block
            end = to_array(constants[node.input[2]])
            if 0 < end[0] <= g.block_frames:
                constants[node.input[2]].CopyFrom(from_array(end + frames - g.block_frames, node.input[2]))
        if node.op_type == "Reshape" and node.output[0] == "steps":  # and its steps are counted
            shape = to_array(constants[node.input[1]]).copy()
            shape[1] = g.window_steps
            constants[node.input[1]].CopyFrom(from_array(shape, node.input[1]))
    del model.graph.value_info[:]  # shapes in between, for the block's length
    onnx.save(model, path)


def largest_difference(bundle: Bundle, scratch: Path, speech: np.ndarray) -> float:
    """Largest difference between the stream's logits and those of whole windows, over `speech`."""
    recognizer = bundle.recognizer("onnx")
    g, windows = recognizer.geometry, OursRecompute(bundle.path, "onnx", scratch)
    padded = pad_clip(speech, g)
    streamed = [r.logits for r in recognizer.push(speech) + recognizer.flush() if r.logits is not None]
    starts = range(0, len(padded) - g.window_samples + 1, g.interval_samples)
    recomputed = [windows.decide(padded[start : start + g.window_samples]) for start in starts]
    return float(np.abs(np.stack(streamed) - np.stack(recomputed)).max())


def measure(system: str, runtime: str, bundle: Path, scratch: Path, seconds: float, budget: float) -> dict:
    """One turn of one system, in a new process."""
    command = [sys.executable, "-m", "benchmarks.device.stream_systems", system, runtime, bundle, scratch]
    options = ["--seconds", seconds, "--budget", budget, "--started", time.monotonic()]
    done = subprocess.run(list(map(str, command + options)), cwd=ROOT, env=measured(), capture_output=True, text=True)
    require(done.returncode == 0, f"{system}: stopped with code {done.returncode}: {done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def median_row(turns: list[dict]) -> dict:
    """Medians, key by key, to four digits."""
    return {key: float(f"{statistics.median(turn[key] for turn in turns):.4g}") for key in turns[0]}


def as_text(rows: list[dict]) -> str:
    lines = [f"{'system':28} {'rtf':>9} {'p50 ms':>8} {'p95 ms':>8} {'RSS MB':>7} {'start s':>8} {'CPU s/h speech':>15}"
             f" {'silence':>8} {'x ours':>7}"]  # fmt: skip
    first = rows[0]["rtf"]
    for row in rows:
        lines.append(
            f"{row['system'] + ' (' + row['runtime'] + ')':28} {row['rtf']:9.5f} {row['latency_ms_p50']:8.3f}"
            f" {row['latency_ms_p95']:8.3f} {row['rss_mb']:7.1f} {row['startup_s']:8.2f}"
            f" {row['cpu_s_per_hour_speech']:15.2f} {row['cpu_s_per_hour_silence']:8.2f} {row['rtf'] / first:7.2f}"
        )
    return "\n".join(lines) + "\n"


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", type=Path, default=PRETRAINED, help="default: the int8 model that ships")
    parser.add_argument("--rounds", type=int, default=7, help="turns of every system (default: 7)")
    parser.add_argument("--seconds", type=float, default=300, help="of speech, and of silence, per turn (default: 300)")
    parser.add_argument("--budget", type=float, default=2, help="s that either may take at most (default: 2)")
    parser.add_argument("--systems", nargs="+", choices=[name for name, _ in RUNS], help="default: all")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/streaming.json"))
    parser.add_argument("--json", action="store_true", help="JSON on standard output instead of a table")
    args = parser.parse_args(argv)
    rows, skipped = run(args)
    for row in rows:
        add_row(args.out, row, ("system", "runtime"))
    sys.stdout.write(json.dumps({"rows": rows, "skipped": skipped}) + "\n" if args.json else as_text(rows))
    for name, reason in skipped.items():
        sys.stderr.write(f"skipped {name}: {reason}\n")
    return 0


def run(args: argparse.Namespace) -> tuple[list[dict], dict[str, str]]:
    """All rounds; rows, and the systems left out with the reason."""
    require(args.rounds >= 1, f"--rounds {args.rounds}: give at least 1")
    bundle = Bundle.open(args.bundle.resolve())
    speech = np.concatenate(list(from_file(SPEECH, RATE)))
    silence = quiet_room(len(speech))
    turns = {key: [] for key in RUNS if args.systems is None or key[0] in args.systems}
    skipped, difference = {}, None
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        np.save(scratch / "speech.npy", speech)
        np.save(scratch / "silence.npy", silence)
        if find_spec("onnx"):
            whole_window_encoder(bundle, scratch / "encoder.onnx")
            difference = largest_difference(bundle, scratch, speech)
            require(difference <= TOLERANCE, f"stream and whole windows differ by {difference:.2g}; nothing to compare")
        for _ in range(args.rounds):
            for key in [key for key in turns if " ".join(key) not in skipped]:
                turn = measure(*key, bundle.path, scratch, args.seconds, args.budget)
                if "skipped" in turn:
                    skipped[" ".join(key)] = turn["skipped"]
                else:
                    turns[key].append(turn)
    facts = {"threads": 1, "rounds": args.rounds}
    rows = [{"system": s, "runtime": r} | facts | median_row(done) for (s, r), done in turns.items() if done]
    for row in rows:
        if row["system"] == "ours_recompute":
            row["max_abs_diff"] = difference
    require(bool(rows), f"every system was skipped: {skipped}")
    return rows, skipped


if __name__ == "__main__":
    sys.exit(main())
