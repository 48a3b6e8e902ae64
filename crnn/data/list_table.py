"""A list of recordings as columns, to be written in any form: own recordings, or results of stream_infer.py --csv."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from crnn.data.parquet_list import AUDIO
from crnn.data.tables import csv_rows, read_text
from crnn.data.utterances import Utterance
from crnn.errors import InputError, require

Cell = str | float | None
RESULTS = ("file", "start_seconds", "end_seconds", "emotion", "confidence")
"""Columns that every table of results has"""
NUMBER = re.compile(r"-?(?=[\d.]{1,16}$)(0|[1-9]\d{0,14})(\.\d{1,14})?", re.ASCII)
COUNTS = frozenset({"segment", "segments"})
"""Columns of a table of results that say nothing of a segment's content"""


@dataclass(frozen=True)
class ListTable:
    """Rows of a list; all columns have one length."""

    files: list[Path]
    """Absolute"""
    spans: list[tuple[float, float | None] | None]
    """Start and end in seconds; end None: to the end of the recording; None: all of it"""
    columns: dict[str, list[Cell]]
    """Text or numbers; None where there is no value"""

    @property
    def segmented(self) -> bool:
        """Whether any row is a part of a recording."""
        return any(span is not None for span in self.spans)


def of_recordings(utterances: Iterable[Utterance]) -> ListTable:
    """The list of own recordings: emotion, speaker, and what else any of them has, but for a second column that is
    named as one with the recording."""
    rows = list(utterances)
    columns: dict[str, list[Cell]] = {
        "emotion": [u.emotion for u in rows],
        "speaker": [u.speaker_id for u in rows],
        "split": [u.part for u in rows],
        "sex": [u.sex for u in rows],
    }
    for emotion in sorted({emotion for u in rows for emotion, _ in u.votes or ()}):
        columns[f"vote_{emotion}"] = [None if u.votes is None else dict(u.votes).get(emotion, 0.0) for u in rows]
    for name in sorted({name for u in rows for name, _ in u.columns} - {*AUDIO}):
        columns[name] = _plain([dict(u.columns).get(name) for u in rows])
    there = {name: cells for name, cells in columns.items() if any(cell is not None for cell in cells)}
    return ListTable([u.path for u in rows], [u.segment for u in rows], there)


def of_results(file: Path, problems: list[str]) -> ListTable:
    """A table of `stream_infer.py --csv`: its segments, with all that it says of them.

    A row that cannot be used becomes a line in `problems`. Raises InputError if it is no such table.
    """
    require(file.is_file(), f"{file}: no such file (expected a table of stream_infer.py --csv)")
    rows = list(csv_rows(file, read_text(file), problems))
    names = list(rows[0][1]) if rows else []
    missing = [name for name in RESULTS if name not in names]
    require(not missing, f"{file}: no table of stream_infer.py --csv: it lacks {', '.join(missing)}")
    others = [name for name in names if name not in COUNTS and name not in RESULTS[:3]]
    files: list[Path] = []
    spans: list[tuple[float, float | None] | None] = []
    columns: dict[str, list[Cell]] = {name: [] for name in others}
    for where, values in rows:
        try:
            start, end = (_number(values, name, where) for name in RESULTS[1:3])
            cells = {name: _cell(values, name, where) for name in others}
            require(start is not None and end is not None and start < end, f"{where}: its times are not in order")
        except InputError as error:
            problems.append(str(error))
            continue
        files.append((file.parent / values["file"]).absolute())
        spans.append((start or 0.0, end))
        for name, cell in cells.items():
            columns[name].append(cell)
    return ListTable(files, spans, columns)


def _plain(cells: list[str | None]) -> list[Cell]:
    """Numbers where every cell is one, else the text: `007` and 16 digits are names, which a float changes."""
    if all(cell is None or NUMBER.fullmatch(cell) for cell in cells):
        return [None if cell is None else float(cell) for cell in cells]
    return list(cells)


def _cell(values: Mapping[str, str], name: str, where: str) -> Cell:
    if name in ("confidence", "arousal") or name.startswith("prob_"):
        return _number(values, name, where)
    return values[name] or None


def _number(values: Mapping[str, str], name: str, where: str) -> float | None:
    cell = values[name]
    if not cell:
        return None
    try:
        return float(cell)
    except ValueError as error:
        raise InputError(f"{where}: {name} is {cell[:40]!r}, which is no number") from error
