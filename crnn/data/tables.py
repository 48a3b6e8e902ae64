"""Text files of rows, csv and JSON lines, as people and spreadsheets save them. No torch.

A file is read as what it says it is, or refused in one line: UTF-8 and UTF-16 (with or without a byte-order mark), or
Windows-1252 if every byte above 127 is a letter there; commas, semicolons, tabs or bars; a first line `sep=;`.
"""

import codecs
import csv
import io
import json
import logging
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from crnn.errors import InputError, require

log = logging.getLogger(__name__)

Row = tuple[str, dict[str, str]]
"""Where it stands (file and line), and column -> cell, without surrounding space"""

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16: its mark begins with that of UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
DELIMITERS = ",;\t|"


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file is what git leaves in place of a large file that was not downloaded."""
    try:
        if path.stat().st_size > 1024:
            return False
        with path.open("rb") as file:
            return file.read(len(LFS_POINTER)) == LFS_POINTER
    except OSError:
        return False


def read_text(file: Path) -> str:
    """The text of a list. Raises InputError, naming the file, if it is no text or its encoding cannot be found out."""
    require(not is_lfs_pointer(file), f"{file}: a git-lfs pointer, not the file; run git lfs pull")
    data = file.read_bytes()
    require(
        not data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")),
        f"{file}: a workbook or archive, not text; save the table as CSV (UTF-8)",
    )
    encoding = next((name for mark, name in BYTE_ORDER_MARKS.items() if data.startswith(mark)), None)
    if encoding is None and b"\0" in data:
        encoding = "utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "utf-16-be"
    try:
        text = data.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        require(encoding is None, f"{file}: not {encoding} (byte {error.start}); save it as UTF-8")
        text = _windows_1252(file, data, error.start)
    require("\0" not in text, f"{file}: holds zero bytes, so it is no text; save it as UTF-8")
    return text.removeprefix("\ufeff")


def _windows_1252(file: Path, data: bytes, first_bad: int) -> str:
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    high = {c for c in text if ord(c) > 127}
    # Other 8-bit encodings put their letters where this one has signs.
    known = bool(text) and all(unicodedata.category(c)[0] == "L" or c == "\xa0" for c in high)
    require(known, f"{file}: not UTF-8 (byte {first_bad}); save it as UTF-8")
    log.warning("%s: not UTF-8; read as Windows-1252 (%s). Save it as UTF-8 if names look wrong", file, "".join(high))
    return text


def column_name(name: str) -> str:
    """A header cell as a name: `" Speaker ID"` -> `speaker_id`; the emotion in `vote_EMOTION` keeps its spaces.

    >>> column_name(" Speaker-ID"), column_name("startTimeMs"), column_name('"Vote_Very happy"')
    ('speaker_id', 'start_time_ms', 'vote_very happy')
    """
    plain = " ".join(unicodedata.normalize("NFKC", name).strip("\"'\ufeff \t").split())
    if re.match(r"vote[ _-]", plain, re.IGNORECASE):
        return f"vote_{plain[5:].strip().lower()}"
    return re.sub(r"[\s-]+|(?<=[a-z])(?=[A-Z])", "_", plain).lower()


def csv_rows(file: Path, text: str, problems: list[str], unnamed: bool = False) -> Iterator[Row]:
    """Rows of a csv with a header; a malformed row becomes a line in `problems`.

    A row that ends early has empty cells there: Excel leaves them out. `unnamed`: also columns without a name (as "").

    Raises InputError, naming file and line, if the whole cannot be read.
    """
    lines = io.StringIO(text, newline="")
    skipped, declared = 0, re.match(r'"?sep=(.)"?[ ,;\t]*(\r\n|\r|\n)', text, re.IGNORECASE)
    if declared:
        lines.seek(declared.end())
        skipped = 1
    header_line = re.sub(r'"[^"]*"', "", re.split(r"[\r\n]", text[lines.tell() :].lstrip("\r\n"), maxsplit=1)[0])
    delimiter = declared[1] if declared else max(DELIMITERS, key=header_line.count)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter != "\t")
    try:
        cells = next((row for row in reader if any(cell.strip() for cell in row)), [])
        header = [column_name(name) for name in cells]
        twice = {name for name in header if name and header.count(name) > 1}
        require(not twice, f"{file}: two columns are called {', '.join(sorted(twice))}")
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{file} line {reader.line_num + skipped}"
            while len(cells) > len(header) and not cells[-1].strip():  # a comma at the end of every row
                cells.pop()
            if any("\n" in cell or "\r" in cell for cell in cells):
                problems.append(f"{where}: a cell goes over several lines; close its quotes")
            elif len(cells) > len(header):
                problems.append(
                    f"{where}: {len(cells)} cells below a header of {len(header)} ({delimiter.join(header)[:80]}); "
                    f'the header names every column, and a name with "{delimiter}" stands in quotes'
                )
            else:
                cells += [""] * (len(header) - len(cells))
                pairs = zip(header, cells, strict=True)
                yield where, {name: cell.strip() for name, cell in pairs if name or unnamed}
    except csv.Error as error:
        raise InputError(f"{file} line {reader.line_num + skipped}: not readable as csv ({error})") from error


def json_rows(file: Path, text: str, problems: list[str]) -> Iterator[Row]:
    """Rows of JSON lines; values become text (`NaN` is "nan", `true` is "true", a list keeps its brackets)."""
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        if not line.strip():
            continue
        where = f"{file} line {number}"
        try:
            pairs = json.loads(line, object_pairs_hook=_Pairs)
        except (ValueError, RecursionError):
            pairs = None
        if not isinstance(pairs, _Pairs):
            problems.append(f"{where}: not a JSON object")
            continue
        values = {column_name(name): _cell(value) for name, value in pairs}
        if len(values) < len(pairs):
            problems.append(f"{where}: two values have one name")
            continue
        yield where, values


class _Pairs(list):
    """A JSON object as its pairs, so that a name given twice is seen."""


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    return ("{...}" if isinstance(value, _Pairs) else json.dumps(value, default=str)).lower()
