"""`stream_infer.py *.wav --csv OUT`: a row for each segment; a run that was killed anywhere can be continued."""

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import soundfile
from helpers import ROOT, called, one_clear_line, script
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import stream_infer
from crnn.errors import InputError
from edge import open_model
from edge.bundle import PRETRAINED
from edge.sinks import csv_table as table
from edge.stream.results import ANSWERED

FLOAT32 = PRETRAINED.parent / "float32"
VOICE = soundfile.read(PRETRAINED.parent / "synthetic_voice.flac", dtype="float32")[0]
RATE = 16000
NAMES = ["plain.wav", 'a, "b".wav', "line\nend\r.wav", os.fsdecode(b"caf\xe9.wav"), "cr\rname.wav", "long.flac"]


@pytest.fixture(scope="module")
def model():
    return open_model(FLOAT32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Recordings with one, two and no utterances, under names that need quoting or are no UTF-8."""
    folder = tmp_path_factory.mktemp("many")
    quiet = np.zeros(RATE, np.float32)
    twice = np.concatenate([VOICE[: 4 * RATE], quiet, quiet, VOICE[: 4 * RATE]])
    for number, name in enumerate(NAMES):
        samples = twice if name == "long.flac" else VOICE[number * 800 : 3 * RATE]
        with (folder / name).open("wb") as file:
            soundfile.write(file, samples, RATE, format=name.rpartition(".")[2])
    return folder


def write(path, model, folder, names=NAMES, lines_out=None):
    lines = [] if lines_out is None else lines_out
    return table.write(path, model, [str(folder / name) for name in names], (), lines.append)


def read(path) -> list[dict]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def whole(model, folder):
    write(folder / "whole.csv", model, folder)
    return (folder / "whole.csv").read_bytes()


def test_a_row_for_each_segment(model, folder, whole):
    rows = read(folder / "whole.csv")
    names = [*NAMES[:3], "caf\\xe9.wav", *NAMES[4:]]
    assert list(dict.fromkeys(row["file"] for row in rows)) == [str(folder / name) for name in names]
    assert len(rows) > len(NAMES), "one of them holds several utterances"
    for row in rows:
        path = folder / os.fsdecode(b"caf\xe9.wav") if "caf" in row["file"] else row["file"]
        segments = model.recognize(path).segments
        segment = segments[int(row["segment"]) - 1]
        assert int(row["segments"]) == len(segments)
        assert float(row["start_seconds"]) == pytest.approx(segment.start_seconds, abs=1e-4)
        assert float(row["end_seconds"]) == pytest.approx(segment.end_seconds, abs=1e-4)
        assert (row["emotion"] or None, row["verdict"] or None) == (segment.emotion, segment.verdict)
        assert float(row["confidence"]) == pytest.approx(segment.confidence, abs=1e-6)
        probs = {label: float(row[f"prob_{label}"]) for label in model.labels}
        assert probs == pytest.approx(segment.probs, abs=1e-6)


@pytest.fixture
def recognized_once(model, monkeypatch):
    """A recording that is recognized again has the same answer; only the table is under test."""
    monkeypatch.setattr(model, "recognize", cache(model.recognize))
    return model


def test_the_arousal_has_a_column_if_the_model_estimates_it(bundle_path, folder, whole):
    both = open_model(bundle_path)
    soundfile.write(folder / "voice.wav", VOICE, RATE)
    write(folder / "arousal.csv", both, folder, names=["voice.wav"])
    found = both.recognize(folder / "voice.wav")
    known = [segment.arousal for segment in found.segments if segment.arousal is not None]
    assert 0 < min(known) <= found.arousal <= max(known) < 1, "the recording's is the mean over all decisions"
    assert f"arousal={found.arousal:.2f}" in repr(found)
    for row, segment in zip(read(folder / "arousal.csv"), found.segments, strict=True):
        assert (segment.arousal is None) == (segment.verdict not in ANSWERED) == (row["arousal"] == "")
        assert segment.arousal is None or float(row["arousal"]) == pytest.approx(segment.arousal, abs=1e-6)


def test_no_column_of_arousal_if_the_model_does_not_estimate_it(folder, bundle_without_arousal):
    without = open_model(bundle_without_arousal)
    soundfile.write(folder / "voice.wav", VOICE, RATE)
    assert without.recognize(folder / "voice.wav").arousal is None
    write(folder / "without.csv", without, folder, names=["voice.wav"])
    assert "arousal" not in read(folder / "without.csv")[0]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_run_that_was_killed_anywhere_continues_to_the_same_table(recognized_once, folder, whole, data):
    """A write may have reached the disk up to any byte; zeros may follow."""
    path = folder / "again.csv"  # beside the recordings, because names are relative to the table
    written = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:written])
    before = whole[:written].decode("utf-8", "replace")
    done = write(path, recognized_once, folder)
    assert path.read_bytes() == whole, before[-200:]
    assert done.added + done.there == len(NAMES)


def test_zeros_that_a_power_cut_left_are_removed(model, folder, whole):
    path = folder / "zeros.csv"
    path.write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1] + bytes(500))
    write(path, model, folder)
    assert path.read_bytes() == whole


def test_a_second_run_recognizes_nothing_again(model, folder, whole, monkeypatch):
    monkeypatch.setattr(model, "recognize", lambda path: pytest.fail("recognized again"))
    path = folder / "second.csv"
    path.write_bytes(whole)
    done = write(path, model, folder)
    assert (done.added, done.there, done.bad) == (0, len(NAMES), 0)
    assert path.read_bytes() == whole


def test_names_are_relative_to_the_table(model, tmp_path, monkeypatch):
    """Two recordings of the same name in two folders are two, and one recording with two spellings is one."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "1.wav", VOICE[: 2 * RATE], RATE)
    report = [].append
    monkeypatch.chdir(tmp_path / "a")
    table.write(tmp_path / "out.csv", model, ["1.wav", "./1.wav", "../a/1.wav"], (), report)
    monkeypatch.chdir(tmp_path / "b")
    done = table.write(tmp_path / "out.csv", model, ["1.wav"], (), report)
    assert done.added == 1
    monkeypatch.chdir(tmp_path)
    assert table.write(tmp_path / "out.csv", model, ["a/1.wav", "b/1.wav"], (), report).there == 2
    assert [row["file"] for row in read(tmp_path / "out.csv")] == ["a/1.wav", "b/1.wav"]


def test_bad_recordings_are_named_and_counted_and_tried_again(folder, tmp_path):
    (tmp_path / "text.wav").write_text("not audio")
    (tmp_path / "folder.wav").mkdir()
    shutil.copy(folder / "plain.wav", tmp_path / "good.wav")
    result = script("stream_infer.py", FLOAT32, *sorted(tmp_path.glob("*.wav")), "--csv", tmp_path / "out.csv")
    assert result.returncode == 1, result.stderr
    assert "3/3  bad: " in result.stderr
    assert "1/3  bad: " in result.stderr
    assert re.search("1 recordings .* 0 .* 2 ", result.stderr)
    assert {row["file"] for row in read(tmp_path / "out.csv")} == {str(tmp_path / "good.wav")}
    shutil.copy(folder / "plain.wav", tmp_path / "text.wav")
    again = script(
        "stream_infer.py", FLOAT32, tmp_path / "good.wav", tmp_path / "text.wav", "--csv", tmp_path / "out.csv"
    )
    assert again.returncode == 0, again.stderr
    assert re.search("1 recordings .* 1 ", again.stderr)


def test_a_file_that_is_no_table_of_this_model_is_left_unchanged(model, folder, whole, tmp_path):
    start, first, second, end = whole.rpartition(b"\n")[0].rsplit(b"\n", 2) + [b"\n"]
    other = whole.replace(table.settings(model).encode(), b"0" * 12)
    for content, part in (
        (b"my,own,table\n1,2,3\n", "not a table of this model"),
        (soundfile_bytes(folder), "not a table of this model"),
        (other, "another model"),
        (b"\n".join([start, second, first]) + end, "another program"),
        (whole + b'"' + b"x" * 200_000, "damaged"),
    ):
        path = tmp_path / "mine.csv"
        path.write_bytes(content)
        with pytest.raises(InputError, match=part):
            write(path, model, folder)
        assert path.read_bytes() == content


def soundfile_bytes(folder) -> bytes:
    return (folder / "plain.wav").read_bytes()


def test_what_cannot_be_a_table_is_one_clear_line(folder, tmp_path):
    clip = folder / "plain.wav"
    for arguments, parts in (
        ([clip, "--csv", tmp_path], ["is no regular file"]),
        ([clip, "--csv", tmp_path / "no" / "x.csv"], ["there is no folder"]),
        ([clip, "--csv", clip], ["not a table of this model"]),
        ([clip, "none.wav", "--csv", tmp_path / "x.csv"], ["none.wav: "]),
        ([clip, "-", "--csv", tmp_path / "x.csv"], ["--csv"]),
        ([clip, "--csv", tmp_path / "x.csv", "--json"], ["--json"]),
        (["--mic", "--csv", tmp_path / "x.csv"], ["--csv"]),
    ):
        one_clear_line(called(stream_infer.main, FLOAT32, *arguments), *parts)
    assert not (tmp_path / "x.csv").exists()


def test_ctrl_c_ends_between_whole_recordings(folder, whole, tmp_path):
    out = folder / "interrupted.csv"
    command = [sys.executable, ROOT / "stream_infer.py", FLOAT32, *(folder / name for name in NAMES), "--csv", out]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline().startswith("1/6  ")
    process.send_signal(signal.SIGINT)
    lines_out = process.stderr.read()
    assert process.wait() == 130, lines_out
    assert lines_out.splitlines()[-1].startswith("interrupted")
    assert "Traceback" not in lines_out
    assert whole.startswith(out.read_bytes())
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert out.read_bytes() == whole


def test_two_processes_do_not_write_one_table(model, folder, tmp_path):
    class Second:
        def append(self, line):
            with pytest.raises(InputError, match="another process"):
                write(tmp_path / "out.csv", model, folder)

    write(tmp_path / "out.csv", model, folder, ["plain.wav"], Second())


def test_a_full_disk_leaves_whole_recordings(model, folder, tmp_path):
    """A limit on the file size acts like a full disk, a few bytes after the first recording."""
    write(tmp_path / "one.csv", model, folder, ["plain.wav"])
    most = (tmp_path / "one.csv").stat().st_size + 50
    arguments = [str(FLOAT32), str(folder / "plain.wav"), str(folder / "long.flac"), "--csv", str(tmp_path / "out.csv")]
    code = (
        "import resource, signal, sys, stream_infer\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))\n"
        f"sys.exit(stream_infer.main({arguments}))"
    )
    # Coverage would have no room for its own file.
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, env=unmeasured, capture_output=True, text=True, check=False)
    one_clear_line(result, "out.csv: ", "(File too large)")
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()
