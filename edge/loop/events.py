"""What the listening loop reports: a result per interval, a segment per utterance, and what happens to the audio.

Everything that leaves the loop is one of these three; every sink (terminal, file, MQTT ...) takes all of them.
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


Event = StreamResult | Segment | AudioEvent

Taken = TypeVar("Taken", contravariant=True)


class SinkOf(Protocol[Taken]):
    """Where events of a kind go. `write` never blocks the audio for longer than a local file takes."""

    def write(self, seconds: float, event: Taken) -> None:
        """`seconds`: audio time at which the event became known."""

    def close(self) -> None:
        """Write what is buffered; called once."""


Sink = SinkOf[Event]
"""Takes whatever leaves the loop"""
