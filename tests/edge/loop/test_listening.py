"""The listening loop: order, gaps, the clock, the end; and stream_infer.py under signals and with its sinks."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from helpers import ROOT, called, one_clear_line, script

import stream_infer
from edge.audio.events import AudioEvent, AudioEventKind
from edge.audio.stop import Stop
from edge.audio.vad import make_vad
from edge.bundle import PRETRAINED, Bundle
from edge.loop.listening import listen
from edge.loop.utterances import UtteranceRecognizer
from edge.stream.results import Segment, StreamResult

CLIP = PRETRAINED.parent / "synthetic_voice.flac"
RATE = 16000


class Collector:
    """A sink that stores everything."""

    def __init__(self) -> None:
        self.events: list[tuple[float, object]] = []

    def write(self, seconds, event) -> None:
        self.events.append((seconds, event))

    def close(self) -> None:
        pass

    def of(self, kind) -> list:
        return [event for _, event in self.events if isinstance(event, kind)]


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    return soundfile.read(CLIP, dtype="float32")[0]


@pytest.fixture(scope="module")
def recognizer():
    return Bundle.open(PRETRAINED).recognizer("onnx")


def processed(recognizer, source, stop=None) -> tuple[Collector, object]:
    collected = Collector()
    tally = listen(source, UtteranceRecognizer(recognizer, make_vad("energy", RATE)), collected, stop)
    return collected, tally


def pieces(samples: np.ndarray, size: int) -> list[np.ndarray]:
    return [samples[start : start + size] for start in range(0, len(samples), size)]


@pytest.mark.parametrize("size", [160, 1600, 100_000])
def test_events_do_not_depend_on_the_size_of_the_pieces(recognizer, voice, size):
    whole, _ = processed(recognizer, [voice])
    cut, tally = processed(recognizer, pieces(voice, size))
    assert [seconds for seconds, _ in cut.events] == [seconds for seconds, _ in whole.events]
    assert [type(event) for _, event in cut.events] == [type(event) for _, event in whole.events]
    for ours, theirs in zip(cut.of(Segment), whole.of(Segment), strict=True):
        assert ours.probs == pytest.approx(theirs.probs, abs=1e-5)
    assert tally.results == len(cut.of(StreamResult))
    assert tally.segments == len(cut.of(Segment)) > 0


def test_time_never_goes_back_and_the_last_word_is_stopped(recognizer, voice):
    collected, tally = processed(recognizer, pieces(voice, 1600))
    times = [seconds for seconds, _ in collected.events]
    assert times == sorted(times)
    assert collected.events[-1][1].kind is AudioEventKind.STOPPED
    assert tally.seconds_processed == pytest.approx(len(voice) / RATE, abs=1e-3)


def test_a_gap_ends_the_utterance_before_it_is_reported_and_moves_the_clock(recognizer, voice):
    half = len(voice) // 2
    gap = AudioEvent(AudioEventKind.OPENED, "back again", gap_seconds=60.0)
    collected, tally = processed(recognizer, [voice[:half], gap, voice[half:]])
    at = next(number for number, (_, event) in enumerate(collected.events) if event is gap)
    before, after = collected.events[:at], collected.events[at + 1 :]
    assert all(s.end_seconds <= half / RATE for _, s in before if isinstance(s, Segment))
    assert any(isinstance(event, Segment) for _, event in before)
    assert all(s.start_seconds >= half / RATE + 60 for _, s in after if isinstance(s, Segment))
    assert any(isinstance(event, Segment) for _, event in after)
    assert tally.seconds_missing == 60
    assert tally.seconds_processed == pytest.approx(len(voice) / RATE, abs=1e-3)


def test_a_mute_ends_the_utterance_and_what_was_said_is_decided(recognizer, voice):
    half = len(voice) // 2
    muted = AudioEvent(AudioEventKind.MUTED, "closed")
    collected, _ = processed(recognizer, [voice[:half], muted])
    before, _ = processed(recognizer, [voice[:half]])
    at = next(number for number, (_, event) in enumerate(collected.events) if event is muted)
    assert [type(event) for _, event in collected.events[:at]] == [type(event) for _, event in before.events[:-1]]
    assert before.of(Segment) and not [event for _, event in collected.events[at:] if isinstance(event, Segment)]


def test_an_event_without_a_gap_changes_nothing(recognizer, voice):
    plain, _ = processed(recognizer, pieces(voice, 1600))
    event = AudioEvent(AudioEventKind.CLIPPED, "too loud")
    with_event, _ = processed(recognizer, [voice[:16000], event, voice[16000:]])
    assert [s.probs for s in with_event.of(Segment)] == [s.probs for s in plain.of(Segment)]


def test_a_stop_still_decides_what_was_said(recognizer, voice):
    woken = []
    stop = Stop(lambda: woken.append(True))

    def source():
        yield voice[: 4 * RATE]
        stop()
        yield voice[4 * RATE : 5 * RATE]
        raise AssertionError("the loop went on after the stop")

    collected, _ = processed(recognizer, source(), stop)
    assert woken == [True]
    assert collected.of(Segment)
    assert collected.events[-1][1].message == "stopped"
    with pytest.raises(KeyboardInterrupt):
        stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_cleanly(voice, number):
    command = [sys.executable, "stream_infer.py", "-", "--json", "--decisions"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as p:
        samples = np.round(voice[: 4 * RATE] * 32767).astype("<i2").tobytes()
        p.stdin.write(samples)
        p.stdin.flush()
        first = p.stdout.readline()
        assert json.loads(first)["type"] == "hop"
        p.send_signal(number)
        deadline = time.monotonic() + 60
        while p.poll() is None and time.monotonic() < deadline:
            try:
                os.write(p.stdin.fileno(), samples[:3200])
            except BrokenPipeError:
                break
            time.sleep(0.05)
        out, errors = p.stdout.read(), p.stderr.read()
    assert p.returncode == 0, errors
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[-1]["kind"] == "stopped"
    assert any(line["type"] == "segment" for line in lines)


def test_log_and_lines_together(tmp_path):
    log = tmp_path / "emotions.jsonl"
    result = script("stream_infer.py", CLIP, "--json", "--decisions", "--log", log)
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    logged = [json.loads(line) for line in log.read_text().splitlines()]
    assert all("time" in line for line in logged)
    assert [line["type"] for line in logged] == [line["type"] for line in lines if line["type"] != "hop"]


@pytest.mark.parametrize("option", [[], ["--no-hops"]])
def test_segments_and_audio_events_are_the_default(option):
    """The option that used to ask for them is still accepted."""
    result = script("stream_infer.py", CLIP, "--json", *option)
    assert result.returncode == 0, result.stderr
    assert {json.loads(line)["type"] for line in result.stdout.splitlines()} == {"segment", "audio"}


def test_sinks_that_cannot_work_give_one_clear_line(tmp_path):
    for arguments, part in (
        (["--view"], "needs a terminal"),
        (["--log", tmp_path / "no" / "x.jsonl"], "no folder"),
        (["--mqtt", "host:0"], "MQTT"),
        (["--mqtt", "localhost", "--mqtt-password-file", tmp_path / "none"], "needs a user"),
    ):
        one_clear_line(called(stream_infer.main, CLIP, *arguments), part)
