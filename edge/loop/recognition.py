"""Open a model, give it a recording, read the answer.

>>> from edge import open_model
>>> model = open_model(PRETRAINED.parent / "float32")
>>> model
EmotionModel(float32)
  labels   neutral, happy, sad, angry, fearful, disgust
  input    16000 Hz mono, float32 in [-1, 1]; other rates and channels are converted
  window   3.09 s, a decision every 0.25 s
  runtime  onnx, float32
>>> result = model.recognize(PRETRAINED.parent / "synthetic_voice.flac")
>>> sorted(result.probs) == sorted(model.labels), len(result.segments) >= 1
(True, True)
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crnn.errors import InputError, require
from edge.audio.sources import CHUNK_SECONDS, StreamResampler, check_format, from_file
from edge.audio.vad import DEFAULT, chosen, make_vad
from edge.bundle import PRETRAINED, Bundle
from edge.bundle.find import find_bundle
from edge.bundle.save import save_bundle
from edge.loop.events import Event
from edge.loop.listening import listen
from edge.loop.utterances import UtteranceRecognizer
from edge.stream.decision import UNCERTAIN, decide_mean
from edge.stream.people import People
from edge.stream.prior import PriorCorrection
from edge.stream.results import ANSWERED, Segment, StreamResult, Verdict

MAX_PEAK = 8.0
"""Largest magnitude of float samples in [-1, 1]; larger ones have another scale, such as that of 16-bit integers"""


@dataclass(frozen=True)
class Recognition:
    """The answer of a model for one recording.

    `segments` are the answer: one for each utterance, as the live loop gives them. The other fields summarize: they
    come from the mean of the exact logits over all decisions of all segments whose sound is good enough (verdict None
    or "uncertain"), so a long segment weighs more than a short one. With a single segment they are that segment's.
    """

    emotion: str | None
    """None where the model abstains; `verdict` says why"""
    verdict: Verdict | None
    """Why it abstains: "uncertain", or the verdict of the longest segment where none could be answered"""
    confidence: float
    """Calibrated probability of the top emotion, 0 to 1; 0 where nothing was decided"""
    probs: dict[str, float]
    """Emotion -> probability; empty where nothing was decided"""
    segments: tuple[Segment, ...]
    """In the order of time"""
    seconds: float
    """Length of the recording, s"""
    arousal: float | None = None
    """0 to 1, mean over the same decisions; None where nothing was decided, and where the model does not estimate it"""

    def __repr__(self) -> str:
        answer = f"emotion={self.emotion!r}" if self.emotion else f"emotion=None, verdict={str(self.verdict)!r}"
        return (
            f"Recognition({answer}, confidence={self.confidence:.2f}, seconds={self.seconds:.2f}, "
            f"segments={len(self.segments)}" + (")" if self.arousal is None else f", arousal={self.arousal:.2f})")
        )


class EmotionModel:
    """A bundle that is loaded and whose golden values were checked; `open_model` makes one. `recognize` takes one
    recording at a time; for several at a time give each its own `utterances`."""

    def __init__(
        self,
        bundle: Bundle,
        runtime: str | None,
        threads: int,
        vad: str,
        profiles: Sequence[Path],
        adapt: bool = False,
    ) -> None:
        self.bundle = bundle
        self.runtime = runtime or bundle.default_runtime()
        self._recognizer = bundle.recognizer(self.runtime, threads, profiles)
        self.vad = chosen(vad, self.sample_rate)
        self.prior = PriorCorrection(len(self.labels)) if adapt else None
        """Adapts to the utterances of all recordings, in order; `prior.reset()` before another person speaks. None
        without adaptation"""
        self._utterances: UtteranceRecognizer | None = None

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike, *, revision: str | None = None, **options: Any) -> "EmotionModel":
        """Load a bundle by name, from the Hugging Face hub if it is neither here nor ships.

        Args:
            name: "small", "large", a folder, or OWNER/NAME on the hub (the extra hub).
            revision: of a model on the hub: branch, tag or commit.
            options: those of `open_model`.

        Raises InputError as `open_model`, and if the hub does not have or give the model.
        """
        return open_model(find_bundle(os.fspath(name), revision), **options)

    def save_pretrained(self, folder: str | os.PathLike) -> None:
        """Save the bundle as a folder that `from_pretrained` loads and the hub takes; InputError if it exists."""
        save_bundle(self.bundle, Path(folder))

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions, in the order of the logits."""
        return self._recognizer.labels

    @property
    def arousal(self) -> bool:
        """Whether the model estimates the arousal."""
        return self._recognizer.arousal

    @property
    def people(self) -> People | None:
        """Whom each segment chooses from; None unless several profiles were given."""
        return self._recognizer.people

    @property
    def sample_rate(self) -> int:
        """Hz, of the input of the network."""
        return self._recognizer.features.sample_rate

    @property
    def scheme(self) -> str:
        """What the files are quantized to: float32, float16, dynamic_int8 or static_int8."""
        return self.bundle.manifest.model_files(self.runtime).scheme

    @property
    def window_seconds(self) -> float:
        """s of audio under one decision."""
        g = self._recognizer.geometry
        return g.sound_samples / self.sample_rate

    @property
    def interval_seconds(self) -> float:
        """s between two decisions."""
        return self._recognizer.geometry.interval_samples / self.sample_rate

    def __repr__(self) -> str:
        return (
            f"EmotionModel({self.bundle.path.name})\n"
            f"  labels   {', '.join(self.labels)}\n"
            f"  input    {self.sample_rate} Hz mono, float32 in [-1, 1]; other rates and channels are converted\n"
            f"  window   {self.window_seconds:.3g} s, a decision every {self.interval_seconds:.3g} s\n"
            f"  runtime  {self.runtime}, {self.scheme}"
        )

    def utterances(self, record: Callable[[Segment, np.ndarray], None] | None = None) -> UtteranceRecognizer:
        """The model as the live loop uses it (`edge.loop.listening.listen`); `record` as in `UtteranceRecognizer`.

        Each call gives a stream of its own over the same loaded models. Several may run at a time, in several threads,
        but not where the model adapts: that is one for all.
        """
        return UtteranceRecognizer(
            self._recognizer.another(), make_vad(self.vad, self.sample_rate), record=record, prior=self.prior
        )

    def recognize(self, audio: str | os.PathLike | np.ndarray, sample_rate: int | None = None) -> Recognition:
        """Recognize a whole recording.

        Args:
            audio: the path of a file, or samples `(time,)` or `(time, channels)`: floating point in [-1, 1], int16 or
                int32.
            sample_rate: Hz of the samples; a file has its own.

        Raises InputError, in one line that names the file or value, for input that cannot be processed: no such
        file, no audio, no samples, NaN, floats on another scale, samples without a rate.
        """
        if isinstance(audio, str | os.PathLike):
            require(sample_rate is None, f"{audio}: a file has its own rate; leave sample_rate out")
            source = from_file(Path(audio), self.sample_rate)
        else:
            source = from_array(audio, sample_rate, self.sample_rate)
        self._utterances = self._utterances or self.utterances()
        self._utterances.reset()
        summary = _Summary(self.people)
        listen(source, self._utterances, summary)
        return self._recognition(summary, self._utterances.seconds)

    def _recognition(self, summary: "_Summary", seconds: float) -> Recognition:
        segments = tuple(summary.segments)
        if summary.decisions == 0:
            longest = max(segments, key=lambda s: s.end_seconds - s.start_seconds, default=None)
            verdict = longest.verdict if longest else Verdict.NO_SPEECH
            return Recognition(None, verdict, 0.0, {}, segments, seconds)
        emotion, confidence, probs = decide_mean(
            summary.logits, summary.decisions, self.labels, self._recognizer.decision
        )
        arousal = summary.arousal / summary.decisions if self.arousal else None
        if emotion == UNCERTAIN:
            return Recognition(None, Verdict.UNCERTAIN, confidence, probs, segments, seconds, arousal)
        return Recognition(emotion, None, confidence, probs, segments, seconds, arousal)


def open_model(
    bundle: str | os.PathLike | None = None,
    *,
    runtime: str | None = None,
    threads: int = 1,
    vad: str = DEFAULT,
    profile: str | os.PathLike | Sequence[str | os.PathLike] | None = None,
    adapt: bool = False,
) -> EmotionModel:
    """Load a bundle and check that it gives its golden values here.

    Args:
        bundle: the folder; the int8 model that ships by default.
        runtime: "onnx" or "tflite"; the first of the bundle's that is installed by default.
        threads: of the runtime.
        vad: voice activity detection: "silero" (the vad extra), "energy", or "auto", which is silero where it is
            installed.
        profile: file of the person who speaks; several: `person` of each segment says whose voice fits, or "unknown".
        adapt: adapt to the utterances as they come, without labels (docs/enrolment.md). Answers then depend on the
            utterances before, also of other recordings. Not together with a profile.

    Raises InputError for a folder that is no sound bundle and for what is not installed, naming what to install.
    """
    profiles = [Path(path) for path in ([profile] if isinstance(profile, str | os.PathLike) else profile or ())]
    require(
        not (adapt and profiles),
        f"{', '.join(map(str, profiles))}: a profile adapts already; give it or adapt, not both (no gain measured)",
    )
    opened = Bundle.open(PRETRAINED if bundle is None else Path(bundle))
    return EmotionModel(opened, runtime, threads, vad, profiles, adapt)


def from_array(audio: np.ndarray, rate: int | None, sample_rate: int) -> Iterator[np.ndarray]:
    """Samples in memory as a source: chunks `(time,)` float32 mono at `sample_rate` Hz. Raises InputError as
    `EmotionModel.recognize`."""
    samples = np.asarray(audio)
    if rate is None:
        raise InputError("samples: give their rate as well: recognize(samples, sample_rate)")
    require(isinstance(rate, int | np.integer), f"sample_rate is {rate!r}; give a whole number of Hz")
    require(samples.ndim in (1, 2), f"samples have shape {samples.shape}; give (time,) or (time, channels)")
    require(samples.size > 0, f"samples have shape {samples.shape}: there are none")
    samples = samples.reshape(len(samples), -1)
    check_format(
        f"samples of shape {audio.shape if hasattr(audio, 'shape') else samples.shape}", rate, samples.shape[1]
    )
    scale = _scale(samples)
    resample = StreamResampler(int(rate), sample_rate)
    size = max(1, int(rate * CHUNK_SECONDS))
    for start in range(0, len(samples), size):
        chunk = (samples[start : start + size] * scale).astype(np.float32)
        yield resample(chunk, last=start + size >= len(samples))


def _scale(samples: np.ndarray) -> float:
    """Factor that brings samples to [-1, 1]."""
    if samples.dtype in (np.int16, np.int32):
        return 1 / 2.0 ** (8 * samples.dtype.itemsize - 1)
    if not np.issubdtype(samples.dtype, np.floating):
        raise InputError(f"samples are {samples.dtype}; give floating point in [-1, 1], int16 or int32")
    require(bool(np.isfinite(samples).all()), "samples hold NaN or infinite values")
    peak = float(np.abs(samples).max())
    require(peak <= MAX_PEAK, f"samples reach {peak:g}; floating point is in [-1, 1]: divide by full scale")
    return 1.0


@dataclass
class _Summary:
    """A sink: collects the segments and sums the exact logits of those whose sound is good enough."""

    people: People | None = None
    segments: list[Segment] = field(default_factory=list)
    logits: np.ndarray = field(default_factory=lambda: np.zeros(()))  # the first decision gives it its shape
    arousal: float = 0.0
    """Sum over the decisions"""
    decisions: int = 0
    _pending: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    """Logits and pooled vectors since the last segment"""

    def write(self, seconds: float, event: Event) -> None:
        if isinstance(event, StreamResult):
            if event.logits is None or event.pooled is None:  # a new utterance: what is left belongs to no segment
                self._pending.clear()
            else:
                self._pending.append((event.logits.astype(np.float64), event.pooled))
        elif isinstance(event, Segment):
            self.segments.append(event)
            if event.verdict in ANSWERED:
                logits, pooled = (np.stack(values) for values in zip(*self._pending, strict=True))
                logits = self.people.adapt(event.person, logits, pooled) if self.people else logits
                self.logits = self.logits + logits.sum(axis=0)
                self.decisions += len(self._pending)
                self.arousal += (event.arousal or 0.0) * len(self._pending)
            self._pending.clear()

    def close(self) -> None:
        """Nothing is buffered."""
