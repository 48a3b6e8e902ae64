"""RTTM against its specification, written down here from appendix A of the NIST RT-09 evaluation plan."""

import io
import json
import re
import shutil

import pytest
from helpers import ROOT, called, edit_json, one_clear_line, script
from hypothesis import given
from hypothesis import strategies as st

from edge.audio.events import AudioEvent, AudioEventKind
from edge.bundle import PRETRAINED
from edge.sinks.rttm import RttmSink, as_rttm
from edge.stream.results import Segment, Verdict

CLIP = ROOT / "edge" / "pretrained" / "synthetic_voice.flac"
FIELDS = {
    "type": r"SPEAKER", "file": r"\S+", "chnl": r"\d+", "tbeg": r"\d+\.\d+", "tdur": r"\d+\.\d+",
    "ortho": r"<NA>", "stype": r"<NA>", "name": r"\S+", "conf": r"[01]\.\d+", "slat": r"<NA>",
}  # fmt: skip
"""In this order, with single spaces between them; type SPEAKER has neither orthography nor a subtype here"""
LINE = re.compile(" ".join(f"(?P<{name}>{pattern})" for name, pattern in FIELDS.items()))
times = st.floats(0, 1e5)


@given(st.text(), st.text(min_size=1), times, times, st.floats(0, 1))
def test_every_line_has_the_ten_fields_of_the_specification(file, emotion, start, length, confidence):
    line = as_rttm(Segment(start, start + length, emotion, None, confidence, {}), file)
    found = LINE.fullmatch(line)
    assert found and len(line.split()) == 10, line
    assert float(found["tbeg"]) == pytest.approx(start, abs=5e-4)
    assert float(found["tdur"]) == pytest.approx(length, abs=1.1e-3) and float(found["tdur"]) > 0
    assert float(found["conf"]) == pytest.approx(confidence, abs=5e-4)


def test_segments_that_follow_each_other_do_not_overlap_by_rounding():
    first = LINE.fullmatch(as_rttm(Segment(0.0004, 1.2345, "sad", None, 0.5, {}), "a"))
    second = LINE.fullmatch(as_rttm(Segment(1.2345, 2.0, "sad", None, 0.5, {}), "a"))
    assert float(first["tbeg"]) + float(first["tdur"]) == pytest.approx(float(second["tbeg"]), abs=1e-9)


def test_only_segments_with_an_emotion_are_lines_and_the_others_are_counted(caplog):
    out = io.StringIO()
    sink = RttmSink(out, "voice")
    with caplog.at_level("INFO"):
        sink.write(2.0, Segment(0.5, 1.75, "angry", None, 0.625, {"angry": 0.625}))
        sink.write(2.5, AudioEvent(AudioEventKind.LOST, "no samples"))
        sink.write(3.0, Segment(2.0, 2.5, None, Verdict.TOO_SHORT, 0.0, {}))
        sink.close()
    assert out.getvalue() == "SPEAKER voice 1 0.500 1.250 <NA> <NA> angry 0.625 <NA>\n"
    assert "1 segment(s) without an emotion" in caplog.text


def test_the_command_writes_the_segments_that_its_json_has(tmp_path):
    recording, bundle = tmp_path / "one voice.flac", tmp_path / "sure"
    shutil.copy(CLIP, recording)
    shutil.copytree(PRETRAINED, bundle)
    edit_json(bundle / "bundle.json", lambda v: v["decision"].update(min_confidence=0.0))
    events = map(json.loads, script("stream_infer.py", bundle, recording, "--json").stdout.splitlines())
    segments = [event for event in events if event["type"] == "segment" and event["emotion"]]
    result = script("stream_infer.py", bundle, recording, "--rttm")
    lines = [LINE.fullmatch(line) for line in result.stdout.splitlines()]
    assert len(lines) == len(segments) > 0
    for line, segment in zip(lines, segments, strict=True):
        assert (line["file"], line["name"]) == ("one_voice", segment["emotion"])
        assert float(line["tbeg"]) == pytest.approx(segment["start_seconds"], abs=1e-3)
        assert float(line["tbeg"]) + float(line["tdur"]) == pytest.approx(segment["end_seconds"], abs=1e-3)
    assert "without an emotion" in result.stderr


def test_it_is_for_one_recording_and_one_form():
    import stream_infer

    for others in (["--mic"], [CLIP, "--json"], [CLIP, "--view"], [CLIP, "--csv", "table.csv"]):
        one_clear_line(called(stream_infer.main, "--rttm", *others), "--rttm")
