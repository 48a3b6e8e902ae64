"""Rules: which emotion, held for how long, becomes an event of its own. Read strictly from a YAML or JSON file.

rules:
  - name: shouting
    emotions: [angry]
    hold_seconds: 10
    once_per_minutes: 30
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import time
from pathlib import Path

from crnn.errors import InputError, require
from crnn.files.printable import brief
from crnn.files.strict import read_json
from crnn.files.typed import from_dict
from edge.preflight import needed

MOST_BYTES = 2**20
MOST_RULES = 100
LONGEST_NAME = 64
"""Characters"""


@dataclass(frozen=True)
class Rule:
    """When an emotion becomes an event. Without a hold, every segment with one of its emotions does."""

    name: str
    """Of the event; unique in the file, at most 64 characters"""
    emotions: tuple[str, ...]
    """Any of these counts"""
    hold_seconds: float | None = None
    """s of speech in these emotions, in a row, that the rule asks for"""
    hold_segments: int | None = None
    """Or so many segments in a row: a segment is an utterance, or at most 15 s of a longer one"""
    pause_seconds: float = 30.0
    """s between two such segments after which the row begins again"""
    confidence: dict = field(default_factory=dict)
    """Emotion -> confidence, 0 to 1, below which a segment does not count"""
    once_per_minutes: float = 0.0
    """min from one event of this rule to the next, at least"""
    most_per_hour: int | None = None
    """Events of this rule within any 60 minutes, at most"""
    quiet_hours: str | None = None
    """HH:MM-HH:MM in local time, also across midnight, in which the rule gives no event"""

    def __post_init__(self) -> None:
        where = f"rule {brief(self.name)}"
        plain = self.name.isprintable() and self.name == self.name.strip() and ";" not in self.name
        require(
            plain and 0 < len(self.name) <= LONGEST_NAME,
            f"{where}: name must have 1 to {LONGEST_NAME} printable characters, no semicolon, no space at the ends",
        )
        require(bool(self.emotions), f"{where}: emotions is empty; name at least one")
        require(
            self.hold_seconds is None or self.hold_segments is None,
            f"{where}: hold_seconds and hold_segments are both given; give one of them",
        )
        require(
            self.hold_seconds is None or self.hold_seconds > 0,
            f"{where}: hold_seconds is {self.hold_seconds}; give seconds above 0",
        )
        require(
            self.hold_segments is None or self.hold_segments >= 1,
            f"{where}: hold_segments is {self.hold_segments}; give 1 or more",
        )
        require(self.pause_seconds >= 0, f"{where}: pause_seconds is {self.pause_seconds}; give 0 s or more")
        require(self.once_per_minutes >= 0, f"{where}: once_per_minutes is {self.once_per_minutes}; give 0 or more")
        require(
            self.most_per_hour is None or self.most_per_hour >= 1,
            f"{where}: most_per_hour is {self.most_per_hour}; give 1 or more",
        )
        for emotion, value in self.confidence.items():
            require(
                emotion in self.emotions, f"{where}: confidence names {brief(emotion)}, which is not in its emotions"
            )
            require(
                type(value) in (int, float) and 0 <= value <= 1,
                f"{where}: confidence of {emotion} is {brief(value)}; give 0 to 1",
            )
        self._quiet()

    def quiet_at(self, local: time) -> bool:
        """Whether this local time of day lies in the quiet hours: their beginning does, their end does not."""
        hours = self._quiet()
        if hours is None:
            return False
        begin, end = hours
        return begin <= local < end if begin < end else local >= begin or local < end

    def _quiet(self) -> tuple[time, time] | None:
        if self.quiet_hours is None:
            return None
        found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", self.quiet_hours)
        complaint = f"rule {brief(self.name)}: quiet_hours is {brief(self.quiet_hours)}; give HH:MM-HH:MM"
        if found is None:
            raise InputError(complaint)
        begin, end = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
        require(begin != end, f"{complaint} with two different times")
        return begin, end


@dataclass(frozen=True)
class RulesFile:
    """What a file of rules holds."""

    rules: tuple[dict, ...]


def read_rules(path: Path, labels: Sequence[str]) -> tuple[Rule, ...]:
    """The rules of a file: JSON if its name ends in .json, otherwise YAML, which needs the extra `rules`.

    Args:
        labels: emotions that the model knows.

    Raises InputError, naming the file and the rule, for unknown keys, values of another type or out of range, names
    that occur twice and emotions that the model does not know; OSError if it cannot be opened.
    """
    try:
        given = from_dict(RulesFile, _read(path)).rules
        require(0 < len(given) <= MOST_RULES, f"holds {len(given)} rules; give 1 to {MOST_RULES}")
        rules = tuple(from_dict(Rule, values, f"rule {number}") for number, values in enumerate(given, start=1))
        for number, rule in enumerate(rules):
            where = f"rule {brief(rule.name)}"
            require(rule.name not in {other.name for other in rules[:number]}, f"{where} occurs twice")
            for emotion in rule.emotions:
                require(
                    emotion in labels, f"{where}: the model knows no {brief(emotion)}; it knows {', '.join(labels)}"
                )
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(str(path)) else f"{path}: {text}") from error
    return rules


def _read(path: Path) -> dict:
    if path.suffix.lower() == ".json":
        return read_json(path, MOST_BYTES)
    with needed(f"{path}: YAML", "rules"):
        from crnn.files.settings_file import read_settings_file
    return read_settings_file(path)
