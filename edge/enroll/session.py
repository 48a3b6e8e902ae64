"""From speech to enrolment sentences: what is said is heard by the listening loop itself, and accepted or not, with a
reason. Nothing of the audio is kept unless asked."""

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
"""A word is enough to be answered, not to be learned from"""
PATIENCE_SECONDS = 20.0
"""s without a sentence after which the prompt is repeated"""
KEPT_SECONDS = 60.0
"""s of audio held for --keep-audio, at most"""
MARGIN_SECONDS = 0.3
"""s before and after a sentence that are kept with it"""

LEVEL_CHECK = "One, two, three, four, five: this is how I speak."
SENTENCES = (
    "The post arrives at half past nine.",
    "My brother has put the keys on the table.",
    "We are going to the market this afternoon.",
)
"""Said in every emotion: words that fit any of them, so that only the voice tells them apart"""
REASONS = {
    Verdict.NO_SPEECH: "no voice was heard",
    Verdict.TOO_SHORT: "that was too short; say the whole sentence",
    Verdict.TOO_QUIET: "that was too quiet; come closer, or turn the microphone up",
    Verdict.NOISE: "no voice was heard above the noise; come closer",
    Verdict.CLIPPED: "that was too loud for the microphone (clipped); move away, or turn it down",
}


@dataclass(frozen=True)
class Sentence:
    """One utterance, by the means over its decisions."""

    segment: Segment
    logits: np.ndarray | None
    """`(n_classes,)`; None if nothing was decided"""
    pooled: np.ndarray | None
    """`(width,)`"""
    level_dbfs: float
    """Of its loudest hop, dB relative to full scale"""

    @property
    def problem(self) -> str | None:
        """Why it cannot be learned from, in words; None if it can. Uncertainty is no obstacle: it is the reason."""
        if self.segment.end_seconds - self.segment.start_seconds >= SETTINGS.max_segment_seconds - 1:
            return "that was too long; say the one sentence alone, in a quiet room"
        return REASONS.get(self.segment.verdict)


class SentenceCollector:
    """The listening loop, without a profile; gives a sentence where the loop gives a segment."""

    def __init__(self, loop: UtteranceRecognizer) -> None:
        require(loop.recognizer.profile is None, "enrolment needs a recognizer without a profile")
        self._loop = loop
        self.sample_rate = loop.recognizer.features.sample_rate
        self._clear()

    def reset(self) -> None:
        """Forget everything heard; time starts at 0 again."""
        self._loop.reset()
        self._clear()

    def push(self, samples: np.ndarray) -> list[Sentence]:
        """Hear `samples (time,)` float32."""
        return self._gather(self._loop.push(samples))

    def gap(self, seconds: float) -> list[Sentence]:
        """Audio of `seconds` is missing here."""
        return self._gather(self._loop.gap(seconds))

    def flush(self) -> list[Sentence]:
        """End the audio."""
        return self._gather(self._loop.flush())

    def _gather(self, told: list[StreamResult | Segment]) -> list[Sentence]:
        sentences = []
        for result in told:
            if isinstance(result, Segment):
                mean = self._total / self._decisions if self._decisions else None
                split = len(self._loop.recognizer.labels)
                parts = (None, None) if mean is None else (mean[:split], mean[split:])
                sentences.append(Sentence(result, *parts, self._level))
                self._clear()
            else:
                self._level = max(self._level, result.level_dbfs)
                if result.logits is not None:
                    self._total = self._total + np.concatenate([result.logits, result.pooled], dtype=np.float64)
                    self._decisions += 1
        return sentences

    def _clear(self) -> None:
        self._total: np.ndarray | float = 0.0
        self._decisions, self._level = 0, -np.inf


def from_file(collector: SentenceCollector, path: Path) -> Sentence:
    """The longest utterance of a recording. Raises InputError, naming the file, if it cannot be learned from."""
    collector.reset()
    sentences = [
        s for samples in sources.from_file(path, collector.sample_rate) for s in collector.push(samples)
    ] + collector.flush()
    require(bool(sentences), f"{path}: holds too little sound for a sentence")
    longest = max(sentences, key=lambda s: s.segment.end_seconds - s.segment.start_seconds)
    require(longest.problem is None, f"{path}: {longest.problem}")
    return longest


class Session:
    """Leads a person through sentences at a microphone.

    Args:
        audio: an `edge.audio.microphone.Microphone`, or anything that yields chunks and audio events as it does.
        say: shows a line to the person.
        keep: a folder for the accepted sentences as WAV files; None: no audio is stored.
    """

    def __init__(
        self,
        collector: SentenceCollector,
        audio: Iterable[np.ndarray | AudioEvent],
        say: Callable[[str], None],
        keep: Path | None = None,
    ) -> None:
        self._collector, self._audio, self._say, self._keep = collector, iter(audio), say, keep
        self._now = 0  # samples since the first, gaps included
        self._recent: deque[tuple[int, np.ndarray]] = deque()

    def run(self, emotions: Sequence[str], takes: int) -> Iterator[tuple[str, Sentence]]:
        """A level check, then `takes` sentences in every emotion, one after the other as they are accepted.

        Raises InputError if the audio ends before.
        """
        self._say("First the level. Speak as you always do, from where you will be, and say:")
        level = self._ask(LEVEL_CHECK).level_dbfs
        self._say(f"Heard well ({level:.0f} dBFS).")
        total = len(emotions) * takes
        for number in range(total):
            emotion, take = emotions[number // takes], number % takes
            self._say(f"{number + 1} of {total}. In a voice that is {emotion.upper()}, as you mean it, say:")
            sentence = self._ask(SENTENCES[take % len(SENTENCES)])
            if self._keep is not None:
                self._write(self._keep / f"{emotion}-{take + 1}.wav", sentence.segment)
            self._say("Thank you.")
            yield emotion, sentence

    def _ask(self, words: str) -> Sentence:
        """The next sentence that can be learned from."""
        self._say(f'    "{words}"')
        asked = self._now
        for heard in self._audio:
            for sentence in self._hear(heard):
                if sentence.problem is None:
                    return sentence
                self._say(f'Sorry, {sentence.problem}. Once more:\n    "{words}"')
                asked = self._now
            if self._now - asked > PATIENCE_SECONDS * self._collector.sample_rate:
                self._say(f'Nothing was heard for {PATIENCE_SECONDS:g} s. Is it the right microphone?\n    "{words}"')
                asked = self._now
        raise InputError("the audio has ended before the last sentence; no profile is written")

    def _hear(self, heard: np.ndarray | AudioEvent) -> list[Sentence]:
        if isinstance(heard, AudioEvent):
            self._say(f"(microphone {heard.kind.value}: {heard.message})")
            if heard.gap_seconds == 0:
                return []
            self._now += round(heard.gap_seconds * self._collector.sample_rate)
            return self._collector.gap(heard.gap_seconds)
        if self._keep is not None:
            self._recent.append((self._now, heard))
            while self._now - self._recent[0][0] > KEPT_SECONDS * self._collector.sample_rate:
                self._recent.popleft()
        self._now += len(heard)
        return self._collector.push(heard)

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
