"""Own recordings: every layout, odd names, and lists that cannot be right."""

import csv
import json
import shutil
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crnn.data.loaders import target_matrix
from crnn.data.names import clean, likeness
from crnn.data.own_data import layout_pattern, read_own, scan
from crnn.errors import InputError
from crnn.run_config import LAYOUT, LossConfig


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def write(root: Path, text: str, name: str = "my.csv") -> str:
    (root / name).write_text(text, encoding="utf-8")
    return f"csv:{root / name}"


def facts(source: str, layout: str = LAYOUT) -> list[tuple]:
    return [(u.name, u.emotion, u.speaker_id, u.part) for u in read_own(source, layout).utterances]


def test_a_folder_per_emotion(tmp_path):
    touch(tmp_path, "Angry/anna_01.wav", "angry/ben_x_2.FLAC", "very sad/anna_01.mp3", "notes.txt")
    assert facts(f"folder:{tmp_path}") == [
        ("own/Angry/anna_01.wav", "angry", "anna", None),
        ("own/angry/ben_x_2.FLAC", "angry", "ben", None),
        ("own/very sad/anna_01.mp3", "very sad", "anna", None),
    ]


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        ("{emotion}/{speaker}/*", "joy/anna/day 1.02.wav"),
        ("{speaker}/{emotion}/*", "anna/joy/1.wav"),
        ("{speaker}/*-{emotion}-*", "anna/monday-joy-3.wav"),
        ("{speaker}_{emotion}", "anna_joy.wav"),
        ("*/{emotion}.({speaker})*", "x/joy.(anna)2.wav"),
    ],
)
def test_other_layouts(tmp_path, layout, name):
    assert facts(f"folder:{touch(tmp_path, name)}", layout) == [(f"own/{name}", "joy", "anna", None)]


def test_a_layout_may_name_the_split(tmp_path):
    touch(tmp_path, "train/joy/anna_1.wav", "Validation/joy/ben_1.wav", "test/joy/cleo_1.wav")
    parts = [part for *_, part in facts(f"folder:{tmp_path}", "{split}/{emotion}/{speaker}_*")]
    assert sorted(parts) == ["dev", "test", "train"]


@pytest.mark.parametrize("layout", ["", "{emotion}/*", "{emotion}/{speaker}/{emotion}", "{emotion}/{spkr}_{speaker}"])
def test_a_layout_that_says_too_little_or_too_much(layout):
    with pytest.raises(InputError, match="--layout"):
        layout_pattern(layout)


def test_what_a_folder_cannot_use_is_reported(tmp_path):
    touch(tmp_path, "joy/anna_1.wav", "joy/nameless.wav", "joy/._anna_1.wav", "loose_1.wav")
    (tmp_path / "linked").symlink_to(tmp_path / "joy")
    skipped = {Path(file).name: why for file, why in read_own(f"folder:{tmp_path}", LAYOUT).skipped.items()}
    assert "--layout" in skipped["nameless.wav"]
    assert "--layout" in skipped["loose_1.wav"]
    assert skipped["._anna_1.wav"].startswith("hidden")
    assert "link" in skipped["linked"]


def test_a_name_that_is_not_utf8_is_reported_printably(tmp_path):
    touch(tmp_path, "joy/anna_1.wav")
    Path(str(tmp_path / "joy") + "/fr\udcf6hlich_1.wav").write_bytes(b"")
    ((file, why),) = read_own(f"folder:{tmp_path}", LAYOUT).skipped.items()
    assert file.endswith("fr\\xf6hlich_1.wav")
    assert "not UTF-8" in why


def test_audiofolder_with_a_csv(tmp_path):
    touch(tmp_path, "train/a.wav", "test/a.wav", "test/unlisted.wav")
    write(tmp_path, "file_name,label,speaker_id\ntrain/a.wav,joy,7\ntest/a.wav,fear,8\n", "metadata.csv")
    corpus = read_own(f"audiofolder:{tmp_path}", LAYOUT)
    assert [(u.name, u.emotion, u.speaker_id, u.part) for u in corpus.utterances] == [
        ("own/test/a.wav", "fear", "8", "test"),
        ("own/train/a.wav", "joy", "7", "train"),
    ]
    assert list(corpus.skipped.values()) == ["no metadata file lists it"]


def test_audiofolder_with_a_list_in_every_split(tmp_path):
    for part, speaker in (("train", 1), ("validation", 2), ("test", 3)):
        touch(tmp_path, f"{part}/a.wav")
        row = {"file_name": "a.wav", "emotion": "joy", "speaker": speaker, "split": None, "vote_joy": 1}
        write(tmp_path / part, json.dumps(row) + "\n\n", "metadata.jsonl")
    found = read_own(f"audiofolder:{tmp_path}", LAYOUT).utterances
    assert [(u.name, u.speaker_id, u.part) for u in found] == [
        ("own/test/a.wav", "3", "test"),
        ("own/train/a.wav", "1", "train"),
        ("own/validation/a.wav", "2", "dev"),
    ]
    assert found[0].votes == (("joy", 1.0),)


@pytest.mark.parametrize("below", ["", "train/"])
def test_audiofolder_with_a_folder_per_label(tmp_path, below):
    touch(tmp_path, f"{below}joy/anna_1.wav")
    assert facts(f"audiofolder:{tmp_path}") == [
        (f"own/{below}joy/anna_1.wav", "joy", "anna", "train" if below else None)
    ]


def test_a_list_with_everything(tmp_path):
    touch(tmp_path / "elsewhere", "1.wav")
    touch(tmp_path / "lists", "sub/2.wav", "3.wav")
    other = tmp_path / "elsewhere" / "1.wav"
    source = write(
        tmp_path / "lists",
        "\ufeffPath;Emotion;Speaker;Split;Sex;vote_joy;vote_fear;notes\n"
        f"{other};joy;anna;train;F;0,75;0,25;loud\n\n"
        "sub\\2.wav;Fear ;ben;VAL;male;;;\n;;;;;;;\n3.wav;fear;cleo;test;;0;1\n",
    )
    one, three, two = sorted(read_own(source, LAYOUT).utterances, key=lambda u: u.path.name != "1.wav")
    assert (one.name, one.sex, one.part, dict(one.votes)) == (
        f"own/{other}", "female", "train", {"joy": 0.75, "fear": 0.25},
    )  # fmt: skip
    assert (two.name, two.sex, two.part, two.votes, two.emotion) == ("own/sub/2.wav", "male", "dev", None, "fear")
    assert (three.name, three.sex, three.part, three.votes) == ("own/3.wav", None, "test", (("fear", 1.0),))
    targets = target_matrix([one, three], ("fear", "joy"), LossConfig(targets="votes"))
    assert targets.tolist() == [[0.25, 0.75], [1, 0]]
    with pytest.raises(InputError, match="2.wav.* votes"):
        target_matrix([one, two], ("fear", "joy"), LossConfig(targets="votes"))


def test_names_stay_when_list_and_recordings_move_together(tmp_path):
    touch(tmp_path / "a", "day1/x.wav", "day2/x.wav")
    source = write(tmp_path / "a", "path,emotion,speaker\nday1/x.wav,joy,anna\n./day1/../day2/x.wav,joy,anna\n")
    before = facts(source)
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert facts(f"csv:{tmp_path / 'b' / 'my.csv'}") == before
    assert [name for name, *_ in before] == ["own/day1/x.wav", "own/day2/x.wav"]


HEAD = "path,emotion,speaker\n"
BAD = {
    "no emotion column": ("path,emotoin,speaker\na.wav,joy,anna\n", "my.csv.* emotion or label.* emotoin"),
    "no path column": ("file,emotion,speaker\na.wav,joy,anna\n", "column path.* file"),
    "no speaker column": ("path,emotion\na.wav,joy\n", "column speaker.* emotion"),
    "nothing in it": ("", "lists no recording"),
    "only a header": (HEAD, "lists no recording"),
    "unknown file": (f"{HEAD}a.wav,joy,anna\nno.wav,joy,anna\n", "line 3: no.wav: no such file"),
    "absolute path nowhere": (f"{HEAD}/nowhere/a.wav,joy,anna\n", "line 2: /nowhere/a.wav: no such file"),
    "a folder": (f"{HEAD}.,joy,anna\n", "line 2: .: no such file"),
    "a very long name": (f"{HEAD}{'x' * 5000}.wav,joy,anna\n", "line 2: xxx.*no such file"),
    "empty label": (f"{HEAD}a.wav,,anna\n", "line 2: emotion .*empty"),
    "empty speaker": (f"{HEAD}a.wav,joy, \n", "line 2: speaker .*empty"),
    "empty path": (f"{HEAD},joy,anna\n", "line 2: path .*empty"),
    "two labels": (
        f"{HEAD}a.wav,joy,anna\nb.wav,joy,anna\n./a.wav,fear,anna\n",
        "line 4: .*a.wav.* joy .*fear.* line 2",
    ),
    "listed twice": (f"{HEAD}a.wav,joy,anna\na.wav,joy,anna\n", "line 3: .*a.wav.* twice.* line 2"),
    "reserved word": (f"{HEAD}a.wav,Uncertain,anna\n", "line 2: emotion 'uncertain'.*reserved"),
    "unquoted comma": (f"{HEAD}a,1.wav,joy,anna\n", r'line 2: 4 cells .*3 \(path,emotion,speaker\)'),
    "unknown split": ("path,emotion,speaker,split\na.wav,joy,anna,trian\n", "line 2: split 'trian'"),
    "split in some rows": (
        "path,emotion,speaker,split\na.wav,joy,anna,train\nb.wav,joy,ben,\n",
        "b.wav.* split.* 1 recordings",
    ),
    "unknown sex": ("path,emotion,speaker,sex\na.wav,joy,anna,x\n", "line 2: sex 'x'"),
    "votes that are counts": ("path,emotion,speaker,vote_joy\na.wav,joy,anna,5\n", "line 2: vote_joy .*'5'"),
    "votes that are words": ("path,emotion,speaker,vote_joy\na.wav,joy,anna,all\n", "line 2: vote_joy .*'all'"),
    "votes that do not sum to 1": (
        "path,emotion,speaker,vote_joy,vote_fear\na.wav,joy,anna,0.5,0.3\n",
        "line 2: votes .*0.8.* 1",
    ),
    "two columns of one name": ("path,emotion,speaker,path\na.wav,joy,anna,b.wav\n", "two columns .*path"),
    "capitals of a speaker": (
        f"{HEAD}a.wav,joy,Anna\nb.wav,joy,anna\n",
        r"line 3: speaker anna .*Anna \(.*my.csv line 2\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_list_that_cannot_be_right_is_one_line_with_its_row(tmp_path, case):
    text, message = BAD[case]
    source = write(touch(tmp_path, "a.wav", "b.wav"), text)
    with pytest.raises(InputError, match=message) as error:
        read_own(source, LAYOUT)
    assert "\n" not in str(error.value)


def test_the_first_of_several_mistakes_counts_the_others(tmp_path):
    source = write(touch(tmp_path, "a.wav"), f"{HEAD}a.wav,joy,anna\nb.wav,joy,anna\nc.wav,joy,anna\n,joy,ben\n")
    with pytest.raises(InputError, match=r"line 3: b.wav.* 2 more.*crnn.check --data csv:"):
        read_own(source, LAYOUT)
    assert len(scan(source, LAYOUT)[1]) == 3


def test_lists_that_are_not_text_or_not_json(tmp_path):
    touch(tmp_path, "a.wav")
    write(tmp_path, '{"file_name": "a.wav", "label": "joy", "speaker": "anna"}\n{"file_name"\n[1]\n', "metadata.jsonl")
    _, problems = scan(f"audiofolder:{tmp_path}", LAYOUT)
    assert [line.split("metadata.jsonl ")[1] for line in problems] == [
        "line 2: not a JSON object",
        "line 3: not a JSON object",
    ]
    write(tmp_path, "file_name,label,speaker\n", "metadata.csv")
    with pytest.raises(InputError, match=r"metadata\.csv .*metadata\.jsonl"):
        read_own(f"audiofolder:{tmp_path}", LAYOUT)


@pytest.mark.parametrize("source", ["csv:/nowhere/my.csv", "folder:/nowhere", "audiofolder:/nowhere"])
def test_nothing_there(source):
    with pytest.raises(InputError, match="/nowhere.*: no such f"):
        read_own(source, LAYOUT)


def test_an_empty_folder_and_one_of_another_layout(tmp_path):
    with pytest.raises(InputError, match=f"{tmp_path}.*no usable recording"):
        read_own(f"folder:{tmp_path}", LAYOUT)
    with pytest.raises(InputError, match=r"no usable recording.*anna/joy/1.* --layout \{emotion\}/"):
        read_own(f"folder:{touch(tmp_path, 'anna/joy/1.wav')}", LAYOUT)


WORD = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="/\\_"), min_size=1, max_size=12
)


@given(st.lists(st.tuples(WORD, WORD, WORD), min_size=1, max_size=4))
def test_odd_names_come_back_from_folders_and_from_lists(names):
    names = [(e, s, f) for e, s, f in names if not any(part.startswith(".") for part in (e, s))]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        paths = {f"{emotion}/{speaker}_{file}.wav": (emotion, speaker) for emotion, speaker, file in names}
        if not paths:
            return
        touch(root, *paths)
        for source in (f"folder:{root}", _listed(root, paths)):
            try:
                corpus, problems = scan(source, LAYOUT)
            except InputError:  # every name is one that we refuse
                continue
            for u in corpus.utterances:
                emotion, speaker = paths[str(u.path.relative_to(root))]
                assert u.emotion == unicodedata.normalize("NFC", clean(emotion).lower())
                assert u.speaker_id == clean(speaker)
            if not problems:
                assert len(corpus.utterances) == len(paths)
                assert len({u.name for u in corpus.utterances}) == len(paths)
                for names in ({u.emotion for u in corpus.utterances}, {u.speaker_id for u in corpus.utterances}):
                    assert len({likeness(name) for name in names}) == len(names)


def _listed(root: Path, paths: dict) -> str:
    with (root / "my.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "emotion", "speaker"), *((p, *names) for p, names in paths.items())])
    return f"csv:{root / 'my.csv'}"


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_any_text_as_a_list_is_parsed_or_refused(text):
    with tempfile.TemporaryDirectory() as folder:
        touch(Path(folder), "a.wav")
        for name in ("my.csv", "metadata.csv", "metadata.jsonl"):
            (Path(folder) / name).write_text(text, encoding="utf-8", newline="")
            source = f"csv:{folder}/{name}" if name == "my.csv" else f"audiofolder:{folder}"
            with pytest.raises(InputError):
                read_own(source, LAYOUT)
            (Path(folder) / name).unlink()
