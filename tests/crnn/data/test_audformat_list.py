"""Own recordings as a database of audformat, written by audformat itself; and databases that cannot be right."""

import pickle

import numpy as np
import pytest
from helpers import needs

from crnn.data.own_data import read_own, scan
from crnn.errors import InputError
from crnn.run_config import LAYOUT

needs("audformat", "yaml", reason="needs the extra lists")
FILES = [f"audio/{n}.wav" for n in range(6)]
SPEAKERS = ["anna", "anna", "ben", "ben", "cleo", "cleo"]
EMOTIONS = ["anger", "joy"] * 3


@pytest.fixture
def folder(tmp_path):
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def database():
    import audformat

    db = audformat.Database("mine")
    db.schemes["emotion"] = audformat.Scheme(labels=["anger", "joy"])
    sexes = {"anna": {"gender": "female"}, "ben": {"gender": "male"}, "cleo": {"gender": "other"}}
    db.schemes["speaker"] = audformat.Scheme(labels=sexes)
    return db


def add(db, name: str, index, split: str | None = None, **columns) -> None:
    import audformat

    if split:
        db.splits[split] = audformat.Split(type=split)
    db[name] = audformat.Table(index, split_id=split)
    for column, values in columns.items():
        db[name][column] = audformat.Column(scheme_id=column.partition(".")[0])
        db[name][column].set(values)


def facts(folder) -> list[tuple]:
    found = read_own(f"audformat:{folder}", LAYOUT).utterances
    return [(u.name, u.emotion, u.speaker_id, u.sex, u.part, u.segment) for u in found]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_table_of_files_with_the_speaker_in_another(folder, form):
    import audformat

    db, index = database(), audformat.filewise_index(FILES)
    add(db, "emotion", index, emotion=EMOTIONS)
    add(db, "files", index, speaker=SPEAKERS)
    db.save(folder, storage_format=form)
    sexes = {"anna": "female", "ben": "male", "cleo": None}
    assert facts(folder) == [
        (f"own/{file}", emotion, speaker, sexes[speaker], None, None)
        for file, emotion, speaker in zip(FILES, EMOTIONS, SPEAKERS, strict=True)
    ]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_segments_and_splits(folder, form):
    """The table without a split lists the recordings once more."""
    import audformat

    db = database()
    for split, first in (("train", 0), ("dev", 2), ("test", 4)):
        index = audformat.segmented_index(FILES[first : first + 2], ["0.25s", "00:01:00"], ["1.5s", "00:01:02.125"])
        add(db, f"emotion.{split}", index, split, emotion=["anger", "joy"], speaker=SPEAKERS[first : first + 2])
    add(db, "emotion", audformat.filewise_index(FILES), emotion=EMOTIONS, speaker=SPEAKERS)
    db.save(folder, storage_format=form)
    assert [(part, segment) for *_, part, segment in facts(folder)] == [
        (part, segment) for part in ("train", "dev", "test") for segment in ((0.25, 1.5), (60.0, 62.125))
    ]


def test_other_columns_can_be_learned_as_continuous_labels_and_times_are_those_of_the_index(folder):
    import audformat

    db, index = database(), audformat.filewise_index(FILES)
    db.schemes["valence"] = audformat.Scheme("float")
    add(db, "emotion", index, speaker=SPEAKERS, valence=[0.25, None, 0.5, 0.5, 1, 0])
    for name, values in {"mainEmotion": EMOTIONS, "duration": [3.0] * 6, "split": ["x"] * 6}.items():
        db["emotion"][name] = audformat.Column(scheme_id="emotion" if name == "mainEmotion" else None)
        db["emotion"][name].set(values)
    db.save(folder, storage_format="csv")
    found = read_own(f"audformat:{folder}", LAYOUT).utterances
    assert [u.value("valence", 0, 1) for u in found] == pytest.approx([0.25, np.nan, 0.5, 0.5, 1, 0], nan_ok=True)
    assert [u.emotion for u in found] == EMOTIONS
    assert {u.segment for u in found} == {None} and {u.part for u in found} == {None}


def test_bad_rows_are_named_by_file_and_line_and_counted(folder):
    import audformat

    db, index = database(), audformat.filewise_index([*FILES, "audio/gone.wav"])
    add(db, "emotion", index, emotion=[None, *EMOTIONS[1:], "joy"], speaker=[*SPEAKERS, None])
    db.save(folder, storage_format="csv")
    corpus, problems = scan(f"audformat:{folder}", LAYOUT)
    assert len(corpus.utterances) == 5
    assert any("db.emotion.csv line 2: emotion is empty" in line for line in problems)
    assert any("db.emotion.csv line 8" in line and "gone.wav" in line for line in problems)
    with pytest.raises(InputError, match="and 1 more"):
        read_own(f"audformat:{folder}", LAYOUT)


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle ran')",)


def test_nothing_is_unpickled_and_no_yaml_makes_objects(folder):
    """audformat itself reads a pickle before the table beside it, and a header with Python's tags."""
    import audformat

    db, index = database(), audformat.filewise_index(FILES)
    add(db, "emotion", index, emotion=EMOTIONS, speaker=SPEAKERS)
    db.save(folder, storage_format="csv")
    expected = facts(folder)
    (folder / "db.emotion.pkl").write_bytes(pickle.dumps(Trap()))
    assert facts(folder) == expected
    (folder / "db.emotion.csv").unlink()
    with pytest.raises(InputError, match=r"db\.emotion\.pkl: a pickle"):
        facts(folder)
    header = (folder / "db.yaml").read_text()
    (folder / "db.yaml").write_text(header + "\nmeta: !!python/object/apply:os.system ['false']\n")
    with pytest.raises(InputError, match=r"db\.yaml, line \d+: tags are not read"):
        facts(folder)


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("name: x\n", "no table has a column emotion"),
        ("name: x\ntables: [1]\n", "tables must hold named values"),
        ("name: x\ntables: {t: 3}\n", "no table has a column emotion"),
        ("name: x\ntables: {../t: {columns: {emotion: {}}}}\n", "is not the name of a table"),
        ("name: x\ntables: {t: {columns: {emotion: {}}}}\n", r"db\.t\.csv: no such file"),
        ("name: x\ntables: {t: {columns: {emotion: null}, split_id: [1]}}\n", r"db\.yaml"),
        ("- 1\n", r"db\.yaml"),
    ],
)
def test_a_header_that_cannot_be_right_is_refused(folder, header, named):
    (folder / "db.yaml").write_text(header)
    with pytest.raises(InputError, match=named):
        facts(folder)


def test_a_folder_has_one_header(folder):
    with pytest.raises(InputError, match="0 headers"):
        facts(folder)
    for name in ("a", "b"):
        (folder / f"{name}.yaml").write_text("name: x\n")
    with pytest.raises(InputError, match="2 headers"):
        facts(folder)
