"""Recordings without labels: whole folders and lists of paths, and how they are parted."""

import json
from pathlib import Path

import pytest
from helpers import called, one_clear_line

from crnn import check, lists
from crnn.data.own_data import read_own, scan
from crnn.data.prepare import given_folders, locate_data
from crnn.data.protocols import make_split
from crnn.errors import InputError
from crnn.run_config import LAYOUT
from crnn.synthetic import write_own


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def facts(source: str, layout: str = LAYOUT) -> list[tuple]:
    return [(u.name, u.emotion, u.speaker, u.part) for u in read_own(source, layout).utterances]


def test_every_recording_of_a_folder(tmp_path):
    touch(tmp_path, "a.wav", "deep/er/angry_b.flac", "notes.txt")
    assert facts(f"unlabelled:{tmp_path}") == [
        ("own/a.wav", "unlabelled", "own:*", None),
        ("own/deep/er/angry_b.flac", "unlabelled", "own:*", None),
    ]


def test_a_layout_says_who_speaks(tmp_path):
    touch(tmp_path, "anna/1.wav", "ben/1.wav", "loose.wav")
    corpus, problems = scan(f"unlabelled:{tmp_path}", "{speaker}/*")
    assert not problems and [u.speaker for u in corpus.utterances] == ["own:anna", "own:ben"]
    assert [Path(file).name for file in corpus.skipped] == ["loose.wav"]
    with pytest.raises(InputError, match=r"--layout .*needs \{speaker\} once.*\{speaker\}/\*"):
        read_own(f"unlabelled:{tmp_path}", "{emotion}/*")


@pytest.mark.parametrize("name", ["my.csv", "my.jsonl"])
def test_a_list_needs_paths_alone(tmp_path, name):
    touch(tmp_path, "a.wav", "b.wav", "c.wav")
    rows = [{"path": "a.wav"}, {"path": "b.wav", "emotion": "Angry", "speaker": "anna", "split": "test"}]
    if name == "my.csv":
        (tmp_path / name).write_text("path,emotion,speaker,split\na.wav,,,train\nb.wav,Angry,anna,test\n")
    else:
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows[:1]))
    found = facts(f"unlabelled:{tmp_path / name}")
    assert found[0][:3] == ("own/a.wav", "unlabelled", "own:*")
    if name == "my.csv":
        assert found[1] == ("own/b.wav", "unlabelled", "own:anna", "test"), "its emotion is not read"


def test_what_is_wrong_with_a_list_is_one_line(tmp_path):
    for text, says in (
        ("file\na.wav\n", "my.csv: no column path"),
        ("path\na.wav\n", "a.wav: no such file"),
    ):
        (tmp_path / "my.csv").write_text(text)
        with pytest.raises(InputError, match=says):
            read_own(f"unlabelled:{tmp_path / 'my.csv'}", LAYOUT)
    with pytest.raises(InputError, match="no such folder or list"):
        read_own(f"unlabelled:{tmp_path / 'nowhere'}", LAYOUT)
    with pytest.raises(InputError, match="no usable recording"):
        read_own(f"unlabelled:{tmp_path}", LAYOUT)


def test_all_train_but_those_of_another_part(tmp_path):
    touch(tmp_path, "a.wav", "b.wav", "c.wav")
    (tmp_path / "my.csv").write_text("path,speaker,split\na.wav,x,train\nb.wav,y,test\nc.wav,z,dev\n")
    split = make_split("unlabelled", 0, read_own(f"unlabelled:{tmp_path / 'my.csv'}", LAYOUT).utterances)
    assert split.labels == ("unlabelled",)
    assert [[u.path.stem for u in part] for part in (split.train, split.dev, split.test)] == [["a"], ["c"], ["b"]]
    (tmp_path / "my.csv").write_text("path,split\na.wav,test\n")
    with pytest.raises(InputError, match="no training recordings"):
        make_split("unlabelled", 0, read_own(f"unlabelled:{tmp_path / 'my.csv'}", LAYOUT).utterances)


@pytest.mark.parametrize(
    ("protocol", "data", "says"),
    [
        ("unlabelled", "csv:my.csv", "without labels.*unlabelled:PATH"),
        ("unlabelled", "ravdess:/x", "unlabelled:PATH"),
        ("own-data", "unlabelled:/x", "with labels.*folder:PATH.*--protocol unlabelled"),
        ("ravdess-luna5", "unlabelled:/x", "add --protocol unlabelled"),
        ("ravdess-luna5", "csv:my.csv", "add --protocol own-data"),
    ],
)
def test_a_protocol_takes_recordings_with_labels_or_without(protocol, data, says, monkeypatch):
    monkeypatch.setenv("SER_DATA", "/data")
    with pytest.raises(InputError, match=says):
        locate_data(protocol, 0, given_folders([data]))


def test_check_takes_them_and_a_list_is_not_made_of_them(tmp_path):
    write_own(tmp_path / "own", speakers=1, seconds=1.0)
    found = check.check(f"unlabelled:{tmp_path / 'own'}", LAYOUT, None, 0)
    assert not found["problems"] and not found["warnings"]
    assert found["split"]["protocol"] == "unlabelled" and found["split"]["sets"]["train"]["clips"] == 10
    refused = called(lists.main, "--data", f"unlabelled:{tmp_path / 'own'}", "--out", f"csv:{tmp_path / 'l.csv'}")
    one_clear_line(refused, "no labels")
