"""Counters of a run of the listening loop."""

from dataclasses import dataclass

from edge.audio.events import AudioEvent, AudioEventKind
from edge.loop.events import Event, RuleEvent
from edge.stream.results import Segment

PROBLEMS = {AudioEventKind.LOST, AudioEventKind.NOT_FOUND, AudioEventKind.ZEROS, AudioEventKind.CLIPPED}
WELL = {AudioEventKind.OPENED, AudioEventKind.RECOVERED, AudioEventKind.MUTED, AudioEventKind.STOPPED}
"""What ends a problem. An overrun is neither: it is over by the time it is reported"""


@dataclass
class Tally:
    """Counters of a run, brought up to date by `update`."""

    seconds_processed: float = 0.0
    """Audio time of the last event, less what is missing, s"""
    seconds_missing: float = 0.0
    """Audio time in gaps, s"""
    results: int = 0
    """Intervals reported, warm-ups included"""
    segments: int = 0
    rules: int = 0
    """How often a rule has fired"""
    overruns: int = 0
    reconnects: int = 0
    """How often a device was opened again, other than after a mute"""
    problem: bool = False
    """Whether the audio is unusable as far as is known"""
    _reconnects: bool = False
    """Whether the next opening is one"""

    def update(self, seconds: float, event: Event) -> None:
        """Count one event."""
        if isinstance(event, AudioEvent):
            self.seconds_missing += event.gap_seconds
            self.overruns += event.kind is AudioEventKind.OVERRUN
            if event.kind is AudioEventKind.OPENED:
                self.reconnects += self._reconnects
                self._reconnects = True
            elif event.kind is AudioEventKind.MUTED:
                self._reconnects = False
            self.problem = event.kind in PROBLEMS or (self.problem and event.kind not in WELL)
        elif isinstance(event, Segment):
            self.segments += 1
        elif isinstance(event, RuleEvent):
            self.rules += 1
        else:
            self.results += 1
        self.seconds_processed = max(0.0, seconds - self.seconds_missing)
