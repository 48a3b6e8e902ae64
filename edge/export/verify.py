"""No export without proof: every exported pair of files is compared with the trained model on development speakers."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from crnn.data.loaders import EvalClips
from crnn.metrics import summarize
from crnn.models.crnn import CRNN, OpenHead
from edge.bundle import Manifest
from edge.export.limits import ExportLimits
from edge.runtimes import Contract
from edge.stream.decision import probabilities
from edge.stream.recognizer import StreamingRecognizer


class TorchModel:
    """A torch module as a `Model`: the reference that every exported file is held against."""

    def __init__(self, module: nn.Module, example: torch.Tensor) -> None:
        self._module = module.eval()
        with torch.inference_mode():
            made = module(example)
        self.contract = Contract("input", tuple(example.shape), "output", tuple(made.shape))

    def run(self, x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self._module(torch.from_numpy(x)).numpy()


@dataclass(frozen=True)
class Heard:
    """What a recognizer made of the development clips."""

    decisions: np.ndarray
    """Logits of every decision, `(n_decisions, n_classes)`"""
    owner: np.ndarray
    """Clip of each decision, `(n_decisions,)`"""
    clips: np.ndarray
    """Mean logits per clip, `(n_clips, n_classes)`"""


def clip_decisions(recognizer: StreamingRecognizer, waveform: np.ndarray) -> np.ndarray:
    """Logits of every decision on a clip `(time,)`, played to its end: `(n_decisions, n_classes)`."""
    recognizer.reset()
    results = recognizer.push(waveform) + recognizer.flush()
    return np.stack([r.logits for r in results if r.logits is not None])


def hear(recognizer: StreamingRecognizer, clips: EvalClips) -> Heard:
    """Play every clip through the stream, to its end."""
    played = [clip_decisions(recognizer, clips.waveform(index)) for index in range(len(clips))]
    recognizer.reset()
    decisions = np.concatenate(played)
    owner = np.repeat(np.arange(len(clips)), [len(logits) for logits in played])
    means = np.stack([decisions[owner == index].mean(axis=0) for index in range(len(clips))])
    return Heard(decisions, owner, means)


@dataclass(frozen=True)
class Row:
    """One line of the compression table."""

    scheme: str
    max_abs_diff: float
    """Largest difference of a probability from the float32 model in torch"""
    flip_rate: float
    """Share of decisions whose top emotion differs from that model's"""
    uar: float
    uar_drop: float
    """Against the trained model, before pruning"""
    ece: float
    ms_per_window: float
    """Whole window from its samples, 1 thread"""
    rtf: float
    """Compute time / audio time of the stream, 1 thread"""
    failures: tuple[str, ...]
    """ExportLimits it is past, in words"""
    files: str = ""
    runtime: str = ""
    bytes: int = 0
    ships: bool = False
    """Whether it is what was asked for; float32 files are held to the limits all the same"""


def compare(
    candidate: StreamingRecognizer,
    clips: EvalClips,
    labels: Sequence[str],
    reference: Heard,
    trained_uar: float,
    limits: ExportLimits,
    scheme: str,
) -> Row:
    """Hold one exported pair against the float32 model in torch (`reference`) and the trained model's UAR."""
    heard = hear(candidate, clips)
    if not np.isfinite(heard.decisions).all():
        return Row(scheme, *[float("nan")] * 7, failures=("gives NaN or infinite logits",))
    ours, theirs = (probabilities(h.decisions, 1.0) for h in (heard, reference))
    figures, reference_figures = (figures_of(h, clips, labels) for h in (heard, reference))
    difference = float(np.abs(ours - theirs).max())
    flips = float((ours.argmax(axis=1) != theirs.argmax(axis=1)).mean())
    drop = trained_uar - figures["uar"]
    rise = figures["ece"] - reference_figures["ece"]
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
    window, hop = cost(candidate)
    return Row(
        scheme=scheme,
        max_abs_diff=difference,
        flip_rate=flips,
        uar=figures["uar"],
        uar_drop=drop,
        ece=figures["ece"],
        ms_per_window=1000 * window,
        rtf=hop * candidate.features.sample_rate / candidate.geometry.interval_samples,
        failures=tuple(failures),
    )


def figures_of(heard: Heard, clips: EvalClips, labels: Sequence[str]) -> dict:
    """crnn.metrics.summarize of the whole-clip decisions."""
    return summarize(probabilities(heard.clips, 1.0), clips.labels, clips.utterances, labels)


def cost(
    recognizer: StreamingRecognizer, repeats: int = 7, clock: Callable[[], float] = time.perf_counter
) -> tuple[float, float]:
    """Median seconds for one whole window from its samples, and for one hop once the window is full."""
    g = recognizer.geometry
    to_first_decision = np.zeros(g.window_samples, dtype=np.float32)
    to_first_decision += np.random.default_rng(0).normal(0, 0.01, len(to_first_decision)).astype(np.float32)
    windows, hops = [], []
    for _ in range(repeats):
        recognizer.reset()
        start = clock()
        recognizer.push(to_first_decision)
        windows.append(clock() - start)
        start = clock()
        recognizer.push(to_first_decision[: 4 * g.interval_samples])
        hops.append((clock() - start) / 4)
    recognizer.reset()
    return statistics.median(windows), statistics.median(hops)


def stream_torch(model: CRNN, manifest: Manifest, clips: EvalClips) -> Heard:
    """The stream over the torch modules themselves."""
    return hear(torch_recognizer(model, manifest), clips)


def torch_recognizer(model: CRNN, manifest: Manifest) -> StreamingRecognizer:
    """A recognizer over the torch modules, in the shapes of the manifest."""
    g = manifest.geometry
    encoder = TorchModel(model.encoder, torch.zeros(1, manifest.features.n_mels, g.block_frames))
    head = TorchModel(OpenHead(model.head), torch.zeros(1, g.window_steps, encoder.contract.output_shape[-1]))
    return StreamingRecognizer(encoder, head, manifest.features, g, tuple(manifest.labels))
