"""What the listening loop reports: a result per interval, a segment per utterance, what happens to the audio, and which
rules fire.

Everything that leaves the loop is one of these four; every sink (terminal, file, MQTT ...) takes all of them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

import numpy as np

from edge.audio.events import AudioEvent
from edge.stream.results import Segment, StreamResult


@dataclass(frozen=True)
class Recording:
    """A segment with its samples: for edge.feedback alone, where somebody asked for it; no other sink gets one."""

    segment: Segment
    samples: np.ndarray
    """`(time,)` int16: from the pre-roll to the end of the hold"""
    sample_rate: int
    """Hz"""
    when: datetime
    """Wall-clock time of the report"""


@dataclass(frozen=True)
class RuleEvent:
    """A rule has fired (`edge.loop.rule_engine`): it follows the segment that completed the row."""

    rule: str
    """Its name"""
    emotion: str
    """Of the newest segment of the row"""
    confidence: float
    """Mean over the segments of the row, 0 to 1"""
    start_seconds: float
    """Audio time at the start of the row, s since the first sample"""
    end_seconds: float
    """Audio time at its end, s"""
    speech_seconds: float
    """s of speech in the row"""
    segments: int
    """Segments in the row"""


Event = StreamResult | Segment | AudioEvent | RuleEvent

Taken = TypeVar("Taken", contravariant=True)


class SinkOf(Protocol[Taken]):
    """Where events of a kind go. `write` never blocks the audio for longer than a local file takes."""

    def write(self, seconds: float, event: Taken) -> None:
        """`seconds`: audio time at which the event became known."""

    def close(self) -> None:
        """Write what is buffered; called once."""


Sink = SinkOf[Event]
"""Takes whatever leaves the loop"""
