"""The folder of stored recordings: within its limits, read strictly, private, consistent after a fault."""

import errno
import json
import math
import os
import tempfile
import wave
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_recordings import BUNDLE, RATE, START, recording

from crnn.data.corrections import read_corrections
from crnn.errors import InputError
from edge.enroll import __main__ as enroll
from edge.feedback.sidecar import NAME, parse_sidecar
from edge.feedback.store import CORRECTED, RecordingStore, StoreLimits
from edge.stream.results import Verdict


class Clock:
    now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path, clock) -> RecordingStore:
    return RecordingStore(tmp_path / "stored", clock)


def sures(folder: RecordingStore) -> list[float]:
    return sorted(item.sure for item in folder.scan()[0])


def test_a_recording_is_stored_with_its_answer(folder):
    added = recording(0.55)
    assert folder.add(added, BUNDLE, StoreLimits())
    ((item,), foreign) = folder.scan()
    assert foreign == []
    assert NAME.fullmatch(item.name)
    assert item.when == START
    assert item.answer.probs == added.segment.probs
    assert (item.answer.bundle, item.answer.verdict, item.answer.seconds) == (BUNDLE, Verdict.UNCERTAIN, 0.5)
    with wave.open(str(folder.path / f"{item.name}.wav")) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, RATE)
        assert np.array_equal(np.frombuffer(sound.readframes(RATE), "<i2"), added.samples)


def test_only_the_owner_can_read(folder, tmp_path):
    before = os.umask(0)
    try:
        made = RecordingStore(tmp_path / "open")
        made.add(recording(0.6), BUNDLE, StoreLimits())
        made.correct(made.scan()[0][0].name, "angry", "me")
        made.add(recording(0.7), BUNDLE, StoreLimits())
    finally:
        os.umask(before)
    for path in (made.path, *made.path.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path
    made.path.chmod(0o755)
    with pytest.raises(InputError, match="chmod 700"):
        RecordingStore(made.path)


def test_the_surest_goes_first(folder):
    for sure in (0.9, 0.6, 0.8, 0.7):
        folder.add(recording(sure), BUNDLE, StoreLimits(number=3))
    assert sures(folder) == [0.6, 0.7, 0.8]
    assert not folder.add(recording(0.85), BUNDLE, StoreLimits(number=3)), "surer than all that are stored"
    assert folder.add(recording(0.5), BUNDLE, StoreLimits(number=3))
    assert sures(folder) == [0.5, 0.6, 0.7]


def test_old_recordings_are_removed_and_dates_in_the_future_are_fresh(folder, clock):
    limits = StoreLimits(days=2)
    folder.add(recording(0.6), BUNDLE, limits)
    clock.now = START + timedelta(days=1)
    folder.add(recording(0.7, clock.now), BUNDLE, limits)
    clock.now = START + timedelta(days=2)
    folder.tidy(limits)
    assert sures(folder) == [0.7]
    clock.now = START - timedelta(days=300)  # the next start, before the network has set the clock
    folder.tidy(limits)
    assert sures(folder) == [0.7]


steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "add", "wait", "correct", "damage"]),
        st.integers(50, 99),
        st.floats(0.05, 0.4),
    ),
    max_size=25,
)


def live(folder: RecordingStore, clock: Clock, limits: StoreLimits, action: str, sure: float, seconds: float) -> None:
    """Apply one action to a folder."""
    names = [item.name for item in folder.scan()[0]]
    if action == "wait":
        clock.now += timedelta(days=2 * sure)
        folder.tidy(limits)
    elif action == "add":
        clock.now += timedelta(minutes=1)
        folder.add(recording(sure, clock.now, seconds), BUNDLE, limits)
    elif names and action == "correct":
        folder.correct(names[0], "angry", "me")
    elif names:
        (folder.path / f"{names[0]}.json").write_text("{")


@settings(max_examples=60, deadline=None)
@given(steps, st.integers(1, 6), st.floats(0.01, 0.06))
def test_the_limits_always_hold(steps, number, megabytes):
    clock, limits = Clock(), StoreLimits(number, 5.0, megabytes)
    with tempfile.TemporaryDirectory() as place:
        folder = RecordingStore(Path(place) / "stored", clock)
        for action, sure, seconds in steps:
            live(folder, clock, limits, action, sure / 100, seconds)
            stored, foreign = folder.scan()
            assert foreign == []
            assert len(stored) <= number
            size = sum(path.stat().st_size for path in folder.path.iterdir() if path.is_file())
            assert action == "damage" or size <= megabytes * 2**20
            assert all(clock.now - timedelta(days=5, minutes=2) < item.when for item in stored)


@settings(max_examples=60, deadline=None)
@given(steps, st.integers(1, 6))
def test_the_least_sure_stay(steps, number):
    """Compared with the rule: of the recordings that are young enough the least sure; of two alike the newer."""
    clock, limits = Clock(), StoreLimits(number, 5.0)
    expected: list[tuple[float, datetime]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = RecordingStore(Path(place) / "stored", clock)
        for action, sure, seconds in steps:
            if action in ("add", "wait"):
                live(folder, clock, limits, action, sure / 100, seconds)
                expected += [(sure / 100, clock.now)] if action == "add" else []
                young = [item for item in expected if clock.now - timedelta(days=5) < item[1]]
                expected = sorted(young, key=lambda item: (item[0], -item[1].timestamp()))[:number]
            stored = [(item.sure, item.when) for item in folder.scan()[0]]
            assert sorted(stored) == sorted(expected)


def test_the_least_sure_of_all_stay_while_none_is_too_old(folder, clock):
    rng = np.random.default_rng(0)
    offered = []
    for sure in rng.permutation(np.linspace(0.5, 0.99, 40)):
        clock.now += timedelta(seconds=1)
        offered.append(float(sure))
        folder.add(recording(float(sure), clock.now), BUNDLE, StoreLimits(number=7))
        assert sures(folder) == pytest.approx(sorted(offered)[:7])


def test_foreign_files_are_left_unchanged_and_reported(folder, clock):
    folder.add(recording(0.6), BUNDLE, StoreLimits())
    foreign = {
        "notes.txt": b"mine",
        "song.wav": b"RIFF",
        "20261399T256199.000Z-0123abcd.wav": b"no such month",
        "20261121T120000.000Z-0123ABCD.wav": b"not our hexadecimal",
    }
    for name, data in foreign.items():
        (folder.path / name).write_bytes(data)
    (folder.path / "20261121T120000.000Z-00000000.wav").symlink_to(folder.path / "song.wav")
    (folder.path / "album").mkdir()
    expected = sorted([*foreign, "20261121T120000.000Z-00000000.wav", "album"])
    assert folder.scan()[1] == expected
    clock.now += timedelta(days=400)
    folder.tidy(StoreLimits(number=1))
    folder.clear_unfinished()
    assert folder.scan() == ([], expected)


def test_a_recording_with_a_damaged_sidecar_counts_and_is_removed_first(folder):
    for sure in (0.6, 0.95):
        folder.add(recording(sure), BUNDLE, StoreLimits())
    for item in folder.scan()[0]:
        if item.sure == 0.6:
            (folder.path / f"{item.name}.json").write_bytes(b"\xff\x00garbage")
    assert sures(folder) == [0.95, math.inf]
    folder.add(recording(0.99), BUNDLE, StoreLimits(number=2))
    assert sures(folder) == [0.95, 0.99]


def good_sidecar(folder) -> tuple[dict, str]:
    folder.add(recording(0.6), BUNDLE, StoreLimits())
    ((item,), _) = folder.scan()
    return json.loads((folder.path / f"{item.name}.json").read_text()), item.name


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2}, {"schema": "1"}, {"when": "20200101T000000.000Z"}, {"bundle": "x"}, {"bundle": None},
        {"seconds": -1}, {"seconds": True}, {"seconds": "1"}, {"emotion": "bored", "verdict": None},
        {"emotion": "angry"}, {"emotion": None, "verdict": None}, {"verdict": "too short"}, {"verdict": 3},
        {"probs": {}}, {"probs": []}, {"probs": {"angry": 2}}, {"probs": {"angry": None}}, {"probs": {"": 0.5}},
        {"probs": {"an\ngry": 0.5}}, {"probs": {"a" * 41: 0.5}}, {"more": 1}, {"path": "/etc/passwd"},
    ],
    ids=str,
)  # fmt: skip
def test_sidecars_are_read_strictly(folder, change):
    values, name = good_sidecar(folder)
    assert parse_sidecar(json.dumps(values).encode(), name).probs == values["probs"]
    with pytest.raises(InputError, match=rf"^{name}\.json: .*damaged"):
        parse_sidecar(json.dumps(values | change).encode(), name)
    missing = {key: value for key, value in values.items() if key not in change}
    if missing != values:
        with pytest.raises(InputError):
            parse_sidecar(json.dumps(missing).encode(), name)


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode) | st.just(b"[" * 20000))
def test_any_bytes_are_no_sidecar(data):
    with pytest.raises(InputError):
        parse_sidecar(data, "20261121T120000.000Z-0123abcd")


@pytest.mark.parametrize(("call", "failing"), [("fsync", 3), ("replace", 2)])  # fsync: sound, its folder, sidecar
def test_a_full_disk_leaves_nothing_half_written(folder, monkeypatch, call, failing):
    folder.add(recording(0.6), BUNDLE, StoreLimits())
    calls = 0

    def full(*arguments):
        nonlocal calls
        calls += 1
        if calls == failing:  # the sound is written, its sidecar does not fit
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    owner = os if call == "fsync" else Path
    real = getattr(owner, call)
    with monkeypatch.context() as patch:
        patch.setattr(owner, call, full)
        with pytest.raises(OSError, match="No space left"):
            folder.add(recording(0.5), BUNDLE, StoreLimits())
    assert sures(folder) == [0.6]
    assert len(list(folder.path.iterdir())) == 2
    assert folder.add(recording(0.5), BUNDLE, StoreLimits())


def test_unfinished_files_of_a_killed_loop_are_removed(folder):
    folder.add(recording(0.6), BUNDLE, StoreLimits())
    ((item,), _) = folder.scan()
    part = folder.path / f".{item.name}.wav.part"
    part.write_bytes(b"RIFF")
    orphan = folder.path / "20261121T115959.000Z-0123abcd.json"  # its sound was corrected just before a power cut
    orphan.write_bytes((folder.path / f"{item.name}.json").read_bytes())
    assert folder.scan()[1] == []
    folder.clear_unfinished()
    folder.tidy(StoreLimits())
    assert sorted(path.suffix for path in folder.path.iterdir()) == [".json", ".wav"]


def test_corrected_recordings_move_where_training_and_enrolment_look(folder):
    for sure in (0.5, 0.6, 0.7):
        folder.add(recording(sure), BUNDLE, StoreLimits())
    names = [item.name for item in sorted(folder.scan()[0], key=lambda item: item.sure)]
    sound = folder.sound(names[0])
    folder.correct(names[0], "angry", "Änne")
    folder.correct(names[1], "sad", "me")
    assert (folder.path / CORRECTED / "angry" / f"Änne_{names[0]}.wav").read_bytes() == sound
    assert folder.sound(names[0]) == sound
    assert [item.name for item in folder.scan()[0]] == [names[2]]
    assert not list(folder.path.glob(f"{names[0]}*"))
    folder.correct(names[0], "sad", "Änne")  # corrected again
    assert {(c.name, c.emotion, c.speaker) for c in folder.corrected()} == {
        (names[0], "sad", "Änne"),
        (names[1], "sad", "me"),
    }
    folder.forget(names[1])
    folder.forget(names[2])
    assert [c.name for c in folder.corrected()] == [names[0]]
    assert folder.scan()[0] == []
    with pytest.raises(InputError, match="no longer here"):
        folder.correct(names[1], "angry", "me")


def test_training_and_enrolment_find_what_is_corrected(folder):
    for sure in (0.5, 0.6):
        folder.add(recording(sure), BUNDLE, StoreLimits())
    names = [item.name for item in folder.scan()[0]]
    folder.correct(names[0], "angry", "me")
    ((u,), skipped) = read_corrections(folder.path).utterances, read_corrections(folder.path).skipped
    assert (u.emotion, u.speaker_id, u.path.read_bytes()) == ("angry", "me", folder.sound(names[0]))
    assert skipped == {}
    arguments = enroll.build_parser().parse_args(["--out", "me.json", "--folder", str(folder.path / CORRECTED)])
    assert enroll.named_files(arguments, ("angry", "sad")) == [("angry", u.path)]


def test_the_limits_do_not_apply_to_corrected_recordings(folder, clock):
    folder.add(recording(0.5), BUNDLE, StoreLimits())
    folder.correct(folder.scan()[0][0].name, "angry", "me")
    clock.now += timedelta(days=400)
    folder.tidy(StoreLimits(number=1))
    assert len(folder.corrected()) == 1


@pytest.mark.parametrize("name", ["", ".", "../x", "20261121T120000.000Z-0123abcd/..", "a\x00b", "corrected"])
def test_no_name_leads_out_of_the_folder(folder, name):
    for act in (folder.sound, folder.forget, folder.remove):
        with pytest.raises(InputError, match="names no recording"):
            act(name)
    with pytest.raises(InputError, match="names no recording"):
        folder.correct(name, "angry", "me")


@pytest.mark.parametrize(
    ("emotion", "speaker"),
    [
        ("../..", "me"), ("/etc", "me"), ("", "me"), (".hidden", "me"), ("a\nb", "me"), ("a" * 41, "me"),
        ("angry", ""), ("angry", "../me"), ("angry", "a_b"), ("angry", "a/b"), ("angry", "."), ("angry", "x" * 31),
    ],
)  # fmt: skip
def test_no_emotion_and_no_speaker_lead_out_of_the_folder(folder, emotion, speaker):
    folder.add(recording(0.5), BUNDLE, StoreLimits())
    ((item,), _) = folder.scan()
    with pytest.raises(InputError):
        folder.correct(item.name, emotion, speaker)
    assert sorted(path.suffix for path in folder.path.iterdir()) == [".json", ".wav"]


def test_folders_that_cannot_be_used_are_named(tmp_path):
    (tmp_path / "file").write_text("")
    for place, part in (
        (tmp_path / "file", "is no folder"),
        (tmp_path / "no" / "stored", "there is no folder"),
        (tmp_path / "file" / "stored", "there is no folder"),
    ):
        with pytest.raises(InputError, match=part):
            RecordingStore(place)
    for values, part in (((0,), "1 to 1000"), ((1, 0.0), "more than 0"), ((1, 1.0, 0.0), "MiB")):
        with pytest.raises(InputError, match=part):
            StoreLimits(*values)
    with pytest.raises(InputError, match="more than 0"):
        StoreLimits(1, math.nan)
