"""Rows of a database in audEERING's audformat: its header and its tables, read strictly. No torch, no audformat.

audformat itself reads the header with a YAML loader that can run code, and prefers tables that are pickles. So the
header is read as plain values, tables are read as CSV or Parquet, and a table that is stored as a pickle alone is
refused.
"""

from collections.abc import Iterator
from pathlib import Path

from crnn.cli.installed import install
from crnn.data.parquet_list import parquet_rows
from crnn.data.segments import TimeColumns
from crnn.data.tables import Row, column_name, csv_rows, read_text
from crnn.errors import InputError, require

NAME = "db"
"""Of the header, where there are several"""
EMOTION, SPEAKER, SEX = "emotion", "speaker", ("gender", "sex")
INDEX = ("file", "start", "end")
READ_ELSEWHERE = frozenset({*INDEX, EMOTION, SPEAKER, *SEX, "split", "label", "speaker_id", "channel"})
"""Columns that mean something in a list, which a database says in its index and header"""


def audformat_header(folder: Path) -> Path:
    """The header of the database in `folder`. Raises InputError if there is none."""
    require(folder.is_dir(), f"{folder}: no such folder (expected an audformat database)")
    found = sorted(path for path in folder.glob("*.yaml") if path.is_file())
    named = [path for path in found if path.stem == NAME] or found
    require(len(named) == 1, f"{folder}: holds {len(named)} headers (*.yaml); an audformat database has one")
    return named[0]


def audformat_rows(header: Path, problems: list[str]) -> Iterator[Row]:
    """Rows of every table with emotions: file, start and end of a segmented table, emotion, speaker, sex, split, and
    the other columns of that table, which may be continuous labels.

    Where some of these tables belong to a split, the others are not read: they list the same recordings again. The
    speaker stands in the same table, or, by file, in another; the sex in a column, or in the labels of the scheme
    `speaker`. A malformed row becomes a line in `problems`. Raises InputError, naming the file, for all else.
    """
    values = _read_header(header)
    tables = {name: _columns(table) for name, table in _mapping(values, "tables", header).items()}
    emotions = {name: found for name, columns in tables.items() if (found := _column(columns, EMOTION))}
    require(bool(emotions), f"{header}: no table has a column {EMOTION}; it has {', '.join(tables) or 'none'}")
    splits = {name: _split(values, values["tables"][name], header) for name in emotions}
    used = [name for name in emotions if splits[name] or not any(splits.values())]
    speakers, sexes = _speakers(header, values, tables, problems), _sexes(header, values, problems)
    for name in used:
        own_speaker = _column(tables[name], SPEAKER)
        others = tables[name].keys() - READ_ELSEWHERE - {emotions[name], own_speaker}
        others = {key for key in others if not _looks_like_time(key)}
        for where, cells in _table(header, name, problems):
            file = cells.get("file", "")
            speaker = cells.get(own_speaker, "") if own_speaker else speakers.get(file, "")
            sex = next((cells[key] for key in SEX if key in cells), sexes.get(speaker, ""))
            yield (
                where,
                {
                    **{key: cells[key] for key in (*others, *INDEX) if key in cells},
                    EMOTION: cells.get(emotions[name], ""),
                    SPEAKER: speaker,
                    "sex": sex if sex.lower() in ("female", "male") else "",
                    **({"split": splits[name]} if splits[name] else {}),
                },
            )


def _looks_like_time(column: str) -> bool:
    """Whether a list would take it for the place of a segment."""
    try:
        return bool(TimeColumns.of({column}, column).roles)
    except InputError:
        return True


def _read_header(header: Path) -> dict:
    try:
        from crnn.files.settings_file import read_settings_file
    except ImportError as error:
        raise InputError(f"{header}: an audformat database needs PyYAML: {install('lists')}") from error
    return read_settings_file(header)


def _mapping(values: dict, name: str, header: Path) -> dict:
    found = values.get(name) or {}
    if not isinstance(found, dict):
        raise InputError(f"{header}: {name} must hold named values")
    return found


def _columns(table: object) -> dict[str, str]:
    """Column -> the name of its scheme, "" without one."""
    columns = table.get("columns") if isinstance(table, dict) else None
    named = columns if isinstance(columns, dict) else {}
    return {
        column_name(str(name)): str(facts.get("scheme_id") or "") if isinstance(facts, dict) else ""
        for name, facts in named.items()
    }


def _column(columns: dict[str, str], wanted: str) -> str:
    """The column of that name, or the only one of that scheme."""
    if wanted in columns:
        return wanted
    of_scheme = [name for name, scheme in columns.items() if scheme.lower() == wanted]
    return of_scheme[0] if len(of_scheme) == 1 else ""


def _split(values: dict, table: dict, header: Path) -> str:
    split = str(table.get("split_id") or "")
    facts = _mapping(values, "splits", header).get(split)
    return str(facts.get("type") or split) if isinstance(facts, dict) else split


def _speakers(header: Path, values: dict, tables: dict[str, dict[str, str]], problems: list[str]) -> dict[str, str]:
    """File -> speaker, of the tables that have a speaker and no emotion."""
    found: dict[str, str] = {}
    for name, columns in tables.items():
        column = _column(columns, SPEAKER)
        if column and not _column(columns, EMOTION):
            for where, cells in _table(header, name, problems):
                speaker = cells.get(column, "")
                earlier = found.setdefault(cells.get("file", ""), speaker)
                require(earlier == speaker, f"{where}: speaker {speaker}, and {earlier} in another row of this file")
    return found


def _sexes(header: Path, values: dict, problems: list[str]) -> dict[str, str]:
    """Speaker -> sex, from the labels of the scheme `speaker`, or from the table that these name."""
    scheme = _mapping(values, "schemes", header).get(SPEAKER)
    labels = scheme.get("labels") if isinstance(scheme, dict) else None
    if isinstance(labels, str):
        rows = _table(header, labels, problems) if labels in _mapping(values, "misc_tables", header) else iter(())
        facts = {cells.get(SPEAKER, ""): cells for _, cells in rows}
    else:
        facts = {str(key): value for key, value in labels.items()} if isinstance(labels, dict) else {}
    return {
        speaker: str(next((of[key] for key in SEX if of.get(key)), "")).lower()
        for speaker, of in facts.items()
        if isinstance(of, dict)
    }


def _table(header: Path, name: str, problems: list[str]) -> Iterator[Row]:
    require(Path(name).name == name, f"{header}: {name!r} is not the name of a table")
    place = header.with_name(f"{header.stem}.{name}")
    csv, parquet, pickle = (place.with_name(f"{place.name}.{form}") for form in ("csv", "parquet", "pkl"))
    if csv.is_file():
        return csv_rows(csv, read_text(csv), problems)
    if parquet.is_file():
        return parquet_rows(parquet, problems, audio=False)
    require(
        not pickle.exists(), f"{pickle}: a pickle, which is never read; save the database with storage_format='csv'"
    )
    raise InputError(f"{csv}: no such file, though {header.name} names the table {name}")
