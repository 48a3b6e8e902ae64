"""Writes a list of recordings as csv, as Parquet for Hugging Face datasets, or as an audformat database."""

import csv
import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crnn.cli.installed import install
from crnn.data.list_table import Cell, ListTable
from crnn.errors import InputError, require
from crnn.files.atomic import new_folder, replacing

ROWS = 100
"""In a row group, which is in memory at once: recordings of 1 MB are common"""


def write_csv(table: ListTable, out: Path) -> None:
    """Columns path (relative to the list), start and end in seconds where any row is a segment, and the others."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["path", *(("start", "end") if table.segmented else ()), *table.columns])
    for number, (file, span) in enumerate(zip(table.files, table.spans, strict=True)):
        times = [_cell(time) for time in span or (None, None)] if table.segmented else []
        others = (_cell(cells[number]) for cells in table.columns.values())
        rows.writerow([os.path.relpath(file, out.absolute().parent), *times, *others])
    with replacing(out) as written:
        written.write(text.getvalue().encode("utf-8", "surrogateescape"))


def _cell(value: Cell) -> str:
    return "" if value is None else repr(value) if isinstance(value, float) else value


def write_parquet(table: ListTable, out: Path, embed: bool = False) -> None:
    """A table that `datasets` opens: `audio` (a struct of bytes and path), start and end, and the others.

    Args:
        embed: the bytes of the recordings go into the table, for a data set that is moved elsewhere.
    """
    with _needed(out):
        import pyarrow as pa
        import pyarrow.parquet as pq
    require(
        not (embed and table.segmented),
        f"{out}: with the recordings in the table each segment would repeat its recording; leave --embed out",
    )
    names = {name: pa.float64() if _numeric(cells) else pa.string() for name, cells in table.columns.items()}
    times = {"start": pa.float64(), "end": pa.float64()} if table.segmented else {}
    kinds = {name: str(kind).replace("double", "float64") for name, kind in (times | names).items()}
    features = {name: {"dtype": kind, "_type": "Value"} for name, kind in kinds.items()}
    audio = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema(
        [("audio", audio), *times.items(), *names.items()],
        {"huggingface": _features({"audio": {"_type": "Audio"}} | features)},
    )
    with replacing(out) as file, pq.ParquetWriter(file, schema) as writer:
        for first in range(0, len(table.files), ROWS):
            part = slice(first, first + ROWS)
            recordings = [_recording(path, embed) for path in table.files[part]]
            spans = [span or (None, None) for span in table.spans[part]]
            columns = [recordings, *([[span[end] for span in spans] for end in (0, 1)] if times else [])]
            columns += [cells[part] for cells in table.columns.values()]
            arrays = [pa.array(values, kind) for values, kind in zip(columns, schema.types, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _features(features: dict) -> str:
    return json.dumps({"info": {"features": features}})


def _recording(path: Path, embed: bool) -> dict:
    return {"bytes": path.read_bytes(), "path": path.name} if embed else {"bytes": None, "path": str(path)}


def _numeric(cells: list[Cell]) -> bool:
    return all(isinstance(cell, float) for cell in cells if cell is not None)


def write_audformat(table: ListTable, out: Path) -> None:
    """A new folder with a header and CSV tables: `emotion`, or one for each split. Recordings stay where they are."""
    with _needed(out):
        import audformat
    db = audformat.Database(out.name, usage="other", description="written by crnn.lists")
    sexes = dict(zip(table.columns.get("speaker", []), table.columns.get("sex", []), strict=False))
    for name, cells in table.columns.items():
        there = sorted({cell for cell in cells if isinstance(cell, str)})
        if name == "speaker":
            people = {speaker: {"gender": sexes[speaker]} if sexes.get(speaker) else {} for speaker in there}
            db.schemes[name] = audformat.Scheme(labels=people)
        elif name == "emotion":
            db.schemes[name] = audformat.Scheme(labels=there)
        elif name not in ("split", "sex"):
            db.schemes[name] = audformat.Scheme("float" if _numeric(cells) else "str")
    parts = table.columns.get("split", [None] * len(table.files))
    for part in dict.fromkeys(parts):
        rows = [number for number, other in enumerate(parts) if other == part]
        if part is not None:
            db.splits[str(part)] = audformat.Split(type=str(part))
        made = audformat.Table(_index(table, rows, out, audformat), split_id=part)
        db["emotion" if part is None else f"emotion.{part}"] = made
        for name in db.schemes:
            made[name] = audformat.Column(scheme_id=name)
            made[name].set([table.columns[name][row] for row in rows])
    with new_folder(out) as part_folder:
        db.save(part_folder, storage_format="csv")


def _index(table: ListTable, rows: list[int], out: Path, audformat: Any) -> Any:
    import pandas as pd

    files = [os.path.relpath(table.files[row], out.absolute()) for row in rows]
    if not table.segmented:
        return audformat.filewise_index(files)
    spans = [table.spans[row] or (0.0, None) for row in rows]
    starts = [pd.to_timedelta(start, unit="s") for start, _ in spans]
    ends = [pd.NaT if end is None else pd.to_timedelta(end, unit="s") for _, end in spans]
    return audformat.segmented_index(files, starts, ends)


@contextmanager
def _needed(out: Path) -> Iterator[None]:
    """Around the import of a package of the extra `lists`."""
    try:
        yield
    except ImportError as error:
        raise InputError(f"{out}: this form needs {error.name}: {install('lists')}") from error


WRITERS: dict[str, Callable[..., None]] = {"csv": write_csv, "parquet": write_parquet, "audformat": write_audformat}
"""Form -> what writes it"""
