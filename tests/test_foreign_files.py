"""Profiles, sidecars, run folders, settings and recordings that others may have written; links, strange names."""

import json
import os
import re
import time
from datetime import UTC, datetime

import pytest

from crnn.errors import InputError
from crnn.files.settings_file import read_settings_file
from crnn.files.strict import read_bounded
from crnn.training.run_folder import RunFolder
from edge.feedback.recorder import Recorder
from edge.feedback.sidecar import NAME, parse_sidecar, time_of
from edge.feedback.store import RecordingStore, StoreLimits
from edge.stream.profile import Profile, load_profile

LABELS, WIDTH, IDENTITY = ("neutral", "happy"), 2, "a" * 64
RECORDING = "20261121T174406.250Z-0123abcd"
PROFILE = {
    "schema": 1, "bundle": IDENTITY, "labels": list(LABELS), "sentences": {"neutral": 1},
    "weights": [[0.0, 1.0], [0.5, 0.0]], "bias": [0.0, 1.0],
}  # fmt: skip
SIDECAR = {
    "schema": 1, "when": RECORDING.split("-")[0], "bundle": IDENTITY, "seconds": 2.5, "emotion": "happy",
    "verdict": None, "probs": {"happy": 0.6, "sad": 0.4},
}  # fmt: skip


def one_line(error: pytest.ExceptionInfo) -> None:
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 2500


@pytest.mark.parametrize(
    "change",
    [
        {"weights": [["0", "1"], ["0.5", "0"]]}, {"weights": [[True, False], [True, False]]}, {"bias": [1e7, 0.0]},
        {"weights": [[[0.0], [1.0]], [[0.5], [0.0]]]}, {"weights": 3}, {"bias": None}, {"bias": [10**19, 0]},
        {"schema": True}, {"schema": 1.0}, {"sentences": {"neutral": 0}}, {"sentences": {"neutral": 10**15}},
        {"sentences": [["neutral", 1]]}, {"labels": {"neutral": 0}}, {"bundle": ["\x1b"]}, {"bundle": None},
    ],
)  # fmt: skip
def test_a_profile_of_other_kinds(tmp_path, change):
    path = tmp_path / "me.json"
    path.write_text(json.dumps(PROFILE))
    assert load_profile(path, IDENTITY, LABELS, WIDTH).bias.tolist() == [0.0, 1.0]
    path.write_text(json.dumps(PROFILE | change))
    with pytest.raises(InputError) as error:
        load_profile(path, IDENTITY, LABELS, WIDTH)
    one_line(error)


@pytest.mark.parametrize(
    "text",
    ["\ufeff{}", "[" * 100_000, "null", '{"schema": 1, "schema": 1}', "1e400", "\x00", "9" * 5000, " " * 5 * 2**20],
)
def test_a_profile_that_is_no_plain_json(tmp_path, text):
    (tmp_path / "me.json").write_text(text)
    with pytest.raises(InputError) as error:
        load_profile(tmp_path / "me.json", IDENTITY, LABELS, WIDTH)
    one_line(error)


def test_a_profile_is_not_written_through_a_link(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for part in (".me.json.part", ".me.json"):
        (tmp_path / part).symlink_to(victim)
    profile = load_profile_from(tmp_path)
    profile.save(tmp_path / "me.json")
    assert victim.read_text() == "precious"
    assert load_profile(tmp_path / "me.json", IDENTITY, LABELS, WIDTH).sentences == {"neutral": 1}


def load_profile_from(folder) -> Profile:
    (folder / "source.json").write_text(json.dumps(PROFILE))
    return load_profile(folder / "source.json", IDENTITY, LABELS, WIDTH)


def test_a_pipe_in_place_of_a_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "me.json")
    for read in (lambda path: read_bounded(path, 10), read_settings_file):
        with pytest.raises(InputError, match="is no regular file"):
            read(tmp_path / "me.json")


@pytest.mark.parametrize(
    "change",
    [
        {"seconds": 10**19}, {"seconds": True}, {"seconds": -1}, {"seconds": 1e300}, {"emotion": ["happy"]},
        {"emotion": {"a": 1}}, {"probs": {"happy": 10**19}}, {"probs": {"\x1b": 1.0}}, {"probs": {"\u202e": 1.0}},
        {"probs": []}, {"probs": {"": 1.0}}, {"verdict": []}, {"schema": True}, {"schema": 1.0}, {"when": None},
        {"bundle": IDENTITY + "\n"}, {"emotion": "\ud800"},
    ],
)  # fmt: skip
def test_a_sidecar_of_other_kinds(change):
    assert parse_sidecar(json.dumps(SIDECAR).encode(), RECORDING).emotion == "happy"
    with pytest.raises(InputError) as error:
        parse_sidecar(json.dumps(SIDECAR | change).encode(), RECORDING)
    one_line(error)


@pytest.mark.parametrize(
    "name", ["٢٠٢٦١١٢١T174406.250Z-0123abcd", "20261301T174406.250Z-0123abcd", RECORDING + "\n", ""]
)
def test_other_texts_are_no_names(name):
    assert time_of(name) is None
    assert not re.fullmatch(NAME, name) or name.startswith("202613")


def strange(folder) -> set[bytes]:
    """Unexpected names, for every kind of file."""
    base = os.fsencode(folder)
    for name in (b"caf\xe9\x1b[31m.wav", b".wav", b".json", b"\xff.json", "٢٠٢٦١١٢١T174406.250Z-0123abcd.wav".encode()):
        (folder / os.fsdecode(name)).write_bytes(b"x")
    (folder / f"{RECORDING}.wav").mkdir()
    (folder / f".{RECORDING}.wav.part").mkdir()
    os.mkfifo(folder / "20261121T174406.250Z-00000001.json")
    (folder / "20261121T174406.250Z-00000002.wav").symlink_to("/etc/passwd")
    return set(os.listdir(base))  # noqa: PTH208 - as bytes


def test_strange_names_are_left_unchanged_and_do_no_harm(tmp_path, capfd):
    folder = tmp_path / "stored"
    folder.mkdir(mode=0o700)
    before = strange(folder)
    (folder / f"{RECORDING}.json").write_bytes(b"[" * 9000)  # damaged, and without its sound
    (folder / "20261121T174406.250Z-00000003.wav").write_bytes(b"RIFF")
    (folder / "20261121T174406.250Z-00000003.json").write_bytes(json.dumps(SIDECAR | {"seconds": 10**19}).encode())

    def now() -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC)

    store = RecordingStore(folder, now)
    recorder = Recorder(store, StoreLimits(), IDENTITY, 16000, live=False, now=now)
    recorder.close()
    assert store.corrected() == []
    assert before <= set(os.listdir(os.fsencode(folder))), "left alone"  # noqa: PTH208
    assert [item.name for item in store.scan()[0]] == ["20261121T174406.250Z-00000003"]
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_the_lock_is_not_taken_through_a_link(tmp_path, kind):
    folder, victim = tmp_path / "stored", tmp_path / "victim"
    folder.mkdir(mode=0o700)
    victim.write_text("precious")
    lock = folder / ".lock"
    {"link": lambda: lock.symlink_to(victim), "folder": lock.mkdir, "pipe": lambda: os.mkfifo(lock)}[kind]()
    began = time.monotonic()
    try:
        Recorder(RecordingStore(folder), StoreLimits(), IDENTITY, 16000, live=False).close()
    except InputError as error:
        assert ".lock" in str(error)
    else:
        assert kind == "pipe", "a pipe can be locked as well as a file"
    assert time.monotonic() - began < 30
    assert victim.read_text() == "precious"


def test_corrections_stay_in_their_folder(tmp_path):
    folder, outside = tmp_path / "stored", tmp_path / "outside"
    folder.mkdir(mode=0o700)
    (outside / "happy").mkdir(parents=True)
    (outside / "happy" / f"anna_{RECORDING}.wav").write_bytes(b"not yours")
    (folder / "corrected").symlink_to(outside)
    (folder / f"{RECORDING}.wav").write_bytes(b"RIFF")
    store = RecordingStore(folder)
    assert store.corrected() == []
    with pytest.raises(InputError, match="is a link"):
        store.correct(RECORDING, "happy", "anna")
    store.forget(RECORDING)
    assert (outside / "happy" / f"anna_{RECORDING}.wav").read_bytes() == b"not yours"


@pytest.mark.parametrize(
    "text",
    [
        "[]", "null", '{"schema": 2}', '{"schema": 2, "run": [], "data": {}, "augment": {}}',
        '{"schema": 2, "run": {}, "data": {"a": 1}, "augment": {}}', '{"schema": 2, "run": {"seed": 1e400}}',
        '{"schema": 2, "run": {"model": {"channels": [1000000000, 1, 1, 1]}}, "data": {}, "augment": {}}',
        '{"schema": 2, "run": {"features": {"n_mels": 1e3}}, "data": {}, "augment": {}}',
        '{"schema": 2, "run": {"protocol": "\\u001b[31m"}, "data": {}, "augment": {}}',
    ],
)  # fmt: skip
def test_a_run_folder_of_other_kinds(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError) as error:
        RunFolder(tmp_path).read_config()
    one_line(error)


@pytest.mark.parametrize(
    "values", [{}, {"labels": "abc", "heard": []}, {"labels": [1], "heard": {"train": "ravdess:1"}}]
)
def test_a_split_of_another_kind(tmp_path, values):
    (tmp_path / "split.json").write_text(json.dumps(values))
    for read in (RunFolder.labels, RunFolder.trained_on, RunFolder.split_hash):
        with pytest.raises(InputError, match=r"split\.json"):
            read(RunFolder(tmp_path))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("seed: 1\nseed: 2\n", "line 1: 'seed' .*twice"),
        ("a: &x [1]\nb: *x\n", "anchors"),
        ("seed: !!python/object/apply:os.system [id]\n", "tags"),
        ("seed: " + "9" * 5000, "not valid YAML"),
        ("seed: 0x" + "f" * 5000, "too large"),
        ("optim: {learning_rate: .inf}", "inf\\b"),
        ("seed: \x00", "not valid YAML"),
        ("[" * 3000, "nested .*32"),
        ("model: 3", "model .*settings"),
        ("- 1", "named settings"),
        ("", "named settings"),
        ("seed: 2020-13-45", "not valid YAML"),
        ('"\\e[31m": 1\n"\\e[31m": 2', r"'\\x1b\[31m' .*twice"),
    ],
)
def test_settings_that_are_no_plain_yaml(tmp_path, text, part):
    (tmp_path / "settings.yaml").write_text(text)
    with pytest.raises(InputError, match=part) as error:
        read_settings_file(tmp_path / "settings.yaml")
    one_line(error)


def test_settings_in_latin_1_and_plain_ones(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_bytes(b"protocol: caf\xe9\n")
    with pytest.raises(InputError, match="not UTF-8 text"):
        read_settings_file(path)
    path.write_text("seed: 1\nmodel: {channels: [1, 2]}\nprotocol: 'on'\n")
    read_settings_file(path)
