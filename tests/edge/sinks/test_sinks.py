"""The JSON form of events, lines of text, and files of lines."""

import io
import json
import math
import os
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sink_events import LABELS, anything, audio, decision, environment, events, program, rule, segment, time_of

from crnn.errors import InputError
from edge.audio.events import AudioEvent, AudioEventKind
from edge.loop.events import RuleEvent
from edge.sinks.file import FileSink
from edge.sinks.lines import LinesSink, StandardOutput, as_dict, as_json, as_text, from_dict
from edge.stream.results import Segment, State, StreamResult, Verdict

# The JSON form


def same(a: float, b: float, tolerance: float) -> bool:
    return a == pytest.approx(b, abs=tolerance, rel=1e-9)


@settings(deadline=None)
@given(time_of, events)
def test_every_event_survives_json(seconds, event):
    line = as_json(seconds, event, LABELS)
    assert line.isascii()
    assert "\n" not in line
    values = json.loads(line)
    assert values == as_dict(seconds, event, LABELS)
    stamp, back = from_dict(values)
    assert type(back) is type(event)
    assert same(stamp, seconds, 1e-4)
    if isinstance(event, AudioEvent):
        assert (back.kind, back.message) == (event.kind, event.message)
        assert same(back.gap_seconds, event.gap_seconds, 1e-4)
        return
    if isinstance(event, RuleEvent):
        assert (back.rule, back.emotion, back.segments) == (event.rule, event.emotion, event.segments)
        for name in ("start_seconds", "end_seconds", "speech_seconds"):
            assert same(getattr(back, name), getattr(event, name), 1e-4)
        assert same(back.confidence, event.confidence, 1e-6)
        return
    assert back.emotion == event.emotion
    if isinstance(event, Segment):
        assert back.verdict == event.verdict
        assert same(back.start_seconds, event.start_seconds, 1e-4)
        assert same(back.end_seconds, event.end_seconds, 1e-4)
        assert back.probs.keys() == event.probs.keys()
        assert list(back.probs.values()) == pytest.approx(list(event.probs.values()), abs=1e-6)
    else:
        assert back.state == event.state
        assert same(back.level_dbfs, event.level_dbfs, 1e-2)
        assert (back.probs is None) == (event.probs is None) == ("probs" not in values)
        if event.probs is not None:
            np.testing.assert_allclose(back.probs, event.probs, atol=1e-6)
    if event.confidence is not None:
        assert same(back.confidence, event.confidence, 1e-6)
    assert (back.arousal is None) == (event.arousal is None) == ("arousal" not in values)
    if event.arousal is not None:
        assert same(back.arousal, event.arousal, 1e-6)
    assert back.adapted == event.adapted
    assert (event.adapted is None) == ("adapted" not in values)


@settings(deadline=None)
@given(anything, anything, st.lists(anything, min_size=3, max_size=3))
def test_numbers_that_are_not_finite_are_null(seconds, level, values):
    probs = np.array(values, dtype=np.float32)
    events = (
        StreamResult(0.0, list(State)[-1], level, None, probs, "sad", values[0]),
        Segment(seconds, level, None, Verdict.UNCERTAIN, values[0], dict(zip(LABELS, values, strict=True))),
        AudioEvent(AudioEventKind.LOST, "", level),
    )
    for event in events:
        line = as_json(seconds, event, LABELS)
        json.loads(line, parse_constant=pytest.fail)
        assert as_text(seconds, event, LABELS)
    back = json.loads(as_json(seconds, events[1], LABELS))
    assert [p is None for p in back["probs"].values()] == [not math.isfinite(value) for value in values]


@settings(deadline=None)
@given(time_of, events)
def test_text_is_one_line_that_steers_no_terminal(seconds, event):
    line = as_text(seconds, event, LABELS)
    assert line.isprintable()


def test_text_holds_what_matters():
    assert "happy      0.70  arousal 0.25  | " in as_text(1.0, replace(decision(), arousal=0.25), LABELS)
    assert "arousal" not in as_text(1.0, segment(), LABELS)
    assert "happy      0.70  adapted to 12  | " in as_text(1.0, replace(segment(), adapted=12), LABELS)
    assert "adapted" not in as_text(1.0, segment(), LABELS)
    assert as_text(1.0, decision(), LABELS).split()[-1] == "0.20"
    assert "happy      0.70" in as_text(1.0, decision(), LABELS)
    assert "uncertain  0.70" in as_text(1.0, segment(emotion=None), LABELS)
    assert as_text(9.0, rule(), LABELS) == "    9.00 s  rule        shouting: happy 0.75 for 11.0 s, 3 segments"
    assert as_text(9.0, audio(AudioEventKind.LOST, "unplugged", 1.5), LABELS).endswith(
        "lost: unplugged (1.50 s are missing)"
    )
    assert as_text(9.0, audio(AudioEventKind.LOST, "a\x1b[2Jb\nc"), LABELS).endswith(r"lost: a\x1b[2Jb\nc")


@pytest.mark.parametrize("values", [{}, {"type": "song", "seconds": 1}, {"type": "audio", "seconds": 1}])
def test_values_of_no_event_are_refused(values):
    with pytest.raises((ValueError, KeyError, TypeError)):
        from_dict(values)


# Lines


def test_lines_are_flushed_at_once_and_in_order():
    out = io.StringIO()
    sink = LinesSink(out, LABELS, as_json)
    for number in range(5):
        sink.write(float(number), decision(float(number)))
        assert len(out.getvalue().splitlines()) == number + 1
    sink.close()
    assert [json.loads(line)["seconds"] for line in out.getvalue().splitlines()] == [0, 1, 2, 3, 4]
    assert not out.closed


def test_standard_output_has_no_buffer():
    read, write = os.pipe()
    with os.fdopen(read, "rb") as reader:
        LinesSink(StandardOutput(write), LABELS, as_json).write(1.0, segment())
        assert json.loads(reader.readline())["type"] == "segment"
        os.close(write)


# A file


def written(path):
    """Every event in the files of a log, the oldest first."""
    parts = sorted(path.parent.glob(path.name + "*"), reverse=True, key=lambda p: p.suffix)
    parts = sorted((p for p in parts if p != path), key=lambda p: -int(p.suffix[1:])) + [path]
    return [json.loads(line) for part in parts for line in part.read_text().splitlines()]


def test_a_file_holds_segments_and_audio_events_with_their_time(tmp_path):
    sink = FileSink(tmp_path / "log.jsonl", LABELS)
    for at, event in enumerate([decision(), segment(), audio(), decision(), rule()]):
        sink.write(float(at), event)
        assert len((tmp_path / "log.jsonl").read_text().splitlines()) == [0, 1, 2, 2, 3][at], "written out one by one"
    sink.close()
    first, second, third = written(tmp_path / "log.jsonl")
    assert from_dict(third) == (4.0, rule())
    assert from_dict(first) == (1.0, segment())
    assert second["type"] == "audio"
    assert first["time"].endswith("+00:00")
    assert (tmp_path / "log.jsonl").stat().st_mode & 0o777 == 0o600


def test_decisions_are_written_on_request(tmp_path):
    sink = FileSink(tmp_path / "log.jsonl", LABELS, decisions=True)
    sink.write(0.0, decision())
    sink.close()
    assert written(tmp_path / "log.jsonl")[0]["type"] == "hop"


def test_rotation_limits_bytes_and_files_and_keeps_the_newest_events(tmp_path):
    path = tmp_path / "log.jsonl"
    sink = FileSink(path, LABELS, max_bytes=4096, files=3)
    for number in range(500):
        sink.write(float(number), segment(float(number)))
        files = list(tmp_path.iterdir())
        assert len(files) <= 3
        assert all(file.stat().st_size <= 4096 for file in files)
    sink.close()
    stored = [values["seconds"] for values in written(path)]
    assert len(stored) > 2 * 4096 // 300
    assert stored == [float(number) for number in range(500 - len(stored), 500)]
    FileSink(path, LABELS, max_bytes=4096, files=3).close()
    assert len(written(path)) == len(stored), "nothing is lost when it is opened again"


def test_an_unfinished_line_is_ended_before_the_next(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"type": "seg')
    sink = FileSink(path, LABELS)
    sink.write(1.0, segment())
    sink.close()
    lines = path.read_text().splitlines()
    assert lines[0] == '{"type": "seg'
    assert json.loads(lines[1])["seconds"] == 1.0


def test_a_full_disk_loses_only_its_own_lines(tmp_path):
    """The limit on file size cuts a line in the middle, as a full disk does."""
    code = f"""
    import resource, signal
    path = "{tmp_path / "log.jsonl"}"
    sink = file.FileSink(path, LABELS)
    sink.write(1.0, segment())
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.stat(path).st_size + 40, resource.RLIM_INFINITY))
    for _ in range(3):
        try:
            sink.write(2.0, segment())
        except OSError as error:
            sys.stderr.write(f"{{error.strerror}}. ")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    sink.write(3.0, segment())
    sink.close()
    """
    result = subprocess.run(program(code), capture_output=True, text=True, env=environment(), check=False)
    assert (result.returncode, result.stderr) == (0, 3 * "File too large. "), result.stderr
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["seconds"] == 1.0
    assert json.loads(lines[-1])["seconds"] == 3.0


@pytest.mark.parametrize(
    ("name", "options", "part"),
    [
        ("missing/log", {}, "no folder"),
        (".", {}, "no regular file"),
        ("/dev/full", {}, "no regular file"),
        ("log", {"max_bytes": 10}, " 4096"),
        ("log", {"files": 1}, " 2\\b"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, name, options, part):
    with pytest.raises(InputError, match=part) as error:
        FileSink(tmp_path / name, LABELS, **options)
    assert str(tmp_path / name) in str(error.value)


@pytest.mark.parametrize(
    ("package", "code", "extra"),
    [
        ("rich", "from edge.sinks import terminal; terminal.TerminalSink(sys.stdout, ())", "view"),
        ("paho", "from edge.sinks import mqtt; mqtt.MqttSink(mqtt.MqttSettings('localhost'), ())", "mqtt"),
    ],
)
def test_without_its_package_a_sink_names_the_extra(package, code, extra):
    command = program(f"sys.modules[{package!r}] = None\n{code}")
    result = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    last = result.stderr.splitlines()[-1]
    assert last.startswith("crnn.errors.InputError")
    assert f"pip install -e '.[{extra}]'" in last
