"""Rows of a list in Parquet, as Hugging Face datasets store them: names of files, or the recordings too. No torch.

A recording that stands in the table (column `audio` with `bytes`) is written to a file once, below the cache folder:
everything that reads recordings reads files. Of a table, a page of a row group is in memory at a time, and a few rows.
"""

import json
import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from crnn.cli.installed import install
from crnn.data.audio import AUDIO_SUFFIXES
from crnn.data.cache import default_folder
from crnn.data.own_entries import PARTS
from crnn.data.tables import Row, column_name
from crnn.errors import InputError, require
from crnn.files.atomic import replacing
from crnn.files.strict import file_hash

AUDIO = ("path", "file_name", "audio", "file")
"""Columns that may name a recording, or hold it; the first that is there does"""
BATCH = 16
"""Rows in memory; of recordings one, because a short file may hold one long recording in every row"""
LARGEST_RECORDING, LARGEST_GROUP, MOST_ROWS = 256 * 2**20, 2**30, 10_000_000
"""Bytes of a recording, and of all in a row group, whose pages may be as large"""
MOST_TIMES, ALWAYS = 100, 2**30
"""How many times as large as their table its recordings may be together, and the bytes that they may have in any case:
a table of a few kilobytes can repeat one recording until the disk is full"""


def parquet_files(place: Path) -> list[tuple[Path, str]]:
    """The tables at `place`, a file or a folder of files, each with the split that its name or folder says ("" where
    it says none): `train-00000-of-00002.parquet`, `data/validation.parquet`. Raises InputError if there are none."""
    if place.is_file():
        return [(place, "")]
    require(place.is_dir(), f"{place}: no such file or folder (expected Parquet)")
    found = sorted(place.rglob("*.parquet"))
    require(bool(found), f"{place}: holds no .parquet file")
    return [(path, _split(path.relative_to(place))) for path in found]


def _split(path: Path) -> str:
    words = re.split(r"[^a-z]+", path.with_suffix("").as_posix().lower())
    return next((PARTS[word] for word in words if word in PARTS), "")


def unpacked_folder() -> Path:
    """Where recordings from tables are written. Safe to delete at any time."""
    return default_folder() / "unpacked"


def parquet_rows(file: Path, problems: list[str], audio: bool = True) -> Iterator[Row]:
    """Rows of a table as text; a row that cannot be used becomes a line in `problems`.

    Args:
        audio: the recording of each row becomes `path`: a name, or the file in `unpacked_folder` that its bytes become.
            False: all columns as they are.

    Class labels become their names, durations seconds. Raises InputError, naming the file, if the whole cannot be read,
    or no column names a recording.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError(f"{file}: Parquet needs pyarrow: {install('lists')}") from error
    try:
        with pq.ParquetFile(file, buffer_size=2**20, pre_buffer=False) as table:
            yield from _rows(file, table, problems, audio)
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:  # the last two: of one cell
        raise InputError(f"{file}: not readable as Parquet ({' '.join(str(error).split())[:200]})") from error


def _rows(file: Path, table: Any, problems: list[str], audio: bool) -> Iterator[Row]:
    names, metadata = table.schema_arrow.names, table.schema_arrow.metadata or {}
    require(table.metadata.num_rows <= MOST_ROWS, f"{file}: more than {MOST_ROWS:,} rows; divide it")
    columns = {column_name(name): name for name in names}
    require(len(columns) == len(names), f"{file}: two columns have one name")
    recording = next((columns[name] for name in AUDIO if name in columns), None) if audio else None
    require(not audio or recording is not None, f"{file}: no column {', '.join(AUDIO)}; it has {', '.join(columns)}")
    for group in range(table.num_row_groups):
        size = table.metadata.row_group(group).total_byte_size
        require(
            size <= LARGEST_GROUP,
            f"{file}: row group {group + 1} has {size >> 20} MiB; write fewer rows in each (row_group_size=100)",
        )
    labels, unpack = _class_labels(metadata), _Unpacked(file)
    number = 0
    stored = recording is not None and table.schema_arrow.field(recording).type.num_fields > 0
    for batch in table.iter_batches(1 if stored else BATCH, use_threads=False):
        for values in batch.to_pylist():
            number += 1
            where = f"{file} row {number}"
            try:
                row = {
                    name: _value(values[raw], labels.get(raw), where)
                    for name, raw in columns.items()
                    if raw != recording
                }
                if recording is not None:
                    row["path"] = unpack(values[recording], number, where)
            except TooMuch:
                raise
            except InputError as error:
                problems.append(str(error))
            else:
                yield where, row


def _class_labels(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """Column -> names of its numbers, as Hugging Face datasets note them in the table."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {name: list(map(str, f["names"])) for name, f in features.items() if f.get("_type") == "ClassLabel"}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):  # written by anyone, in any form
        return {}


class TooMuch(InputError):
    """The recordings of a table would fill the disk."""


class _Unpacked:
    """From a cell with a recording to a path: its name, or a file that its bytes are written to if it is not there."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._folder: Path | None = None
        self._left = max(ALWAYS, MOST_TIMES * file.stat().st_size)

    def __call__(self, cell: Any, number: int, where: str) -> str:
        if not isinstance(cell, dict):
            return _text(cell)
        data, name = cell.get("bytes"), _text(cell.get("path"))
        if data is None:
            return name
        require(isinstance(data, bytes) and bool(data), f"{where}: holds no recording")
        require(len(data) <= LARGEST_RECORDING, f"{where}: a recording of more than {LARGEST_RECORDING >> 20} MiB")
        self._left -= len(data)
        if self._left < 0:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
            raise TooMuch(
                f"{where}: the recordings so far have over {MOST_TIMES} times the table's size; it is no list"
            )
        if self._folder is None:  # another table of the same name has another hash
            self._folder = unpacked_folder() / file_hash(self._file)[:24]
            self._folder.mkdir(parents=True, exist_ok=True)
        suffix = Path(name).suffix.lower()
        path = self._folder / f"{self._file.stem}-{number:07d}{suffix if suffix in AUDIO_SUFFIXES else '.wav'}"
        if not path.is_file():
            with replacing(path) as out:
                out.write(data)
        return str(path)


def _value(value: Any, names: list[str] | None, where: str) -> str:
    if names is None or not isinstance(value, int):
        return _text(value)
    require(-1 <= value < len(names), f"{where}: label {value} has no name among {', '.join(names)}")
    return "" if value == -1 else names[value]  # -1: datasets' mark of no label


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.6f}"
    if isinstance(value, bool):
        return str(value).lower()
    return value.strip() if isinstance(value, str) else str(value) if isinstance(value, int | float) else "[...]"
