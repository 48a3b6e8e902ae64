"""Your own recordings, in one of three layouts, as utterances of the corpus "own". No torch, nothing decoded.

    folder:PATH       emotion and speaker stand in the paths, as the layout says ({emotion}/{speaker}_*)
    csv:FILE          columns path, emotion, speaker; optional split, sex and vote_EMOTION
    audiofolder:PATH  Hugging Face: metadata.csv or metadata.jsonl (file_name, emotion or label, speaker and the
                      optional columns above), or paths as with folder:, both optionally below train, validation, test

A list that cannot be right (an unknown file, an empty cell, a file under two labels) is refused with its row; a file in
a folder that cannot be used is reported in `Corpus.skipped`. Emotion names are trimmed and lower-cased, nothing else:
the model's classes are the user's own words, in alphabetical order.
"""

import csv
import io
import json
import math
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from crnn.audio import AUDIO_SUFFIXES
from crnn.config import InputError, require
from crnn.corpora import Corpus, Utterance

OWN = "own"
"""The corpus that own recordings are"""
KINDS = ("folder", "csv", "audiofolder")
LAYOUT = "{emotion}/{speaker}_*"
PARTS = {"train": "train", "training": "train"}
PARTS |= dict.fromkeys(("validation", "valid", "val", "dev"), "dev")
PARTS |= dict.fromkeys(("test", "testing", "eval", "evaluation"), "test")
"""Names of splits, Hugging Face's among them"""

CONVERT = (".m4a", ".aac", ".wma", ".amr", ".3gp", ".mp4", ".webm", ".mov", ".mkv", ".caf", ".aiff", ".aif", ".au")
SEXES = {"female": "female", "f": "female", "male": "male", "m": "male", "": None}
RESERVED = "uncertain"  # what a decision is called where no emotion is sure enough
VOTE = "vote_"
VOTE_SLACK = 0.01
"""Shares are typed with two digits: how far their sum may be from 1"""


@dataclass(frozen=True)
class Entry:
    """One recording as its owner describes it."""

    where: str
    """What to name when it is wrong: file and line, or the recording itself"""
    path: Path
    base: Path
    """Folder that the list or the layout starts from"""
    values: dict[str, str]
    """Column -> cell, trimmed"""


def read_own(source: str, layout: str) -> Corpus:
    """Read `source`, one of `folder:PATH`, `csv:FILE`, `audiofolder:PATH`.

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
    require(kind in KINDS and bool(place), f"--data {source}: give folder:PATH, csv:FILE or audiofolder:PATH")
    root, problems = Path(place).resolve(), []
    skipped: dict[str, str] = {}
    if kind == "csv":
        require(root.is_file(), f"{root}: no such file (expected a csv with columns path, emotion, speaker)")
        rows = _listed(root, ("path",), problems)
        entries = _found(rows, root.parent, "path", problems)
    else:
        require(root.is_dir(), f"{root}: no such folder (expected your recordings there)")
        listings = [p for p in _files(root, {}) if p.name in ("metadata.csv", "metadata.jsonl")]
        if kind == "audiofolder" and listings:
            entries = _from_metadata(root, listings, problems, skipped)
        else:
            entries = _from_paths(root, layout, kind == "audiofolder", skipped)
    utterances = _utterances(entries, problems)
    first = problems[0] if problems else next((f"{file}: {why}" for file, why in skipped.items()), "it holds none")
    require(bool(utterances), f"{source}: no usable recording; first: {first}")
    problems += _across(utterances)
    return Corpus(OWN, tuple(sorted(utterances, key=lambda u: u.name)), skipped), problems


def layout_pattern(layout: str) -> re.Pattern:
    """A layout as a pattern for paths below the root, without extension.

    `{emotion}` and `{speaker}` (and `{split}`) stand for as few characters as will do, `*` for any, none for a slash.

    >>> layout_pattern("{emotion}/{speaker}_*").fullmatch("very happy/anna_day 2_01").groupdict()
    {'emotion': 'very happy', 'speaker': 'anna'}
    """
    kinds = re.findall(r"\{([^{}]*)\}", layout)
    require(
        sorted(set(kinds) - {"split"}) == ["emotion", "speaker"] and len(kinds) == len(set(kinds)),
        f"--layout {layout}: needs {{emotion}} and {{speaker}} once each (and may have {{split}}), "
        f"for example {LAYOUT} or {{speaker}}/{{emotion}}/*",
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
            shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(path))
            skipped[shown] = "its name holds control characters or is not UTF-8; rename it"
        elif path.is_symlink() and path.is_dir():
            skipped[str(path)] = "a link to a folder; name that folder, or put the recordings here"
        elif path.is_file():
            yield path


def _recordings(root: Path, skipped: dict[str, str]) -> Iterator[Path]:
    for path in _files(root, skipped):
        suffix = path.suffix.lower()
        if suffix in CONVERT:
            skipped[str(path)] = f"{suffix} cannot be read; convert it: ffmpeg -i FILE{suffix} FILE.wav"
        elif suffix in AUDIO_SUFFIXES:
            if any(part.startswith(".") for part in path.relative_to(root).parts):
                skipped[str(path)] = "hidden"
            else:
                yield path


def _from_paths(root: Path, layout: str, below_splits: bool, skipped: dict[str, str]) -> list[Entry]:
    pattern, entries = layout_pattern(layout), []
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


def _from_metadata(root: Path, listings: list[Path], problems: list[str], skipped: dict[str, str]) -> list[Entry]:
    folders = [listing.parent for listing in listings]
    for folder in set(folders):
        require(folders.count(folder) == 1, f"{folder}: holds metadata.csv and metadata.jsonl; keep one of them")
    entries = []
    for listing in listings:
        rows = _listed(listing, ("file_name",), problems)
        for entry in _found(rows, listing.parent, "file_name", problems):
            top = Path(os.path.relpath(entry.path, root)).parts[0].lower()
            split = {"split": top} if not entry.values.get("split") and top in PARTS else {}
            entries.append(Entry(entry.where, entry.path, root, entry.values | split))
    known = {entry.path for entry in entries}
    for path in _recordings(root, skipped):
        if path not in known:
            skipped[str(path)] = "no metadata file lists it"
    return entries


def _listed(file: Path, needed: tuple[str, ...], problems: list[str]) -> list[tuple[str, dict[str, str]]]:
    """Rows of a list as `(where, column -> cell)`; columns trimmed and lower-cased, `label` read as `emotion` and
    `speaker_id` as `speaker`."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 (byte {error.start}); save it as UTF-8") from error
    rows = list((_json_rows if file.suffix == ".jsonl" else _csv_rows)(file, text, problems))
    columns = set().union(*(values for _, values in rows))
    require(bool(rows), problems[0] if problems else f"{file}: lists no recording")
    for names in (*((name,) for name in needed), ("emotion", "label"), ("speaker", "speaker_id")):
        require(
            bool(columns & set(names)), f"{file}: no column {' or '.join(names)}; it has {', '.join(sorted(columns))}"
        )
    for _, values in rows:
        for name, other in (("emotion", "label"), ("speaker", "speaker_id")):
            values.setdefault(name, values.get(other, ""))
    return rows


def _csv_rows(file: Path, text: str, problems: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
    delimiter = max(",;\t", key=text.split("\n", 1)[0].count)  # spreadsheets write their country's separator
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        twice = {name for name in header if name and header.count(name) > 1}
        require(not twice, f"{file}: two columns are called {', '.join(sorted(twice))}")
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{file} line {reader.line_num}"
            if len(cells) > len(header):
                problems.append(f'{where}: more cells than the header; put a name with "{delimiter}" in quotes')
                continue
            cells += [""] * (len(header) - len(cells))
            yield where, {name: cell.strip() for name, cell in zip(header, cells, strict=True) if name}
    except csv.Error as error:
        raise InputError(f"{file} line {reader.line_num}: not readable as csv ({error})") from error


def _json_rows(file: Path, text: str, problems: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
    for number, line in enumerate(text.split("\n"), 1):
        where = f"{file} line {number}"
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError:
            values = None
        if not isinstance(values, dict):
            problems.append(f"{where}: not a JSON object")
            continue
        yield where, {str(k).strip().lower(): "" if v is None else str(v).strip() for k, v in values.items()}


def _found(rows: Iterable[tuple[str, dict[str, str]]], base: Path, column: str, problems: list[str]) -> Iterator[Entry]:
    """Rows whose recording is there; the name is tried as it is written, in both forms of Unicode (macOS stores the
    decomposed one), and with Windows' backslashes turned."""
    for where, values in rows:
        name = values.get(column, "")
        if not name:
            problems.append(f"{where}: {column} is empty")
            continue
        forms = (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))
        tries = [base / form for form in (*forms, name.replace("\\", "/"))]
        found = next((path for path in tries if _is_file(path)), None)
        if found is None:
            problems.append(f"{where}: {name}: no such file" + (f" in {base}" if tries[0] != Path(name) else ""))
            continue
        # Not resolved: recordings may be links into a store, and their names are those of the links.
        yield Entry(where, Path(os.path.normpath(found)), base, values)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long to be one
        return False


def _utterances(entries: Iterable[Entry], problems: list[str]) -> list[Utterance]:
    made: dict[Path, tuple[Entry, Utterance]] = {}
    for entry in entries:
        try:
            utterance = _utterance(entry)
            earlier, other = made.get(entry.path, (None, None))
            if earlier is not None:
                labels = f" as {other.emotion} and as {utterance.emotion}" if other.emotion != utterance.emotion else ""
                raise InputError(f"{entry.where}: {entry.path} is listed twice{labels}, first in {earlier.where}")
        except InputError as error:
            problems.append(str(error))
        else:
            made[entry.path] = entry, utterance
    return [utterance for _, utterance in made.values()]


def _utterance(entry: Entry) -> Utterance:
    """Raises InputError that names where and which value is wrong."""
    emotion = emotion_name(entry.values["emotion"], f"{entry.where}: emotion")
    speaker = " ".join(unicodedata.normalize("NFC", entry.values["speaker"]).split())
    require(bool(speaker) and speaker.isprintable(), f"{entry.where}: speaker is empty or holds control characters")
    split, sex = entry.values.get("split", "").lower(), entry.values.get("sex", "").lower()
    require(not split or split in PARTS, f"{entry.where}: split {split!r} is none of train, dev, test")
    require(sex in SEXES, f"{entry.where}: sex {sex!r} is neither female nor male nor empty")
    # Relative to the list, so that list and recordings may move together; with its extension, so that it is unique.
    inside = os.path.relpath(entry.path, entry.base)
    key = str(entry.path) if inside.startswith("..") else inside
    return Utterance(
        entry.path,
        OWN,
        speaker,
        SEXES[sex],
        emotion,
        votes=_votes(entry),
        part=PARTS.get(split),
        key=unicodedata.normalize("NFC", Path(key).as_posix()),
    )


def emotion_name(text: str, where: str) -> str:
    """Trimmed, lower-cased, in composed Unicode. Raises InputError, beginning with `where`, if it is no name.

    >>> emotion_name("  Very  Happy ", "line 3: emotion")
    'very happy'
    """
    name = " ".join(unicodedata.normalize("NFC", text).lower().split())
    require(bool(name), f"{where} is empty")
    require(name.isprintable() and len(name) <= 40, f"{where} {name[:40]!r}: give up to 40 printable characters")
    require(name != RESERVED, f"{where} {name!r}: this word is kept for decisions that are not sure; use another")
    return name


def _votes(entry: Entry) -> tuple[tuple[str, float], ...] | None:
    """The listeners' shares in the columns vote_EMOTION; None where all are empty."""
    cells = {name: cell for name, cell in entry.values.items() if name.startswith(VOTE) and cell}
    shares: dict[str, float] = defaultdict(float)
    for column, cell in cells.items():
        emotion = emotion_name(column.removeprefix(VOTE), f"{entry.where}: column {column}")
        try:
            share = float(cell.replace(",", "."))
        except ValueError:
            share = math.nan
        require(0 <= share <= 1, f"{entry.where}: {column} is {cell!r}; give the share of listeners, 0 to 1")
        shares[emotion] += share
    if not shares:
        return None
    total = sum(shares.values())
    require(abs(total - 1) <= VOTE_SLACK, f"{entry.where}: votes sum to {total:g}; the shares must sum to 1")
    return tuple((emotion, share / total) for emotion, share in sorted(shares.items()) if share)


def _across(utterances: list[Utterance]) -> list[str]:
    """What is wrong between rows."""
    problems = []
    without = [u for u in utterances if u.part is None]
    if without and len(without) < len(utterances):
        problems.append(f"{without[0].path}: no split, though {len(utterances) - len(without)} recordings have one")
    spellings = defaultdict(set)
    for u in utterances:
        spellings[u.speaker_id.lower()].add(u.speaker_id)
    for names in spellings.values():
        if len(names) > 1:
            problems.append(
                f"speakers {' and '.join(sorted(names))} differ in capitals alone; write one person one way"
            )
    return problems
