"""Verdicts: what an utterance is called, and every reason to abstain."""

import numpy as np
import pytest
from utterance_scenes import make, run, scene, silence, split

from edge.stream.decision import DecisionConfig
from edge.stream.results import Segment, Verdict


def verdict_of(recognizer, audio: np.ndarray, **changes) -> Segment:
    (segment,) = split(run(make(recognizer, **changes), audio, 1600))[1]
    assert (segment.emotion is None) == (segment.verdict is not None)
    return segment


def test_every_verdict_has_its_cause(recognizer):
    good = scene(("quiet", 1), ("voice", 1.5), ("quiet", 1))
    segment = verdict_of(recognizer, good)
    assert segment.verdict is None
    assert segment.emotion == max(segment.probs, key=segment.probs.get)
    assert segment.confidence == max(segment.probs.values())

    assert verdict_of(recognizer, scene(("quiet", 1), ("voice", 0.3), ("quiet", 1))).verdict is Verdict.TOO_SHORT
    assert verdict_of(recognizer, good, min_voice_seconds=2.0).verdict is Verdict.TOO_SHORT
    assert verdict_of(recognizer, np.clip(20 * good, -1, 1)).verdict is Verdict.CLIPPED
    assert verdict_of(recognizer, good / 200).verdict is Verdict.TOO_QUIET
    assert verdict_of(recognizer, good, min_level_dbfs=-10.0).verdict is Verdict.TOO_QUIET
    nothing = verdict_of(recognizer, silence(3))
    assert nothing == Segment(0.0, 3.0, None, Verdict.NO_SPEECH, 0.0, {})


def test_below_the_threshold_of_the_bundle_it_is_uncertain(recognizer):
    audio = scene(("quiet", 1), ("voice", 1.5), ("quiet", 1))
    sure = verdict_of(recognizer, audio)
    was = recognizer.decision
    try:
        recognizer.decision = DecisionConfig(was.temperature, min(sure.confidence + 0.01, 0.999))
        segment = verdict_of(recognizer, audio)
    finally:
        recognizer.decision = was
    assert segment.verdict is Verdict.UNCERTAIN
    assert segment.confidence == pytest.approx(sure.confidence)
    assert segment.probs == pytest.approx(sure.probs)


def test_a_few_clipped_samples_are_no_reason_to_abstain(recognizer):
    audio = scene(("quiet", 1), ("voice", 1.5), ("quiet", 1))
    audio[20_000:20_040] = 1.0
    assert verdict_of(recognizer, audio).verdict is None


def test_a_click_is_no_speech(recognizer):
    audio = silence(3)
    audio[16_000:16_400] += 0.5 * np.float32(np.sign(np.sin(np.arange(400))))
    assert verdict_of(recognizer, audio).verdict is Verdict.NO_SPEECH


def test_a_ticking_clock_does_not_extend_an_utterance(recognizer):
    audio = scene(("quiet", 1), ("voice", 1.5), ("quiet", 6))
    for tick in range(45_000, len(audio) - 400, 8_000):
        audio[tick : tick + 400] += 0.3 * np.float32(np.sign(np.sin(np.arange(400))))
    loop = make(recognizer)
    events = loop.push(audio)
    assert isinstance(events[-1], Segment)
    assert not loop.open
