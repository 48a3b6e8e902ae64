"""Stored recordings hold the right sound, do not delay the audio, and are only made on request."""

import errno
import json
import logging
import os
import re
import subprocess
import threading
import time
import tracemalloc
import wave
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import soundfile
from helpers import called, one_clear_line, script
from processes import eventually

import stream_infer
from crnn.errors import InputError
from edge.audio.vad import make_vad
from edge.bundle import PRETRAINED, Bundle
from edge.feedback import recorder as recorder_module
from edge.feedback.recorder import QUEUE, Recorder
from edge.feedback.store import RecordingStore, StoreLimits
from edge.loop.listening import listen
from edge.loop.utterances import UtteranceRecognizer, UtteranceSettings
from edge.stream.results import Segment, Verdict

CLIP = PRETRAINED.parent / "synthetic_voice.flac"
RATE = 16000
SOUND = np.linspace(-0.5, 0.5, RATE, dtype=np.float32)


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    return soundfile.read(CLIP, dtype="float32")[0]


@pytest.fixture(scope="module")
def recognizer():
    return Bundle.open(PRETRAINED).recognizer("onnx")


@pytest.fixture
def folder(tmp_path) -> RecordingStore:
    return RecordingStore(tmp_path / "stored")


@pytest.fixture
def recorder(folder):
    """Makes recorders, and closes them."""
    made = []

    def make(live: bool, limits: StoreLimits | None = None, where: RecordingStore = folder) -> Recorder:
        made.append(Recorder(where, limits or StoreLimits(), "0" * 64, RATE, live))
        return made[-1]

    yield make
    for one in made:
        one.close()


def segment(sure: float = 0.6, verdict: Verdict | None = None, **probs: float) -> Segment:
    probs = probs or {"angry": sure, "sad": 1 - sure}
    return Segment(0.0, 1.0, "angry" if verdict is None else None, verdict, sure, probs)


class Nowhere:
    def write(self, seconds, event) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.parametrize("size", [333, 1600, 10**9])
def test_each_segment_comes_with_its_sound(recognizer, voice, size):
    results: list[tuple[Segment, np.ndarray]] = []
    loop = UtteranceRecognizer(
        recognizer, make_vad("energy", RATE), record=lambda segment, sound: results.append((segment, sound.copy()))
    )
    audio = np.concatenate([voice, np.zeros(RATE, np.float32), voice])
    segments = [
        event
        for start in range(0, len(audio), size)
        for event in loop.push(audio[start : start + size])
        if isinstance(event, Segment)
    ] + [event for event in loop.flush() if isinstance(event, Segment)]
    assert [one for one, _ in results] == segments
    assert len(segments) >= 6
    for one, sound in results:
        begin = round((one.start_seconds - loop.settings.pre_roll_seconds) * RATE)
        (place,) = [
            at for at in range(max(0, begin - 9600), begin + 9600) if np.array_equal(audio[at : at + len(sound)], sound)
        ]
        assert place <= one.start_seconds * RATE
        assert place + len(sound) >= one.end_seconds * RATE
        assert len(sound) <= (loop.settings.max_segment_seconds + 0.1) * RATE


def test_a_long_utterance_is_stored_in_consecutive_pieces(recognizer, voice):
    pieces: list[np.ndarray] = []
    loop = UtteranceRecognizer(
        recognizer,
        make_vad("energy", RATE),
        UtteranceSettings(max_segment_seconds=4.0, hold_seconds=5.0),
        record=lambda segment, sound: pieces.append(sound.copy()),
    )
    loop.push(voice)
    loop.flush()
    assert len(pieces) >= 2
    together = np.concatenate(pieces)
    assert any(np.array_equal(voice[at : at + len(together)], together) for at in range(0, 10_000))
    assert max(map(len, pieces)) <= 4 * RATE + 320


def test_no_sound_is_buffered_without_a_recorder(recognizer, voice):
    def grown(record) -> int:
        tracemalloc.start()
        try:
            loop = UtteranceRecognizer(recognizer, make_vad("energy", RATE), record=record)
            loop.push(voice)
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    grown(None)
    assert grown(None) < 300_000 < 4 * 15 * RATE < grown(lambda segment, sound: None)


def test_a_minute_of_talk_needs_no_more_than_a_word(recognizer, voice):
    loop = UtteranceRecognizer(recognizer, make_vad("energy", RATE), record=lambda segment, sound: None)
    loop.push(voice)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(6):
            loop.push(voice)
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("live", [False, True])
def test_the_loop_fills_the_folder(recognizer, voice, folder, recorder, live):
    record = recorder(live)
    utterances = UtteranceRecognizer(recognizer, make_vad("energy", RATE), record=record)
    listen([voice], utterances, Nowhere())
    record.close()
    ((item,), _) = folder.scan()  # the others are too short
    with wave.open(str(folder.path / f"{item.name}.wav")) as sound:
        recorded = np.frombuffer(sound.readframes(10 * RATE), "<i2") / 32767
    assert item.answer.seconds == len(recorded) / RATE
    start = next(at for at in range(10_000) if np.abs(voice[at : at + 100] - recorded[:100]).max() < 1e-4)
    assert np.abs(voice[start : start + len(recorded)] - recorded).max() < 1e-4


@pytest.mark.parametrize("verdict", [v for v in Verdict if v is not Verdict.UNCERTAIN])
def test_bad_sound_is_not_stored(folder, recorder, verdict):
    record = recorder(live=False)
    record(segment(verdict=verdict), SOUND)
    assert folder.scan() == ([], [])
    record(segment(verdict=Verdict.UNCERTAIN), SOUND)
    assert len(folder.scan()[0]) == 1


def test_a_slow_disk_does_not_delay_the_loop(folder, recorder, monkeypatch, caplog):
    stuck, released = threading.Event(), threading.Event()

    def slow(*_):
        stuck.set()
        released.wait()

    monkeypatch.setattr(os, "fsync", slow)
    record = recorder(live=True)
    record(segment(), SOUND)
    assert stuck.wait(20)
    tracemalloc.start()
    try:
        for _ in range(200):  # each returns although nothing is written
            record(segment(), SOUND)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < (QUEUE + 2) * 2 * len(SOUND) + 100_000
    released.set()
    eventually(lambda: len(folder.scan()[0]) == QUEUE + 1, "what waited is written")
    record.close()
    assert "too slow" in caplog.text


def test_a_full_disk_is_reported_once_and_does_not_end_the_loop(folder, recorder, monkeypatch, caplog):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    record = recorder(live=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for _ in range(3):
            record(segment(), SOUND)
            time.sleep(0.05)
        eventually(lambda: "No space left" in caplog.text, "it is reported")
    assert folder.scan()[0] == []

    def again() -> bool:
        record(segment(), SOUND)
        time.sleep(0.2)
        return bool(folder.scan()[0])

    eventually(again, "the disk has room again, and recordings come")
    assert caplog.text.count("failed and is tried again") == 1


def test_a_recording_ends_with_the_error_of_its_disk(recorder, monkeypatch):
    record = recorder(live=False)
    monkeypatch.setattr(os, "fsync", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(OSError, match="No space left"):
        record(segment(), SOUND)


def test_old_recordings_are_removed_during_silence(folder, recorder, monkeypatch):
    monkeypatch.setattr(recorder_module, "TIDY_SECONDS", 0.02)
    now = datetime.now(UTC)
    clock = RecordingStore(folder.path, lambda: now)
    record = recorder(True, StoreLimits(days=3), clock)
    record(segment(), SOUND)
    eventually(lambda: len(folder.scan()[0]) == 1, "it is stored")
    now += timedelta(days=4)
    eventually(lambda: folder.scan()[0] == [], "it is removed although nobody speaks")


def test_two_loops_cannot_share_a_folder(folder, recorder):
    first = recorder(live=False)
    with pytest.raises(InputError, match="another loop"):
        recorder(live=False)
    first.close()
    recorder(live=False)


def test_other_files_are_reported(folder, recorder, caplog):
    (folder.path / "holiday.wav").write_bytes(b"RIFF")
    with caplog.at_level(logging.WARNING):
        recorder(live=False)
    assert re.search("1 other files .*holiday.wav", caplog.text)
    assert (folder.path / "holiday.wav").exists()


def test_nothing_is_stored_unless_asked(tmp_path):
    place = tmp_path / "here"
    place.mkdir()
    result = script("stream_infer.py", CLIP, cwd=place)
    assert result.returncode == 0, result.stderr
    assert list(place.iterdir()) == []


def test_keep_unsure_stores_the_least_sure(tmp_path):
    stored = tmp_path / "stored"
    for _ in range(2):
        result = script(
            *("stream_infer.py", CLIP, "--json", "--keep-unsure", stored, "--keep-unsure-max", 1),
            *("--keep-unsure-days", 7, "--keep-unsure-mb", 1),
        )
        assert result.returncode == 0, result.stderr
    ((item,), foreign) = RecordingStore(stored).scan()
    assert foreign == []
    results = [json.loads(line) for line in result.stdout.splitlines()]
    (answered,) = [line for line in results if line["type"] == "segment" and line["verdict"] in (None, "uncertain")]
    assert item.answer.probs == pytest.approx(answered["probs"], abs=1e-6)
    assert item.answer.bundle == Bundle.open(PRETRAINED).manifest.identity
    assert re.search(f"{stored}.* 1 recordings", result.stderr)


def test_bad_options_are_one_clear_line(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "open").chmod(0o755)
    for arguments, part in (
        (["--keep-unsure", tmp_path / "open"], "chmod 700"),
        (["--keep-unsure", tmp_path / "no" / "where"], "there is no folder"),
        (["--keep-unsure", tmp_path / "k", "--keep-unsure-max", 0], "1 to 1000"),
        (["--keep-unsure", tmp_path / "k", "--keep-unsure-days", "nan"], "more than 0"),
    ):
        one_clear_line(called(stream_infer.main, CLIP, *arguments), part)


@pytest.fixture
def small_disk(tmp_path):
    """A real disk of 128 kB."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    options = ["-t", "tmpfs", "-o", "size=128k,mode=0700", "tmpfs"]
    mounted = subprocess.run(["mount", *options, disk], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_real_full_disk(small_disk, recorder, caplog):
    folder = RecordingStore(small_disk / "stored")
    record = recorder(True, where=folder)
    for number in range(3):
        record(segment(0.6 + number / 10), np.tile(SOUND, 2))
        eventually(
            lambda n=number: len(folder.scan()[0]) == n + 1 or "No space left" in caplog.text, "stored, or reported"
        )
    assert "No space left" in caplog.text
    stored, foreign = folder.scan()
    assert foreign == []
    assert len(stored) == 1
    assert all(item.answer and item.complete for item in stored), "nothing is half-written"


def test_a_folder_that_cannot_be_written_is_named(small_disk):
    folder = RecordingStore(small_disk / "stored")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(InputError, match="stored: .*written"):
        Recorder(folder, StoreLimits(), "0" * 64, RATE, live=True)
    with pytest.raises(InputError, match="stored: .*written"):
        RecordingStore(folder.path)
