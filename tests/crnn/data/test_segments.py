"""Segments of recordings: which columns name them, what is then read, and where they may stand in a split."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from crnn.check import check
from crnn.data.cache import open_cache
from crnn.data.corpora import Utterance
from crnn.data.leaks import check_leaks
from crnn.data.own_data import read_own
from crnn.data.protocols import LeakError, make_split
from crnn.data.segments import TimeColumns, joined, overlapping
from crnn.errors import InputError
from crnn.run_config import LAYOUT

RATE = 16000


@pytest.fixture
def long_file(tmp_path) -> Path:
    """Ten seconds whose samples are their position."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 10 * RATE).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", noise, RATE, subtype="FLOAT")
    return tmp_path / "long.wav"


def listed(folder: Path, header: str, *rows: str) -> list[Utterance]:
    (folder / "my.csv").write_text(
        "\n".join([f"path,emotion,speaker,{header}", *(f"long.wav,joy,anna,{r}" for r in rows)])
    )
    return list(read_own(f"csv:{folder / 'my.csv'}", LAYOUT).utterances)


@pytest.mark.parametrize(
    ("header", "cells", "expected"),
    [
        ("start,end", "1.5,2.25", (1.5, 2.25)),
        ("Start (s),End (s)", "1.5,2.25", (1.5, 2.25)),
        ("start_time,end_time", "1.5,2.25", (1.5, 2.25)),
        ("startTime,endTime", "1.5,2.25", (1.5, 2.25)),
        ("start_ms,end_ms", "1500,2250", (1.5, 2.25)),
        ("onset,offset", "1.5,2.25", (1.5, 2.25)),
        ("onset,duration", "1.5,0.75", (1.5, 2.25)),
        ("offset,duration", "1.5,0.75", (1.5, 2.25)),
        ("xmin,xmax", "1.5,2.25", (1.5, 2.25)),
        ("from,to", "1.5,2.25", (1.5, 2.25)),
        ("time_from_ms,to_ms", "1500,2250", (1.5, 2.25)),
        ("startTimeMs,endTimeMs", "1500,2250", (1.5, 2.25)),
        ("Beginn,Dauer", "1.5,0.75", (1.5, 2.25)),
        ("t0,t1", "1.5,2.25", (1.5, 2.25)),
        ("start,end,duration", "1.5,2.25,0.75", (1.5, 2.25)),
        ("start,end", '"1,5","2,25"', (1.5, 2.25)),
        ("start,end", "0:01.5,00:00:02.25", (1.5, 2.25)),
        ("start,end", "0 days 00:00:01.500000,0 days 00:00:02.250000", (1.5, 2.25)),
        ("start,end", "1.5 s,2250 ms", (1.5, 2.25)),
        ("start,end", "1.5,", (1.5, None)),
        ("start,end", ",2.25", (0.0, 2.25)),
        ("start,end", "1.5,NaT", (1.5, None)),
        ("start,end", "nan,", None),
        ("start,end", "1.5", (1.5, None)),  # Excel leaves empty cells at the end of a row out
    ],
)
def test_columns_that_name_a_segment_and_the_samples_that_are_read(long_file, header, cells, expected):
    (utterance,) = listed(long_file.parent, header, cells)
    assert utterance.segment == expected
    cache = open_cache([utterance], RATE, long_file.parent / "cache")
    start, end = expected or (0.0, None)
    samples, _ = soundfile.read(long_file, dtype="float32")
    assert np.array_equal(cache.waveform(utterance.name), samples[round(start * RATE) : round((end or 10) * RATE)])


@pytest.mark.parametrize(
    ("header", "cells", "message"),
    [
        ("start,end", "2,1", "line 2: start 2 s .*end 1 s"),
        ("start,end", "1,1", "line 2: start 1 s .*end 1 s"),
        ("start,end", "-1,1", "line 2: start .*'-1'"),
        ("start,end", "inf,2", "line 2: start .*'inf'"),
        ("start,end", "soon,2", "line 2: start .*'soon'"),
        ("start,end", "0:01,0:61", "line 2: end .*'0:61'"),
        ("start,end", "0:00:01,1:75:00", "line 2: end .*'1:75:00'"),
        ("start,end", "true,2", "line 2: start .*'true'"),
        ("start,end,duration", "1,2,5", "line 2: .*start.*duration"),
        ("start_sample,end_sample", "100,20000", "column end_sample"),
        ("start_frame", "100", "column start_frame"),
        ("duration", "2", "duration without a start"),
        ("offset", "2", "offset"),
        ("start,begin", "1,2", "start.*begin|begin.*start"),
    ],
)
def test_segments_that_cannot_be_honoured_are_refused(long_file, header, cells, message):
    with pytest.raises(InputError, match=message):
        listed(long_file.parent, header, cells)


def test_columns_that_say_nothing_of_time_are_left_alone():
    assert TimeColumns.of({"path", "emotion", "vote_end", "notes", "friend", "weekend", "assigned_to"}, "x").roles == {}


def test_a_segment_past_the_end_is_left_out_with_its_reason_and_a_rounded_end_is_read(long_file):
    good, late, over, rounded = listed(long_file.parent, "start,end", "1,2", "11,12", "8,15", "9,10.03")
    cache = open_cache([good, late, over, rounded], RATE, long_file.parent / "cache")
    assert set(cache.clips) == {good.name, rounded.name}
    assert len(cache.waveform(rounded.name)) == RATE
    assert all("(10.00 s)" in cache.skipped[u.place] for u in (late, over))


def test_segments_of_one_file_have_names_of_their_own_and_other_times_another_cache(long_file):
    one, two = listed(long_file.parent, "start,end", "1,2", "3,4")
    cache = open_cache([one, two], RATE, long_file.parent / "cache")
    assert one.name != two.name
    assert cache.hashes[one.name] != cache.hashes[two.name]
    (moved,) = listed(long_file.parent, "start,end", "1.001,2")
    again = open_cache([moved, two], RATE, long_file.parent / "cache")
    assert again.hashes[moved.name] not in cache.hashes.values()


def test_check_looks_at_the_segments(long_file):
    listed(long_file.parent, "start,end", "0,1", "1,2.5", "3,99")
    found = check(f"csv:{long_file.parent / 'my.csv'}", LAYOUT, None, 0)
    assert (found["usable"], found["seconds"]["max"]) == (2, 1.5)
    assert "from 3 s to 99 s" in found["problems"]["unusable"][0]


def utterance(number: int, speaker: str, start: float, end: float | None, emotion: str = "joy") -> Utterance:
    file = Path(f"/x/{speaker[0]}.wav")
    return Utterance(file, "own", speaker, None, emotion, key=f"{number}", segment=(start, end))


def test_which_segments_overlap():
    a, b, c, d = (utterance(n, "s", *times) for n, times in enumerate([(0, 5), (1, 2), (4, 6), (6, None)]))
    assert overlapping([d, c, b, a]) == [(a, b), (a, c)]
    whole = replace(a, segment=None, key="whole")
    assert {pair[1].name for pair in overlapping([whole, b, d])} == {b.name, d.name}
    assert overlapping([replace(b, path=Path("/y"), segment=None), a]) == []
    assert joined("abcd", [("b", "c"), ("d", "c")]) == {"a": "a", "b": "b", "c": "b", "d": "b"}


def test_speakers_of_one_stretch_stand_on_one_side():
    both = [("joy", 0.0), ("fear", 100.0)]
    talks = [
        utterance(100 * n + 10 * k + m, f"{n}{who}", start + m, start + m + 2, emotion)
        for n in range(6)
        for k, (emotion, start) in enumerate(both)
        for m, who in enumerate("ab")
    ]
    for fold in range(5):
        split = make_split("own-data", fold, talks)
        check_leaks(split, {u.name: u.name for u in talks})
        for part, _ in split.sets():
            speakers = split.speakers(part)
            assert all(s[0] + "a" in speakers and s[0] + "b" in speakers for s in speakers)


def test_overlapping_segments_of_one_person_stand_on_one_side_where_recordings_are_divided():
    windows = [
        utterance(1000 * e + 10 * n + m, "anna", 1000 * e + 10 * n + m, 1000 * e + 10 * n + m + 2, emotion)
        for e, emotion in enumerate(("joy", "fear"))
        for n in range(10)
        for m in range(3)
    ]
    split = make_split("own-data-speaker-dependent", 0, windows)
    check_leaks(split, {u.name: u.name for u in windows})
    assert {len(members) for _, members in split.sets()} == {12, 36}


def test_the_guard_refuses_overlapping_segments_in_two_sets():
    members = [utterance(n, f"{n}", 0, 2, ("joy", "fear")[n % 2]) for n in range(6)]
    stretch = replace(members[5], path=members[0].path, segment=(1, 3))
    parts = ("train", "train", "dev", "dev", "test", "test")
    given = [replace(u, part=part) for u, part in zip([*members[:5], stretch], parts, strict=True)]
    with pytest.raises(LeakError, match=r"own/0 \(train\).* own/5 \(test\).*overlap"):
        check_leaks(make_split("own-data", 0, given), {u.name: u.name for u in given})
