"""Sums over one segment of an utterance, and the segment that follows from them: its answer, or why there is none."""

import numpy as np

from edge.audio.level import moving_power, power_dbfs
from edge.audio.speech_evidence import Voice
from edge.loop.settings import UtteranceSettings
from edge.stream.decision import UNCERTAIN, DecisionConfig, decide_mean, probabilities
from edge.stream.people import UNKNOWN, People
from edge.stream.prior import Adaptation
from edge.stream.results import ANSWERED, Segment, Verdict
from edge.stream.voice import VoiceSums

MIXED_FULL_SCALE = 32700 / 32768
"""Magnitude from which a sample counts as clipped here, after channels were averaged and the rate was converted, which
may lower a clipped sample; as a device or file gives it: `crnn.decoders.pcm.FULL_SCALE`"""


class SegmentSums:
    """Memory does not grow with the length of the segment. Positions are samples since the first of the audio.

    Args:
        rate: Hz.

    `voice` may be set before a segment begins: it is then given the frames with a voice.
    """

    def __init__(self, rate: int, settings: UtteranceSettings) -> None:
        self._rate, self._settings = rate, settings
        self.voice: VoiceSums | None = None
        self.clear(0)

    def clear(self, start: int) -> None:
        """Begin the next segment, at position `start`."""
        self.start = start
        self._first_voice = self._last_voice = start
        self._voice_samples = self._clipped = self._decisions = 0
        self._sure = False
        self._energy = 0.0
        self._logits = self._pooled = np.zeros(())  # the first decision gives them their shape
        self._arousal: float | None = None
        if self.voice is not None:
            self.voice.clear()

    @property
    def has_voice(self) -> bool:
        """Whether any frame had a voice in it."""
        return self._voice_samples > 0

    def add_frames(self, frames: np.ndarray, voices: list[Voice], position: int) -> None:
        """Add `frames (n, samples)` that begin at `position`, with the VAD's answer for each."""
        spoken = np.flatnonzero(voices)
        if not len(spoken):
            return
        size = frames.shape[1]
        if not self.has_voice:
            self._first_voice = position + int(spoken[0]) * size
        self._last_voice = position + int(spoken[-1] + 1) * size
        self._sure = self._sure or Voice.SURE in voices
        voice = frames[spoken]
        self._voice_samples += voice.size
        self._clipped += int(np.count_nonzero(np.abs(voice) >= MIXED_FULL_SCALE))
        for power in moving_power(voice).tolist():  # one by one: the sum must not depend on how many come at once
            self._energy += power * size
        if self.voice is not None:
            self.voice.add(voice.reshape(-1))

    def add_decision(self, logits: np.ndarray, pooled: np.ndarray, arousal: float | None = None) -> None:
        """Add the exact logits `(n_classes,)` and pooled vector `(width,)` of one decision, and its arousal if there is
        one."""
        self._logits = self._logits + logits.astype(np.float64)
        self._pooled = self._pooled + pooled.astype(np.float64)
        if arousal is not None:
            self._arousal = (self._arousal or 0.0) + arousal
        self._decisions += 1

    def probabilities(self, temperature: float) -> np.ndarray:
        """Of the mean of the exact logits, without any adaptation: `(n_classes,)` float32."""
        return probabilities(self._logits / self._decisions, temperature)

    def segment(
        self,
        labels: tuple[str, ...],
        decision: DecisionConfig,
        adaptation: Adaptation | None = None,
        people: People | None = None,
    ) -> Segment:
        """The segment: from its first to its last frame with a voice, decided by the mean of its logits, adapted if
        there is an adaptation, or to the one of `people` whose voice fits. Its arousal is the mean over the same
        decisions; there is none where the sound is not good enough for an answer."""
        logits, problem, person = self._logits, self._problem(), None
        if people is not None:
            person = people.choose(self.voice.vector()) if self.voice is not None and problem is None else UNKNOWN
            n = self._decisions
            logits = n * people.adapt(person, logits / n, self._pooled / n)
        if adaptation is not None:
            logits = logits + self._decisions * adaptation.shift(decision.temperature)
        emotion, confidence, probs = decide_mean(logits, self._decisions, labels, decision)
        verdict = problem or (Verdict.UNCERTAIN if emotion == UNCERTAIN else None)
        return Segment(
            start_seconds=self._first_voice / self._rate,
            end_seconds=self._last_voice / self._rate,
            emotion=emotion if verdict is None else None,
            verdict=verdict,
            confidence=confidence,
            probs=probs,
            arousal=self._arousal / self._decisions if self._arousal is not None and verdict in ANSWERED else None,
            adapted=None if adaptation is None else adaptation.utterances,
            person=person,
        )

    def _problem(self) -> Verdict | None:
        """Why the sound is not good enough for an answer; this comes before what is wrong with the answer."""
        s = self._settings
        if self._voice_samples < s.min_voice_seconds * self._rate:
            return Verdict.TOO_SHORT
        if self._clipped > s.max_clipped * self._voice_samples:
            return Verdict.CLIPPED
        if power_dbfs(self._energy / self._voice_samples) < s.min_level_dbfs:
            return Verdict.TOO_QUIET
        return None if self._sure else Verdict.NOISE
