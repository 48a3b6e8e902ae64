"""Own recordings in Parquet, as pyarrow and Hugging Face datasets write them; and tables that cannot be right."""

import io
import json
import shutil

import numpy as np
import pytest
import soundfile
from helpers import needs

from crnn.data.own_data import read_own, scan
from crnn.data.parquet_list import parquet_rows
from crnn.data.segments import ClipReader
from crnn.errors import InputError
from crnn.run_config import LAYOUT

needs("pyarrow", reason="needs the extra lists")
RATE = 16000


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ser" / "unpacked"


def flac(level: float) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.full(RATE, level), RATE, format="FLAC")
    return file.getvalue()


def write(path, columns: dict, features: dict | None = None, types: dict | None = None, **options):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: pa.array(values, (types or {}).get(name)) for name, values in columns.items()})
    if features:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return path


def facts(source: str) -> list[tuple]:
    return [(u.name, u.emotion, u.speaker_id, u.part, u.segment) for u in read_own(source, LAYOUT).utterances]


def test_names_of_files_are_read_as_from_a_csv(tmp_path):
    (tmp_path / "a.wav").touch()
    (tmp_path / "b.wav").touch()
    columns = {
        "path": ["a.wav", "b.wav", "b.wav"], "emotion": ["joy", "anger", "joy"], "speaker": ["anna", "ben", "ben"],
        "start": [None, 0.5, 2.0], "end": [None, 1.5, None], "split": ["train", "dev", "dev"],
    }  # fmt: skip
    write(tmp_path / "list.parquet", columns)
    rows = [",".join("" if v is None else str(v) for v in row) for row in zip(*columns.values(), strict=True)]
    (tmp_path / "list.csv").write_text("\n".join([",".join(columns), *rows]))
    made = facts(f"parquet:{tmp_path / 'list.parquet'}")
    assert made == facts(f"csv:{tmp_path / 'list.csv'}")
    assert len(made) == 3


def test_recordings_in_the_table_are_decoded_as_they_were_put_there(tmp_path, cache):
    """As `datasets` writes them: a struct, labels as numbers, and a file for each split."""
    features = {"audio": {"_type": "Audio"}, "label": {"names": ["anger", "joy"], "_type": "ClassLabel"}}
    levels = {"train-00000-of-00001": [0.1, 0.2], "test-00000-of-00001": [0.3], "validation": [0.4]}
    for number, (name, values) in enumerate(levels.items()):
        audio = [{"bytes": flac(level), "path": "x.flac"} for level in values]
        columns = {"audio": audio, "label": [1] * len(values), "speaker": [f"s{number}"] * len(values)}
        write(tmp_path / "data" / f"{name}.parquet", columns, features)
    corpus = read_own(f"parquet:{tmp_path / 'data'}", LAYOUT)
    reader, found = ClipReader(), {}
    for u in corpus.utterances:
        assert u.emotion == "joy"
        samples, rate = reader.decode(u, 60)
        assert rate == RATE and len(samples) == RATE
        found.setdefault(u.part, []).append(round(float(samples.mean()), 2))
    assert found == {"train": [0.1, 0.2], "test": [0.3], "dev": [0.4]}
    names = [u.name for u in corpus.utterances]
    shutil.rmtree(cache)  # a cache: it comes back, with the same names
    assert [u.name for u in read_own(f"parquet:{tmp_path / 'data'}", LAYOUT).utterances] == names
    assert not any(str(tmp_path) in name for name in names)


def test_bad_rows_are_named_by_their_number_and_counted(tmp_path):
    (tmp_path / "a.wav").touch()
    columns = {
        "audio": [
            {"bytes": None, "path": "a.wav"}, {"bytes": b"", "path": "a.wav"}, {"bytes": None, "path": "no.wav"},
            {"bytes": flac(0.1), "path": None}, {"bytes": flac(0.2), "path": None}, None,
        ],
        "emotion": [0, 0, 0, 7, -1, 0],
        "speaker": ["anna"] * 6,
    }  # fmt: skip
    path = write(tmp_path / "list.parquet", columns, {"emotion": {"names": ["joy"], "_type": "ClassLabel"}})
    corpus, problems = scan(f"parquet:{path}", LAYOUT)
    assert [u.path.name for u in corpus.utterances] == ["a.wav"]
    for number, word in ((2, "no recording"), (3, "no.wav"), (4, "label 7"), (5, "emotion"), (6, "empty")):
        assert any(f"list.parquet row {number}:" in line and word in line for line in problems), (number, problems)
    with pytest.raises(InputError, match=r"and 4 more"):
        read_own(f"parquet:{path}", LAYOUT)


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        ({"emotion": ["joy"], "speaker": ["a"]}, "no column path"),
        ({"path": ["a.wav"], "speaker": ["a"]}, "no column emotion"),
        ({"path": ["a.wav"], "Speaker": ["a"], "speaker": ["b"], "emotion": ["joy"]}, "two columns"),
        ({"path": [["a.wav"]], "speaker": ["a"], "emotion": ["joy"]}, "no such file"),
        ({"path": ["a.wav"], "speaker": ["a"], "emotion": [3]}, "emotion"),
    ],
)
def test_a_table_that_is_no_list_is_refused(tmp_path, columns, named):
    (tmp_path / "a.wav").touch()
    path = write(tmp_path / "list.parquet", columns)
    with pytest.raises(InputError, match=named) as caught:
        read_own(f"parquet:{path}", LAYOUT)
    assert "list.parquet" in str(caught.value)


def test_damaged_tables_end_in_one_line(tmp_path):
    good = write(tmp_path / "good.parquet", {"path": ["a.wav"] * 50, "speaker": ["a"] * 50, "emotion": ["joy"] * 50})
    data = good.read_bytes()
    changes = [data[:-9], data[:200], b"PAR1", b"", b"PAR1" + bytes(50) + b"PAR1"]
    for at in range(4, len(data) - 4, max(1, len(data) // 60)):
        changes.append(data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :])
    for change in changes:
        (tmp_path / "bad.parquet").write_bytes(change)
        with pytest.raises(InputError) as caught:  # none names a file that is there
            read_own(f"parquet:{tmp_path / 'bad.parquet'}", LAYOUT)
        assert "bad.parquet" in str(caught.value)


def test_of_a_large_table_a_page_is_in_memory(tmp_path, cache, monkeypatch):
    """What pyarrow holds at each row, against the table: 300 recordings of 100 kB, 30 in a row group."""
    import pyarrow as pa

    rows = 300
    audio = [{"bytes": np.random.default_rng(n).bytes(100_000), "path": "x.wav"} for n in range(rows)]
    columns = {"audio": audio, "emotion": ["joy"] * rows, "speaker": ["a"] * rows}
    path = write(tmp_path / "big.parquet", columns, row_group_size=30)
    del audio, columns
    before = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - before for _ in parquet_rows(path, [])]
    assert len(held) == rows and 0 < max(held) < 10_000_000
    assert sum(file.stat().st_size for file in cache.rglob("*.wav")) == rows * 100_000
    monkeypatch.setattr("crnn.data.parquet_list.LARGEST_GROUP", 10**6)
    with pytest.raises(InputError, match="big.parquet: row group 1"):
        list(parquet_rows(path, []))


def test_a_small_table_cannot_fill_the_disk(tmp_path, cache, monkeypatch):
    recording = flac(0.0) + bytes(10**6)
    columns = {
        "audio": [{"bytes": recording, "path": None}] * 40, "emotion": ["joy"] * 40, "speaker": ["anna"] * 40,
    }  # fmt: skip
    path = write(tmp_path / "list.parquet", columns, compression="zstd", dictionary_pagesize_limit=2**30)
    assert path.stat().st_size < 10**5
    monkeypatch.setattr("crnn.data.parquet_list.ALWAYS", 0)
    with pytest.raises(InputError, match=r"list\.parquet row \d+.*100 times"):
        read_own(f"parquet:{path}", LAYOUT)
    assert [*cache.rglob("*.wav")] == []
    monkeypatch.setattr("crnn.data.parquet_list.ALWAYS", 40 * len(recording))
    assert len([*parquet_rows(path, [])]) == len([*cache.rglob("*.wav")]) == 40


def test_a_folder_without_tables_is_named(tmp_path):
    with pytest.raises(InputError, match=str(tmp_path)):
        read_own(f"parquet:{tmp_path}", LAYOUT)
    with pytest.raises(InputError, match="no such file or folder"):
        read_own(f"parquet:{tmp_path / 'nothing'}", LAYOUT)
