"""Lists of recordings in another form: read back they are the same, and other programs read them."""

import csv

import numpy as np
import pytest
import soundfile
from helpers import ROOT, called, needs, one_clear_line

from crnn import lists
from crnn.data.own_data import read_own
from crnn.data.segments import ClipReader
from crnn.errors import InputError
from crnn.run_config import LAYOUT
from edge import open_model
from edge.sinks import csv_table

needs("pyarrow", "audformat", reason="needs the extra lists")
CLIP = ROOT / "edge" / "pretrained" / "synthetic_voice.flac"
ROWS = [
    ("a b.wav", "very happy", "anna", "train", "female", "", ""),
    ("ä.wav", "sad", "ben", "dev", "male", "", ""),
    ("c.wav", "sad", "cleo", "test", "", "0.125", "0.75"),
    ("c.wav", "very happy", "cleo", "test", "", "0.75", ""),
]


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A list of files and segments, of three people."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for name in {row[0] for row in ROWS}:
        soundfile.write(tmp_path / name, 0.1 * rng.standard_normal(16000), 16000)
    return tmp_path


def written(folder, rows, columns="path,emotion,speaker,split,sex,start,end") -> str:
    with (folder / "list.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns.split(","), *rows])
    return f"csv:{folder / 'list.csv'}"


def facts(source: str) -> list[tuple]:
    found = read_own(source, LAYOUT).utterances
    values = [(u.path.name, u.emotion, u.speaker_id, u.part, u.sex, u.segment or (0.0, None)) for u in found]
    return sorted(values, key=str)


@pytest.mark.parametrize("rows", [ROWS, ROWS[:2]], ids=["segments", "files"])
@pytest.mark.parametrize("kind", ["csv", "parquet", "audformat"])
def test_a_list_that_was_written_is_read_as_the_one_it_came_from(source, kind, rows):
    given = written(source, rows)
    out = f"{kind}:{source / 'out' / 'made'}" if kind != "audformat" else f"{kind}:{source / 'made'}"
    (source / "out").mkdir()
    text, problems = lists.convert(given, out, LAYOUT, embed=False)
    assert not problems and f"{len(rows)} rows" in text
    assert facts(out) == facts(given)


@pytest.mark.parametrize("kind", ["csv", "parquet", "audformat"])
def test_other_columns_come_along(source, kind):
    """Such as continuous labels: numbers stay numbers."""
    rows = [("a b.wav", "sad", "anna", "0.25", "x", "z"), ("ä.wav", "happy", "ben", "", "y", "z")]
    given = written(source, rows, "path,emotion,speaker,valence,note,audio")
    lists.convert(given, f"{kind}:{source / 'made'}", LAYOUT, embed=False)
    found = read_own(f"{kind}:{source / 'made'}", LAYOUT).utterances
    assert {u.speaker_id: dict(u.columns) for u in found} == {
        "anna": {"valence": "0.25", "note": "x"},
        "ben": {"note": "y"},
    }


@pytest.mark.parametrize(
    "cells", [["007", "1"], ["12345678901234567", "2"], ["1_0", "2"], ["nan1", "inf"], ["1e3", "-0"]]
)
def test_names_that_look_like_numbers_stay_as_they_are_written(source, cells):
    rows = [("a b.wav", "sad", "anna", cells[0]), ("ä.wav", "happy", "ben", cells[1])]
    lists.convert(
        written(source, rows, "path,emotion,speaker,session"), f"parquet:{source / 'made'}", LAYOUT, embed=False
    )
    found = read_own(f"parquet:{source / 'made'}", LAYOUT).utterances
    assert [dict(u.columns)["session"] for u in found] == cells


def test_audformat_itself_reads_the_database_and_finds_it_portable(source):
    import audformat
    import audformat.testing  # noqa: F401

    lists.convert(written(source, ROWS), f"audformat:{source / 'made'}", LAYOUT, embed=False)
    db = audformat.Database.load(source / "made")
    assert set(db.tables) == {"emotion.train", "emotion.dev", "emotion.test"}
    assert {split: db.splits[split].type for split in db.splits} == {part: part for part in ("train", "dev", "test")}
    table = db["emotion.test"].df.reset_index()
    assert table["emotion"].tolist() == ["sad", "very happy"] and set(table["speaker"]) == {"cleo"}
    assert table["start"].dt.total_seconds().tolist() == [0.125, 0.75]
    assert db.schemes["speaker"].labels["anna"] == {"gender": "female"}
    assert not list((source / "made").glob("*.pkl"))


def test_recordings_that_were_put_into_a_table_are_the_same_elsewhere(source, tmp_path_factory):
    given = written(source, ROWS[:2])
    out = tmp_path_factory.mktemp("elsewhere") / "made.parquet"
    lists.convert(given, f"parquet:{out}", LAYOUT, embed=True)
    reader = ClipReader()

    def samples(place: str) -> dict[str, list]:
        return {u.speaker_id: reader.decode(u, 60)[0].tolist() for u in read_own(place, LAYOUT).utterances}

    expected = samples(given)
    for name in {row[0] for row in ROWS}:
        (source / name).unlink()
    assert samples(f"parquet:{out}") == expected


def test_results_of_the_command_become_a_table_and_a_database(source):
    import audformat
    import pyarrow.parquet as pq

    results, model = source / "results.csv", open_model()
    csv_table.write(results, model, [str(CLIP)], (), lambda _: None)
    with results.open(newline="", encoding="utf-8") as file:
        expected = list(csv.DictReader(file))
    assert len(expected) > 0
    for kind, name in (("parquet", "made.parquet"), ("audformat", "made")):
        lists.convert(f"results:{results}", f"{kind}:{source / name}", LAYOUT, embed=False)
    rows = pq.read_table(source / "made.parquet").to_pylist()
    frame = audformat.Database.load(source / "made")["emotion"].df.reset_index()
    for row, found, other in zip(expected, rows, frame.to_dict("records"), strict=True):
        assert found["audio"] == {"bytes": None, "path": str(CLIP)}
        assert (found["start"], found["end"]) == (float(row["start_seconds"]), float(row["end_seconds"]))
        assert other["start"].total_seconds() == pytest.approx(float(row["start_seconds"]), abs=1e-6)
        assert (source / "made" / other["file"]).resolve() == CLIP
        assert (found["emotion"] or "") == row["emotion"] and (found["verdict"] or "") == row["verdict"]
        for name in (f"prob_{label}" for label in model.labels):
            assert found[name] == (float(row[name]) if row[name] else None)
            assert row[name] == "" or other[name] == pytest.approx(float(row[name]))


def test_rows_that_cannot_be_used_are_left_out_counted_and_named(source, caplog):
    given = written(source, [*ROWS[:2], ("gone.wav", "sad", "dora", "dev", "", "", "")])
    result = called(lists.main, "--data", given, "--out", f"parquet:{source / 'made.parquet'}")
    assert result.returncode == 1 and "2 rows" in result.stdout
    assert "list.csv line 4" in caplog.text and "1 rows left out" in caplog.text
    (source / "results.csv").write_text(
        "file,start_seconds,end_seconds,emotion,confidence\na,0,1,sad,0.5\na,x,2,sad,0.5\na,3,2,sad,1\n"
    )
    text, problems = lists.convert(f"results:{source / 'results.csv'}", f"csv:{source / 'made.csv'}", LAYOUT, False)
    assert "1 rows" in text and [line.split(":")[0].split()[-1] for line in problems] == ["3", "4"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--data", "csv:{}/list.csv", "--out", "excel:x"), "--out excel:x"),
        (("--data", "csv:{}/list.csv", "--out", "csv:{}/x.csv", "--embed"), "--embed"),
        (("--data", "csv:{}/list.csv", "--out", "parquet:{}/x", "--embed"), "--embed"),
        (("--data", "csv:{}/list.csv", "--out", "csv:{}/no/x.csv"), "no/"),
        (("--data", "csv:{}/list.csv", "--out", "audformat:{}"), "exists already"),
        (("--data", "csv:{}/list.csv", "--out", "csv:{}/list.csv"), "list.csv: exists already"),  # what somebody typed
        (("--data", "results:{}/list.csv", "--out", "csv:{}/x.csv"), "start_seconds"),
        (("--data", "results:{}/none.csv", "--out", "csv:{}/x.csv"), "none.csv"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(source, arguments, named):
    written(source, ROWS)
    before = sorted((path.name, path.is_file() and path.read_bytes()) for path in source.iterdir())
    one_clear_line(called(lists.main, *(text.format(source) for text in arguments)), named)
    assert sorted((path.name, path.is_file() and path.read_bytes()) for path in source.iterdir()) == before


def test_a_missing_package_is_named_with_its_extra(source, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pyarrow.*lists"):
        lists.convert(written(source, ROWS), f"parquet:{source / 'x'}", LAYOUT, False)
