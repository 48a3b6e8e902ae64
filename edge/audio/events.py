"""Events: what can happen to the audio."""

from dataclasses import dataclass
from enum import StrEnum


class AudioEventKind(StrEnum):
    """Kind of an event."""

    OPENED = "opened"
    """A device is open and gives samples"""
    LOST = "lost"
    """The device has disappeared, or gave no samples for too long; it is opened again"""
    NOT_FOUND = "not found"
    """The device could not be opened; another try follows"""
    OVERRUN = "overrun"
    """Samples were lost because the consumer or the machine was too slow"""
    ZEROS = "zeros"
    """Nothing but zeros: muted, or a wrong input"""
    CLIPPED = "clipped"
    """Input at full scale: turn the microphone down"""
    CHANNEL = "channel"
    """Not all of the device's channels are used, and why"""
    RECOVERED = "recovered"
    """Zeros or clipping have ended"""
    MUTED = "muted"
    """The device was closed on request, and is opened again on request"""
    STOPPED = "stopped"
    """The source has ended"""


@dataclass(frozen=True)
class AudioEvent:
    """Something that happened to the audio."""

    kind: AudioEventKind
    message: str
    """One line for the user"""
    gap_seconds: float = 0.0
    """Audio time that is missing before the next sample, s: the stream cannot go on across it"""
