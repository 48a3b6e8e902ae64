"""Your own recordings, in one of six layouts, as utterances of the corpus "own". No torch, nothing decoded.

    folder:PATH       emotion and speaker stand in the paths, as the layout says ({emotion}/{speaker}_*)
    csv:FILE          columns path, emotion, speaker; optional split, sex, vote_EMOTION, and start and end in seconds
    audiofolder:PATH  Hugging Face: metadata.csv or metadata.jsonl (file_name, emotion or label, speaker and the
                      optional columns above), or paths as with folder:, both optionally below train, validation, test
    parquet:PATH      the columns of csv: in Parquet, or recordings in the table (crnn.data.parquet_list)
    audformat:FOLDER  a database of audEERING's audformat (crnn.data.audformat_list)
    unlabelled:PATH   a folder, whose recordings are all taken, or a list (.csv, .jsonl, .parquet) with a column path;
                      emotions are not read, speakers where a layout of {speaker} or a column says them

A list with a mistake (an unknown file, an empty cell, a file under two labels, one person spelt in two ways) is refused
with its row; a file in a folder that cannot be used is reported in `Corpus.skipped`. Names are cleaned
(`crnn.data.names`) and not translated: the model's classes are the user's own words, in alphabetical order.
"""

import logging
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from crnn.data.audformat_list import audformat_header, audformat_rows
from crnn.data.audio import AUDIO_SUFFIXES
from crnn.data.audio_files import unusable_file
from crnn.data.corpora import Corpus
from crnn.data.names import clean, is_missing, likeness
from crnn.data.own_entries import OWN, PARTS, VOTE, Entry, as_utterances
from crnn.data.parquet_list import parquet_files, parquet_rows, unpacked_folder
from crnn.data.segments import TimeColumns
from crnn.data.tables import Row, csv_rows, is_lfs_pointer, json_rows, read_text
from crnn.errors import InputError, require
from crnn.files.printable import shown
from crnn.run_config import LAYOUT

log = logging.getLogger(__name__)

WITHOUT = "unlabelled"
KINDS = ("folder", "csv", "audiofolder", "parquet", "audformat", WITHOUT)
PLACES = "folder:PATH, csv:FILE, audiofolder:PATH, parquet:PATH or audformat:FOLDER"
LISTS = ("metadata.csv", "metadata.jsonl")
SYNONYMS = {"emotion": "label", "speaker": "speaker_id"}
USED = frozenset({*SYNONYMS, *SYNONYMS.values(), "split", "sex", "channel"})


def read_own(source: str, layout: str) -> Corpus:
    """Read `source`, a kind and a place: `csv:FILE` and so on.

    Raises InputError that names file and row, and how many more there are, if anything in a list is wrong.
    """
    corpus, problems = scan(source, layout)
    more = f" (and {len(problems) - 1} more: python -m crnn.check --data {source})" if len(problems) > 1 else ""
    require(not problems, f"{problems[0]}{more}" if problems else "")
    return corpus


def scan(source: str, layout: str) -> tuple[Corpus, list[str]]:
    """The same, with everything that is wrong as lines instead of the first as an error.

    Raises InputError if nothing can be read at all: no such file or folder, a missing column, no usable recording.
    """
    kind, _, place = source.partition(":")
    require(kind in KINDS and bool(place), f"--data {source}: give {PLACES}")
    root = Path(place).resolve()
    problems: list[str] = []
    skipped: dict[str, str] = {}
    entries: Iterable[Entry]
    if kind == "csv":
        require(root.is_file(), f"{root}: no such file (expected a csv with columns path, emotion, speaker)")
        entries = _found(root, "path", _text_rows(root, problems), problems)
    elif kind == "parquet":
        entries = _from_parquet(root, problems)
    elif kind == WITHOUT:
        entries = _without_labels(root, layout, problems, skipped)
    elif kind == "audformat":
        header = audformat_header(root)
        entries = _found(header, "file", list(audformat_rows(header, problems)), problems)
    else:
        require(root.is_dir(), f"{root}: no such folder (expected your recordings there)")
        listings = [p for p in _files(root, {}) if p.name in LISTS]
        if kind == "audiofolder":
            _refuse_other_lists(root)
        if kind == "audiofolder" and listings:
            entries = _from_metadata(root, listings, problems, skipped)
        else:
            entries = _from_paths(root, layout, kind == "audiofolder", skipped)
    utterances = as_utterances(entries, problems)
    first = problems[0] if problems else next((f"{file}: {why}" for file, why in skipped.items()), "it holds none")
    require(bool(utterances), f"{source}: no usable recording; first: {first}")
    return Corpus(OWN, tuple(sorted(utterances, key=lambda u: u.name)), skipped), problems


def layout_pattern(layout: str, named: tuple[str, ...] = ("emotion", "speaker")) -> re.Pattern:
    """A layout as a pattern for paths below the root, without extension; `named` says what it must name.

    `{emotion}` and `{speaker}` (and `{split}`) stand for as few characters as will do, `*` for any, none for a slash.

    >>> layout_pattern("{emotion}/{speaker}_*").fullmatch("very happy/anna_day 2_01").groupdict()
    {'emotion': 'very happy', 'speaker': 'anna'}
    """
    kinds = re.findall(r"\{([^{}]*)\}", layout)
    require(
        sorted(set(kinds) - {"split"}) == sorted(named) and len(kinds) == len(set(kinds)),
        f"--layout {layout}: needs {' and '.join(f'{{{name}}}' for name in named)} once each (and may have {{split}}), "
        + (f"for example {LAYOUT} or {{speaker}}/{{emotion}}/*" if "emotion" in named else "for example {speaker}/*"),
    )
    parts = (
        f"(?P<{part[1:-1]}>[^/]+?)" if part.startswith("{") else "[^/]*" if part == "*" else re.escape(part)
        for part in re.split(r"(\{[^{}]*\}|\*)", layout)
    )
    return re.compile("".join(parts))


def _files(root: Path, skipped: dict[str, str]) -> Iterator[Path]:
    """Every file below `root` whose name can be written down, in order of path."""
    for path in sorted(root.rglob("*")):
        inside = str(path.relative_to(root))
        if not inside.isprintable():
            skipped[shown(path)] = "its name holds control characters or is not UTF-8; rename it"
        elif path.is_symlink() and path.is_dir():
            skipped[str(path)] = "a link to a folder; name that folder, or put the recordings here"
        elif path.is_file():
            yield path
        elif path.is_symlink():
            skipped[str(path)] = "a link to nothing (git-annex get, or restore the file)"


def _recordings(root: Path, skipped: dict[str, str]) -> Iterator[Path]:
    for path in _files(root, skipped):
        if path.suffix.lower() in AUDIO_SUFFIXES:
            reason = unusable_file(path, root)
            if reason:
                skipped[str(path)] = reason
            else:
                yield path


def _from_paths(
    root: Path,
    layout: str,
    below_splits: bool,
    skipped: dict[str, str],
    named: tuple[str, ...] = ("emotion", "speaker"),
) -> list[Entry]:
    pattern, entries = layout_pattern(layout, named), []
    for path in _recordings(root, skipped):
        inside = path.relative_to(root).with_suffix("")
        below = below_splits and len(inside.parts) > 1 and inside.parts[0].lower() in PARTS
        text = "/".join(inside.parts[1:] if below else inside.parts)
        match = pattern.fullmatch(unicodedata.normalize("NFC", text))
        if match is None:
            skipped[str(path)] = f"{text} does not fit --layout {layout}"
            continue
        values = {name: value.strip() for name, value in match.groupdict().items()}
        entries.append(Entry(str(path), path, root, values | ({"split": inside.parts[0]} if below else {})))
    return entries


def _without_labels(root: Path, layout: str, problems: list[str], skipped: dict[str, str]) -> list[Entry]:
    if root.is_dir():
        by_path = layout != LAYOUT  # which has a place for an emotion
        entries = (
            _from_paths(root, layout, False, skipped, ("speaker",))
            if by_path
            else [Entry(str(path), path, root, {}) for path in _recordings(root, skipped)]
        )
    else:
        require(root.is_file(), f"{root}: no such folder or list (expected recordings without labels there)")
        rows = list(parquet_rows(root, problems)) if root.suffix == ".parquet" else _text_rows(root, problems)
        entries = list(_found(root, "path", rows, problems, labelled=False))
    return [replace(entry, unlabelled=True) for entry in entries]


def _from_metadata(root: Path, listings: list[Path], problems: list[str], skipped: dict[str, str]) -> list[Entry]:
    folders = [listing.parent for listing in listings]
    for folder in set(folders):
        require(folders.count(folder) == 1, f"{folder}: holds metadata.csv and metadata.jsonl; remove one of them")
    entries = []
    for listing in listings:
        for entry in _found(listing, "file_name", _text_rows(listing, problems), problems):
            top = Path(os.path.relpath(entry.path, root)).parts[0].lower()
            split = {"split": top} if not entry.values.get("split") and top in PARTS else {}
            entries.append(replace(entry, base=root, values=entry.values | split))
    known = {entry.path for entry in entries}
    for path in _recordings(root, skipped):
        if path not in known:
            skipped[str(path)] = "no metadata file lists it"
    return entries


def _from_parquet(root: Path, problems: list[str]) -> Iterator[Entry]:
    """Rows of every table; recordings that stood in one have its folder of unpacked files as base, so that their names
    are the same on every machine."""
    unpacked = unpacked_folder()
    for file, split in parquet_files(root):
        for entry in _found(file, "path", list(parquet_rows(file, problems)), problems):
            base = entry.path.parent if entry.path.is_relative_to(unpacked) else root if root.is_dir() else root.parent
            values = entry.values if entry.values.get("split") or not split else entry.values | {"split": split}
            yield replace(entry, base=base, values=values)


def _refuse_other_lists(root: Path) -> None:
    """A list in a form that is not read would be ignored, and other labels learned from the folders' names."""
    for path in _files(root, {}):
        unread = path.stem.lower() == "metadata" and path.name not in LISTS
        require(not unread, f"{path}: this kind of list cannot be read; save it as metadata.csv or metadata.jsonl")


def _text_rows(file: Path, problems: list[str]) -> list[Row]:
    """Rows of a csv, or of JSON lines."""
    return list((json_rows if file.suffix == ".jsonl" else csv_rows)(file, read_text(file), problems))


def _listed(file: Path, needed: str, rows: list[Row], problems: list[str], labelled: bool) -> list[Row]:
    """The rows of a list, checked; `label` is read as `emotion`, `speaker_id` as `speaker`, which only a `labelled` one
    must have."""
    columns = set().union(*(values for _, values in rows))
    require(bool(rows), problems[0] if problems else f"{file}: lists no recording")
    for names in ((needed,), *(SYNONYMS.items() if labelled else ())):
        require(
            bool(columns & set(names)), f"{file}: no column {' or '.join(names)}; it has {', '.join(sorted(columns))}"
        )
    for name, other in SYNONYMS.items():
        _require_agreement(rows, name, other)
        for _, values in rows:
            values.setdefault(name, values.get(other, ""))
    return rows


def _require_agreement(rows: list[Row], name: str, other: str) -> None:
    """Two columns for one thing may number what the other names, and nothing else."""
    first: dict[tuple, tuple[str, str, str]] = {}
    for where, values in rows:
        one, two = values.get(name, ""), values.get(other, "")
        if is_missing(one) or is_missing(two):
            continue
        for key in ((name, likeness(clean(one))), (other, likeness(clean(two)))):
            earlier, *said = first.setdefault(key, (where, one, two))
            require(
                [likeness(clean(cell)) for cell in said] == [likeness(clean(cell)) for cell in (one, two)],
                f"{where}: {name} {one} with {other} {two}, but {' with '.join(said)} in {earlier}; the two columns "
                "contradict each other: remove the wrong one",
            )


def _found(listing: Path, column: str, rows: list[Row], problems: list[str], labelled: bool = True) -> Iterator[Entry]:
    """Rows of a list whose recording is there; the name is tried as it is written, in both forms of Unicode (macOS
    stores the decomposed one), without quotes, and with Windows' backslashes turned."""
    base, rows = listing.parent, _listed(listing, column, rows, problems, labelled)
    columns = set().union(*(values for _, values in rows))
    times = TimeColumns.of(columns, str(listing))
    others = columns - USED - {column} - {time for time, _ in times.roles.values()}
    unused = tuple(sorted(name for name in others if name and not name.startswith(VOTE)))
    if unused:
        log.warning(
            "%s: columns that are not used, unless as continuous labels or transcripts: %s", listing, ", ".join(unused)
        )
    channels = {values.get("channel", "") for _, values in rows}
    require(len(channels) == 1, f"{listing}: a channel cannot be chosen; write each channel to a file of its own")
    for where, values in rows:
        name = values.get(column, "")
        if not name:
            problems.append(f"{where}: {column} is empty")
            continue
        forms = (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name), clean(name))
        tries = [base / form for form in (*forms, name.replace("\\", "/"))]
        found = next((path for path in tries if _is_file(path)), None)
        if found is None:
            problems.append(f"{where}: {name}: no such file" + (f" in {base}" if tries[0] != Path(name) else ""))
            continue
        if is_lfs_pointer(found):
            problems.append(f"{where}: {name}: a git-lfs pointer, not the recording; run git lfs pull")
            continue
        try:
            segment = times.segment(values, where)
        except InputError as error:
            problems.append(str(error))
            continue
        # Not resolved: recordings may be links into a store, and their names are those of the links.
        yield Entry(where, Path(os.path.normpath(found)), base, values, segment, unused)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long to be one
        return False
