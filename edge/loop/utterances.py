"""Utterances: the VAD finds them, the exact stream processes each as if it were a recording of its own.

The VAD runs all the time. While nobody speaks, samples go to a short ring (the pre-roll) and nowhere else. When an
utterance begins, the stream is reset and given the pre-roll and all that follows; when it ends, the stream is flushed.
So an utterance gets the decisions that a recording cut at the same places would get.
"""

from collections.abc import Callable

import numpy as np

from crnn.errors import require
from edge.audio.speech_evidence import Voice
from edge.audio.vad import Vad
from edge.loop.pre_roll import PreRoll
from edge.loop.segment_sums import SegmentSums
from edge.loop.settings import UtteranceSettings
from edge.stream.live_label import LiveLabel, RunningMean
from edge.stream.prior import PriorCorrection
from edge.stream.recognizer import StreamingRecognizer
from edge.stream.results import ANSWERED, Segment, StreamResult, Verdict, WindowResult
from edge.stream.voice import VoiceSums

BATCH_FRAMES = 64
"""Most frames that the VAD is given in one call: each call costs, whether for one frame or many"""


class UtteranceRecognizer:
    """`push` samples and get a result per interval of speech and a segment per utterance; nothing while nobody speaks.

    Two answers are computed from the exact logits of the stream, each in one place: `edge.stream.live_label` smooths
    them over the intervals of an utterance, for `probs`, `emotion` and `confidence` of a `StreamResult`, which are
    there to be shown (`emotion` is "noise" while the VAD is not sure of a voice); `edge.loop.segment_sums` takes their
    mean over the decisions of a segment, as whole-clip evaluation does.

    Where the recognizer has `people`, each segment is adapted to the one whose voice fits; until it ends, results are
    those for anybody.

    With `prior` both are adapted to the segments so far whose sound is good enough for an answer; what is counted are
    their probabilities without that adaptation. It changes between segments only, and `reset` leaves it as it is.

    All times are audio time since the first sample; gaps count. The memory is bounded: the pre-roll is allocated once,
    and of an utterance only sums are stored, however long it is; with `record` also the samples of one segment.

    Args:
        recognizer: the exact stream; nobody else may push to it.
        vad: from edge.audio.vad.make_vad, for the same sample rate.
        record: called with every segment and its samples `(time,)` float32, pre-roll and hold included; they are
            overwritten afterwards. None: no samples are stored.
        prior: counts the segments, and corrects the following ones. None: no adaptation.
    """

    def __init__(
        self,
        recognizer: StreamingRecognizer,
        vad: Vad,
        settings: UtteranceSettings | None = None,
        record: Callable[[Segment, np.ndarray], None] | None = None,
        prior: PriorCorrection | None = None,
    ) -> None:
        settings = settings or UtteranceSettings()
        rate, g = recognizer.features.sample_rate, recognizer.geometry
        window = g.window_samples / rate
        require(
            settings.max_segment_seconds > window,
            f"utterances.max_segment_seconds is {settings.max_segment_seconds}; give more than a window ({window:g} s)",
        )
        self.recognizer, self.settings = recognizer, settings
        self._vad, self._rate = vad, rate

        def frames(seconds: float) -> int:
            return round(seconds * rate / vad.frame_samples)

        self._onset_frames = max(1, frames(settings.onset_seconds))
        self._hold_frames = max(1, frames(settings.hold_seconds))
        self._max_samples = round(settings.max_segment_seconds * rate)
        self._batch = np.zeros((BATCH_FRAMES, vad.frame_samples), dtype=np.float32)
        self._pre_roll = PreRoll(frames(settings.pre_roll_seconds) + self._onset_frames, vad.frame_samples)
        self._record = record
        self._samples = np.zeros(self._max_samples + vad.frame_samples if record else 0, dtype=np.float32)
        interval = g.interval_samples / rate
        self._live = LiveLabel(recognizer.labels, recognizer.decision, interval, settings.smoothing)
        self._live_arousal = RunningMean(interval, settings.smoothing.half_life_seconds)
        self._sums = SegmentSums(rate, settings)
        self._take_voice: Callable[[np.ndarray | None], None] | None = None
        if recognizer.people is not None:
            self._sums.voice = VoiceSums(recognizer.features)
        self._prior = prior
        self.reset()

    def reset(self) -> None:
        """Begin another recording; time starts at 0 again."""
        self._vad.reset()
        self._filled = self._now = self._run = 0  # samples in the batch; position; frames of voice without a break
        self._quiet_frames = 0  # without a break, in an open utterance
        self._open = self._ended = self._spoken = False
        self._pre_roll.clear()

    def measure_voices(self, take: Callable[[np.ndarray | None], None]) -> None:
        """Call `take` with the voice of every segment (`edge.stream.voice`; None if too short), before `push` returns
        the segment. For enrolment; to be called before the first sample."""
        self._take_voice, self._sums.voice = take, VoiceSums(self.recognizer.features)

    @property
    def open(self) -> bool:
        """Whether someone is speaking."""
        return self._open

    @property
    def seconds(self) -> float:
        """Audio time now, s since the first sample, gaps included."""
        return (self._now + self._filled) / self._rate

    def push(self, samples: np.ndarray) -> list[StreamResult | Segment]:
        """Process `samples (time,)`, float32 mono in [-1, 1] at the bundle's rate, any number of them.

        Returns what they complete, in order. Raises ValueError for another shape and for NaN or infinite samples, and
        RuntimeError after `flush`.
        """
        samples = np.asarray(samples, dtype=np.float32)
        if samples.ndim != 1:
            raise ValueError(f"samples have shape {samples.shape}; give one dimension, mono")
        if not np.isfinite(samples).all():
            raise ValueError("samples hold NaN or infinite values; the source is broken")
        if self._ended:
            raise RuntimeError("the audio has ended with flush(); call reset() before the next push()")
        results: list[StreamResult | Segment] = []
        batch, at = self._batch.reshape(-1), 0
        while at < len(samples):
            taken = min(len(samples) - at, len(batch) - self._filled)
            batch[self._filled : self._filled + taken] = samples[at : at + taken]
            self._filled += taken
            at += taken
            results += self._process_batch()
        return results

    def gap(self, seconds: float) -> list[StreamResult | Segment]:
        """Audio of `seconds` (0 or more) is missing here: an open utterance ends, and the clock moves on."""
        if not seconds >= 0:
            raise ValueError(f"a gap of {seconds} s; give 0 s or more")
        results = self._finish()
        self._pre_roll.clear()
        self._run = 0
        self._now += round(seconds * self._rate)
        return results

    def flush(self) -> list[StreamResult | Segment]:
        """End the audio. If nobody has spoken in all of it, one segment says so; without a sample there is none."""
        if self._ended:
            return []
        results = self._finish()
        self._ended = True
        if not self._spoken and self._now > 0:
            results.append(Segment(0.0, self._now / self._rate, None, Verdict.NO_SPEECH, 0.0, {}))
        return results

    def _process_batch(self) -> list[StreamResult | Segment]:
        """Process the whole frames of the batch; samples that do not fill a frame wait at its beginning."""
        size = self._batch.shape[1]
        whole = self._filled // size
        if not whole:
            return []
        frames = self._batch[:whole]
        voices = self._vad.update(frames)
        results: list[StreamResult | Segment] = []
        first = 0  # of the frames that are not yet in an utterance or in the pre-roll
        for end, voice in enumerate(voices, start=1):
            self._run = self._run + 1 if voice else 0
            speaks = self._run >= self._onset_frames
            if self._open:
                self._quiet_frames = 0 if speaks else self._quiet_frames + 1
                if self._quiet_frames >= self._hold_frames:
                    results += self._stream(frames[first:end], voices[first:end]) + self._close()
                    first = end
            elif speaks:
                self._wait(frames[first:end])
                results += self._begin()
                first = end
        if self._open:
            results += self._stream(frames[first:], voices[first:])
        else:
            self._wait(frames[first:])
        self._filled -= whole * size
        self._batch.reshape(-1)[: self._filled] = self._batch.reshape(-1)[whole * size : whole * size + self._filled]
        return results

    def _wait(self, frames: np.ndarray) -> None:
        """Nobody speaks in these frames."""
        self._now += frames.size
        self._pre_roll.add(frames)

    def _begin(self) -> list[StreamResult | Segment]:
        """An utterance begins: a new stream, the pre-roll first."""
        self._open = True
        self._quiet_frames = 0
        frames = self._pre_roll.take()
        self._now -= frames.size  # where the utterance starts; `_stream` counts these samples again
        self._start = self._now
        self._begin_segment(self._start)
        self._live.reset()
        self._live_arousal.reset()
        self._sure = False  # whether the VAD was, in the last frame with a voice
        self.recognizer.reset()
        return self._stream(frames, [Voice.NO] * (len(frames) - self._run) + [Voice.PERHAPS] * self._run)

    def _stream(self, frames: np.ndarray, voices: list[Voice]) -> list[StreamResult | Segment]:
        """Give frames of an utterance, `(n, samples)`, to the stream; a segment ends with the frame that fills it."""
        results: list[StreamResult | Segment] = []
        while len(frames):
            size = frames.shape[1]
            room = self._max_samples - (self._now - self._sums.start)
            taken = min(len(frames), max(1, -(-room // size)))
            samples = frames[:taken].reshape(-1)
            sure = [self._sure]  # after so many of these frames; a pause changes nothing
            for voice in voices[:taken]:
                sure.append(voice is Voice.SURE if voice else sure[-1])
            before = self._now - self._start
            for result in self.recognizer.push(samples):
                whole = (round(result.seconds * self._rate) - before) // size  # frames inside the interval
                results.append(self._shown(result, sure[whole]))
            self._sure = sure[-1]
            self._sums.add_frames(frames[:taken], voices[:taken], self._now)
            if self._record:
                at = self._now - self._sums.start
                self._samples[at : at + len(samples)] = samples
            self._now += len(samples)
            if self._now - self._sums.start >= self._max_samples:
                results += self._segment()
            frames, voices = frames[taken:], voices[taken:]
        return results

    def _shown(self, result: WindowResult, sure: bool, end: float = float("inf")) -> StreamResult:
        """A result of the stream at its place in the audio, not after `end` s, with the label to show."""
        seconds = min(self._start / self._rate + result.seconds, end)
        if result.logits is None or result.pooled is None:
            return StreamResult(seconds, result.state, result.level_dbfs, None, None, None, None)
        self._sums.add_decision(result.logits, result.pooled, result.arousal)
        logits, adapted = result.logits, None
        if self._adaptation is not None:
            adapted = self._adaptation.utterances
            logits = (logits + self._adaptation.shift(self.recognizer.decision.temperature)).astype(np.float32)
        probs, emotion, confidence = self._live.update(logits)
        arousal = None if result.arousal is None else float(self._live_arousal.update(np.array(result.arousal)))
        return StreamResult(
            seconds,
            result.state,
            result.level_dbfs,
            logits,
            probs,
            emotion if sure else Verdict.NOISE.value,
            confidence,
            result.pooled,
            arousal if sure else None,
            adapted,
        )

    def _close(self) -> list[StreamResult | Segment]:
        """The utterance has ended. The silence that `flush` adds to the stream takes no audio time."""
        end = self._now / self._rate
        shown = [self._shown(result, self._sure, end) for result in self.recognizer.flush()]
        self._open = False
        return [*shown, *self._segment()]

    def _finish(self) -> list[StreamResult | Segment]:
        """No more samples follow: an open utterance gets those that do not fill a frame, and ends."""
        rest, self._filled = self._batch.reshape(1, -1)[:, : self._filled], 0
        if not self._open:
            self._now += rest.size
            return []
        return (self._stream(rest, [Voice.NO]) if rest.size else []) + self._close()

    def _segment(self) -> list[Segment]:
        """The segment since the last one; none without a voice in it."""
        start, found = self._sums.start, []
        if self._sums.has_voice:
            decision = self.recognizer.decision
            recognizer = self.recognizer
            found = [self._sums.segment(recognizer.labels, decision, self._adaptation, recognizer.people)]
            if self._take_voice and self._sums.voice:
                self._take_voice(self._sums.voice.vector())
            self._spoken = True
            if self._prior is not None and found[0].verdict in ANSWERED:
                self._prior.count(self._sums.probabilities(decision.temperature))
            if self._record:
                self._record(found[0], self._samples[: self._now - start])
        self._begin_segment(self._now)
        return found

    def _begin_segment(self, start: int) -> None:
        """A segment begins at position `start`, adapted to those before it."""
        self._sums.clear(start)
        self._adaptation = None if self._prior is None else self._prior.adaptation()
