"""The live view: its content, how often it draws, and its picture."""

import io
import logging
import os
import pty
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from helpers import ROOT, one_clear_line
from hypothesis import given, settings
from hypothesis import strategies as st
from sink_events import LABELS, audio, decision, events, rule, segment, time_of

from crnn.errors import InputError
from edge.audio.events import AudioEventKind
from edge.loop.counters import Tally
from edge.sinks.lines import StandardOutput, as_json
from edge.stream.results import State, StreamResult

pytest.importorskip("rich", reason="needs the view extra: make test EXTRAS=view")
from edge.sinks import terminal  # noqa: E402


def test_counters():
    tally = Tally()
    events = [
        audio(AudioEventKind.OPENED),
        decision(),
        segment(),
        audio(AudioEventKind.LOST, gap=2.0),
        audio(AudioEventKind.NOT_FOUND),
        audio(AudioEventKind.OPENED, gap=1.0),
        audio(AudioEventKind.OVERRUN, gap=0.5),
        rule(),
    ]
    problems = []
    for at, event in enumerate(events, 1):
        tally.update(float(at), event)
        problems.append(tally.problem)
    assert (tally.results, tally.segments, tally.overruns, tally.reconnects, tally.rules) == (1, 1, 1, 1, 1)
    assert (tally.seconds_missing, tally.seconds_processed) == (3.5, 4.5)
    assert problems == [False, False, False, True, True, False, False, False]
    for kind, problem in [("ZEROS", True), ("OVERRUN", True), ("RECOVERED", False), ("CLIPPED", True)]:
        tally.update(8.0, audio(AudioEventKind[kind]))
        assert tally.problem is problem


def bar_length(text: str, label: str) -> int:
    line = next(line for line in text.splitlines() if line.startswith(f"│ {label} "))
    return line.count("█")


def test_the_view_has_a_row_for_the_arousal_once_there_is_one():
    screen = terminal.Screen(LABELS)
    screen.update(1.0, decision(1.0))
    assert "arousal" not in terminal.as_plain_text(screen)
    screen.update(2.0, replace(decision(2.0), arousal=0.5))
    text = terminal.as_plain_text(screen)
    assert bar_length(text, "happy") > bar_length(text, "arousal") > bar_length(text, "sad")
    screen.update(3.0, decision(3.0))
    assert bar_length(terminal.as_plain_text(screen), "arousal") == 0


def test_the_view_shows_the_last_rule_that_fired_and_nothing_before():
    screen = terminal.Screen(LABELS)
    assert "rule" not in terminal.as_plain_text(screen)
    for name in ("low mood", "shout\x1bing"):
        screen.update(3.0, rule(name))
    text = terminal.as_plain_text(screen)
    assert "3.0 s  rule shout\\x1bing: happy 0.75 for 11.0 s, 3 segments" in text
    assert "low mood" not in text


def test_the_view_shows_bars_level_segments_and_counters():
    screen = terminal.Screen(LABELS)
    assert "waiting for audio" in terminal.as_plain_text(screen)
    screen.update(0.0, audio(AudioEventKind.OPENED, "USB microphone"))
    screen.update(2.0, segment(1.0, "sad"))
    screen.update(4.0, segment(3.0, None))
    screen.update(5.0, decision(5.0))
    screen.messages.append("a line of the log")
    text = terminal.as_plain_text(screen)
    for part in (
        "now: happy 0.70",
        "-30.0 dBFS",
        "1.0 to 2.0 s sad 0.70",
        "3.0 to 4.0 s uncertain",
        "a line of the log",
    ):
        assert part in text
    assert "5.0 s processed, 1 decision, 2 segments, 0 overruns, 0 reconnects" in text
    assert "audio opened: USB microphone" in text
    assert bar_length(text, "happy") > bar_length(text, "sad") > bar_length(text, "neutral") > 0
    assert bar_length(text, "level") > 0
    screen.update(6.0, StreamResult(6.0, State.WARMING_UP, -200.0, None, None, None, None))
    text = terminal.as_plain_text(screen)
    assert "warming up" in text
    assert bar_length(text, "happy") == bar_length(text, "level") == 0


@settings(deadline=None)
@given(st.lists(st.tuples(time_of, events), max_size=30), st.integers(1, 120))
def test_the_view_shows_anything_in_any_width(events, width):
    screen = terminal.Screen(LABELS)
    for seconds, event in events:
        screen.update(seconds, event)
    assert len(terminal.as_plain_text(screen).splitlines()) <= 20, "with eight emotions it still fits 25 lines"
    assert terminal.as_plain_text(screen, width)


def test_the_view_needs_a_terminal():
    with pytest.raises(InputError, match="terminal"):
        terminal.TerminalSink(io.StringIO(), LABELS)


def test_the_view_draws_rarely_and_shows_the_log_inside(tmp_path):
    leader, follower = pty.openpty()
    late = logging.FileHandler(tmp_path / "late.log", delay=True)  # it has no stream before its first line
    drawn = []

    def read():
        try:
            while data := os.read(leader, 65536):
                drawn.append(data)
        except OSError:  # the other end is closed
            return

    reader = threading.Thread(target=read)
    reader.start()
    console = logging.StreamHandler(open(follower, "w", closefd=False))  # noqa: SIM115
    root = logging.getLogger()
    root.addHandler(console)
    root.addHandler(late)
    now = 0.0
    try:
        sink = terminal.TerminalSink(StandardOutput(follower), LABELS, clock=lambda: now)
        for number in range(400):
            sink.write(now, decision(now))
            if number == 200:
                logging.getLogger("elsewhere").warning("the broker is away")
            now += 0.01
        sink.write(now, segment(3.0, "sad"))
        sink.close()
        assert console in root.handlers
    finally:
        root.removeHandler(console)
        root.removeHandler(late)
        late.close()
        os.close(follower)
        reader.join()
        os.close(leader)
    text = b"".join(drawn).decode()
    frames = text.count("╰")
    assert 8 <= frames <= 12, "4 s at two frames a second, a segment, and the start and the end"
    assert "the broker is away" in text
    assert "last: sad 0.70" in text
    assert "\x1b[?25h" in text, "the cursor is back"


def test_a_picture_from_json_lines(tmp_path):
    lines = [as_json(float(n), event, LABELS) for n, event in enumerate([decision(), segment(emotion="sad"), audio()])]
    out = tmp_path / "view.svg"
    command = [sys.executable, "-m", "edge.sinks.picture", str(out)]
    run = {"capture_output": True, "text": True, "cwd": ROOT, "check": False}
    result = subprocess.run(command, input="\n".join(lines), **run)
    assert result.returncode == 0, result.stderr
    assert "last:&#160;sad&#160;0.70" in out.read_text()
    assert "https://cdn" not in out.read_text(), "a page with it loads nothing from elsewhere"
    for bad, part in [("nonsense", "line 1"), ("", "probabilities")]:
        one_clear_line(subprocess.run(command, input=bad, **run), part)
    assert [path.name for path in tmp_path.iterdir()] == ["view.svg"]
