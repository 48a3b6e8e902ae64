"""What a model weighs and costs as a bundle: one is written whole, weighed, timed and thrown away."""

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import process_time

import numpy as np

from crnn.metrics import at_chance
from crnn.models.crnn import CRNN
from crnn.run_config import RunConfig
from edge import bundle
from edge.export.assemble import Told, assemble
from edge.export.calibration import COVERAGES, CalibrationData, Confidence
from edge.export.exporters import export_all
from edge.export.trained import Trained
from edge.export.verify import Row, cost
from edge.prune.step import Step
from edge.prune.targets import Trial
from edge.stream.decision import DecisionConfig
from edge.stream.profile import Speakers
from edge.stream.recognizer import StreamingRecognizer

ROUNDS = 40
"""In which models are timed in turn"""
UNKNOWN = 1 / 7000
"""A figure that nobody knows yet, with as many digits as one can have"""


class Trials:
    """Measures models in the schemes that ship.

    Time is the processor's, with one thread, so that other programs' turns do not count. What they do to caches
    and clocks does: so it is told by a yardstick, the first model that is measured; every later one is timed in rounds
    beside it, and its ratio counts.
    """

    def __init__(
        self,
        trained: Trained,
        shipping: dict[str, str],
        draft: bundle.Manifest,
        blocks: Sequence[np.ndarray],
    ) -> None:
        """`shipping`: runtime -> scheme; a few `blocks` will do: how many there are changes no size."""
        self._trained, self._shipping, self._draft, self._blocks = trained, shipping, draft, blocks
        self._yardsticks: dict[str, tuple[StreamingRecognizer, float]] = {}

    def __call__(self, model: CRNN, config: RunConfig, n_steps: int) -> Trial:
        """`n_steps`: of the pruning, which stand in the manifest."""
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            made = export_all(model, config, tuple(self._shipping), self._blocks, folder)
            rows = [
                Row(scheme, *[UNKNOWN] * 7, (), f"{encoder.name} + {head.name}", runtime, 10**6, True)
                for runtime, scheme, encoder, head in made
                if scheme == self._shipping[runtime]
            ]
            grounds = CalibrationData(
                10**3, 10**5, 10**4 + 0.1, "?" * 60, at_chance(self._trained.metrics["dev"], "?" * 20)
            )
            confidence = Confidence(*[UNKNOWN] * 5, tuple((share, UNKNOWN) for share in COVERAGES), grounds)
            step = Step(UNKNOWN, config.model.channels, config.model.lstm_units, 10**6, 10**8, UNKNOWN, 10**6)
            told = Told(rows, DecisionConfig(1 + UNKNOWN, UNKNOWN), confidence, "0" * 12, [step] * n_steps)
            assemble(folder, self._draft, self._trained, model, config, _anyone(model), told)
            size = sum(path.stat().st_size for path in folder.iterdir())
            opened = bundle.Bundle.open(folder)
            rtf = max(self._rtf(runtime, opened.recognizer(runtime)) for runtime in self._shipping)
        return Trial(size, rtf)

    def _rtf(self, runtime: str, recognizer: StreamingRecognizer) -> float:
        """Processor time / audio time of a stream whose window is full, 1 thread."""
        interval_seconds = recognizer.geometry.interval_samples / recognizer.features.sample_rate
        if runtime not in self._yardsticks:
            self._yardsticks[runtime] = recognizer, cost(recognizer, ROUNDS, process_time)[1] / interval_seconds
        yardstick, rtf = self._yardsticks[runtime]
        rounds = [(cost(recognizer, 1, process_time)[1], cost(yardstick, 1, process_time)[1]) for _ in range(ROUNDS)]
        return rtf * statistics.median(ours / theirs for ours, theirs in rounds)


def _anyone(model: CRNN) -> Speakers:
    """Noise in the place of the training speakers' description: an untrained model may give none."""
    width, n_classes = model.head.classifier.in_features, model.head.classifier.out_features
    rng = np.random.default_rng(0)
    shapes = ((width,), (width, width), *[(n_classes,)] * 3)
    return Speakers(*(rng.normal(size=shape).astype(np.float32) for shape in shapes))
