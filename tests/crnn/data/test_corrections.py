"""Corrections as training recordings: what is read, that they only train, and whom they may go on from."""

import json
import shutil
from pathlib import Path

import pytest
import soundfile
from helpers import SMALL, called, make_bundle, one_clear_line, script

import train
from crnn.check import check, text
from crnn.data.corpora import Utterance
from crnn.data.corrections import CORRECTIONS, read_corrections
from crnn.data.own_entries import OWN
from crnn.data.prepare import given_folders, locate_data
from crnn.data.protocols import LeakError, make_split
from crnn.errors import InputError

NAMES = [f"20261121T1200{second:02}.000Z-0123abcd" for second in range(60)]


def corrected(folder: Path, *entries: tuple[str, str]) -> Path:
    """A folder as edge.page leaves it, of (emotion, speaker)."""
    for name, (emotion, speaker) in zip(NAMES, entries, strict=False):
        path = folder / "corrected" / emotion / f"{speaker}_{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def home(n: int, emotion: str = "angry", speaker: str = "me") -> list[Utterance]:
    return [Utterance(Path(f"/k/{i}.wav"), CORRECTIONS, speaker, None, emotion, key=f"{i}") for i in range(n)]


def studio(corpus: str = "synthetic") -> list[Utterance]:
    return [
        Utterance(Path(f"/x/{s:02}-{e}.wav"), corpus, f"{s:02}", sex, e)
        for s, sex in zip(range(1, 13), ["female", "male"] * 6, strict=True)
        for e in ("angry", "sad")
    ]


def test_what_the_page_leaves_is_read(tmp_path):
    folder = corrected(tmp_path, ("angry", "me"), ("very sad", "Änne"))
    (tmp_path / f"{NAMES[9]}.wav").write_bytes(b"")  # still to be corrected
    found = read_corrections(folder)
    assert {(u.corpus, u.speaker_id, u.emotion, u.part) for u in found.utterances} == {
        (CORRECTIONS, "me", "angry", None),
        (CORRECTIONS, "Änne", "very sad", None),
    }
    assert len({u.name for u in found.utterances}) == 2
    assert all(u.name.startswith(f"{CORRECTIONS}/") for u in found.utterances)
    assert found.skipped == {}


@pytest.mark.parametrize("made", [False, True])
def test_nothing_corrected_yet_says_how(tmp_path, made):
    if made:
        (tmp_path / "corrected" / "angry").mkdir(parents=True)
    with pytest.raises(InputError, match="edge.page --corrections"):
        read_corrections(tmp_path)


def test_they_train_and_judge_nobody():
    alone = make_split("synthetic-demo", 0, studio())
    split = make_split("synthetic-demo", 0, [*studio(), *home(5)])
    assert [u.corpus for u in split.train[len(alone.train) :]] == [CORRECTIONS] * 5
    for part in ("dev", "test", "dev_unseen"):
        assert getattr(split, part) == getattr(alone, part)
    assert split.hash != alone.hash, "a figure with corrections is not one without"
    assert split.original_hash == alone.hash == alone.original_hash
    assert split.corpora == (CORRECTIONS, "synthetic")


def test_emotions_that_the_protocol_lacks_are_left_out_and_logged(caplog):
    split = make_split("synthetic-demo", 0, [*studio(), *home(2), *home(3, "bored")])
    assert sum(u.corpus == CORRECTIONS for u in split.train) == 2
    assert "3 bored" in caplog.text
    with pytest.raises(InputError, match="3 bored.* neutral, calm"):
        make_split("synthetic-demo", 0, [*studio(), *home(3, "bored")])


def test_nobody_who_is_corrected_judges_among_own_recordings():
    own = studio(OWN)
    alone = make_split("own-data", 0, own)
    judge, learner = alone.speakers("test")[0], alone.speakers("train")[0]
    assert make_split("own-data", 0, [*own, *home(2, speaker=learner)]).test == alone.test
    with pytest.raises(LeakError, match=f"{judge}.* test .*own-data fold 0"):
        make_split("own-data", 0, [*own, *home(2, speaker=judge)])


@pytest.mark.parametrize(
    ("protocol", "entries", "base", "message"),
    [
        ("ravdess-luna5", ["corrections:k"], None, "ravdess:FOLDER.*edge.enroll "),
        ("own-data", ["corrections:k"], "/data", "own-data.* folder:PATH"),
        ("ravdess-luna5", ["corrections:k", "emodb:e"], "/data", "ravdess.* emodb"),
        ("ravdess-luna5", ["corrections:k", "csv:my.csv"], "/data", "ravdess-luna5.* own recordings"),
    ],
)
def test_alone_they_are_refused_with_what_to_do(protocol, entries, base, message, monkeypatch):
    monkeypatch.delenv("SER_DATA", raising=False)
    if base:
        monkeypatch.setenv("SER_DATA", base)
    with pytest.raises(InputError, match=message):
        locate_data(protocol, 0, given_folders(entries))


def test_they_go_with_every_protocol(monkeypatch):
    monkeypatch.setenv("SER_DATA", "/data")
    found = locate_data("cross-leave-one-out", 0, given_folders(["corrections:/k", "emodb:/e"]))
    assert found == {"corrections": "/k", "crema_d": "/data/crema_d", "emodb": "/e", "ravdess": "/data/ravdess"}
    assert locate_data("own-data", 0, given_folders(["corrections:/k", "csv:/m.csv"])) == {
        "corrections": "/k",
        "own": "csv:/m.csv",
    }


@pytest.fixture(scope="module")
def my_corrections(tmp_path_factory, voices) -> Path:
    """Six SYNTHETIC clips of a voice that trains, cut so that they are other recordings, as if they were corrected."""
    folder = tmp_path_factory.mktemp("corrections")
    for number, path in enumerate(sorted(voices.glob("Actor_05/*.wav"))[:6]):
        samples, rate = soundfile.read(path)
        emotion = ("angry", "sad")[number % 2]
        target = folder / "corrected" / emotion / f"me_{NAMES[number]}.wav"
        target.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(target, samples[800:], rate)
    return folder


def test_they_are_checked_like_other_recordings(my_corrections):
    found = check(f"corrections:{my_corrections}", "", None, 0)
    assert (found["usable"], found["emotions"], found["split"]) == (6, {"angry": 3, "sad": 3}, None)
    assert found["problems"] == {}
    assert "none: corrections only train" in text(found)


def training(voices, my_corrections, cache, out, *more) -> list:
    return [
        *(*SMALL, "--data", f"synthetic:{voices}", f"corrections:{my_corrections}"),
        *("--cache", cache, "--out", out),
        *("--optim.epochs", "1", *more),
    ]


def test_a_model_goes_on_from_where_it_was_and_again(voices, small_run, my_corrections, cache, tmp_path):
    """train.py with corrections, from the run in use; once more from there; and its bundle."""
    first, second = tmp_path / "first", tmp_path / "second"
    done = script("train.py", *training(voices, my_corrections, cache, first, "--init", small_run, "--json"))
    assert done.returncode == 0, done.stderr[-2000:]
    metrics, before = json.loads(done.stdout), json.loads((small_run / "metrics.json").read_text())
    assert metrics["corpus"] == "corrections+synthetic"
    assert metrics["split_hash"] != before["split_hash"]
    assert metrics["test"]["n_clips"] == before["test"]["n_clips"], "the same people judge"
    split = json.loads((first / "split.json").read_text())
    assert split["original_split_hash"] == before["split_hash"]
    assert "corrections:me" in split["heard"]["train"]
    assert sum(name.startswith("corrections/") for name in split["clips"]["train"]) == 6

    again = script("train.py", *training(voices, my_corrections, cache, second, "--init", first))
    assert again.returncode == 0, again.stderr[-2000:]
    made = make_bundle(first, tmp_path / "bundle", cache, "--formats", "onnx", here=True)
    assert made.returncode == 0, made.stderr[-2000:]
    manifest = (tmp_path / "bundle" / "bundle.json").read_text()
    assert json.loads(manifest)["provenance"]["corpora_heard"] == ["corrections", "synthetic"]
    assert '"me' not in manifest, "nobody's name leaves with a bundle"


def test_another_split_is_still_refused(voices, small_run, my_corrections, cache, tmp_path):
    fewer = shutil.copytree(voices, tmp_path / "fewer")
    next(fewer.glob("Actor_05/*")).unlink()
    refused = called(train.main, *training(fewer, my_corrections, cache, tmp_path / "out", "--init", small_run))
    one_clear_line(refused, str(small_run), "trained on synthetic")


def test_a_recording_of_a_judge_among_them_is_refused(voices, small_run, my_corrections, cache, tmp_path):
    leaking = shutil.copytree(my_corrections, tmp_path / "leaking")
    shutil.copy(next(voices.glob("Actor_01/*")), leaking / "corrected" / "sad" / f"me_{NAMES[20]}.wav")
    refused = called(train.main, *training(voices, leaking, cache, tmp_path / "out", "--init", small_run))
    one_clear_line(refused, f"me_{NAMES[20]}.wav", "same audio")
