"""One recording as its owner describes it -> an utterance of the corpus "own", or one line that says what is wrong."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from crnn.data.corpora import Utterance
from crnn.data.names import clean, emotion_name, is_missing, speaker_name, spellings
from crnn.data.utterances import EVERYONE, UNLABELLED, number_in
from crnn.errors import InputError, require

OWN = "own"
"""Name of the corpus of own recordings"""
PARTS = {"train": "train", "training": "train"}
PARTS |= dict.fromkeys(("validation", "valid", "val", "dev"), "dev")
PARTS |= dict.fromkeys(("test", "testing", "eval", "evaluation"), "test")
"""Names of splits, Hugging Face's among them"""
SEXES = {"female": "female", "f": "female", "male": "male", "m": "male", "": None}
VOTE = "vote_"
VOTE_SLACK = 0.01
"""Shares are typed with two digits: how far their sum may be from 1"""


@dataclass(frozen=True)
class Entry:
    """One recording, or a segment of one, as its owner describes it."""

    where: str
    """What to name when it is wrong: file and line, or the recording itself"""
    path: Path
    base: Path
    """Folder that the list or the layout starts from"""
    values: dict[str, str]
    """Column -> cell, trimmed"""
    segment: tuple[float, float | None] | None = None
    """Start and end in seconds; end None: to the end of the recording; None: all of it"""
    others: tuple[str, ...] = ()
    """Columns that say nothing else of it: continuous labels, if settings name them"""
    unlabelled: bool = False
    """Whether its emotion is not asked for, and its speaker may be unknown"""


def as_utterances(entries: Iterable[Entry], problems: list[str]) -> list[Utterance]:
    """Those that can be used; the others, and what is wrong between them, become lines in `problems`."""
    made: dict[tuple, tuple[Entry, Utterance]] = {}
    for entry in entries:
        try:
            utterance = _utterance(entry)
            known = made.get((entry.path, entry.segment))
            if known is not None:
                earlier, other = known
                labels = f" as {other.emotion} and as {utterance.emotion}" if other.emotion != utterance.emotion else ""
                raise InputError(f"{entry.where}: {utterance.place} is listed twice{labels}, first in {earlier.where}")
        except InputError as error:
            problems.append(str(error))
        else:
            made[entry.path, entry.segment] = entry, utterance
    problems += _across(list(made.values()))
    return [utterance for _, utterance in made.values()]


def _utterance(entry: Entry) -> Utterance:
    """Raises InputError that names where and which value is wrong."""
    values = {name: "" if is_missing(cell) else clean(cell) for name, cell in entry.values.items()}
    emotion = UNLABELLED if entry.unlabelled else emotion_name(entry.values["emotion"], f"{entry.where}: emotion")
    unknown = entry.unlabelled and not values.get("speaker")
    speaker = EVERYONE if unknown else speaker_name(entry.values["speaker"], f"{entry.where}: speaker")
    split, sex = values.get("split", "").lower(), values.get("sex", "").lower()
    require(not split or split in PARTS, f"{entry.where}: split {split!r} is none of train, dev, test")
    require(sex in SEXES, f"{entry.where}: sex {sex!r} is neither female nor male nor empty")
    # Relative to the list, so that list and recordings may move together; with its extension, so that it is unique.
    inside = os.path.relpath(entry.path, entry.base)
    key = Path(str(entry.path) if inside.startswith("..") else inside).as_posix()
    if entry.segment is not None:
        start, end = entry.segment
        key += f"#{start:.3f}-{'end' if end is None else f'{end:.3f}'}"
    return Utterance(
        entry.path,
        OWN,
        speaker,
        SEXES[sex],
        emotion,
        votes=None if entry.unlabelled else _votes(entry.where, values),
        part=PARTS.get(split),
        key=unicodedata.normalize("NFC", key),
        segment=entry.segment,
        columns=tuple((name, values[name]) for name in entry.others if values.get(name)),
    )


def _votes(where: str, values: dict[str, str]) -> tuple[tuple[str, float], ...] | None:
    """The listeners' shares in the columns vote_EMOTION; None where all are empty."""
    cells = {name: cell for name, cell in values.items() if name.startswith(VOTE) and cell}
    shares: dict[str, float] = defaultdict(float)
    for column, cell in cells.items():
        emotion = emotion_name(column.removeprefix(VOTE), f"{where}: column {column}")
        share = number_in(cell)
        require(0 <= share <= 1, f"{where}: {column} is {cell!r}; give the share of listeners, 0 to 1")
        shares[emotion] += share
    if not shares:
        return None
    total = sum(shares.values())
    require(abs(total - 1) <= VOTE_SLACK, f"{where}: votes sum to {total:g}; the shares must sum to 1")
    return tuple((emotion, share / total) for emotion, share in sorted(shares.items()) if share)


def _across(made: list[tuple[Entry, Utterance]]) -> list[str]:
    """What is wrong between rows."""
    problems = []
    without = [u for _, u in made if u.part is None]
    if without and len(without) < len(made):
        problems.append(f"{without[0].place}: no split, though {len(made) - len(without)} recordings have one")
    for what, values in (
        ("speaker", {u.speaker_id: entry.where for entry, u in reversed(made)}),
        ("emotion", {u.emotion: entry.where for entry, u in reversed(made)}),
    ):
        for first, *others in spellings(values):
            problems += [
                f"{values[name]}: {what} {name} looks like {first} ({values[first]}); write what is one in one way"
                for name in others
            ]
    named: dict[str, Utterance] = {}
    for _, u in made:
        other = named.setdefault(u.name, u)
        if other is not u:
            problems.append(f"{u.place} and another recording have one name ({u.name}); rename one")
    return problems
