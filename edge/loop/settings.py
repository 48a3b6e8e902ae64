"""What an utterance is, and when the listening loop abstains."""

from dataclasses import dataclass, field

from crnn.errors import require
from edge.stream.live_label import SmoothingConfig


@dataclass(frozen=True)
class UtteranceSettings:
    """Times of an utterance, limits of its verdicts, smoothing of its live label."""

    pre_roll_seconds: float = 0.5
    """s before the onset that belong to the utterance"""
    onset_seconds: float = 0.1
    """s of voice without a break that begin an utterance or extend it: a click or the tick of a clock is shorter"""
    hold_seconds: float = 0.75
    """s without such a stretch of voice that end an utterance; they belong to it"""
    max_segment_seconds: float = 15.0
    """s after which a segment is reported although the utterance goes on; longer than a window"""
    min_voice_seconds: float = 0.5
    """s of voice below which a segment is "too short\""""
    min_level_dbfs: float = -60.0
    """Level of the voice, dB relative to full scale, below which a segment is "too quiet\""""
    max_clipped: float = 0.01
    """Share of full-scale samples, 0 to 1, above which a segment is "clipped\""""
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    """Of the live label"""

    def __post_init__(self) -> None:
        for name in ("pre_roll_seconds", "onset_seconds", "hold_seconds", "min_voice_seconds"):
            require(getattr(self, name) >= 0, f"utterances.{name} is {getattr(self, name)}; give 0 s or more")
        require(0 <= self.max_clipped <= 1, f"utterances.max_clipped is {self.max_clipped}; give a share, 0 to 1")
