"""When rules fire: with segments and a clock that the test sets."""

import json
import logging
import os
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crnn.errors import InputError
from edge.audio.events import AudioEvent, AudioEventKind
from edge.loop.events import RuleEvent
from edge.loop.firings import Firings, default_path
from edge.loop.listening import listen
from edge.loop.rule_engine import RuleEngine
from edge.loop.rules import Rule
from edge.stream.results import Segment, Verdict

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp()
MINUTE, HOUR = 60.0, 3600.0


class Home:
    """Rules, a clock, and people who speak: each segment lasts 4 s and follows the last one after a pause."""

    def __init__(self, *rules: Rule, live: bool = True, firings: Firings | None = None, now: float = NOON) -> None:
        self.now = now
        self.audio = 0.0
        self.engine = RuleEngine(rules, live, firings, clock=lambda: self.now)

    def wait(self, seconds: float) -> "Home":
        self.now += seconds
        self.audio += seconds
        return self

    def says(
        self, emotion: str | None, confidence: float = 0.9, pause: float = 1.0, verdict: Verdict = Verdict.UNCERTAIN
    ) -> list[str]:
        """The names of the rules that fire."""
        return [event.rule for event in self.events(emotion, confidence, pause, verdict)]

    def events(self, emotion, confidence=0.9, pause=1.0, verdict=Verdict.UNCERTAIN) -> list[RuleEvent]:
        start = self.wait(pause).audio
        end = self.wait(4.0).audio
        return self.engine.update(Segment(start, end, emotion, None if emotion else verdict, confidence, {}))


def angry(**more) -> Rule:
    return Rule("shouting", ("angry",), **more)


@pytest.fixture
def berlin(monkeypatch):
    """Local time as in Germany, by rule and not by a database of time zones: summer time from the last Sunday of March,
    2:00, to the last one of October, 3:00."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0/2,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_without_a_hold_every_segment_fires():
    home = Home(angry())
    assert [home.says(emotion) for emotion in ("angry", "happy", None, "angry")] == [["shouting"], [], [], ["shouting"]]


def test_a_hold_counts_seconds_of_speech_in_a_row_and_says_what_it_counted():
    home = Home(angry(hold_seconds=10))
    assert home.says("angry", 0.9) == home.says("angry", 0.8) == []
    assert home.events("angry", 0.7) == [RuleEvent("shouting", "angry", pytest.approx(0.8), 1.0, 15.0, 12.0, 3)]
    assert home.says("angry") == [], "the row begins again"


def test_a_hold_counts_segments_in_a_row():
    home = Home(angry(hold_segments=3))
    assert [home.says("angry") for _ in range(7)] == [[], [], ["shouting"], [], [], ["shouting"], []]


def test_another_emotion_ends_the_row():
    home = Home(angry(hold_segments=2))
    assert home.says("angry") == home.says("neutral") == home.says("angry") == []
    assert home.says("angry") == ["shouting"]


@pytest.mark.parametrize("verdict", list(Verdict))
def test_an_abstention_between_neither_counts_nor_ends_the_row(verdict):
    home = Home(angry(hold_segments=2))
    assert home.says("angry") == home.says(None, verdict=verdict) == home.says(None, verdict=verdict) == []
    assert home.says("angry") == ["shouting"]


def test_below_its_confidence_a_segment_neither_counts_nor_ends_the_row():
    home = Home(Rule("upset", ("angry", "sad"), hold_segments=2, confidence={"angry": 0.8}))
    assert home.says("angry", 0.8) == home.says("angry", 0.79) == []
    assert home.says("sad", 0.1) == ["upset"], "an emotion without a confidence of its own counts at any"


def test_speech_that_ends_ends_the_row():
    home = Home(angry(hold_segments=2, pause_seconds=30))
    assert home.says("angry") == home.says("angry", pause=30.01) == []
    assert home.says("angry", pause=30.0) == ["shouting"]


def test_abstentions_do_not_bridge_a_pause():
    """Noise all day must not join what was said in the morning to what is said at night."""
    home = Home(angry(hold_segments=2, pause_seconds=30))
    assert home.says("angry") == []
    assert all(home.says(None, pause=5, verdict=Verdict.NOISE) == [] for _ in range(5))
    assert home.says("angry") == []


def test_one_row_may_hold_any_of_the_emotions_and_names_the_newest():
    home = Home(Rule("upset", ("angry", "sad"), hold_segments=2))
    assert home.says("angry") == []
    assert [event.emotion for event in home.events("sad")] == ["sad"]


def test_once_per_minutes_and_the_row_that_waits_for_it():
    home = Home(angry(hold_segments=2, once_per_minutes=30))
    assert [home.says("angry") for _ in range(4)] == [[], ["shouting"], [], []]
    home.wait(30 * MINUTE - 20)
    assert home.says("angry") == []
    assert home.says("angry") == ["shouting"]


def test_a_row_that_the_limits_hold_back_fires_with_the_first_segment_they_allow():
    home = Home(angry(hold_segments=2, once_per_minutes=1, pause_seconds=120))
    assert [home.says("angry") for _ in range(4)] == [[], ["shouting"], [], []]
    assert home.says("angry", pause=60) == ["shouting"]


def test_the_limit_of_an_hour_is_over_any_hour():
    home = Home(angry(most_per_hour=2))
    assert home.says("angry") == ["shouting"]
    home.wait(40 * MINUTE)
    assert home.says("angry") == ["shouting"]
    assert home.says("angry") == []
    home.wait(20 * MINUTE)
    assert home.says("angry") == ["shouting"], "the first is an hour ago"
    assert home.says("angry") == [], "the second is not"


@settings(deadline=None)
@given(st.lists(st.floats(0, 2000), max_size=60), st.integers(1, 4), st.floats(0, 40))
def test_no_sequence_breaks_a_limit(pauses, most, minutes):
    home = Home(angry(most_per_hour=most, once_per_minutes=minutes))
    fired = []
    for pause in pauses:
        if home.says("angry", pause=pause):
            fired.append(home.now)
    for first, second in zip(fired, fired[1:], strict=False):
        assert second - first >= minutes * MINUTE
    for at in fired:
        assert sum(at - HOUR < other <= at for other in fired) <= most


def test_two_rules_fire_at_once_in_the_order_of_the_file_and_count_apart():
    home = Home(Rule("b", ("angry",), hold_segments=2), Rule("a", ("angry", "sad"), hold_segments=2, most_per_hour=1))
    assert home.says("angry") == []
    assert home.says("angry") == ["b", "a"]
    assert home.says("sad") == home.says("angry") == []
    assert home.says("angry") == ["b"]


def test_quiet_hours_across_midnight(berlin):
    home = Home(angry(quiet_hours="22:00-07:00"), now=datetime(2026, 3, 10, 21, 59, 0).timestamp())
    assert home.says("angry", pause=0) == ["shouting"]
    assert home.says("angry", pause=56) == [], "22:00"
    home.wait(2 * HOUR)
    assert home.says("angry") == [], "midnight has passed"
    home.now = datetime(2026, 3, 11, 6, 59, 55).timestamp()
    assert home.says("angry", pause=0) == []
    assert home.says("angry") == ["shouting"], "7:00"


def test_the_night_is_an_hour_shorter_when_summer_time_begins(berlin):
    home = Home(angry(quiet_hours="22:00-07:00"), now=datetime(2026, 3, 28, 22, 0, 0).timestamp())
    home.wait(8 * HOUR - 10)
    assert home.says("angry") == [], "8 h after 22:00 it is 7:00, not 6:00"
    assert home.says("angry", pause=6) == ["shouting"]


def test_the_night_is_an_hour_longer_when_summer_time_ends(berlin):
    home = Home(angry(quiet_hours="02:00-03:00"), now=datetime(2026, 10, 25, 1, 59, 50).timestamp())
    assert home.says("angry") == ["shouting"]
    for _ in range(2):  # 2:00 to 3:00 comes twice
        home.wait(HOUR - 10)
        assert home.says("angry") == []
    home.wait(11)
    assert home.says("angry") == ["shouting"]


def test_limits_count_true_hours_when_the_clocks_change(berlin):
    home = Home(angry(once_per_minutes=90), now=datetime(2026, 10, 25, 2, 30, 0).timestamp())
    assert home.says("angry") == ["shouting"]
    home.wait(80 * MINUTE)  # on the wall 20 minutes later
    assert home.says("angry") == []
    home.wait(10 * MINUTE)
    assert home.says("angry") == ["shouting"]


def test_a_recording_counts_its_own_time_and_has_no_quiet_hours(berlin):
    home = Home(angry(once_per_minutes=30, quiet_hours="00:00-23:59"), live=False)
    frozen = home.now
    for expected in (["shouting"], [], []):
        assert home.says("angry", pause=600) == expected
        home.now = frozen
    assert home.says("angry", pause=600) == ["shouting"]


# A restart


def test_a_restart_forgets_the_row_and_not_the_limits(tmp_path):
    path = tmp_path / "state" / "rules.json"
    rule = angry(hold_segments=2, once_per_minutes=30)
    home = Home(rule, firings=Firings(path))
    assert [home.says("angry") for _ in range(3)] == [[], ["shouting"], []]
    assert path.stat().st_mode & 0o777 == 0o600
    again = Home(rule, firings=Firings(path), now=home.now + 10 * MINUTE)
    assert again.says("angry") == again.says("angry") == []
    again.wait(25 * MINUTE)
    assert again.says("angry") == [], "another row: the last segment was 25 minutes ago"
    assert again.says("angry") == ["shouting"]


def test_two_loops_of_one_user_keep_what_the_other_stored(tmp_path):
    path = tmp_path / "rules.json"
    kitchen, hall = Firings(path), Firings(path)
    kitchen.add("shouting", 1000.0, 3600.0)
    hall.add("crying", 1001.0, 3600.0)
    hall.add("shouting", 1002.0, 3600.0)
    kitchen.add("shouting", 1003.0, 3600.0)
    assert json.loads(path.read_text()) == {"crying": [1001.0], "shouting": [1000.0, 1002.0, 1003.0]}
    assert kitchen.of("shouting", 1003.0, 3600.0) == [1000.0, 1003.0], "each limits its own"
    hall.add("shouting", 4603.0, 3600.0)
    assert json.loads(path.read_text()) == {"crying": [1001.0], "shouting": [4603.0]}, "what is too old is dropped"


def test_a_clock_that_was_ahead_holds_a_rule_back_no_longer_than_its_limit(tmp_path):
    path = tmp_path / "rules.json"
    rule = angry(once_per_minutes=30)
    assert Home(rule, firings=Firings(path), now=NOON + 1e8).says("angry") == ["shouting"]
    home = Home(rule, firings=Firings(path))
    assert home.says("angry") == []
    home.wait(31 * MINUTE)
    assert home.says("angry") == ["shouting"]


@pytest.mark.parametrize("content", ["{", "[]", '{"shouting": [NaN]}', '{"shouting": 3}', '{"shouting": ["a", true]}'])
def test_a_damaged_memory_is_no_reason_to_stop(tmp_path, caplog, content):
    path = tmp_path / "rules.json"
    path.write_text(content)
    home = Home(angry(once_per_minutes=30), firings=Firings(path))
    assert home.says("angry") == ["shouting"]
    assert json.loads(path.read_text()) == {"shouting": [home.now]}


def test_a_memory_that_cannot_be_written_is_reported_once(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    (tmp_path / "file").write_text("")
    home = Home(angry(), firings=Firings(tmp_path / "file" / "rules.json"))
    assert home.says("angry") == home.says("angry") == ["shouting"]
    assert caplog.text.count("not stored") == 1


def test_the_memory_is_in_the_users_folder_for_state(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert default_path() == tmp_path / ".local" / "state" / "ser" / "rules.json"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert default_path() == tmp_path / "state" / "ser" / "rules.json"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert default_path() == tmp_path / ".local" / "state" / "ser" / "rules.json"


def test_without_a_home_folder_the_line_says_what_to_set(monkeypatch):
    """A container whose user id has no name, and no $HOME."""
    for variable in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 3)
    with pytest.raises(InputError, match="XDG_STATE_HOME or HOME"):
        default_path()


# In the loop


class Utterances:
    """Gives a segment for each chunk, in place of the recognizer."""

    seconds = 0.0

    def push(self, chunk) -> list[Segment]:
        self.seconds += 4.0
        return [Segment(self.seconds - 3.0, self.seconds, chunk, None, 0.9, {})]

    def flush(self) -> list[Segment]:
        return []


class Collected(list):
    def write(self, seconds: float, event) -> None:
        self.append((seconds, event))


def test_the_event_follows_its_segment_and_is_counted():
    sink = Collected()
    rules = RuleEngine([angry(hold_segments=2), Rule("any", ("angry",))], live=False)
    tally = listen(["angry", "angry", "happy"], Utterances(), sink, rules=rules)
    names = [event.rule if isinstance(event, RuleEvent) else type(event).__name__ for _, event in sink]
    assert names == ["Segment", "any", "Segment", "shouting", "any", "Segment", "AudioEvent"]
    assert [seconds for seconds, _ in sink] == [4, 4, 8, 8, 8, 12, 12]
    assert (tally.rules, tally.segments) == (3, 3)
    assert sink[-1][1] == AudioEvent(AudioEventKind.STOPPED, "the audio has ended")
