"""Utterances: while nobody speaks nothing is computed; what is said is heard whole, as a test clip is, and decided.

A gate listens all the time. While it is closed the samples go to a short ring (the pre-roll) and nowhere else. When it
opens, the exact stream starts anew and hears the pre-roll and all that follows; when it closes, the stream is flushed.
So an utterance gets the decisions that a recording cut at the same places would get.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from crnn.errors import require
from edge.audio.level import moving_power, power_dbfs
from edge.audio.speech_evidence import Voice
from edge.audio.vad import Vad
from edge.stream.decision import UNCERTAIN, decide, probabilities
from edge.stream.live_label import LiveLabel, SmoothingConfig
from edge.stream.recognizer import StreamingRecognizer
from edge.stream.results import Segment, StreamResult, Verdict

FULL_SCALE = 32700 / 32768
"""From here on a sample is clipped: not every converter reaches its last step"""
BATCH_FRAMES = 64
"""Of the gate's, looked at together at most: every call costs, whether it hears one frame or many"""


@dataclass(frozen=True)
class UtteranceSettings:
    """What an utterance is, and when the loop abstains."""

    pre_roll_seconds: float = 0.5
    """s before the onset that are heard as well"""
    onset_seconds: float = 0.1
    """s of voice without a break that open the gate, or keep it open: a click, a tick of a clock, is no voice"""
    hold_seconds: float = 0.75
    """s without such a stretch of voice that end an utterance; they are heard as well"""
    max_segment_seconds: float = 15.0
    """s after which a segment is told although the utterance goes on; longer than a window"""
    min_voice_seconds: float = 0.5
    """s of voice below which a segment is "too short\""""
    min_level_dbfs: float = -60.0
    """Level of the voice, dB relative to full scale, below which a segment is "too quiet\""""
    max_clipped: float = 0.01
    """Share of full-scale samples, 0 to 1, above which a segment is "clipped\""""
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    """Of the live label"""

    def __post_init__(self) -> None:
        for name in ("pre_roll_seconds", "onset_seconds", "hold_seconds", "min_voice_seconds"):
            require(getattr(self, name) >= 0, f"utterances.{name} is {getattr(self, name)}; give 0 s or more")
        require(0 <= self.max_clipped <= 1, f"utterances.max_clipped is {self.max_clipped}; give a share, 0 to 1")


class UtteranceRecognizer:
    """Push samples, get the hop results of what is said and a segment per utterance; nothing while nobody speaks.

    `logits` of a hop result are those of the exact stream. `probs`, `emotion` and `confidence` are smoothed over the
    hops of the utterance (`live_label`): they are to be shown; `emotion` is "noise" while the gate is not sure of a
    voice. A segment is the mean of the exact logits over its decisions, as whole-clip evaluation does.

    All times are audio time since the first sample; gaps count. The memory is bounded: the pre-roll is allocated once,
    and of an utterance only sums are kept, however long it is; with `keep` also the sound of one segment.

    Args:
        recognizer: the exact stream; nobody else may push to it.
        gate: from edge.audio.vad.make_vad, for the same sample rate.
        keep: called with every segment of an utterance and all that was heard of it, `(time,)` float32, pre-roll and
            hold included; the samples are overwritten by what follows. None: no sound is held.
    """

    def __init__(
        self,
        recognizer: StreamingRecognizer,
        gate: Vad,
        settings: UtteranceSettings | None = None,
        keep: Callable[[Segment, np.ndarray], None] | None = None,
    ) -> None:
        settings = settings or UtteranceSettings()
        rate, g = recognizer.features.sample_rate, recognizer.geometry
        window = g.window_samples / rate
        require(
            settings.max_segment_seconds > window,
            f"utterances.max_segment_seconds is {settings.max_segment_seconds}; give more than a window ({window:g} s)",
        )
        self.recognizer, self.settings = recognizer, settings
        self._vad, self._rate = gate, rate

        def frames(seconds: float) -> int:
            return round(seconds * rate / gate.frame_samples)

        self._onset_frames = max(1, frames(settings.onset_seconds))
        self._hold_frames = max(1, frames(settings.hold_seconds))
        self._max_samples = round(settings.max_segment_seconds * rate)
        self._batch = np.zeros((BATCH_FRAMES, gate.frame_samples), dtype=np.float32)
        self._ring = np.zeros((frames(settings.pre_roll_seconds) + self._onset_frames, gate.frame_samples), np.float32)
        self._keep = keep
        self._tape = np.zeros(self._max_samples + gate.frame_samples if keep else 0, dtype=np.float32)
        self._live = LiveLabel(recognizer.labels, recognizer.decision, g.interval_samples / rate, settings.smoothing)
        self._heard = _Heard()
        self.reset()

    def reset(self) -> None:
        """Forget everything heard; time starts at 0 again."""
        self._vad.reset()
        self._filled = self._now = self._run = 0
        self._open = self._ended = self._spoken = False
        self._empty_ring()

    @property
    def open(self) -> bool:
        """Whether someone is speaking."""
        return self._open

    @property
    def seconds(self) -> float:
        """Audio time now, s since the first sample, gaps included."""
        return (self._now + self._filled) / self._rate

    def push(self, samples: np.ndarray) -> list[StreamResult | Segment]:
        """Hear `samples (time,)`, float32 mono in [-1, 1] at the bundle's rate, any number of them.

        Returns what they complete, in order. Raises ValueError for another shape and for samples that are no numbers,
        and RuntimeError after `flush`.
        """
        samples = np.asarray(samples, dtype=np.float32)
        if samples.ndim != 1:
            raise ValueError(f"samples have shape {samples.shape}; give one dimension, mono")
        if not np.isfinite(samples).all():
            raise ValueError("samples hold NaN or infinite values; the source is broken")
        if self._ended:
            raise RuntimeError("the audio has ended with flush(); call reset() before the next push()")
        told: list[StreamResult | Segment] = []
        batch, at = self._batch.reshape(-1), 0
        while at < len(samples):
            taken = min(len(samples) - at, len(batch) - self._filled)
            batch[self._filled : self._filled + taken] = samples[at : at + taken]
            self._filled += taken
            at += taken
            told += self._listen()
        return told

    def gap(self, seconds: float) -> list[StreamResult | Segment]:
        """Audio of `seconds` (0 or more) is missing here: whatever was being said ends, and the clock moves on."""
        if not seconds >= 0:
            raise ValueError(f"a gap of {seconds} s; give 0 s or more")
        told = self._finish()
        self._empty_ring()
        self._run = 0
        self._now += round(seconds * self._rate)
        return told

    def flush(self) -> list[StreamResult | Segment]:
        """End the audio. If nobody has spoken in all of it, the one segment says so; without a sample there is none."""
        if self._ended:
            return []
        told = self._finish()
        self._ended = True
        if not self._spoken and self._now > 0:
            told.append(Segment(0.0, self._now / self._rate, None, Verdict.NO_SPEECH, 0.0, {}))
        return told

    def _listen(self) -> list[StreamResult | Segment]:
        """Hear the whole frames of the batch; what does not fill one waits at its beginning."""
        size = self._batch.shape[1]
        whole = self._filled // size
        if not whole:
            return []
        frames = self._batch[:whole]
        voices = self._vad.update(frames)
        told: list[StreamResult | Segment] = []
        first = 0  # that has gone nowhere yet
        for end, voice in enumerate(voices, start=1):
            self._run = self._run + 1 if voice else 0
            speaks = self._run >= self._onset_frames
            if self._open:
                self._quiet_frames = 0 if speaks else self._quiet_frames + 1
                if self._quiet_frames >= self._hold_frames:
                    told += self._hear(frames[first:end], voices[first:end]) + self._close()
                    first = end
            elif speaks:
                self._remember(frames[first:end])
                told += self._begin()
                first = end
        if self._open:
            told += self._hear(frames[first:], voices[first:])
        else:
            self._remember(frames[first:])
        self._filled -= whole * size
        self._batch.reshape(-1)[: self._filled] = self._batch.reshape(-1)[whole * size : whole * size + self._filled]
        return told

    def _remember(self, frames: np.ndarray) -> None:
        """Nobody speaks: the frames go to the pre-roll."""
        self._now += frames.size
        kept = frames[-len(self._ring) :]
        places = (self._ring_next + np.arange(len(kept))) % len(self._ring)
        self._ring[places] = kept
        self._ring_next = (self._ring_next + len(kept)) % len(self._ring)
        self._ring_frames = min(self._ring_frames + len(kept), len(self._ring))

    def _begin(self) -> list[StreamResult | Segment]:
        """The gate opens: a new stream hears the pre-roll."""
        self._open = True
        self._quiet_frames = 0
        places = (self._ring_next - self._ring_frames + np.arange(self._ring_frames)) % len(self._ring)
        frames = self._ring[places]
        self._empty_ring()
        self._now -= frames.size  # to be heard again
        self._start = self._now
        self._heard.clear(self._start)
        self._live.reset()
        self._sure = False
        self.recognizer.reset()
        return self._hear(frames, [Voice.NO] * (len(frames) - self._run) + [Voice.PERHAPS] * self._run)

    def _hear(self, frames: np.ndarray, voices: list[Voice]) -> list[StreamResult | Segment]:
        """Frames of an utterance, `(n, samples)`, go to the stream; a segment ends with the frame that fills it."""
        told: list[StreamResult | Segment] = []
        while len(frames):
            room = self._max_samples - (self._now - self._heard.start)
            taken = min(len(frames), max(1, -(-room // frames.shape[1])))
            samples = frames[:taken].reshape(-1)
            sure = [self._sure]  # after so many frames; a pause changes nothing
            for voice in voices[:taken]:
                sure.append(voice is Voice.SURE if voice else sure[-1])
            before = self._now - self._start
            for result in self.recognizer.push(samples):
                whole = (round(result.seconds * self._rate) - before) // frames.shape[
                    1
                ]  # frames that the hop has heard
                told.append(self._placed(result, sure[whole]))
            self._sure = sure[-1]
            self._heard.add_frames(frames[:taken], voices[:taken], self._now)
            if self._keep:
                at = self._now - self._heard.start
                self._tape[at : at + len(samples)] = samples
            self._now += len(samples)
            if self._now - self._heard.start >= self._max_samples:
                told += self._segment()
            frames, voices = frames[taken:], voices[taken:]
        return told

    def _placed(self, result: StreamResult, sure: bool) -> StreamResult:
        """A result of the stream, at its place in the audio; with the smoothed label, or "noise" where that is all."""
        seconds = self._start / self._rate + result.seconds
        if result.logits is None:
            return replace(result, seconds=seconds)
        self._heard.add_decision(result.logits)
        probs, emotion, confidence = self._live.update(result.logits)
        shown = emotion if sure else Verdict.NOISE.value
        return replace(result, seconds=seconds, probs=probs, emotion=shown, confidence=confidence)

    def _close(self) -> list[StreamResult | Segment]:
        """The utterance has ended. The zeros that `flush` adds to the stream take no time."""
        end = self._now / self._rate
        told: list[StreamResult | Segment] = [self._placed(r, self._sure) for r in self.recognizer.flush()]
        self._open = False
        return [replace(r, seconds=min(r.seconds, end)) for r in told] + self._segment()

    def _finish(self) -> list[StreamResult | Segment]:
        """No more samples follow: an open utterance hears those that do not fill a frame, and ends."""
        rest, self._filled = self._batch.reshape(1, -1)[:, : self._filled], 0
        if not self._open:
            self._now += rest.size
            return []
        return (self._hear(rest, [Voice.NO]) if rest.size else []) + self._close()

    def _segment(self) -> list[Segment]:
        """What has been said since the last segment; none without a voice."""
        heard, decision, labels = self._heard, self.recognizer.decision, self.recognizer.labels
        if heard.voice_samples == 0:
            heard.clear(self._now)
            return []
        probs = probabilities(heard.logits / heard.decisions, decision.temperature)
        emotion, confidence = decide(probs, labels, decision)
        verdict = self._verdict(emotion)
        segment = Segment(
            start_seconds=heard.first / self._rate,
            end_seconds=heard.last / self._rate,
            emotion=emotion if verdict is None else None,
            verdict=verdict,
            confidence=confidence,
            probs={name: float(p) for name, p in zip(labels, probs, strict=True)},
        )
        self._spoken = True
        if self._keep:
            self._keep(segment, self._tape[: self._now - heard.start])
        heard.clear(self._now)
        return [segment]

    def _verdict(self, emotion: str) -> Verdict | None:
        """Why not to answer: what is wrong with the audio before what is wrong with the answer."""
        heard, s = self._heard, self.settings
        if heard.voice_samples < s.min_voice_seconds * self._rate:
            return Verdict.TOO_SHORT
        if heard.clipped > s.max_clipped * heard.voice_samples:
            return Verdict.CLIPPED
        if power_dbfs(heard.energy / heard.voice_samples) < s.min_level_dbfs:
            return Verdict.TOO_QUIET
        if not heard.sure:
            return Verdict.NOISE
        return Verdict.UNCERTAIN if emotion == UNCERTAIN else None

    def _empty_ring(self) -> None:
        self._ring_next = self._ring_frames = 0


class _Heard:
    """Sums over a segment; places in samples since the first."""

    def clear(self, start: int) -> None:
        self.start = start
        self.first = self.last = start
        self.voice_samples = self.clipped = self.decisions = 0
        self.sure = False
        self.energy = 0.0
        self.logits: np.ndarray | float = 0.0

    def add_frames(self, frames: np.ndarray, voices: list[Voice], position: int) -> None:
        spoken = np.flatnonzero(voices)
        if not len(spoken):
            return
        size = frames.shape[1]
        if self.voice_samples == 0:
            self.first = position + int(spoken[0]) * size
        self.last = position + int(spoken[-1] + 1) * size
        self.sure = self.sure or Voice.SURE in voices
        voice = frames[spoken]
        self.voice_samples += voice.size
        self.clipped += int(np.count_nonzero(np.abs(voice) >= FULL_SCALE))
        for power in moving_power(voice).tolist():  # one by one: the sum must not depend on how many come at once
            self.energy += power * size

    def add_decision(self, logits: np.ndarray) -> None:
        self.logits = self.logits + logits.astype(np.float64)
        self.decisions += 1
