"""The exact stream: samples in, logits once per interval, equal to recomputing every window from its own samples.

The encoder is given new frames only, and the few that its receptive field needs before them; its steps are stored for
one window; the head runs over them once per interval. All buffers are allocated once. Whether someone speaks is decided
in `edge.loop.utterances`, what the logits mean in `edge.stream.decision`.
"""

import numpy as np

from crnn.config import FeatureConfig, StreamGeometry
from crnn.features import LogMel
from crnn.offset import rest_level
from crnn.outputs import split_outputs
from edge.audio.level import moving_power, power_dbfs
from edge.runtimes import Model
from edge.stream.decision import DecisionConfig
from edge.stream.people import People
from edge.stream.profile import Profile
from edge.stream.results import State, WindowResult


class StreamingRecognizer:
    """`push` samples and get a result per interval; `flush` at the end of the audio, `reset` before the next.

    Args:
        encoder, head: loaded models (edge.runtimes.load) with the shapes that `geometry` implies; the head's output is
            one row, the columns of crnn.outputs (crnn.models.head.OpenHead).
        labels: names of the logits, in order.
        decision: of the bundle; not used here, but by everything that turns the logits into an answer.
        arousal: whether the head gives it.

    `profile` may be set at any time: from then on the logits are adapted to that person. `people` changes nothing here:
    who speaks is known only at the end of a segment (edge.loop.segment_sums).
    """

    def __init__(
        self,
        encoder: Model,
        head: Model,
        features: FeatureConfig,
        geometry: StreamGeometry,
        labels: tuple[str, ...],
        decision: DecisionConfig | None = None,
        arousal: bool = False,
    ) -> None:
        self.features, self.geometry, self.labels, self.arousal = features, geometry, labels, arousal
        self.decision = decision or DecisionConfig()
        self.profile: Profile | None = None
        self.people: People | None = None
        self._encoder, self._head = encoder, head
        self._block = np.zeros(geometry.first_samples, dtype=np.float32)
        self._recent = np.zeros(geometry.n_fft, dtype=np.float32)
        self._allocate()
        self.reset()

    def _allocate(self) -> None:
        """What the window is computed from."""
        features, g = self.features, self.geometry
        self._log_mel = LogMel(features)
        self._frames = np.zeros((1, features.n_mels, g.block_frames), dtype=np.float32)
        self._steps = np.zeros((1, g.window_steps, self._head.contract.input_shape[-1]), dtype=np.float32)

    @property
    def models(self) -> tuple[Model, Model]:
        """Encoder and head, as they were given."""
        return self._encoder, self._head

    def another(self) -> "StreamingRecognizer":
        """A stream of its own over the same loaded models and profiles; both may be used at a time, in two threads."""
        made = type(self)(*self.models, self.features, self.geometry, self.labels, self.decision, arousal=self.arousal)
        made.profile, made.people = self.profile, self.people
        return made

    @property
    def pooled_width(self) -> int:
        """Width of the pooled vector."""
        return self._head.contract.output_shape[-1] - len(self.labels) - self.arousal

    def reset(self) -> None:
        """Begin another stream: before its first sample there was silence, at the level of the first frame."""
        self._n_samples = self._intervals = 0
        self._filled, self._needed = self.geometry.lead_samples, self.geometry.first_samples
        self._ended = False

    def push(self, samples: np.ndarray) -> list[WindowResult]:
        """Process `samples (time,)`, float32 mono in [-1, 1] at the bundle's rate, any number of them.

        Returns the results of the intervals that they complete. Raises ValueError for another shape, and RuntimeError
        after `flush`.
        """
        samples = np.asarray(samples, dtype=np.float32)
        if samples.ndim != 1:
            raise ValueError(f"samples have shape {samples.shape}; give one dimension, mono")
        if self._ended:
            raise RuntimeError("the stream has ended with flush(); call reset() before the next push()")
        results = []
        at = 0
        while at < len(samples):
            taken = min(len(samples) - at, self._needed - self._filled)
            self._block[self._filled : self._filled + taken] = samples[at : at + taken]
            self._filled += taken
            at += taken
            if self._filled == self._needed:
                results.append(self._complete_interval())
        self._n_samples += len(samples)
        newest = samples[-len(self._recent) :]
        if len(newest):
            self._recent[: -len(newest)] = self._recent[len(newest) :]
            self._recent[-len(newest) :] = newest
        return results

    def flush(self) -> list[WindowResult]:
        """End the stream: silence completes the last interval, and the first window of a clip shorter than one. Its
        level is that of the last frame (`crnn.offset`).

        Every sample pushed is then inside a result; a stream without samples gives none.
        """
        missing = self.geometry.padding(self._n_samples)[1] if self._n_samples else 0
        results = self.push(self._after_the_end(missing))
        self._ended = True
        return results

    def first_log_mel(self, samples: np.ndarray) -> np.ndarray:
        """The features `(n_mels, frames)` that the encoder is given first of a stream that begins with `samples`."""
        return self._log_mel(np.pad(samples, (self.geometry.lead_samples, 0))[: self.geometry.first_samples])

    def _after_the_end(self, missing: int) -> np.ndarray:
        """The `missing` samples that complete the last interval."""
        return np.full(missing, rest_level(self._recent[-self._n_samples or None :]))

    def _take_in(self, block: np.ndarray) -> None:
        """Move the window to the end of `block (time,)`: an interval, and what its first frame shares with the one
        before."""
        g = self.geometry
        new_frames = g.block_frames if self._intervals == 0 else g.interval_frames
        self._frames[:, :, :-new_frames] = self._frames[:, :, new_frames:]
        self._frames[0, :, -new_frames:] = self._log_mel(block)
        self._steps[:, : -g.interval_steps] = self._steps[:, g.interval_steps :]
        self._steps[:, -g.interval_steps :] = self._encoder.run(self._frames)

    def _outputs(self) -> np.ndarray:
        """The head's output for the window: one row."""
        return self._head.run(self._steps)[0]

    def _complete_interval(self) -> WindowResult:
        g = self.geometry
        if self._intervals == 0:
            self._block[: g.lead_samples] = rest_level(self._block[g.lead_samples : self._filled][: g.n_fft])
        self._take_in(self._block[: self._filled])

        shared = g.n_fft - g.hop_length  # samples that the next interval's first frame begins with
        new = self._block[g.lead_samples if self._intervals == 0 else shared : self._filled]
        level = power_dbfs(float(moving_power(new[None])[0]))
        seconds = (g.first_samples - g.lead_samples + self._intervals * g.interval_samples) / self.features.sample_rate
        self._block[:shared] = self._block[self._filled - shared : self._filled]
        self._filled, self._needed = shared, shared + g.interval_samples
        self._intervals += 1
        if self._intervals < g.window_intervals:
            return WindowResult(seconds, State.WARMING_UP, level)
        logits, arousal, pooled, _ = split_outputs(self._outputs(), len(self.labels), self.arousal)
        if self.profile is not None:
            logits = self.profile.adapt(logits, pooled)
        return WindowResult(seconds, State.DECIDING, level, logits, pooled, None if arousal is None else float(arousal))


def clip_results(recognizer: StreamingRecognizer, waveform: np.ndarray) -> list[WindowResult]:
    """Every decision on a clip `(time,)`, streamed to its end."""
    recognizer.reset()
    results = recognizer.push(waveform) + recognizer.flush()
    return [result for result in results if result.logits is not None]


def clip_decisions(recognizer: StreamingRecognizer, waveform: np.ndarray) -> np.ndarray:
    """Logits of every decision on a clip `(time,)`, streamed to its end: `(n_decisions, n_classes)`."""
    return np.stack([result.logits for result in clip_results(recognizer, waveform) if result.logits is not None])
