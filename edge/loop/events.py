"""What the listening loop tells: results per hop, a segment per utterance, and what happens to the audio.

Everything that leaves the loop is one of these three; every sink (terminal, file, MQTT ...) takes all of them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np

from edge.audio.events import AudioEvent
from edge.stream.results import Segment, StreamResult


@dataclass(frozen=True)
class Recording:
    """A segment with its sound: for edge.feedback alone, where somebody asked for it; no other sink sees one."""

    segment: Segment
    samples: np.ndarray
    """`(time,)` int16: all that was heard of it, from the pre-roll to the end of the hold"""
    sample_rate: int
    """Hz"""
    when: datetime
    """When it was told, by the wall clock"""


Event = StreamResult | Segment | AudioEvent


class Sink(Protocol):
    """Where events go. `write` never blocks the audio for longer than a local file takes."""

    def write(self, seconds: float, event: Event) -> None:
        """`seconds`: audio time at which the event became known."""

    def close(self) -> None:
        """Hand out what is held back; called once."""
