"""Microphone sessions without a browser: limited in number, ended when idle, independent of each other."""

import csv
from threading import Event, Thread

import numpy as np
import pytest
import soundfile

from crnn.errors import InputError
from edge.bundle import PRETRAINED, Bundle
from edge.page.clip_analysis import analyze
from edge.page.live import IDLE_SECONDS, MAX_CHUNK_SECONDS, LiveSessions

VOICE = soundfile.read(PRETRAINED.parent / "synthetic_voice.flac", dtype="float32")[0]
RATE = 16000


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sessions(clock):
    return LiveSessions({"int8": Bundle.open(PRETRAINED)}, None, "energy", 2, clock)


def play(sessions, key, samples, size=4000) -> list[str]:
    """Send samples as the browser does; returns the CSV lines of the answers."""
    lines = []
    for start in range(0, len(samples), size):
        lines += sessions.get(key).push(samples[start : start + size].astype("<f4").tobytes())["csv"]
    return lines


def test_the_history_equals_the_results_of_the_device(sessions):
    key, session = sessions.open("int8", RATE)
    lines = play(sessions, key, VOICE, size=3333)
    lines += sessions.close(key)["csv"]
    rows = list(csv.DictReader([session.csv_header, *lines]))
    expected = [e.segment for e in analyze(Bundle.open(PRETRAINED).recognizer(), VOICE).segments]
    assert len(rows) == len(expected) >= 3
    for row, segment in zip(rows, expected, strict=True):
        assert (row["emotion"] or None) == segment.emotion
        assert (row["verdict"] or None) == segment.verdict
        assert float(row["end_seconds"]) == pytest.approx(segment.end_seconds, abs=1e-4)
        assert {name: float(row[name]) for name in segment.probs} == pytest.approx(segment.probs, abs=1e-6)


def test_a_model_that_estimates_arousal_shows_it_and_others_do_not(bundle_without_arousal, clock):
    bundles = {"int8": Bundle.open(PRETRAINED), "without": Bundle.open(bundle_without_arousal)}
    both = LiveSessions(bundles, None, "energy", 2, clock)
    for name, there in (("int8", True), ("without", False)):
        key, session = both.open(name, RATE)
        panel = session.push(VOICE[: 4 * RATE].astype("<f4").tobytes())
        rows = [*panel["rows"], *(end := both.close(key))["rows"]]
        assert ("arousal" in session.csv_header.split(",")) == there
        assert ("arousal" in panel["panel"]) == ("arousal" in end["panel"]) == there
        for row in csv.DictReader([session.csv_header, *panel["csv"], *end["csv"]]):
            answered = there and (row["emotion"] or row["verdict"] == "uncertain")
            assert bool(row.get("arousal")) == bool(answered)
            assert not answered or 0 < float(row["arousal"]) < 1
        assert any("arousal" in row for row in rows) == there


def test_the_panel_has_a_curve_for_each_emotion_once_something_is_decided(sessions):
    key, session = sessions.open("int8", RATE)
    panels = [session.push(VOICE[s : s + 4000].astype("<f4").tobytes())["panel"] for s in range(0, 5 * RATE, 4000)]
    assert "<path" not in panels[0]
    assert panels[-1].count("<path") == len(Bundle.open(PRETRAINED).manifest.labels)
    silence = np.zeros(5 * RATE, "<f4").tobytes()
    session.push(silence)
    assert "<path" not in session.push(silence)["panel"], "forgotten after five seconds"


def test_a_session_that_has_ended_shows_no_sound(sessions):
    key, _ = sessions.open("int8", RATE)
    during = sessions.get(key).push(VOICE[4 * RATE : 5 * RATE].astype("<f4").tobytes())["panel"]
    assert "width:0%" not in during.partition("ser-meter")[2].partition("</div>")[0]
    ended = sessions.close(key)["panel"]
    assert "stopped" in ended
    assert "listening" not in ended
    assert "dBFS" not in ended
    assert "0.00" not in ended, "nothing was decided"
    assert "width:0%" in ended.partition("ser-meter")[2].partition("</div>")[0]


def test_steady_noise_gets_no_emotion(sessions):
    """Neither in the panel nor in the history, loud as it is."""
    key, _ = sessions.open("int8", RATE)
    noise = 0.2 * np.random.default_rng(0).standard_normal(8 * RATE).clip(-4, 4)
    panels, lines = [], []
    for start in range(0, len(noise), RATE // 2):
        answer = sessions.get(key).push(noise[start : start + RATE // 2].astype("<f4").tobytes())
        panels.append(answer["panel"])
        lines += answer["csv"]
    lines += sessions.close(key)["csv"]
    assert not [row for row in csv.reader(lines) if row[3]], lines
    for panel in panels:
        assert panel.partition('"ser-now">')[2].partition("<")[0] in ("listening", "warming up", "noise")
        assert "<em>0." not in panel, "no probability of an emotion is shown"


def test_a_session_processes_one_request_at_a_time(sessions, monkeypatch):
    """Another request is refused: waiting would block one of the server's threads."""
    key, session = sessions.open("int8", RATE)
    inside, go_on = Event(), Event()

    def slow(samples, _push=session._utterances.push):
        inside.set()
        assert go_on.wait(60)
        return _push(samples)

    monkeypatch.setattr(session._utterances, "push", slow)
    first = Thread(target=session.push, args=(bytes(4000),))
    first.start()
    assert inside.wait(60)
    with pytest.raises(InputError, match="one request"):
        session.push(bytes(4000))
    go_on.set()
    first.join()
    session.push(bytes(4000))


def test_opening_a_session_does_not_block_the_others(sessions, monkeypatch):
    """While a model loads, open sessions are answered, and the new session counts."""
    key, _ = sessions.open("int8", RATE)
    inside, go_on = Event(), Event()

    def slow(bundle, *more, _recognizer=Bundle.recognizer):
        inside.set()
        assert go_on.wait(60)
        return _recognizer(bundle, *more)

    monkeypatch.setattr(Bundle, "recognizer", slow)
    second = Thread(target=sessions.open, args=("int8", RATE))
    second.start()
    assert inside.wait(60)
    assert sessions.get(key).push(bytes(4000))["csv"] == []
    with pytest.raises(InputError, match="2 microphones"):
        sessions.open("int8", RATE)
    go_on.set()
    second.join()


def test_a_session_that_cannot_open_is_not_counted(sessions):
    for _ in range(3):
        with pytest.raises(InputError, match="1 Hz"):
            sessions.open("int8", 1)
    sessions.open("int8", RATE)
    sessions.open("int8", RATE)


def test_samples_beyond_full_scale_count_as_clipped(sessions):
    """Finite, but resampling them could give infinity."""
    key, session = sessions.open("int8", 44100)
    for _ in range(4):
        session.push(np.tile(np.array([3e38, -3e38], "<f4"), 11025).tobytes())
    answer = session.push(np.zeros(44100, "<f4").tobytes())
    assert "clipped" in "".join(answer["csv"]) + "".join(sessions.close(key)["csv"]) + answer["panel"]


def test_sessions_are_independent(sessions):
    one, _ = sessions.open("int8", RATE)
    two, _ = sessions.open("int8", RATE)
    alone = []
    for start in range(0, len(VOICE), 4000):
        alone += play(sessions, one, VOICE[start : start + 4000])
        assert play(sessions, two, np.zeros(4000)) == []
    assert alone
    assert "no speech" in sessions.close(two)["csv"][0]


def test_the_number_of_sessions_is_limited(sessions, clock):
    first, _ = sessions.open("int8", RATE)
    sessions.open("int8", RATE)
    with pytest.raises(InputError, match="2 microphones"):
        sessions.open("int8", RATE)
    sessions.close(first)
    sessions.open("int8", RATE)
    clock.now += IDLE_SECONDS + 1  # both tabs were closed without ending their sessions
    third, _ = sessions.open("int8", RATE)
    sessions.open("int8", RATE)
    with pytest.raises(InputError, match="session"):
        sessions.get(first)
    sessions.get(third)


def test_missing_audio_ends_the_utterance_and_is_reported(sessions):
    key, _ = sessions.open("int8", RATE)
    play(sessions, key, VOICE[: 2 * RATE])
    answer = sessions.get(key).push(VOICE[2 * RATE : 3 * RATE].astype("<f4").tobytes(), missing_seconds=5.0)
    assert len(answer["csv"]) == 1, "the utterance before the gap"
    assert "5.0 s" in answer["panel"]
    later = next(csv.reader(sessions.close(key)["csv"]))
    assert float(later[1]) >= 7.0, "the clock counts the gap"


def test_a_muted_microphone_is_reported(sessions):
    key, _ = sessions.open("int8", 48000)
    for _ in range(6):
        answer = sessions.get(key).push(np.zeros(48000, "<f4").tobytes())
    assert "muted" in answer["panel"]


def test_garbage_is_refused_in_one_line_and_changes_nothing(sessions):
    key, _ = sessions.open("int8", RATE)
    session = sessions.get(key)
    cases = [
        (b"123", 0.0, "half a sample"),
        (bytes(int(4 * RATE * MAX_CHUNK_SECONDS) + 4), 0.0, "at once"),
        (np.full(10, np.nan, "<f4").tobytes(), 0.0, "NaN or infinite"),
        (b"", float("nan"), "cannot be missing"),
        (b"", -1.0, "cannot be missing"),
    ]
    for data, missing, part in cases:
        with pytest.raises(InputError, match=part):
            session.push(data, missing)
    assert session.push(b"")["csv"] == []
    for bundle, rate in (("int8", 1), ("int8", 10**9), ("none", RATE)):
        with pytest.raises(InputError):
            sessions.open(bundle, rate)
