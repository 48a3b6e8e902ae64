"""Voice activity by the level alone: above the noise of the room, and rising and falling as speech does."""

from collections import deque

import numpy as np

from crnn.errors import require
from edge.audio.level import moving_power, power_dbfs, ratio
from edge.audio.speech_evidence import Evidence, Voice

FRAME_SECONDS = 0.02
SUBWINDOWS = 10
"""The noise floor is the quietest of so many stretches of time"""
STEADY_SUBWINDOWS = 4
"""So many of them in a row without movement become the noise floor at once"""
SMOOTHING = 0.8
"""Share of the old value in the smoothed power that the noise floor is taken from: about 0.1 s"""
REACH_SECONDS = 0.00025
"""Between the samples whose difference is taken: it flattens the spectra of fans and voices below 2 kHz"""
LAG_SECONDS = 0.1
"""Levels so far apart are compared: half a syllable"""
MOVED_DB = 3.0
"""Change of level in that time that counts as movement, dB"""
MOVING = 0.15
"""Share of frames with movement from which the VAD is sure of a voice. Speech has 0.3 to 0.8, in noise 10 dB below it
0.2 to 0.6; white, pink and brown noise, hum and fans have 0.00 to 0.01, chords and a clock's tick up to 0.14
(development half of benchmarks/device/false_alarms.py)"""
LEAST_SECONDS = 1.0
"""Shortest time, s, over which this share is taken"""
QUIETEST = 1e-9
"""Power of differences below which the level does not move"""


class EnergyVad:
    """A voice begins at `open_db` above the noise floor and ends below `close_db` above it.

    The noise floor is the smallest smoothed level of the last `floor_seconds` (minimum statistics, Martin 2001). Before
    the first sample it is digital silence, so that a recording that begins in the middle of a word is detected from its
    first sample; the noise of a room counts as a voice until the noise floor has followed it.

    The level of speech rises and falls several times a second, that of a fan does not. Where it does, the VAD is sure
    of a voice; where it has not for 0.4 `floor_seconds`, the sound becomes the noise floor at once, however loud it is.
    Movement is measured on differences between near samples, which low rumble hardly affects. A rise counts as evidence
    only together with a fall, so that a noise that is switched on is no voice.

    Args:
        sample_rate: Hz.
        open_db, close_db: dB above the noise floor; close_db <= open_db.
        min_dbfs: level, dB relative to full scale, below which nothing is a voice, however quiet the room.
        max_floor_dbfs: the noise floor is above this only where the sound was steady: loud talk without a pause is no
            noise.
        floor_seconds: s over which the noise floor is taken.
        frame_seconds: s, length of a frame.
    """

    name = "energy"

    def __init__(
        self,
        sample_rate: int,
        open_db: float = 9.0,
        close_db: float = 6.0,
        min_dbfs: float = -65.0,
        max_floor_dbfs: float = -30.0,
        floor_seconds: float = 5.0,
        frame_seconds: float = FRAME_SECONDS,
    ) -> None:
        require(0 < close_db <= open_db, f"close_db {close_db} and open_db {open_db} must satisfy 0 < close <= open")
        require(
            min_dbfs <= max_floor_dbfs, f"min_dbfs {min_dbfs} is above max_floor_dbfs {max_floor_dbfs}; give it less"
        )
        require(
            floor_seconds >= SUBWINDOWS * frame_seconds,
            f"floor_seconds is {floor_seconds}; give at least {SUBWINDOWS * frame_seconds}",
        )
        self.frame_samples = round(frame_seconds * sample_rate)
        self._open, self._close = ratio(open_db), ratio(close_db)
        self._lowest_floor, self._max_floor = ratio(min_dbfs - open_db), ratio(max_floor_dbfs)
        self._subwindow_frames = round(floor_seconds / frame_seconds / SUBWINDOWS)
        self._reach = max(1, round(REACH_SECONDS * sample_rate))
        self._moved = ratio(MOVED_DB)
        self._least_frames = LEAST_SECONDS / frame_seconds
        self._recent: deque[float] = deque(maxlen=round(LAG_SECONDS / frame_seconds))
        self._evidence = Evidence(frame_seconds)
        self.reset()

    def reset(self) -> None:
        self._voice = False
        self._evidence.clear()
        self._recent.clear()
        self._smooth = 0.0
        self._frames = 0
        self._lowest = deque([0.0] * SUBWINDOWS, SUBWINDOWS)
        self._moves = deque([*[self._subwindow_frames] * (STEADY_SUBWINDOWS - 1), 0], STEADY_SUBWINDOWS)
        self._highest_floor = self._max_floor

    @property
    def floor_dbfs(self) -> float:
        """The noise floor, dB relative to full scale, within its limits."""
        return power_dbfs(self._floor())

    def update(self, frames: np.ndarray) -> list[Voice]:
        steps = frames[:, self._reach :] - frames[:, : -self._reach]
        step_powers = np.einsum("ij,ij->i", steps, steps) / steps.shape[1]
        return [
            self._classify(*powers) for powers in zip(moving_power(frames).tolist(), step_powers.tolist(), strict=True)
        ]

    def _classify(self, power: float, steps: float) -> Voice:
        """One frame, by its power and that of its differences. Plain numbers: small arrays would cost more."""
        # Without a limit, samples far above full scale would make the smoothed power infinite, or NaN, for ever.
        self._smooth = SMOOTHING * self._smooth + (1 - SMOOTHING) * min(1.0, power)
        if self._frames % self._subwindow_frames == 0:
            self._lowest.append(self._smooth)
        elif self._smooth < self._lowest[-1]:
            self._lowest[-1] = self._smooth
        self._frames += 1
        steps = max(steps, QUIETEST)
        before = self._recent[0] if self._recent else steps
        self._recent.append(steps)
        move = (steps >= self._moved * before) - (before >= self._moved * steps)
        self._moves[-1] += abs(move)
        if self._frames % self._subwindow_frames == 0:
            self._learn_if_steady()
        self._voice = power >= self._floor() * (self._close if self._voice else self._open)
        if self._voice or self._evidence:
            self._evidence.add(move, self._voice)
        if not self._voice:
            return Voice.NO
        moved = 2 * min(self._evidence.positive, self._evidence.negative)
        sure = moved >= MOVING * max(self._least_frames, len(self._evidence))
        return Voice.SURE if sure else Voice.PERHAPS

    def _learn_if_steady(self) -> None:
        """At the end of a subwindow: after a steady stretch the noise floor is taken from that stretch alone."""
        if sum(self._moves) < MOVING * STEADY_SUBWINDOWS * self._subwindow_frames:
            recent = list(self._lowest)[-STEADY_SUBWINDOWS:]
            self._lowest.extend([min(recent)] * (SUBWINDOWS - STEADY_SUBWINDOWS) + recent)
            self._highest_floor = max(self._max_floor, min(recent))
        self._moves.append(0)

    def _floor(self) -> float:
        """The noise floor, as power."""
        return min(max(min(self._lowest), self._lowest_floor), self._highest_floor)
