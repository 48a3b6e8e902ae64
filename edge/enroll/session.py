"""Collects enrolment sentences with the listening loop: each utterance is accepted, or rejected with a reason.

Audio is stored only if a folder for it is given.
"""

import wave
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crnn.errors import InputError, require
from crnn.files.atomic import replacing
from edge.audio import sources
from edge.audio.events import AudioEvent
from edge.loop.utterances import UtteranceRecognizer, UtteranceSettings
from edge.stream.results import Segment, StreamResult, Verdict

SETTINGS = UtteranceSettings(min_voice_seconds=0.8)
"""A single word is too short to learn from"""
PATIENCE_SECONDS = 20.0
"""s without a sentence after which the prompt is repeated"""
BUFFER_SECONDS = 60.0
"""s of audio buffered for --keep-audio, at most"""
MARGIN_SECONDS = 0.3
"""s before and after a sentence that are stored with it"""

LEVEL_CHECK = "One, two, three, four, five: this is how I speak."
SENTENCES = (
    "The post arrives at half past nine.",
    "My brother has put the keys on the table.",
    "We are going to the market this afternoon.",
)
"""Spoken in every emotion: the words fit any of them, so that only the voice differs"""
REASONS = {
    Verdict.NO_SPEECH: "no voice was detected",
    Verdict.TOO_SHORT: "that was too short; say the whole sentence",
    Verdict.TOO_QUIET: "that was too quiet; come closer, or turn the microphone up",
    Verdict.NOISE: "no voice was detected above the noise; come closer",
    Verdict.CLIPPED: "that was too loud for the microphone (clipped); move away, or turn it down",
}


@dataclass(frozen=True)
class Sentence:
    """One utterance, with means over its decisions."""

    segment: Segment
    logits: np.ndarray
    """`(n_classes,)` float64; empty if nothing was decided"""
    pooled: np.ndarray
    """`(width,)` float64; empty likewise"""
    level_dbfs: float
    """Of its loudest decision, dB relative to full scale"""
    voice: np.ndarray | None = None
    """`(n_mels,)` float64 (`edge.stream.voice`); None if too short"""

    @property
    def problem(self) -> str | None:
        """Why the sentence cannot be used, in words; None if it can. An uncertain answer is no reason to reject it."""
        if self.segment.end_seconds - self.segment.start_seconds >= SETTINGS.max_segment_seconds - 1:
            return "that was too long; say the one sentence alone, in a quiet room"
        return None if self.segment.verdict is None else REASONS.get(self.segment.verdict)


class SentenceCollector:
    """Runs the listening loop without a profile and returns a sentence for every segment."""

    def __init__(self, loop: UtteranceRecognizer) -> None:
        alone = loop.recognizer.profile is None and loop.recognizer.people is None
        require(alone, "enrolment needs a recognizer without a profile")
        self._loop = loop
        self.sample_rate = loop.recognizer.features.sample_rate
        self._voices: deque[np.ndarray | None] = deque()
        loop.measure_voices(self._voices.append)
        self._clear()

    def reset(self) -> None:
        """Start again at time 0."""
        self._loop.reset()
        self._voices.clear()
        self._clear()

    def _clear(self) -> None:
        self._total = np.zeros(())  # the first decision gives it its shape
        self._decisions, self._level = 0, -np.inf

    def push(self, samples: np.ndarray) -> list[Sentence]:
        """Process `samples (time,)` float32."""
        return self._gather(self._loop.push(samples))

    def gap(self, seconds: float) -> list[Sentence]:
        """Note that `seconds` of audio are missing here."""
        return self._gather(self._loop.gap(seconds))

    def flush(self) -> list[Sentence]:
        """End the audio."""
        return self._gather(self._loop.flush())

    def _gather(self, results: list[StreamResult | Segment]) -> list[Sentence]:
        sentences = []
        for result in results:
            if isinstance(result, Segment):
                mean = self._total / self._decisions if self._decisions else np.zeros(0)
                split = len(self._loop.recognizer.labels)
                voice = self._voices.popleft() if self._decisions else None  # a recording without a voice has none
                sentences.append(Sentence(result, mean[:split], mean[split:], self._level, voice))
                self._clear()
            else:
                self._level = max(self._level, result.level_dbfs)
                if result.logits is not None and result.pooled is not None:
                    self._total = self._total + np.concatenate([result.logits, result.pooled], dtype=np.float64)
                    self._decisions += 1
        return sentences


def from_file(collector: SentenceCollector, path: Path) -> Sentence:
    """The longest utterance of a recording. Raises InputError, naming the file, if it cannot be used."""
    collector.reset()
    sentences = [
        s for samples in sources.from_file(path, collector.sample_rate) for s in collector.push(samples)
    ] + collector.flush()
    require(bool(sentences), f"{path}: holds too little sound for a sentence")
    longest = max(sentences, key=lambda s: s.segment.end_seconds - s.segment.start_seconds)
    require(longest.problem is None, f"{path}: {longest.problem}")
    return longest


class Session:
    """Asks a person for sentences at a microphone.

    Args:
        audio: an `edge.audio.microphone.Microphone`, or anything that yields chunks and audio events as it does.
        say: shows a line to the person.
        folder: for the accepted sentences as WAV files; None: no audio is stored.
    """

    def __init__(
        self,
        collector: SentenceCollector,
        audio: Iterable[np.ndarray | AudioEvent],
        say: Callable[[str], None],
        folder: Path | None = None,
    ) -> None:
        self._collector, self._audio, self._say, self._folder = collector, iter(audio), say, folder
        self._now = 0  # samples since the first, gaps included
        self._recent: deque[tuple[int, np.ndarray]] = deque()

    def run(self, emotions: Sequence[str], takes: int) -> Iterator[tuple[str, Sentence]]:
        """Check the level, then yield `takes` accepted sentences in every emotion.

        Raises InputError if the audio ends before the last sentence.
        """
        self._say("First a level check. Speak as usual, from your usual place, and say:")
        level = self._ask(LEVEL_CHECK).level_dbfs
        self._say(f"The level is good ({level:.0f} dBFS).")
        total = len(emotions) * takes
        for number in range(total):
            emotion, take = emotions[number // takes], number % takes
            self._say(f"{number + 1} of {total}. In a voice that is {emotion.upper()}, as you mean it, say:")
            sentence = self._ask(SENTENCES[take % len(SENTENCES)])
            if self._folder is not None:
                self._write(self._folder / f"{emotion}-{take + 1}.wav", sentence.segment)
            self._say("Thank you.")
            yield emotion, sentence

    def _ask(self, words: str) -> Sentence:
        """The next sentence that can be used."""
        self._say(f'    "{words}"')
        asked = self._now
        for received in self._audio:
            for sentence in self._process(received):
                if sentence.problem is None:
                    return sentence
                self._say(f'Sorry, {sentence.problem}. Once more:\n    "{words}"')
                asked = self._now
            if self._now - asked > PATIENCE_SECONDS * self._collector.sample_rate:
                self._say(f'No sentence for {PATIENCE_SECONDS:g} s. Is it the right microphone?\n    "{words}"')
                asked = self._now
        raise InputError("the audio has ended before the last sentence; no profile is written")

    def _process(self, received: np.ndarray | AudioEvent) -> list[Sentence]:
        if isinstance(received, AudioEvent):
            self._say(f"(microphone {received.kind.value}: {received.message})")
            if received.gap_seconds == 0:
                return []
            self._now += round(received.gap_seconds * self._collector.sample_rate)
            return self._collector.gap(received.gap_seconds)
        if self._folder is not None:
            self._recent.append((self._now, received))
            while self._now - self._recent[0][0] > BUFFER_SECONDS * self._collector.sample_rate:
                self._recent.popleft()
        self._now += len(received)
        return self._collector.push(received)

    def _write(self, path: Path, segment: Segment) -> None:
        rate = self._collector.sample_rate
        begin, end = (segment.start_seconds - MARGIN_SECONDS) * rate, (segment.end_seconds + MARGIN_SECONDS) * rate
        parts = [chunk[max(0, round(begin) - at) : max(0, round(end) - at)] for at, chunk in self._recent]
        samples = np.round(np.clip(np.concatenate(parts), -1, 1) * 32767).astype("<i2")
        with replacing(path) as out, wave.open(out, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(samples.tobytes())
