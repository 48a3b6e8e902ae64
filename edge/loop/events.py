"""What the listening loop tells: results per hop, a segment per utterance, and what happens to the audio.

Everything that leaves the loop is one of these three; every sink (terminal, file, MQTT ...) takes all of them.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import numpy as np

from edge.stream.recognizer import HopResult


class Verdict(StrEnum):
    """Why a segment has no emotion."""

    UNCERTAIN = "uncertain"
    TOO_SHORT = "too short"
    NO_SPEECH = "no speech"
    CLIPPED = "clipped"
    TOO_QUIET = "too quiet"
    NOISE = "noise"


@dataclass(frozen=True)
class Segment:
    """One utterance, from the onset of speech to its end."""

    start_seconds: float
    """Audio time, s since the first sample"""
    end_seconds: float
    """Audio time, s"""
    emotion: str | None
    """None where the loop abstains"""
    verdict: Verdict | None
    """Why it abstains; None where it does not"""
    confidence: float
    """Calibrated probability of the top emotion, 0 to 1; 0 where nothing was decided"""
    probs: dict[str, float]
    """Emotion -> calibrated probability over the utterance; empty where nothing was decided"""


class AudioEventKind(StrEnum):
    """What can happen to the audio."""

    OPENED = "opened"
    """A device is open and gives samples"""
    LOST = "lost"
    """The device is gone, or gave no samples for too long; it is tried again"""
    NOT_FOUND = "not found"
    """A try to open the device failed; there will be another"""
    OVERRUN = "overrun"
    """Samples were lost because the consumer or the machine was too slow"""
    ZEROS = "zeros"
    """Nothing but zeros: muted, or a wrong input"""
    CLIPPED = "clipped"
    """Input at full scale: turn the microphone down"""
    CHANNEL = "channel"
    """Not all of the device's channels are heard, and why"""
    RECOVERED = "recovered"
    """Zeros or clipping have ended"""
    STOPPED = "stopped"
    """The source has ended"""


@dataclass(frozen=True)
class AudioEvent:
    """Something that happened to the audio."""

    kind: AudioEventKind
    message: str
    """One line for a person"""
    gap_seconds: float = 0.0
    """Audio time that is missing before the next sample, s: the stream cannot go on across it"""


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


Event = HopResult | Segment | AudioEvent


class Sink(Protocol):
    """Where events go. `write` never blocks the audio for longer than a local file takes."""

    def write(self, seconds: float, event: Event) -> None:
        """`seconds`: audio time at which the event became known."""

    def close(self) -> None:
        """Hand out what is held back; called once."""
