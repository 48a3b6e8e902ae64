"""Watches the segments of a run and says which rules fire.

A row of segments belongs to a rule. A segment with one of its emotions, at the confidence that it asks for, joins the
row; one with another emotion ends it. Segments that the loop abstains from, and those below the confidence, are no
evidence either way: they neither count nor end the row. A pause longer than the rule allows ends it. When the row is
long enough and the limits allow it, the rule fires and the row begins again; while they do not, the row stays, so that
the rule fires with the next segment that the limits allow.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from edge.loop.events import RuleEvent
from edge.loop.firings import Firings
from edge.loop.rules import Rule
from edge.stream.results import Segment

HOUR = 3600.0
"""s"""


@dataclass
class _Row:
    """Segments in a row that count for a rule."""

    start_seconds: float
    end_seconds: float = 0.0
    speech_seconds: float = 0.0
    segments: int = 0
    confidence: float = 0.0
    """Sum"""
    emotion: str = ""
    """Of the newest"""

    def add(self, segment: Segment) -> None:
        self.end_seconds = segment.end_seconds
        self.speech_seconds += segment.end_seconds - segment.start_seconds
        self.segments += 1
        self.confidence += segment.confidence
        self.emotion = segment.emotion or ""

    def holds(self, rule: Rule) -> bool:
        if rule.hold_seconds is not None:
            return self.speech_seconds >= rule.hold_seconds
        return self.segments >= (rule.hold_segments or 1)

    def event(self, rule: Rule) -> RuleEvent:
        return RuleEvent(
            rule.name,
            self.emotion,
            self.confidence / self.segments,
            self.start_seconds,
            self.end_seconds,
            self.speech_seconds,
            self.segments,
        )


class RuleEngine:
    """The rules of a run; memory is one row per rule and the times at which rules fired.

    Args:
        rules: from edge.loop.rules.read_rules.
        live: the limits count wall-clock time and quiet hours apply. Otherwise, for a recording, whose time of day
            nobody knows, they count audio time, and quiet hours do not apply.
        firings: earlier times, of a live run.
        clock: s since 1970.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        live: bool,
        firings: Firings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.rules = tuple(rules)
        self._live, self._clock = live, clock
        self._firings = firings or Firings()
        self._rows: dict[str, _Row] = {}

    def update(self, segment: Segment) -> list[RuleEvent]:
        """Take in the next segment; returns the events of the rules that fire, in the order of the rules."""
        if segment.emotion is None:
            return []
        now = self._clock() if self._live else segment.end_seconds
        return [event for rule in self.rules if (event := self._update(rule, segment, now))]

    def _update(self, rule: Rule, segment: Segment, now: float) -> RuleEvent | None:
        if segment.emotion not in rule.emotions:
            self._rows.pop(rule.name, None)
            return None
        if segment.confidence < rule.confidence.get(segment.emotion, 0):
            return None
        row = self._rows.get(rule.name)
        if row is None or segment.start_seconds - row.end_seconds > rule.pause_seconds:
            row = self._rows[rule.name] = _Row(segment.start_seconds)
        row.add(segment)
        if not row.holds(rule) or not self._allowed(rule, now):
            return None
        del self._rows[rule.name]
        self._firings.add(rule.name, now, max(HOUR, 60 * rule.once_per_minutes))
        return row.event(rule)

    def _allowed(self, rule: Rule, now: float) -> bool:
        if self._firings.of(rule.name, now, 60 * rule.once_per_minutes):
            return False
        if rule.most_per_hour is not None and len(self._firings.of(rule.name, now, HOUR)) >= rule.most_per_hour:
            return False
        # Local time without a date or an offset, as on a clock on the wall: also while summer time begins or ends.
        return not (self._live and rule.quiet_at(datetime.fromtimestamp(now).time()))
