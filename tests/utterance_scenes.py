"""Scenes of silence and voice, and what the listening loop makes of them."""

import numpy as np
import pytest

from edge.audio.energy_vad import EnergyVad
from edge.loop.utterances import UtteranceRecognizer, UtteranceSettings
from edge.stream.decision import decide, probabilities
from edge.stream.live_label import SmoothingConfig
from edge.stream.results import ANSWERED, Segment, StreamResult, Verdict

RATE = 16000
FRAME = 320
CALM = SmoothingConfig(0.0, 0.0)
LONG = 60.0
"""s; longer than any scene here, so that an utterance is one segment"""


class StreamSpy:
    """The real recognizer; stores the samples it is given, stream by stream."""

    def __init__(self, recognizer) -> None:
        self._recognizer = recognizer
        self.streams: list[list[np.ndarray]] = []

    def __getattr__(self, name: str):
        return getattr(self._recognizer, name)

    def reset(self) -> None:
        self.streams.append([])
        self._recognizer.reset()

    def push(self, samples: np.ndarray) -> list[StreamResult]:
        self.streams[-1].append(samples.copy())
        return self._recognizer.push(samples)

    def received(self) -> list[np.ndarray]:
        return [np.concatenate(stream) for stream in self.streams]


def silence(seconds: float, seed: int = 0) -> np.ndarray:
    """A quiet room, unlike itself everywhere, so that every sample differs from every other."""
    return (3e-4 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def voice(seconds: float, seed: int = 0, level: float = 0.2) -> np.ndarray:
    """Four syllables a second, the first one at its loudest."""
    time = np.arange(round(seconds * RATE)) / RATE
    tone = np.maximum(0.03, np.abs(np.cos(4 * np.pi * time))) * np.sin(2 * np.pi * (120 + 60 * np.sin(3 * time)) * time)
    return (level * tone).astype(np.float32) + silence(seconds, seed)


def scene(*parts: tuple[str, float]) -> np.ndarray:
    made = [(voice if kind == "voice" else silence)(seconds, seed) for seed, (kind, seconds) in enumerate(parts)]
    return np.concatenate(made)


def run(loop: UtteranceRecognizer, audio: np.ndarray, chunk: int) -> list[StreamResult | Segment]:
    loop.reset()
    events = []
    for at in range(0, len(audio), chunk):
        events += loop.push(audio[at : at + chunk])
    return events + loop.flush()


def split(events: list) -> tuple[list[StreamResult], list[Segment]]:
    return [t for t in events if isinstance(t, StreamResult)], [t for t in events if isinstance(t, Segment)]


def make(recognizer, **changes) -> UtteranceRecognizer:
    return UtteranceRecognizer(recognizer, EnergyVad(RATE), UtteranceSettings(**changes))


DAY = scene(
    ("quiet", 2.0), ("voice", 1.3), ("quiet", 2.5), ("voice", 4.1), ("quiet", 0.4), ("voice", 0.8), ("quiet", 2.0)
)


def check_exact(recognizer, audio: np.ndarray, chunk: int) -> list[Segment]:
    spy = StreamSpy(recognizer)
    results, segments = split(run(make(spy, smoothing=CALM, max_segment_seconds=LONG), audio, chunk))
    if not spy.streams:
        assert {segment.verdict for segment in segments} <= {Verdict.NO_SPEECH}
        segments = []
    place = at = 0
    for received, segment in zip(spy.received(), segments, strict=True):
        place = find(audio, received, place)
        recognizer.reset()
        fresh = recognizer.push(received) + recognizer.flush()
        end = (place + len(received)) / RATE
        logits, arousal = [], []
        for ours, theirs in zip(results[at : at + len(fresh)], fresh, strict=True):
            assert ours.seconds == pytest.approx(min(place / RATE + theirs.seconds, end))
            assert ours.state is theirs.state
            if theirs.logits is not None:
                assert np.abs(ours.logits - theirs.logits).max() <= 1e-5
                probs = probabilities(theirs.logits, recognizer.decision.temperature)
                assert np.abs(ours.probs - probs).max() <= 1e-5
                logits.append(theirs.logits)
                arousal.append(theirs.arousal)
                if ours.arousal is not None:  # none where the VAD is not sure of a voice
                    assert abs(ours.arousal - theirs.arousal) <= 1e-5
        at += len(fresh)
        place += len(received)
        probs = probabilities(np.mean(logits, axis=0), recognizer.decision.temperature)
        assert list(segment.probs.values()) == pytest.approx(probs.tolist(), abs=1e-5)
        if recognizer.arousal and segment.verdict in ANSWERED:
            assert segment.arousal == pytest.approx(np.mean(arousal), abs=1e-6)
            assert 0 <= segment.arousal <= 1
        else:
            assert segment.arousal is None
        if segment.verdict is None and np.diff(np.sort(probs)[-2:]) > 1e-4:
            assert segment.emotion == decide(probs, recognizer.labels, recognizer.decision)[0]
    assert at == len(results), "no result result outside an utterance"
    return segments


def find(audio: np.ndarray, part: np.ndarray, start: int) -> int:
    """Where `part` stands in `audio`, sample for sample, at or after `start`."""
    for at in start + np.flatnonzero(audio[start : len(audio) - len(part) + 1] == part[0]):
        if np.array_equal(audio[at : at + len(part)], part):
            return int(at)
    raise AssertionError("the samples received are not one stretch of the audio after the one before")
