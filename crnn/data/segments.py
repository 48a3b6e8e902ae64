"""Parts of recordings: the columns that name them, reading them, and which of them overlap. No torch."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crnn.data.audio import decode
from crnn.data.corpora import Utterance
from crnn.data.names import is_missing
from crnn.errors import InputError, require

MAX_FILE_SECONDS = 3600.0
"""Of a recording that segments are cut from: it is decoded whole"""
TOLERANCE_SECONDS = 0.05
"""How far an end may lie past the recording's: tools round differently"""

START = frozenset({"start", "starts", "begin", "begins", "onset", "xmin", "tmin", "t0", "beginn", "anfang"})
END = frozenset({"end", "ends", "stop", "stops", "xmax", "tmax", "t1", "ende"})
LENGTH = frozenset({"duration", "dur", "dauer"})
OFFSET = "offset"
"""The end beside `onset`, the start beside `duration`"""
WEAK = {"from": "start", "to": "end"}
"""Times only where nothing but a unit or `time` stands beside them"""
SECONDS = frozenset({"s", "sec", "secs", "second", "seconds"})
MILLISECONDS = frozenset({"ms", "msec", "msecs", "millis", "millisecond", "milliseconds"})
FILLING = frozenset({"time", "t", "segment", "seg", "clip", "utterance", "utt", "audio", "at", "in"})
NUMBER = re.compile(r"([+-]?\d+(?:[.,]\d*)?(?:e[+-]?\d+)?) ?(s|ms)?", re.IGNORECASE)
CLOCK = re.compile(r"(?:(\d+) days? )?(?:(\d+):)?(\d+):(\d+(?:[.,]\d+)?)")
"""1:02.5, or 0 days 00:01:02.5 as pandas writes it"""
DAYS = re.compile(r"\d+ days?")
"""0 days, as pandas writes a whole number of them"""


@dataclass(frozen=True)
class TimeColumns:
    """Which columns say where a segment lies: role (start, end, length) -> column and seconds per unit."""

    roles: dict[str, tuple[str, float]]

    @classmethod
    def of(cls, columns: Iterable[str], where: str) -> "TimeColumns":
        """Raises InputError, beginning with `where`, if a column looks like a time that cannot be honoured."""
        found: dict[str, tuple[str, float]] = {}
        for column in sorted(columns):
            role, unit = _role(column, where)
            if role:
                require(
                    role not in found, f"{where}: columns {found.get(role, ('',))[0]} and {column} both give a {role}"
                )
                found[role] = column, unit
        if OFFSET in found:
            require(
                ("start" in found) != ("length" in found) and "end" not in found,
                f"{where}: is {found[OFFSET][0]} a start or an end? Name the columns start and end",
            )
            found["end" if "start" in found else "start"] = found.pop(OFFSET)
        require(
            "length" not in found or "start" in found,
            f"{where}: {found.get('length', ('',))[0]} without a start; add a column start, or rename this one if it "
            "is not for training",
        )
        return cls(found)

    def segment(self, values: dict[str, str], where: str) -> tuple[float, float | None] | None:
        """Start and end in seconds (end None: to the end of the recording), rounded to a millisecond; None for the
        whole recording. Raises InputError, beginning with `where`, if they are no times or not in order."""
        times = {}
        for role, (column, unit) in self.roles.items():
            cell = values.get(column, "")
            if not is_missing(cell):
                times[role] = _seconds(cell, unit, f"{where}: {column}")
        if not times:
            return None
        start, end, length = times.get("start", 0.0), times.get("end"), times.get("length")
        if length is not None:
            require("start" in times, f"{where}: a duration without a start")
            require(
                end is None or abs(end - start - length) <= TOLERANCE_SECONDS,
                f"{where}: start {start:g} and end {end or 0:g} do not fit the duration {length:g}",
            )
            end = start + length if end is None else end
        require(end is None or start < end, f"{where}: start {start:g} s is not before end {end or 0:g} s")
        return round(start, 3), None if end is None else round(end, 3)


def _role(column: str, where: str) -> tuple[str, float]:
    """What a column name says, "" where it says nothing of time, and seconds per unit."""
    if column.startswith("vote_"):
        return "", 1.0
    glued = re.fullmatch(r"(start|begin|end|stop|onset|offset|duration)(time|sec|secs|seconds|s|ms)", column)
    tokens = list(glued.groups()) if glued and column not in START | END else re.findall(r"[^\W_]+", column)
    named = {"start": START, "end": END, "length": LENGTH, OFFSET: {OFFSET}}
    roles = [role for token in tokens for role, words in named.items() if token in words]
    units = {token for token in tokens if token in SECONDS | MILLISECONDS}
    if not roles:
        weak = [token for token in tokens if token not in FILLING | SECONDS | MILLISECONDS]
        if len(weak) != 1 or weak[0] not in WEAK or len(units) > 1:
            return "", 1.0
        return WEAK[weak[0]], 0.001 if units & MILLISECONDS else 1.0
    rest = [t for t in tokens if t not in FILLING | SECONDS | MILLISECONDS and not any(t in w for w in named.values())]
    require(
        len(roles) == 1 and not rest and len(units) <= 1,
        f"{where}: column {column} looks like a time and cannot be honoured; give start and end in seconds, or rename "
        "the column if it is none",
    )
    return roles[0], 0.001 if units & MILLISECONDS else 1.0


def _seconds(cell: str, unit: float, where: str) -> float:
    number, clock = NUMBER.fullmatch(cell), CLOCK.fullmatch(f"{cell} 0:00" if DAYS.fullmatch(cell) else cell)
    if number:
        scale = {"s": 1.0, "ms": 0.001}.get((number[2] or "").lower(), unit)
        seconds = float(number[1].replace(",", ".")) * scale
    elif clock:
        days, hours, minutes, rest = (float((part or "0").replace(",", ".")) for part in clock.groups())
        valid = rest < 60 and (minutes < 60 or clock[2] is None)
        require(valid, f"{where} is {cell[:40]!r}, which no clock shows; give seconds, for example 1.25")
        seconds = ((days * 24 + hours) * 60 + minutes) * 60 + rest
    else:
        raise InputError(f"{where} is {cell[:40]!r}; give seconds, for example 1.25")
    require(0 <= seconds < 1e6, f"{where} is {cell[:40]!r}; give seconds from 0")
    return seconds


class ClipReader:
    """Decodes what utterances name, and holds the last recording: its segments follow each other."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._decoded: tuple[np.ndarray, int] | None = None

    def decode(self, utterance: Utterance, max_seconds: float) -> tuple[np.ndarray, int]:
        """`samples (time, channels)` float32 of the recording, or of its segment, and the rate in Hz.

        Raises InputError, naming the file, if it cannot be decoded, the segment is not within it, or what is named is
        longer than `max_seconds`.
        """
        if utterance.segment is None:
            return decode(utterance.path, max_seconds)
        if self._path != utterance.path or self._decoded is None:
            self._path = self._decoded = None
            self._decoded = decode(utterance.path, MAX_FILE_SECONDS)
            self._path = utterance.path
        samples, rate = self._decoded
        length = len(samples) / rate
        start, end = utterance.segment
        end = length if end is None else end
        named = f"{utterance.path}: the segment {start:g} to {end:g} s"
        require(
            start < length and end <= length + TOLERANCE_SECONDS,
            f"{named} is not within the recording ({length:.2f} s)",
        )
        seconds = min(end, length) - start
        require(seconds <= max_seconds, f"{named} is {seconds:.0f} s long; the limit is {max_seconds:g} s")
        return samples[round(start * rate) : round(end * rate)], rate


def overlapping(utterances: Iterable[Utterance]) -> list[tuple[Utterance, Utterance]]:
    """Pairs of one recording that share some of its time; each with the earlier one that reaches furthest."""
    utterances = list(utterances)
    pairs, furthest = [], None
    files = {u.path for u in utterances if u.segment is not None}
    same = [u for u in utterances if u.path in files]
    for u in sorted(same, key=lambda u: (str(u.path), _span(u), u.name)):
        if furthest is not None and furthest.path == u.path and _span(u)[0] < _span(furthest)[1]:
            pairs.append((furthest, u))
        if furthest is None or furthest.path != u.path or _span(u)[1] > _span(furthest)[1]:
            furthest = u
    return pairs


def _span(utterance: Utterance) -> tuple[float, float]:
    start, end = utterance.segment or (0.0, None)
    return start, float("inf") if end is None else end


def joined(names: Iterable[str], pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Name -> the first name of everything that pairs tie it to, directly or through others; itself where to none."""
    leader = {name: name for name in names}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for first, second in pairs:
        one, other = sorted((find(first), find(second)))
        leader[other] = one
    return {name: find(name) for name in leader}
