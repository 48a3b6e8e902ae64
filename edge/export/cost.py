"""What the bundle of a model weighs and costs, measured on the exported model files."""

import statistics
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import process_time

import numpy as np

from crnn.config import ModelConfig
from crnn.models.crnn import CRNN
from crnn.run_config import RunConfig
from edge import bundle
from edge.bundle import golden
from edge.export.exporters import export_all
from edge.export.verify import cost, exported_recognizer, interval_seconds
from edge.prune.targets import Trial
from edge.stream.recognizer import StreamingRecognizer

ROUNDS, FEW_ROUNDS = 40, 7
"""Rounds in which two models are timed in turn: where pruning has a target for the time, and where it is reported"""
ARRAY_BYTES = 215
"""Of a .npz file for each array in it, beside the values"""
MANIFEST_BYTES, RUNTIME_BYTES, STEP_BYTES = 3000, 1000, 200
"""Of a manifest without runtimes and pruning steps, and for each of these"""
AROUSAL_BYTES = 400
"""Of what a manifest says of the arousal"""
GOLDEN_DECISIONS = 3
"""Decisions that the golden waveform gives"""


class BundleCost:
    """Measures models in the schemes that ship, each architecture once: weights change neither size nor time.

    Time is processor time with one thread, so that other programs' turns do not count. Other programs still disturb
    caches and clocks. To cancel that, every model is timed in rounds that alternate with the first measured model, and
    the ratio of the two is scaled by the first model's time.
    """

    def __init__(
        self, shipping: Mapping[str, str], draft: bundle.Manifest, blocks: Sequence[np.ndarray], rounds: int = ROUNDS
    ) -> None:
        """`shipping`: runtime -> scheme; `blocks` calibrate static_int8, and their number changes no size."""
        self._shipping, self._draft, self._blocks, self._rounds = shipping, draft, blocks, rounds
        self._first: dict[str, tuple[StreamingRecognizer, float]] = {}
        self._known: dict[ModelConfig, Trial] = {}

    def __call__(self, model: CRNN, config: RunConfig, n_steps: int) -> Trial:
        """`n_steps`: pruning steps that the manifest will list."""
        if config.model not in self._known:
            self._known[config.model] = self._exported(model, config)
        files = self._known[config.model]
        companions = companion_bytes(self._draft, model.head.classifier.in_features, len(self._shipping), n_steps)
        return replace(files, bytes=files.bytes + companions)

    def _exported(self, model: CRNN, config: RunConfig) -> Trial:
        """Of the model files alone."""
        with tempfile.TemporaryDirectory() as scratch:
            exported = export_all(model, config, tuple(self._shipping), self._blocks, Path(scratch))
            pairs = [pair for pair in exported if pair.scheme == self._shipping[pair.runtime]]
            rtf = max(self._rtf(pair.runtime, exported_recognizer(pair, self._draft)) for pair in pairs)
            return Trial(sum(pair.bytes for pair in pairs), rtf)

    def _rtf(self, runtime: str, recognizer: StreamingRecognizer) -> float:
        """Processor time / audio time of a stream whose window is full, 1 thread."""
        if runtime not in self._first:
            seconds = cost(recognizer, self._rounds, process_time)[1]
            self._first[runtime] = recognizer, seconds / interval_seconds(recognizer)
            return self._first[runtime][1]
        first, rtf = self._first[runtime]
        rounds = [(cost(recognizer, 1, process_time)[1], cost(first, 1, process_time)[1]) for _ in range(self._rounds)]
        return rtf * statistics.median(ours / theirs for ours, theirs in rounds)


def companion_bytes(draft: bundle.Manifest, width: int, n_runtimes: int, n_steps: int) -> int:
    """Bytes of speakers.npz, golden.npz and bundle.json beside the model files, a few hundred too many at most.

    They are written when a model is finished, but their shapes are known before: float values hardly compress.
    `width`: of the pooled vector; `n_steps`: pruning steps that the manifest lists.
    """
    n_classes = len(draft.labels)
    waveform = len(zlib.compress(golden.waveform(draft.features, draft.geometry).tobytes()))
    speakers = width * (width + 1) + 4 * (width + 3 * n_classes)  # half a symmetric matrix in float16, the rest float32
    log_mel = 4 * golden.FRAMES * draft.features.n_mels
    made = 1 + n_runtimes  # by every runtime, and by float32 in torch
    outputs = 4 * GOLDEN_DECISIONS * made * (n_classes + draft.arousal + width)
    arrays = ARRAY_BYTES * (5 + 3 + (2 + draft.arousal) * made)
    manifest = MANIFEST_BYTES + RUNTIME_BYTES * n_runtimes + STEP_BYTES * n_steps + AROUSAL_BYTES * draft.arousal
    return waveform + speakers + log_mel + outputs + arrays + manifest
