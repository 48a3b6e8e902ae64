"""The results of the device loop for one clip, and the parts of the sound that each answer depends on."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from crnn.features import LogMel
from edge.audio.vad import make_vad
from edge.loop.utterances import UtteranceRecognizer, UtteranceSettings
from edge.page.occlusion import Decisions, Stretch, silent_steps, support
from edge.runtimes import Model
from edge.stream.decision import DecisionConfig
from edge.stream.recognizer import StreamingRecognizer
from edge.stream.results import Segment, StreamResult


@dataclass(frozen=True)
class Explained:
    """A segment, and how much its answer depends on each part of the sound."""

    segment: Segment
    support: tuple[Stretch, ...]
    """In order of time; empty if nothing was decided"""


@dataclass(frozen=True)
class ClipAnalysis:
    """Everything that the page shows of a clip."""

    samples: np.ndarray
    """`(time,)` float32 mono in [-1, 1]"""
    sample_rate: int
    """Hz"""
    log_mel: np.ndarray
    """`(n_mels, frames)` float32; no frames if the clip is shorter than one"""
    labels: tuple[str, ...]
    decision: DecisionConfig
    settings: UtteranceSettings
    interval_seconds: float
    results: tuple[StreamResult, ...]
    segments: tuple[Explained, ...]

    @property
    def seconds(self) -> float:
        """Length of the clip, s."""
        return len(self.samples) / self.sample_rate


def analyze(loaded: StreamingRecognizer, samples: np.ndarray, vad: str = "energy") -> ClipAnalysis:
    """Process `samples (time,)`, float32 mono at the recognizer's rate, exactly as the device loop does.

    Runs the models of `loaded` in a stream of its own: the state of `loaded` is neither read nor changed. The models
    must not run elsewhere at the same time. Raises InputError if a model fails.
    """
    model, head = loaded.models
    encoder = _RecordingModel(model)
    recognizer = StreamingRecognizer(
        encoder, head, loaded.features, loaded.geometry, loaded.labels, loaded.decision, loaded.arousal
    )
    rate = recognizer.features.sample_rate
    detector = make_vad(vad, rate)
    utterances = UtteranceRecognizer(recognizer, detector)
    listening = _Listening(Decisions(head, recognizer, silent_steps(encoder, recognizer)), encoder, len(samples) / rate)

    for start in range(0, len(samples), detector.frame_samples):  # an utterance can only end at the end of a frame
        listening.take(utterances.push(samples[start : start + detector.frame_samples]))
        if not utterances.open:
            listening.end_utterance()
    listening.take(utterances.flush())
    return ClipAnalysis(
        samples=samples,
        sample_rate=rate,
        log_mel=_log_mel(recognizer, samples),
        labels=recognizer.labels,
        decision=recognizer.decision,
        settings=utterances.settings,
        interval_seconds=recognizer.geometry.interval_samples / rate,
        results=tuple(listening.results),
        segments=tuple(listening.segments),
    )


def _log_mel(recognizer: StreamingRecognizer, samples: np.ndarray) -> np.ndarray:
    features = recognizer.features
    if len(samples) < features.n_fft:
        return np.zeros((features.n_mels, 0), dtype=np.float32)
    return LogMel(features)(samples)


class _RecordingModel:
    """Runs a model and records its outputs."""

    def __init__(self, model: Model) -> None:
        self.contract, self._model = model.contract, model
        self.outputs: list[np.ndarray] = []

    def run(self, x: np.ndarray) -> np.ndarray:
        y = self._model.run(x)
        self.outputs.append(y[0].copy())
        return y


@dataclass
class _Listening:
    """Matches the results of the loop with the encoder steps they were computed from."""

    decisions: Decisions
    encoder: _RecordingModel
    seconds: float
    results: list[StreamResult] = field(default_factory=list)
    segments: list[Explained] = field(default_factory=list)
    steps: list[np.ndarray] = field(default_factory=list)
    """Of the utterance, per interval `(interval_steps, d)`"""
    first_decision: int = 0
    """Interval of the utterance from which on decisions belong to the next segment"""
    begun: float = 0.0
    """s, where the utterance's stream begins"""

    def __post_init__(self) -> None:
        self.encoder.outputs.clear()

    def take(self, results: Iterable[StreamResult | Segment]) -> None:
        for event in results:
            if isinstance(event, StreamResult):
                if not self.steps:
                    self.begun = self.decisions.begin_of(event.seconds)
                self.steps.append(self.encoder.outputs.pop(0))
                self.results.append(event)
            else:
                self._explain(event)

    def end_utterance(self) -> None:
        self.steps.clear()
        self.first_decision = 0

    def _explain(self, segment: Segment) -> None:
        found: tuple[Stretch, ...] = ()
        if segment.probs:
            found = support(self.decisions, np.stack(self.steps), self.first_decision, self.begun, self.seconds)
        self.first_decision = len(self.steps)
        self.segments.append(Explained(segment, found))
