"""Utterances: decided as the same samples in a fresh stream; nothing lost, nothing twice, silence for nothing."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from utterance_scenes import (
    CALM,
    DAY,
    FRAME,
    LONG,
    RATE,
    StreamSpy,
    check_exact,
    find,
    make,
    run,
    scene,
    silence,
    split,
    voice,
)

from crnn.errors import InputError
from edge.stream.live_label import SmoothingConfig
from edge.stream.results import Segment, State, StreamResult


@pytest.mark.parametrize("chunk", [1, 160, 320, 1600, 16001, 10**9])
def test_an_utterance_is_a_clip_in_a_fresh_stream(recognizer, chunk):
    segments = check_exact(recognizer, DAY, chunk)
    if chunk == 1600:  # and whether the live label is smoothed or not
        assert split(run(make(recognizer, max_segment_seconds=LONG), DAY, chunk))[1] == segments
    assert [s.verdict for s in segments] == [None, None]
    for segment, (start, end) in zip(segments, ((2.0, 3.3), (5.8, 11.1)), strict=True):
        assert segment.start_seconds == pytest.approx(start, abs=0.03)
        assert segment.end_seconds == pytest.approx(end, abs=0.03)


@settings(max_examples=20, deadline=None)
@given(
    parts=st.lists(st.tuples(st.floats(0.05, 3), st.floats(0.05, 4)), min_size=1, max_size=4),
    chunk=st.integers(1, 40_000),
)
@example(parts=[(1.0, 4.0), (0.5, 4.0), (0.5, 4.0), (0.5, 2.0)], chunk=1600)  # one utterance of over 15 s
def test_an_utterance_is_a_clip_whatever_is_said_in_whatever_chunks(recognizer, parts, chunk):
    audio = scene(*[part for quiet, loud in parts for part in (("quiet", quiet), ("voice", loud))], ("quiet", 0.3))
    check_exact(recognizer, audio, chunk)


@settings(max_examples=20, deadline=None)
@given(chunk=st.integers(1, 40_000))
def test_events_do_not_depend_on_the_chunks(recognizer, chunk):
    loop = make(recognizer)
    assert [repr(t) for t in run(loop, DAY, chunk)] == [repr(t) for t in run(loop, DAY, 1600)]


@pytest.mark.parametrize("pre_roll", [0.0, 0.3, 1.0])
def test_from_pre_roll_to_the_end_of_the_hold_nothing_is_lost(recognizer, pre_roll):
    spy = StreamSpy(recognizer)
    loop = make(spy, pre_roll_seconds=pre_roll)
    run(loop, DAY, 1000)
    place = 0
    for received, onset, end in zip(spy.received(), (2.0, 5.8), (3.3, 11.1), strict=True):
        place = find(DAY, received, place)
        assert place <= (onset - pre_roll) * RATE + FRAME
        assert place >= (onset - pre_roll) * RATE - 2 * FRAME
        assert place + len(received) >= (end + loop.settings.hold_seconds) * RATE - 2 * FRAME
        assert place + len(received) <= (end + loop.settings.hold_seconds) * RATE + 2 * FRAME
        place += len(received)


def test_a_recording_that_begins_and_ends_in_a_word_is_processed_whole(recognizer):
    spy = StreamSpy(recognizer)
    audio = voice(2.345678)
    _, (segment,) = split(run(make(spy), audio, 777))
    assert np.array_equal(spy.received()[0], audio)
    assert segment.verdict is None
    assert segment.start_seconds == 0


def test_a_pause_shorter_than_the_hold_is_part_of_the_utterance(recognizer):
    audio = scene(("quiet", 1), ("voice", 1), ("quiet", 0.5), ("voice", 1), ("quiet", 2))
    assert len(split(run(make(recognizer), audio, 1600))[1]) == 1
    assert len(split(run(make(recognizer, hold_seconds=0.3), audio, 1600))[1]) == 2


def test_silence_runs_no_model(recognizer):
    spy = StreamSpy(recognizer)
    loop = make(spy)
    assert loop.push(silence(60)) == []
    assert spy.streams == []


def test_long_talk_gives_a_segment_every_so_often_and_the_stream_goes_on(recognizer):
    spy = StreamSpy(recognizer)
    audio = scene(("quiet", 1), ("voice", 23), ("quiet", 3))
    results, segments = split(run(make(spy, max_segment_seconds=5, pre_roll_seconds=0), audio, 1600))
    assert len(spy.streams) == 1
    assert len(segments) == 5
    assert segments[0].start_seconds == pytest.approx(1, abs=0.03)
    assert segments[-1].end_seconds == pytest.approx(24, abs=0.03)
    for before, after in zip(segments, segments[1:], strict=False):
        assert after.start_seconds == pytest.approx(before.end_seconds, abs=0.03)
        assert after.end_seconds - after.start_seconds <= 5.03
    decided = [h for h in results if h.logits is not None]
    assert len(decided) == len(results) - recognizer.geometry.window_intervals + 1
    recognizer.reset()
    fresh = [r.logits for r in recognizer.push(spy.received()[0]) + recognizer.flush() if r.logits is not None]
    assert np.abs(np.array(fresh) - np.array([h.logits for h in decided])).max() <= 1e-5
    assert all(np.isfinite(list(s.probs.values())).all() for s in segments)


def test_what_follows_a_cut_without_a_voice_is_no_segment(recognizer):
    audio = scene(("quiet", 1), ("voice", 4.4), ("quiet", 4))
    _, segments = split(run(make(recognizer, max_segment_seconds=5), audio, 1600))
    assert len(segments) == 1


def test_a_gap_ends_the_utterance_and_moves_the_clock(recognizer):
    spy = StreamSpy(recognizer)
    loop = make(spy)
    before = scene(("quiet", 1), ("voice", 1.5))
    events = loop.push(before) + loop.gap(10)
    assert isinstance(events[-1], Segment)
    assert events[-1].end_seconds == pytest.approx(2.5, abs=0.03)
    assert not loop.open
    after = scene(("quiet", 0.2), ("voice", 1.5))
    results, (segment,) = split(loop.push(after) + loop.flush())
    assert segment.start_seconds == pytest.approx(12.7, abs=0.03)
    assert results[0].seconds > 12.5
    assert np.array_equal(spy.received()[1], after), "nothing from before the gap is spliced to what comes after"
    with pytest.raises(ValueError, match="a gap of -1"):
        loop.gap(-1)


def test_times_never_go_back(recognizer):
    events = run(make(recognizer, hold_seconds=0.1), DAY, 1600)
    times = [t.seconds for t in events if isinstance(t, StreamResult)]
    assert times == sorted(times)
    assert times[-1] <= len(DAY) / RATE


def test_an_input_without_samples_gives_no_result(recognizer):
    assert run(make(recognizer), np.zeros(0, np.float32), 100) == []


def test_reset_gives_the_same_results_again(recognizer):
    loop = make(recognizer)
    first = run(loop, DAY, 1600)
    loop.reset()
    loop.push(np.concatenate([silence(4, 9), voice(2, 9)]))  # leaves an utterance open
    assert [repr(t) for t in run(loop, DAY, 1600)] == [repr(t) for t in first]
    with pytest.raises(RuntimeError, match="reset"):
        loop.push(silence(1))
    assert loop.flush() == []


def test_the_live_label_is_smoothed_and_the_logits_are_not(recognizer):
    audio = scene(("quiet", 1), ("voice", 8), ("quiet", 2))
    calm, _ = split(run(make(recognizer, smoothing=SmoothingConfig(1.0, 0.0)), audio, 1600))
    raw, _ = split(run(make(recognizer, smoothing=CALM), audio, 1600))
    assert all(np.array_equal(a.logits, b.logits) for a, b in zip(calm, raw, strict=True) if a.logits is not None)
    decided = [(a, b) for a, b in zip(calm, raw, strict=True) if a.state is State.DECIDING]
    assert np.array_equal(decided[0][0].probs, decided[0][1].probs)
    assert any(not np.array_equal(a.probs, b.probs) for a, b in decided[1:])


def test_memory_does_not_grow_while_someone_talks_for_minutes(recognizer):
    loop = make(recognizer)
    minute = voice(60)
    for _ in range(2):
        loop.push(minute)
    tracemalloc.start()
    try:
        loop.push(minute)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(3):
            loop.push(minute)
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
    finally:
        tracemalloc.stop()


def test_bad_input_is_named(recognizer):
    loop = make(recognizer)
    with pytest.raises(ValueError, match="one dimension"):
        loop.push(np.zeros((2, 10), np.float32))
    with pytest.raises(ValueError, match="NaN"):
        loop.push(np.float32([0, np.nan]))
    for bad in ({"hold_seconds": -1.0}, {"max_clipped": 2.0}, {"max_segment_seconds": 1.0}):
        with pytest.raises(InputError, match=next(iter(bad))):
            make(recognizer, **bad)
