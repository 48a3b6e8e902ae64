"""Several sinks at once: slow ones, failing ones, and readers that disconnect."""

import logging
import re
import subprocess
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sink_events import audio, decision, environment, program, segment

from edge.sinks import FanOut, live
from edge.sinks.guard import LONGEST_PAUSE_SECONDS, Guard
from edge.sinks.worker import Worker
from edge.stream.results import Segment


class RecordingSink:
    """Stores its events."""

    def __init__(self) -> None:
        self.events, self.closed = [], 0

    def write(self, seconds, event):
        self.events.append((seconds, event))

    def close(self):
        self.closed += 1


class Blocked(RecordingSink):
    """Blocks until `go_on` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.go_on = threading.Event(), threading.Event()

    def write(self, seconds, event):
        self.entered.set()
        self.go_on.wait()
        super().write(seconds, event)


class Failing(RecordingSink):
    """Raises as long as it holds an error."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__()
        self.error = error

    def write(self, seconds, event):
        if self.error is not None:
            raise self.error
        super().write(seconds, event)


def test_a_sink_that_blocks_delays_nobody(caplog):
    sink = Blocked()
    worker = Worker(sink, "slow", size=10, drain_seconds=0.05)
    worker.write(0.0, decision())
    sink.entered.wait()
    for number in range(2000):
        worker.write(float(number), decision())
        assert worker.held <= 10
    for number in range(20):
        worker.write(float(number), segment(float(number)))
        worker.write(float(number), decision())
        assert worker.held <= 10
    worker.close()
    assert worker.held == 0
    assert "10 are lost" in caplog.text
    assert (worker.dropped_results, worker.dropped_others) == (2020, 10)
    sink.go_on.set()


def test_the_oldest_decisions_are_dropped_first(caplog):
    sink = Blocked()
    worker = Worker(sink, "slow", size=4)
    worker.write(0.0, decision())
    sink.entered.wait()
    for at, event in enumerate(
        [decision(), decision(), segment(1), audio(), decision(), segment(2), segment(3), decision(), audio()], 1
    ):
        worker.write(float(at), event)
    sink.go_on.set()
    worker.close()
    assert [seconds for seconds, _ in sink.events] == [0.0, 4.0, 6.0, 7.0, 9.0]
    assert (worker.dropped_results, worker.dropped_others) == (4, 1)
    assert "4 decisions and 1 segments" in caplog.text
    assert sink.closed == 1


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=60), st.integers(1, 8))
def test_the_order_is_preserved_and_decisions_displace_nothing(kinds, size):
    sink = Blocked()
    worker = Worker(sink, "slow", size=size)
    worker.write(-1.0, decision())
    sink.entered.wait()
    for at, is_decision in enumerate(kinds):
        worker.write(float(at), decision() if is_decision else segment())
    sink.go_on.set()
    worker.close()
    others = [float(at) for at, is_decision in enumerate(kinds) if not is_decision]
    seen = [seconds for seconds, _ in sink.events[1:]]
    assert seen == sorted(seen)
    assert [s for s, event in sink.events if isinstance(event, Segment)] == others[-size:]
    assert len(seen) == min(len(kinds), size)
    assert len(seen) + worker.dropped_results + worker.dropped_others == len(kinds)


def test_a_sink_that_is_fast_enough_gets_everything_in_order():
    sink = RecordingSink()
    worker = Worker(sink, "fast", size=100_000)
    for number in range(5000):
        worker.write(float(number), decision() if number % 3 else segment())
    worker.close()
    assert [seconds for seconds, _ in sink.events] == [float(number) for number in range(5000)]
    assert worker.dropped_results == worker.dropped_others == 0


def test_a_failing_sink_is_logged_once_and_tried_again(caplog):
    caplog.set_level(logging.INFO)
    now = 0.0
    sink = Failing(OSError(28, "No space left on device"))
    guard = Guard(sink, "log file", clock=lambda: now)
    tried = []
    for _ in range(2000):
        before = guard.failures
        guard.write(0.0, segment())
        if guard.failures > before:
            tried.append(now)
        now += 0.25
    pauses = np.diff(tried)
    assert list(pauses[:3]) == [1.0, 2.0, 4.0]
    assert pauses.max() == LONGEST_PAUSE_SECONDS
    assert [record.getMessage() for record in caplog.records] == [
        "log file failed and is tried again from time to time: [Errno 28] No space left on device"
    ]
    sink.error, now = None, now + LONGEST_PAUSE_SECONDS
    guard.write(1.0, segment())
    guard.write(2.0, segment())
    assert [seconds for seconds, _ in sink.events] == [1.0, 2.0]
    assert guard.lost == 2000
    assert re.search("log file .* 2000 ", caplog.text)
    guard.close()
    assert sink.closed == 1


def test_a_sink_that_fails_does_not_affect_the_others(caplog):
    class Worse(Failing):
        def close(self):
            raise RuntimeError("a mistake in closing")

    good, bad = RecordingSink(), Worse(ZeroDivisionError("a mistake in writing"))
    fan = live({"bad": bad, "good": good})
    for number in range(100):
        fan.write(float(number), segment())
    fan.close()
    assert [seconds for seconds, _ in good.events] == [float(number) for number in range(100)]
    assert good.closed == 1
    assert "a mistake in writing" in caplog.text
    assert "Traceback" in caplog.text, "what can only be our mistake comes with its way there"
    assert "a mistake in closing" in caplog.text


def test_for_a_recording_an_error_ends_the_program_and_every_sink_is_closed():
    first, second = RecordingSink(), RecordingSink()
    fan = FanOut([first, Failing(OSError("disk full")), second])
    with pytest.raises(OSError, match="disk full"):
        fan.write(0.0, segment())
    fan.close()
    assert (first.closed, second.closed) == (1, 1)


@pytest.mark.parametrize("queued", [False, True])
def test_a_reader_that_disconnects_ends_the_program_quietly(queued):
    code = f"""
    sinks = {{"standard output": lines.LinesSink(lines.StandardOutput(), LABELS)}}
    fan = live(sinks) if {queued} else FanOut(sinks.values())
    try:
        while True:
            fan.write(0.0, segment())
            time.sleep(0.001)
    except BrokenPipeError:
        fan.close()
        sys.stderr.write("the reader has gone")
    """
    process = subprocess.Popen(
        program(code), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert "happy" in process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == "the reader has gone"
    assert process.wait() == 0
    process.stderr.close()


def test_a_program_ends_although_its_reader_has_stalled():
    """The pipe is full and nobody reads: the worker's thread never returns from a write."""
    code = """
    worker = Worker(lines.LinesSink(lines.StandardOutput(), LABELS), "standard output", drain_seconds=0.2)
    for number in range(3000):
        worker.write(float(number), decision())
        if number % 100 == 0:
            time.sleep(0.01)
    worker.close()
    sys.stderr.write(f"{worker.dropped_results > 0}")
    """
    with subprocess.Popen(
        program(code), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        errors = process.stderr.read()
        assert process.wait(timeout=60) == 0, errors
        assert errors.endswith("True")
        assert "Fatal" not in errors
