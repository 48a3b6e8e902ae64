"""The exact stream with averages in place of a network, so that every number of a result can be computed apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_stream import FEATURES, GEOMETRY, LABELS, POSITIONS, Encoder, Head, small_recognizer

from crnn.features import LogMel
from edge.stream.decision import DecisionConfig
from edge.stream.profile import Profile
from edge.stream.recognizer import StreamingRecognizer, clip_decisions
from edge.stream.results import State

FIRST = 800
"""Samples of the first interval, the lead of 400 not counted; 600 in each of the others"""
INTERVAL, WINDOW = 600, 4


def sound(n_samples: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    swell = 0.1 + 0.1 * np.sin(np.arange(n_samples) / 900)
    return (swell * rng.standard_normal(n_samples) + 0.05).astype(np.float32)


def results_of(recognizer, waveform: np.ndarray, chunk: int = 10**6) -> list:
    recognizer.reset()
    results = []
    for at in range(0, len(waveform), chunk):
        results += recognizer.push(waveform[at : at + chunk])
    return results + recognizer.flush()


def expected(waveform: np.ndarray) -> list[tuple]:
    """(seconds, level, logits, pooled) of every interval, from the whole clip at once."""
    n = max(-(-(len(waveform) - FIRST) // INTERVAL) + 1, WINDOW)
    total = FIRST + (n - 1) * INTERVAL
    end = np.full(total - len(waveform), np.median(waveform[-400:]))
    padded = np.concatenate([np.full(400, np.median(waveform[:400])), waveform, end]).astype(np.float32)
    frames = LogMel(FEATURES)(padded)
    steps = np.stack([frames[:, at : at + 5].mean(axis=1) for at in range(0, frames.shape[1] - 4, 2)])
    found = []
    for i in range(n):
        ends = FIRST + i * INTERVAL
        new = padded[400 + (0 if i == 0 else ends - INTERVAL) : 400 + ends].astype(np.float64)
        level = 10 * np.log10(max(np.var(new), 1e-12))
        logits = pooled = None
        if i >= WINDOW - 1:
            first = 3 * (i - WINDOW + 1)
            pooled = (steps[first : first + 12] * POSITIONS[:, None]).mean(axis=0)
            logits = 0.1 * pooled[:3]
        found.append((ends / 8000, level, logits, pooled))
    return found


def check(results: list, waveform: np.ndarray) -> None:
    for result, (seconds, level, logits, pooled) in zip(results, expected(waveform), strict=True):
        assert result.seconds == seconds
        assert max(result.level_dbfs, -120) == pytest.approx(level, abs=1e-2)  # a constant has rounding errors
        assert result.state is (State.WARMING_UP if logits is None else State.DECIDING)
        assert (result.logits is None) == (result.pooled is None) == (logits is None)
        if logits is not None:
            np.testing.assert_allclose(result.logits, logits, atol=1e-4)
            np.testing.assert_allclose(result.pooled, pooled, atol=1e-4)


RECOGNIZER = small_recognizer()


@pytest.mark.parametrize("n_samples", [1, 399, 400, 401, 800, 801, 1400, 2600, 2601])
def test_results_are_those_of_the_whole_clip_at_the_edges_of_frames_intervals_and_the_window(n_samples):
    waveform = sound(n_samples, 3)
    results_of(RECOGNIZER, 0.9 + sound(3000, 4) / 10)  # what is left of it in the buffers changes nothing
    check(results_of(RECOGNIZER, waveform), waveform)


def test_a_result_comes_with_the_sample_that_completes_it():
    recognizer = small_recognizer()
    waveform = sound(2000)
    assert recognizer.push(waveform[:799]) == []
    assert [r.seconds for r in recognizer.push(waveform[799:800])] == [0.1]
    assert recognizer.push(waveform[800:1399]) == []
    assert recognizer.push(np.zeros(0)) == []
    assert [r.seconds for r in recognizer.push(waveform[1399:])] == [0.175, 0.25]


def test_silence_has_the_level_of_silence_at_any_offset():
    for value in (0.0, 0.5):
        for result in results_of(small_recognizer(), np.full(3000, value)):
            assert result.level_dbfs == -200


def test_a_profile_adapts_the_logits_from_the_moment_it_is_set():
    rng = np.random.default_rng(0)
    weights, bias = rng.normal(size=(8, 3)).astype(np.float32), np.float32([1, 2, 3])
    waveform = sound(5000)
    plain = results_of(small_recognizer(), waveform)
    recognizer = small_recognizer()
    made = recognizer.push(waveform[:2600])
    recognizer.profile = Profile("a" * 64, LABELS, {"neutral": 1}, weights, bias)
    made += recognizer.push(waveform[2600:])
    recognizer.profile = None
    made += recognizer.flush()
    for before, after in zip(plain, made, strict=True):
        if before.logits is None:
            continue
        np.testing.assert_array_equal(after.pooled, before.pooled)
        adapted = 2600 / 8000 < after.seconds <= 5000 / 8000
        change = before.pooled @ weights + bias if adapted else 0
        np.testing.assert_allclose(after.logits, before.logits + change, atol=1e-4)


def test_the_decisions_of_a_clip_are_the_logits_of_its_results():
    wanted = [result.logits for result in results_of(small_recognizer(), sound(5000)) if result.logits is not None]
    assert len(wanted) > 2
    np.testing.assert_array_equal(clip_decisions(small_recognizer(), sound(5000)), wanted)


def test_it_holds_what_it_was_given():
    encoder, head = Encoder(), Head()
    decision = DecisionConfig(2.0, 0.3)
    recognizer = StreamingRecognizer(encoder, head, FEATURES, GEOMETRY, LABELS, decision)
    assert recognizer.models == (encoder, head)
    assert recognizer.pooled_width == 8
    assert (recognizer.labels, recognizer.decision, recognizer.profile) == (LABELS, decision, None)
    assert small_recognizer().decision == DecisionConfig()


def test_other_shapes_and_a_stream_that_has_ended_are_refused():
    recognizer = small_recognizer()
    with pytest.raises(ValueError, match=r"\(2, 100\).*one dimension"):
        recognizer.push(np.zeros((2, 100)))
    assert recognizer.flush() == []
    with pytest.raises(RuntimeError, match=r"flush\(\).*reset\(\)"):
        recognizer.push(sound(10))
    recognizer.reset()
    assert len(recognizer.push(sound(800))) == 1


@settings(max_examples=40, deadline=None)
@given(n_samples=st.integers(1, 6000), chunk=st.integers(1, 3000), seed=st.integers(0, 99))
def test_and_for_any_length_and_any_chunks(n_samples, chunk, seed):
    chunk = max(chunk, n_samples // 50)
    waveform = sound(n_samples, seed)
    check(results_of(RECOGNIZER, waveform, chunk), waveform)
