"""Where the time of one hop goes, and what each idea for making it cheaper gives: side by side, in one run.

    python -m benchmarks.hop [BUNDLE] [--rounds N]

One thread. Everything takes turns; a figure is the median over the rounds. Trials that need another model use the same
layers with random weights, against the same layers as they are exported. Writes benchmarks/results/hop.json.
"""

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from benchmarks.cached_encoder import CachedEncoder, ProjectedHead
from benchmarks.results import add_row
from benchmarks.shipped import same_layers
from benchmarks.stream_systems import OursRecompute
from benchmarks.streaming import whole_window_encoder
from crnn.features import LogMel, mel_filterbank
from crnn.models.crnn import OpenHead
from edge import runtimes
from edge.bundle import PRETRAINED, Bundle
from edge.export import onnx_export as export_onnx
from edge.export.exporters import Part
from edge.stream.recognizer import StreamingRecognizer

OUT = Path("benchmarks/results/hop.json")
SETTLED = 4
"""Hops after which caches that began as zeros hold what they should"""

Job = Callable[[], object]


class Stopwatch:
    """A model, or the features, with the time of every call kept."""

    def __init__(self, part: object) -> None:
        self._call, self.contract, self.seconds = getattr(part, "run", part), getattr(part, "contract", None), []

    def __call__(self, x: np.ndarray) -> np.ndarray:
        start = time.perf_counter()
        made = self._call(x)
        self.seconds.append(time.perf_counter() - start)
        return made

    run = __call__


def stages(recognizer: StreamingRecognizer, hops: int) -> dict[str, float]:
    """Median seconds of a hop and of its parts, measured inside the stream."""
    parts = {name: Stopwatch(getattr(recognizer, f"_{name}")) for name in ("log_mel", "encoder", "head")}
    for name, part in parts.items():
        setattr(recognizer, f"_{name}", part)
    g, whole = recognizer.geometry, []
    samples = (0.05 * np.random.default_rng(0).standard_normal(g.interval_samples)).astype(np.float32)
    for _ in range(g.window_intervals + SETTLED + hops):
        start = time.perf_counter()
        recognizer.push(samples)
        whole.append(time.perf_counter() - start)
    kept = {"hop": whole[-hops:]} | {name: part.seconds[-hops:] for name, part in parts.items()}
    kept["python"] = [hop - sum(rest) for hop, *rest in zip(*kept.values(), strict=True)]
    return {name: statistics.median(seconds) for name, seconds in kept.items()}


def window_stages(bundle: Bundle, scratch: Path, rounds: int) -> dict[str, float]:
    """Median seconds of the same parts where every window is recomputed, by the files of `benchmarks.streaming`."""
    whole_window_encoder(bundle, scratch / "encoder.onnx")
    system = OursRecompute(bundle.path, "onnx", scratch)
    parts = {name: Stopwatch(getattr(system, f"_{name}")) for name in ("log_mel", "encoder", "head")}
    for name, part in parts.items():
        setattr(system, f"_{name}", part)
    samples = 0.05 * np.random.default_rng(0).standard_normal(bundle.manifest.geometry.window_samples)
    for _ in range(rounds):
        system.decide(samples.astype(np.float32))
    return {name: statistics.median(part.seconds) for name, part in parts.items()}


def interleaved(jobs: dict[str, Job], rounds: int, calls: int = 4) -> dict[str, float]:
    """Median seconds per call; every turn begins with an untimed one, and their order changes from round to round."""
    seconds, order, rng = {name: [] for name in jobs}, list(jobs), np.random.default_rng(0)
    for _ in range(rounds):
        rng.shuffle(order)
        for name in order:
            job = jobs[name]
            job()
            start = time.perf_counter()
            for _ in range(calls):
                job()
            seconds[name].append((time.perf_counter() - start) / calls)
    return {name: statistics.median(values) for name, values in seconds.items()}


def session(path: Path, level=onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level, options.log_severity_level = level, 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def plain(given: onnxruntime.InferenceSession, *inputs: np.ndarray) -> Job:
    values = dict(zip((i.name for i in given.get_inputs()), inputs, strict=True))
    return lambda: given.run(None, values)


def bound(given: onnxruntime.InferenceSession, x: np.ndarray) -> Job:
    """Input and output bound once to buffers that stay; the input is copied in, as the stream would have to."""
    binding, target = given.io_binding(), np.zeros_like(x)
    made = np.zeros(given.get_outputs()[0].shape, dtype=np.float32)
    for bind, port, array in (
        (binding.bind_input, given.get_inputs()[0], target),
        (binding.bind_output, given.get_outputs()[0], made),
    ):
        bind(port.name, "cpu", 0, np.float32, array.shape, array.ctypes.data)

    def run() -> np.ndarray:
        target[:] = x
        given.run_with_iobinding(binding)
        return made

    return run


def one_matrix(manifest) -> Callable[[np.ndarray], np.ndarray]:
    """The features written straight down: every frame windowed from float32, one dense filterbank, all at once."""
    features, log_mel = manifest.features, LogMel(manifest.features)
    filters = mel_filterbank(features).T.copy()

    def run(waveform: np.ndarray) -> np.ndarray:
        frames = np.lib.stride_tricks.sliding_window_view(waveform, features.n_fft)[:: features.hop_length]
        spectrum = np.fft.rfft(frames * log_mel._window)
        power = spectrum.real**2 + spectrum.imag**2
        return np.log(power @ filters + features.log_offset).astype(np.float32).T

    return run


def export_many(module: torch.nn.Module, example: tuple[torch.Tensor, ...], path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = [f"input_{number}" for number in range(len(example))]
        torch.onnx.export(module, example, str(path), dynamo=False, opset_version=export_onnx.OPSET, input_names=names)


@torch.inference_mode()
def cached_difference(model: torch.nn.Module, cached: CachedEncoder, geometry, n_mels: int) -> float:
    """Largest difference of the steps of a cached encoder from those of the encoder on whole blocks."""
    frames = torch.randn(1, n_mels, geometry.block_frames + 3 * SETTLED * geometry.interval_frames)
    _, *caches = cached.example(n_mels)
    largest = 0.0
    for hop, end in enumerate(range(geometry.block_frames, frames.shape[-1] + 1, geometry.interval_frames)):
        steps, *caches = cached(frames[..., end - cached.new_frames : end], *caches)
        if hop >= SETTLED:
            expected = model.encoder(frames[..., end - geometry.block_frames : end])
            largest = max(largest, float((steps - expected).abs().max()))
    return largest


def trials(bundle: Bundle, scratch: Path, rounds: int) -> Iterator[dict]:
    """One row per idea: seconds of the part as it is used, and as the idea would have it."""
    manifest, model = bundle.manifest, same_layers(bundle.manifest)
    g, n_mels = manifest.geometry, manifest.features.n_mels
    rng = np.random.default_rng(0)
    hop, window = (
        (0.05 * rng.standard_normal(n)).astype(np.float32)
        for n in (g.interval_samples + g.n_fft - g.hop_length, g.window_samples)
    )
    log_mel, straight = LogMel(manifest.features), one_matrix(manifest)
    frames = log_mel(window)[None]
    blocks = [
        np.ascontiguousarray(frames[..., at : at + g.block_frames])
        for at in range(0, frames.shape[-1] - g.block_frames + 1, g.interval_frames)
    ]
    block = blocks[0]
    steps = torch.randn(1, g.window_steps, model.config.encoder_features(n_mels))
    files = export_onnx.write(
        Part("encoder", model.encoder, torch.from_numpy(block), "log_mel", "steps"),
        Part("head", OpenHead(model.head), steps, "steps", "logits_and_pooled"),
        blocks,
        scratch,
    )
    encoder, head = files[runtimes.REGISTRY["onnx"].int8]
    encoder_float32, head_float32 = files["float32"]
    jobs = {
        ("features", "used"): lambda: log_mel(hop),
        ("features", "every frame windowed from float32, one dense filterbank"): lambda: straight(hop),
        ("features of a whole window", "used"): lambda: log_mel(window),
        ("features of a whole window", "every frame windowed from float32, one dense filterbank, all frames at once"):
            lambda: straight(window),
        ("encoder", "used"): plain(session(encoder), block),
        ("encoder", "input and output bound to buffers"): bound(session(encoder), block),
        ("encoder", "float32 weights"): plain(session(encoder_float32), block),
        ("float32 encoder", "used"): plain(session(encoder_float32), block),
        ("head", "used"): plain(session(head), steps.numpy()),
        ("head", "input and output bound to buffers"): bound(session(head), steps.numpy()),
        ("head", "float32 weights"): plain(session(head_float32), steps.numpy()),
    }  # fmt: skip
    differences = {}
    level = onnxruntime.GraphOptimizationLevel
    for name, value in (("basic", level.ORT_ENABLE_BASIC), ("extended", level.ORT_ENABLE_EXTENDED)):
        jobs["encoder", f"graph optimisation {name} instead of all"] = plain(session(encoder, value), block)
    for first in range(len(model.encoder.blocks)):
        cached = CachedEncoder(model.encoder, first, g.interval_frames).eval()
        name = f"new frames only, caches from block {first + 1} on"
        differences["float32 encoder", name] = cached_difference(model, cached, g, n_mels)
        path, example = scratch / f"cached_{first}.onnx", cached.example(n_mels)
        export_many(cached, example, path)
        values = (rng.random(e.shape, dtype=np.float32) for e in example)
        jobs["float32 encoder", name] = plain(session(path), *values)
    projected = ProjectedHead(model.head).eval()
    with torch.inference_mode():
        projections = projected.project(steps)
        difference = projected(projections) - model.head(steps)
    export_many(projected, (projections,), scratch / "projected.onnx")
    name = "float32, input projection computed by the encoder, unrolled"
    jobs["head", name] = plain(session(scratch / "projected.onnx"), projections.numpy())
    differences["head", name] = float(difference.abs().max())

    seconds = interleaved(jobs, rounds)
    for (part, idea), value in seconds.items():
        if idea != "used":
            yield {
                "kind": "trial",
                "part": part,
                "idea": idea,
                "part_ratio": round(value / seconds[part, "used"], 3),
                "us_saved": round(1e6 * (seconds[part, "used"] - value), 1),
                "max_abs_diff": differences.get((part, idea)),
            }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", type=Path, default=PRETRAINED, help="default: the int8 model that ships")
    parser.add_argument("--rounds", type=int, default=200, help="turns of every candidate (default: 200)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    bundle, rows = Bundle.open(args.bundle), []
    for runtime in bundle.manifest.models:
        if not runtimes.installed(runtime):
            sys.stderr.write(f"skipped {runtime}: not installed\n")
            continue
        median = stages(bundle.recognizer(runtime), args.rounds)
        rows += [
            {
                "kind": "stage",
                "part": part,
                "idea": runtime,
                "us": round(1e6 * seconds, 1),
                "share": round(seconds / median["hop"], 3),
            }
            for part, seconds in median.items()
        ]
    stages_of_a_hop = {"features"} | {row["part"] for row in rows}
    hop_us = next(row["us"] for row in rows if row["part"] == "hop" and row["idea"] == "onnx")
    with tempfile.TemporaryDirectory() as scratch:
        rows += [
            {"kind": "stage", "part": part, "idea": "recomputed", "us": round(1e6 * seconds, 1)}
            for part, seconds in window_stages(bundle, Path(scratch), args.rounds).items()
        ]
        for row in trials(bundle, Path(scratch), args.rounds):
            if row["part"] in stages_of_a_hop:
                row["hop_ratio"] = round((hop_us - row["us_saved"]) / hop_us, 3)
            rows.append(row)
    for row in rows:
        add_row(OUT, row, ("kind", "part", "idea"))
        sys.stdout.write("  ".join(f"{key}={value}" for key, value in row.items()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
