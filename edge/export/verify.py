"""Compares every exported pair of files with the trained model on development speakers."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import nan

import numpy as np
import torch
from torch import nn

from crnn.data.loaders import EvalClips
from crnn.metrics import calibration_error, summarize
from crnn.models.crnn import WindowModel
from crnn.models.head import OpenHead
from edge.bundle import Manifest, ModelFiles, build_recognizer
from edge.export.exporters import ExportedPair, exporter
from edge.export.limits import ExportLimits
from edge.runtimes import Contract
from edge.stream.decision import probabilities
from edge.stream.recognizer import StreamingRecognizer, clip_results


class TorchModel:
    """A torch module as a `Model`: the reference that exported files are compared with."""

    def __init__(self, module: nn.Module, example: torch.Tensor) -> None:
        self._module = module.eval()
        with torch.inference_mode():
            made = module(example)
        self.contract = Contract("input", tuple(example.shape), "output", tuple(made.shape))

    def run(self, x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self._module(torch.from_numpy(x)).numpy()


def torch_recognizer(model: WindowModel, manifest: Manifest) -> StreamingRecognizer:
    """A recognizer over the torch modules, in the shapes of the manifest."""
    g = manifest.geometry
    encoder = TorchModel(model.encoder, torch.zeros(1, manifest.features.n_mels, g.block_frames))
    head = TorchModel(OpenHead(model.head), torch.zeros(1, g.window_steps, encoder.contract.output_shape[-1]))
    return StreamingRecognizer(
        encoder, head, manifest.features, g, tuple(manifest.labels), arousal=model.head.arousal is not None
    )


def exported_recognizer(pair: ExportedPair, draft: Manifest) -> StreamingRecognizer:
    """A recognizer over exported files, 1 thread; `draft` gives labels, features and geometry."""
    manifest = replace(draft, models={pair.runtime: asdict(pair.files)})
    return build_recognizer(pair.encoder.parent, manifest, pair.runtime, threads=1)


@dataclass(frozen=True)
class StreamLogits:
    """Logits of a recognizer on the development clips, and its arousal."""

    decisions: np.ndarray
    """Of every decision, `(n_decisions, n_classes)`"""
    owner: np.ndarray
    """Index of each decision's clip, `(n_decisions,)`"""
    clips: np.ndarray
    """Mean per clip, `(n_clips, n_classes)`"""
    arousal: np.ndarray | None
    """Of every decision, `(n_decisions,)`; None where the model does not estimate it"""


def stream_clips(recognizer: StreamingRecognizer, clips: EvalClips) -> StreamLogits:
    """Stream every clip to its end."""
    found = [clip_results(recognizer, clips.waveform(index)) for index in range(len(clips))]
    recognizer.reset()
    results = [result for of_clip in found for result in of_clip]
    decisions = np.stack([result.logits for result in results if result.logits is not None])
    owner = np.repeat(np.arange(len(clips)), [len(of_clip) for of_clip in found])
    means = np.stack([decisions[owner == index].mean(axis=0) for index in range(len(clips))])
    arousal = np.array([result.arousal for result in results]) if recognizer.arousal else None
    return StreamLogits(decisions, owner, means, arousal)


def stream_torch(model: WindowModel, manifest: Manifest, clips: EvalClips) -> StreamLogits:
    """Stream every clip through the torch modules."""
    return stream_clips(torch_recognizer(model, manifest), clips)


def figures_of(found: StreamLogits, clips: EvalClips, labels: Sequence[str]) -> dict:
    """`crnn.metrics.summarize` of the whole-clip decisions."""
    return summarize(probabilities(found.clips, 1.0), clips.labels, clips.utterances, labels)


def ece_of(found: StreamLogits, clips: EvalClips) -> float:
    """The calibration error among these figures."""
    return calibration_error(probabilities(found.clips, 1.0), clips.labels)


@dataclass(frozen=True)
class Comparison:
    """How an exported pair differs from the trained model; NaN throughout if it gives logits that are not finite."""

    max_abs_diff: float
    """Largest difference of a probability, or of the arousal, from the float32 model in torch"""
    flip_rate: float
    """Share of decisions whose top emotion differs from that model's"""
    uar: float
    uar_drop: float
    """Against the trained model, before pruning"""
    ece: float
    ms_per_window: float
    """Time for one whole window from its samples, 1 thread"""
    rtf: float
    """Compute time / audio time of the stream, 1 thread"""
    failures: tuple[str, ...]
    """Limits that it is past, in words"""


def compare(
    candidate: StreamingRecognizer,
    clips: EvalClips,
    labels: Sequence[str],
    reference: StreamLogits,
    trained_uar: float,
    limits: ExportLimits,
    scheme: str,
) -> Comparison:
    """Compare one exported pair with the float32 model in torch (`reference`) and with the trained model's UAR."""
    found = stream_clips(candidate, clips)
    if not np.isfinite(found.decisions).all():
        return Comparison(nan, nan, nan, nan, nan, nan, nan, failures=("gives NaN or infinite logits",))
    ours, theirs = (probabilities(logits.decisions, 1.0) for logits in (found, reference))
    figures = figures_of(found, clips, labels)
    difference = float(np.abs(ours - theirs).max())
    if found.arousal is not None and reference.arousal is not None:
        difference = max(difference, float(np.abs(found.arousal - reference.arousal).max()))
    flips = float((ours.argmax(axis=1) != theirs.argmax(axis=1)).mean())
    drop = trained_uar - figures["uar"]
    rise = figures["ece"] - ece_of(reference, clips)
    failures = [
        f"{what} {value:.4g} is past the limit {most:g}"
        for what, value, most in (
            ("max difference", difference, limits.max_abs_diff(scheme)),
            ("flip rate", flips, limits.max_flip_rate),
            ("UAR drop", drop, limits.max_uar_drop),
            ("calibration error rise", rise, limits.max_ece_rise),
        )
        if not value <= most  # so that a limit of NaN lets nothing pass
    ]
    window, interval = cost(candidate)
    return Comparison(
        max_abs_diff=difference,
        flip_rate=flips,
        uar=figures["uar"],
        uar_drop=drop,
        ece=figures["ece"],
        ms_per_window=1000 * window,
        rtf=interval / interval_seconds(candidate),
        failures=tuple(failures),
    )


@dataclass(frozen=True)
class Row:
    """One line of the compression table: an exported pair of files and its comparison."""

    runtime: str
    files: ModelFiles
    bytes: int
    """Of these files, those of `beside` included"""
    comparison: Comparison
    ships: bool
    """Whether these files go into the bundle"""
    beside: ModelFiles | None = None
    """Of the small model that was compared together with them"""

    @property
    def names(self) -> list[str]:
        """Of every file that was compared."""
        return [name for files in (self.files, self.beside) if files for name in (files.encoder, files.head)]

    @property
    def file_names(self) -> str:
        return " + ".join(self.names)

    def facts(self) -> dict:
        """Plain values, as in JSON output and in a manifest."""
        place = {"files": self.file_names, "runtime": self.runtime, "bytes": self.bytes, "ships": self.ships}
        return {"scheme": self.files.scheme, **asdict(self.comparison), **place}


def compare_all(
    pairs: Sequence[ExportedPair],
    shipping: Mapping[str, str],
    draft: Manifest,
    clips: EvalClips,
    reference: StreamLogits,
    trained_uar: float,
    limits: ExportLimits,
) -> list[Row]:
    """Compare every pair as `compare` does; weights whose sums depend on the processor are a failure too. A small model
    that `draft` has beside them answers together with them.

    `shipping`: runtime -> scheme that goes into the bundle.
    """
    rows = []
    for pair in pairs:
        candidate = exported_recognizer(pair, draft)
        found = compare(candidate, clips, draft.labels, reference, trained_uar, limits, pair.scheme)
        wide = [name for path in (pair.encoder, pair.head) for name in exporter(pair.runtime).saturating(path)]
        if wide:
            failure = f"weights {', '.join(wide)} use 8 bits: x86 processors without VNNI would compute other sums"
            found = replace(found, failures=(*found.failures, failure))
        ships = shipping[pair.runtime] == pair.scheme
        beside = draft.small.model_files(pair.runtime) if draft.beside else None
        theirs = [pair.encoder.with_name(name) for name in (beside.encoder, beside.head)] if beside else []
        size = pair.bytes + sum(path.stat().st_size for path in theirs)
        rows.append(Row(pair.runtime, pair.files, size, found, ships, beside))
    return rows


def cost(
    recognizer: StreamingRecognizer, repeats: int = 7, clock: Callable[[], float] = time.perf_counter
) -> tuple[float, float]:
    """Median seconds for one whole window from its samples, and for one interval once the window is full."""
    g = recognizer.geometry
    noise = np.random.default_rng(0).normal(0, 0.01, g.window_samples).astype(np.float32)
    windows, intervals = [], []
    for _ in range(repeats):
        recognizer.reset()
        start = clock()
        recognizer.push(noise)
        windows.append(clock() - start)
        start = clock()
        recognizer.push(noise[: 4 * g.interval_samples])
        intervals.append((clock() - start) / 4)
    recognizer.reset()
    return statistics.median(windows), statistics.median(intervals)


def interval_seconds(recognizer: StreamingRecognizer) -> float:
    """Audio time between two decisions."""
    return recognizer.geometry.interval_samples / recognizer.features.sample_rate
