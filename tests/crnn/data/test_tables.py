"""Lists as spreadsheets, editors and pandas save them: read as what they are, or refused in one line."""

import json

import pytest

from crnn.data.own_data import read_own, scan
from crnn.data.tables import read_text
from crnn.errors import InputError
from crnn.run_config import LAYOUT

ROWS = [["path", "emotion", "speaker"], ["a.wav", "fröhlich", "anna"], ["b.wav", "sad", "ben"]]
READ = [("a.wav", "fröhlich", "anna"), ("b.wav", "sad", "ben")]


def text_of(rows: list[list[str]] = ROWS, delimiter: str = ",", end: str = "\n") -> str:
    return "".join(delimiter.join(row) + end for row in rows)


def read(folder, data: bytes, name: str = "my.csv") -> list[tuple]:
    for wav in ("a.wav", "b.wav", "x,y.wav"):
        (folder / wav).write_bytes(b"")
    (folder / name).write_bytes(data)
    source = f"csv:{folder / name}" if name == "my.csv" else f"audiofolder:{folder}"
    return [(u.path.name, u.emotion, u.speaker_id) for u in read_own(source, LAYOUT).utterances]


FORMS = {
    "UTF-8": text_of().encode(),
    "byte-order mark": b"\xef\xbb\xbf" + text_of().encode(),
    "UTF-16": text_of().encode("utf-16"),
    "UTF-16 big-endian, no mark": text_of().encode("utf-16-be"),
    "UTF-16 little-endian, no mark": text_of().encode("utf-16-le"),
    "Windows-1252": text_of().encode("cp1252"),
    "CRLF": text_of(end="\r\n").encode(),
    "CR": text_of(end="\r").encode(),
    "semicolons": text_of(delimiter=";").encode(),
    "tabs": text_of(delimiter="\t").encode(),
    "bars": text_of(delimiter="|").encode(),
    "sep line": b"sep=;\r\n" + text_of(delimiter=";", end="\r\n").encode(),
    "sep line after a mark": b"\xef\xbb\xbfsep=;\n" + text_of(delimiter=";").encode(),
    "sep line of a comma": b'"sep=,"\n' + text_of().encode(),
    "space after commas": text_of(delimiter=", ").encode(),
    "quotes after comma and space": text_of([[f'"{cell}"' for cell in row] for row in ROWS], ", ").encode(),
    "space before commas": text_of([[f'"{cell}" ' for cell in row] for row in ROWS]).encode(),
    "single quotes": text_of([ROWS[0], *([f"'{cell}'" for cell in row] for row in ROWS[1:])]).encode(),
    "blank lines": ("\n\n" + text_of(end="\n\n  \n") + ",,\n").encode(),
    "header in capitals, with space": text_of([[" Path ", '"EMOTION"', "Speaker ID\u00a0"], *ROWS[1:]]).encode(),
    "commas at the ends of rows": text_of([ROWS[0], *([*row, "", ""] for row in ROWS[1:])]).encode(),
    "column names of pandas' index": text_of([["", *ROWS[0]], ["0", *ROWS[1]], ["1", *ROWS[2]]]).encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_one_list_are_read_alike(tmp_path, form):
    assert read(tmp_path, FORMS[form]) == READ


def test_a_name_with_the_separator_in_quotes(tmp_path):
    assert read(tmp_path, b'path, emotion, speaker\n"x,y.wav", "joy", "anna"\n') == [("x,y.wav", "joy", "anna")]


def test_numbers_beside_names_and_columns_that_are_not_used(tmp_path, caplog):
    data = b"path,emotion,label,speaker,tc_in,tc_out\na.wav,joy,0,anna,1.0,2.0\nb.wav,sad,1,ben,1.0,2.0\n"
    assert read(tmp_path, data) == [("a.wav", "joy", "anna"), ("b.wav", "sad", "ben")]
    (line,) = [record.getMessage() for record in caplog.records]
    assert "my.csv" in line and "tc_in, tc_out" in line


def test_lines_are_counted_from_the_first_of_the_file(tmp_path):
    with pytest.raises(InputError, match="my.csv line 4: no.wav"):
        read(tmp_path, b"sep=;\npath;emotion;speaker\na.wav;joy;anna\nno.wav;joy;ben\n")


REFUSED = {
    "git-lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "git-lfs pointer"),
    "workbook": (b"PK\x03\x04" + bytes(100), "workbook or archive"),
    "DOS code page": (text_of().encode("cp850"), "not UTF-8"),
    "zero bytes": (b"path,emotion,speaker\0\n\0\0\0", "not utf-16-be"),
    "an open quote": (b'path,emotion,speaker\na.wav,"joy,anna\nb.wav,"sad,ben\n', "several lines"),
    "two values of one name": (
        b'{"file_name": "a.wav", "emotion": "joy", "Emotion": "sad", "speaker": "anna"}\n',
        "line 1: .*one name",
    ),
    "a comment above the header": (b"# mine\npath,emotion,speaker\n", "line 2: 3 cells .*1"),
    "two columns that contradict each other": (
        b"path,emotion,label,speaker\na.wav,joy,joy,anna\nb.wav,joy,sad,ben\n",
        "line 3: emotion joy .*label sad.* joy .*joy",
    ),
    "one number for two names": (
        b"path,emotion,speaker,speaker_id\na.wav,joy,anna,1\nb.wav,joy,ben,01\n",
        "line 3: speaker ben .*speaker_id 01.* anna .*1",
    ),
    "deep nesting": (b"[" * 100_000 + b"\n", "not a JSON object"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_list_is_one_line(tmp_path, case):
    data, message = REFUSED[case]
    name = "metadata.jsonl" if case in ("two values of one name", "deep nesting") else "my.csv"
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path, data, name)
    assert "\n" not in str(error.value)
    assert name in str(error.value)


def test_reading_as_windows_1252_is_said(tmp_path, caplog):
    (tmp_path / "my.csv").write_bytes("ä,Ö\n".encode("cp1252"))
    assert read_text(tmp_path / "my.csv") == "ä,Ö\n"
    assert "read as Windows-1252" in caplog.text


@pytest.mark.parametrize("value", [float("nan"), None, True, 3, 3.5, ["angry"], {"a": 1}, "NaN", "['angry']", ""])
def test_json_values_that_are_no_label(tmp_path, value):
    rows = [
        {"file_name": "a.wav", "emotion": value, "speaker": "anna"},
        {"file_name": "b.wav", "emotion": "sad", "speaker": 7},
    ]
    for wav in ("a.wav", "b.wav"):
        (tmp_path / wav).write_bytes(b"")
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus, problems = scan(f"audiofolder:{tmp_path}", LAYOUT)
    assert [(u.emotion, u.speaker_id) for u in corpus.utterances] == [("sad", "7")]
    assert len(problems) == 1
    assert "metadata.jsonl line 1: emotion" in problems[0]


def test_a_list_in_a_form_that_is_not_read_is_not_ignored(tmp_path):
    (tmp_path / "joy").mkdir()
    (tmp_path / "joy" / "anna_1.wav").write_bytes(b"")
    (tmp_path / "metadata.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"metadata\.parquet"):
        read_own(f"audiofolder:{tmp_path}", LAYOUT)


@pytest.mark.parametrize(
    ("one", "other"), [("01", "1"), ("1", "1.0"), ("Anna", "anna "), ("s01", "S1"), ("anna-b", "anna b")]
)
def test_one_person_under_two_spellings_is_refused_with_both_lines(tmp_path, one, other):
    with pytest.raises(InputError, match=r"my.csv line [23]: speaker .*my.csv line [23]"):
        read(tmp_path, f"path,emotion,speaker\na.wav,joy,{one}\nb.wav,sad,{other}\n".encode())


def test_a_list_that_chooses_channels_is_refused_and_a_pointer_is_named(tmp_path):
    with pytest.raises(InputError, match="my.csv: .*channel"):
        read(tmp_path, b"path,emotion,speaker,channel\na.wav,joy,anna,1\nb.wav,sad,ben,2\n")
    (tmp_path / "p.wav").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    with pytest.raises(InputError, match="line 3: p.wav: .*git-lfs pointer"):
        read(tmp_path, b"path,emotion,speaker,channel\na.wav,joy,anna,1\np.wav,sad,ben,1\n")


def test_votes_that_are_missing_are_no_votes(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"")
    (tmp_path / "my.csv").write_text("path,emotion,speaker,vote_joy\na.wav,joy,anna,nan\n")
    assert read_own(f"csv:{tmp_path / 'my.csv'}", LAYOUT).utterances[0].votes is None
