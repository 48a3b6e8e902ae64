"""Evidence of a voice: counted over 3 s, cleared by a pause of half a second, begun by a voice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.audio.speech_evidence import Evidence, Voice

FRAME = 0.1
WINDOW, PAUSE = 30, 5
"""Frames"""


def counted(history: list[tuple[int, bool]]) -> tuple[int, int, int]:
    """Frames, positive and negative ones, from the whole history at once."""
    begin = 0
    for at in range(len(history)):
        if not any(voice for _, voice in history[max(0, at + 1 - PAUSE) : at + 1]) and at + 1 >= PAUSE:
            begin = at + 1  # the pause is over with this frame, and nothing before counts
    rest = history[begin:]
    while rest and not rest[0][1]:
        rest = rest[1:]
    values = [value for value, _ in rest][-WINDOW:]
    return len(values), values.count(1), values.count(-1)


@pytest.mark.parametrize(("frame_seconds", "window", "pause"), [(0.02, 150, 25), (0.032, 94, 16), (0.1, 30, 5)])
def test_window_and_pause_have_their_lengths_in_frames(frame_seconds, window, pause):
    evidence = Evidence(frame_seconds)
    evidence.add(1, True)
    for _ in range(window - 1):
        evidence.add(-1, True)
    assert (len(evidence), evidence.positive, evidence.negative) == (window, 1, window - 1)
    evidence.add(0, True)
    assert (len(evidence), evidence.positive, evidence.negative) == (window, 0, window - 1)
    for _ in range(pause - 1):
        evidence.add(1, False)
    assert len(evidence) == window
    evidence.add(1, False)
    assert (len(evidence), evidence.positive, evidence.negative) == (0, 0, 0)


def test_an_answer_is_false_only_where_there_is_no_voice():
    assert [bool(answer) for answer in (Voice.NO, Voice.PERHAPS, Voice.SURE)] == [False, True, True]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from((-1, 0, 1)), st.sampled_from((True, True, False))), max_size=70))
def test_the_counts_are_those_of_the_last_window_since_the_last_pause(history):
    evidence = Evidence(FRAME)
    for n, (value, voice) in enumerate(history, start=1):
        evidence.add(value, voice)
        assert (len(evidence), evidence.positive, evidence.negative) == counted(history[:n])
