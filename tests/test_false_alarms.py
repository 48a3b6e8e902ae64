"""The benchmark of false alarms: definitions of a false alarm and of a missed utterance, and the sounds."""

import numpy as np
import pytest

from benchmarks.device import nonspeech, spoken
from benchmarks.device.false_alarms import alarms, fired, missed, total
from edge.loop.rules import Rule
from edge.stream.results import Segment, State, StreamResult, Verdict

RATE = nonspeech.RATE
HOUR = np.zeros(3600 * RATE // 4, np.float32)
"""A quarter of an hour"""


def segment(start: float, end: float, verdict: Verdict | None) -> Segment:
    return Segment(start, end, None if verdict else "angry", verdict, 0.9, {"angry": 0.9, "sad": 0.1})


def result(emotion: str | None) -> StreamResult:
    return StreamResult(1.0, State.DECIDING, -20.0, None, None, emotion, 0.9)


def test_a_false_emotion_is_a_segment_with_one():
    events = [segment(0, 1, None), *(segment(0, 1, verdict) for verdict in Verdict)]
    events += [result("angry"), result("uncertain"), result("noise"), result(None)]
    made = alarms([(HOUR, events), (HOUR, [segment(0, 1, None)])])
    assert (made["hours"], made["alarms"], made["alarms_per_hour"]) == (0.5, 2, 4.0)
    assert made["intervals_with_emotion"] == 1
    assert made["segments"] == 1 + len(Verdict), "all segments but those without a voice"


def test_an_utterance_is_missed_unless_what_touches_it_is_answered():
    clip = spoken.Spoken(HOUR, 2.0, 4.0)
    detected = [[segment(1.5, 3, None)], [segment(3.9, 5, Verdict.UNCERTAIN)]]
    lost = [[], [segment(0, 1.9, None)], *([segment(2, 4, verdict)] for verdict in Verdict if verdict != "uncertain")]
    assert missed([(clip, events) for events in detected])["missed"] == 0
    assert missed([(clip, events) for events in lost])["missed"] == 1
    assert missed([(clip, events) for events in detected + lost])["lost"] == len(lost)


def test_the_total_is_over_hours_and_utterances():
    made = total(
        [
            {"sound": "dog", "hours": 1.0, "alarms": 3},
            {"sound": "fan", "hours": 3.0, "alarms": 0},
            {"sound": "speech ravdess, clean", "utterances": 10, "lost": 1},
            {"sound": "speech emodb, clean", "utterances": 30, "lost": 0},
            {"sound": "all", "hours": 9.0, "alarms": 9, "utterances": 9, "lost": 9},
        ]
    )
    assert (made["alarms_per_hour"], made["missed"], made["hours"]) == (0.75, 0.025, 4.0)


def test_rules_meet_the_sessions_of_a_sound_one_after_the_other():
    """A quarter of an hour each."""
    rules = [Rule("any", ("angry",)), Rule("rare", ("angry",), once_per_minutes=20)]
    sessions = [(HOUR, [segment(0, 1, None), result("angry"), segment(2, 3, Verdict.NOISE)]) for _ in range(4)]
    assert fired(sessions, rules) == {"events": {"any": 4, "rare": 2}, "events_per_hour": 6.0}
    assert fired([(HOUR, [])], rules) == {"events": {"any": 0, "rare": 0}, "events_per_hour": 0.0}


def test_the_total_with_rules_has_sounds_alone():
    rows = [
        {"sound": "dog", "hours": 1.0, "alarms": 30, "events": {"a": 2, "b": 0}},
        {"sound": "fan", "hours": 1.0, "alarms": 0, "events": {"a": 0, "b": 1}},
    ]
    made = total(rows)
    assert made == {
        "hours": 2.0, "alarms": 30, "alarms_per_hour": 15.0, "events": {"a": 2, "b": 1}, "events_per_hour": 1.5,
    }  # fmt: skip


@pytest.mark.parametrize("sound", nonspeech.MADE)
def test_sounds_are_what_the_seed_says_and_begin_at_once(sound, monkeypatch):
    monkeypatch.setattr(nonspeech, "SESSION_SECONDS", 20)

    def first(split: str, seed: int) -> np.ndarray:
        return next(nonspeech.sessions(sound, split, 0.01, seed))

    made = first("dev", 0)
    assert made.shape == (nonspeech.SESSION_SECONDS * RATE,)
    assert made.dtype == np.float32
    assert np.isfinite(made).all()
    assert np.abs(made).max() <= 1
    assert np.array_equal(made, first("dev", 0))
    assert not np.array_equal(made, first("test", 0))
    assert not np.array_equal(made, first("dev", 1))
    loudest = 20 * np.log10(nonspeech.loudest_second(made))
    assert loudest == pytest.approx(nonspeech.LEVELS[0], abs=2)


@pytest.mark.parametrize("corpus", spoken.CORPORA)
def test_no_speaker_and_no_recording_is_in_both_halves(corpus, recordings):
    dev, test = (set(spoken.clips(corpus, split, 10**6, 0)) for split in nonspeech.SPLITS)
    assert dev
    assert test
    assert not dev & test
    speakers = [{spoken.speaker(corpus, path) for path in half} for half in (dev, test)]
    assert not speakers[0] & speakers[1]
