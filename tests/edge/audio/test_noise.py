"""Noise is not answered with an emotion, wherever it begins; a voice in the same noise is answered."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from utterance_scenes import RATE, make, run, scene, split, voice

from edge.loop.utterances import UtteranceRecognizer
from edge.stream.results import Segment, StreamResult, Verdict

CHUNK = 1600


def noise(seconds: float, dbfs: float, exponent: float = 0.0, seed: int = 0) -> np.ndarray:
    """Noise whose power falls with frequency to the power of `exponent`, from 20 Hz on: 0 white, 1 pink, 2 brown."""
    n = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(n))
    made = np.fft.irfft(spectrum * np.maximum(np.fft.rfftfreq(n, 1 / RATE), 20) ** (-exponent / 2), n)
    return (made / made.std() * 10 ** (dbfs / 20)).astype(np.float32)


def emotions(events: list) -> set[str | None]:
    """Shown by results that decide, or answered by segments."""
    results, segments = split(events)
    return {result.emotion for result in results if result.logits is not None} | {s.emotion for s in segments}


def answered(events: list) -> list[Segment]:
    return [s for s in split(events)[1] if s.verdict is None]


def check_no_emotion(events: list) -> None:
    assert emotions(events) <= {None, Verdict.NOISE.value}
    assert all(segment.verdict not in (None, Verdict.UNCERTAIN) for segment in split(events)[1])


@settings(max_examples=15, deadline=None)
@given(
    exponent=st.floats(0, 2),
    dbfs=st.floats(-75, -15),
    quiet=st.floats(0, 3),
    seed=st.integers(0, 10**6),
)
@example(exponent=1.0, dbfs=-46.7, quiet=0.0, seed=0)  # a quiet room, at the start
@example(exponent=0.0, dbfs=-22.0, quiet=0.0, seed=0)
def test_steady_noise_gets_no_emotion(recognizer, exponent, dbfs, quiet, seed):
    sound = noise(quiet + 9, dbfs, exponent, seed)
    sound[: round(quiet * RATE)] *= 1e-3
    check_no_emotion(run(make(recognizer), np.clip(sound, -1, 1), CHUNK))


@pytest.mark.parametrize("hertz", [50, 60])
@pytest.mark.parametrize("dbfs", [-50, -20])
def test_hum_gets_no_emotion(recognizer, hertz, dbfs):
    time = np.arange(12 * RATE) / RATE
    hum = sum(np.sin(2 * np.pi * k * hertz * time + k) / k for k in range(1, 9))
    check_no_emotion(run(make(recognizer), (hum * 10 ** (dbfs / 20)).astype(np.float32), CHUNK))


@pytest.mark.parametrize("dbfs", [-22, -15])
def test_minutes_of_loud_noise_wake_it_once_at_most(recognizer, dbfs):
    events = run(make(recognizer), noise(180, dbfs), CHUNK)
    check_no_emotion(events)
    assert len(split(events)[1]) <= 2
    assert max((result.seconds for result in split(events)[0]), default=0) < 5, "then no model runs"


@settings(max_examples=10, deadline=None)
@given(exponent=st.floats(0, 1.5), dbfs=st.floats(-60, -40), start=st.floats(0, 4), seed=st.integers(0, 10**6))
@example(exponent=1.0, dbfs=-46.7, start=0.0, seed=0)
def test_a_voice_in_that_noise_is_answered_however_early_it_begins(recognizer, exponent, dbfs, start, seed):
    sound = noise(start + 6, dbfs, exponent, seed)
    begin = round(start * RATE)
    sound[begin : begin + 3 * RATE] += voice(3)
    segments = answered(run(make(recognizer), sound, CHUNK))
    assert segments
    assert segments[0].start_seconds <= start + 0.1
    assert segments[-1].end_seconds >= start + 2.8


def test_a_fan_that_is_switched_on_between_two_utterances_is_no_third(recognizer):
    sound = scene(("quiet", 2), ("voice", 2), ("quiet", 20), ("voice", 2), ("quiet", 3))
    sound[8 * RATE : 20 * RATE] += noise(12, -35, 0.5)
    events = run(make(recognizer), sound, CHUNK)
    assert [round(s.start_seconds) for s in answered(events)] == [2, 24]
    assert all(h.emotion in (None, Verdict.NOISE.value) for h in split(events)[0] if 8 < h.seconds < 20)


def test_a_voice_that_begins_after_a_fan_in_one_utterance_is_answered_from_then_on(recognizer):
    sound = scene(("quiet", 2), ("voice", 5), ("quiet", 2))
    sound[RATE : 8 * RATE] += noise(7, -40)
    events = run(make(recognizer), sound, CHUNK)
    assert answered(events)
    last = [h for h in split(events)[0] if h.logits is not None and h.seconds < 7]
    assert last[-1].emotion in recognizer.labels


class Doubtful:
    """A VAD that detects a voice all the time and is never sure of it."""

    def __init__(self, vad) -> None:
        self._vad, self.frame_samples = vad, vad.frame_samples

    def reset(self) -> None:
        self._vad.reset()

    def update(self, frames: np.ndarray) -> list:
        return [min(answer, 1) for answer in self._vad.update(frames)]


def test_probabilities_do_not_depend_on_whether_the_vad_is_sure(recognizer):
    loop = make(recognizer)
    events = run(loop, voice(4), CHUNK)
    doubted = run(UtteranceRecognizer(recognizer, Doubtful(loop._vad)), voice(4), CHUNK)
    assert answered(events)
    check_no_emotion(doubted)
    for sure, unsure in zip(events, doubted, strict=True):
        if isinstance(sure, StreamResult):
            assert np.array_equal(sure.logits, unsure.logits) if sure.logits is not None else unsure.logits is None
        else:
            assert sure.probs == unsure.probs


@pytest.mark.parametrize("chunk", [1, 64, 320, 5000, 10**6])
def test_the_label_shown_does_not_depend_on_the_chunks(recognizer, chunk):
    sound = scene(("quiet", 0.5), ("voice", 3.3), ("quiet", 0.5))
    sound[: 5 * RATE] += noise(len(sound) / RATE, -40)[: 5 * RATE]
    loop = make(recognizer)
    assert [repr(t) for t in run(loop, sound, chunk)] == [repr(t) for t in run(loop, sound, CHUNK)]
