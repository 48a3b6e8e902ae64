"""Every augmentation's settings and switches, and the chain they make."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from augment.spec_augment import SpecAugment


@dataclass(frozen=True)
class AugmentConfig:
    """What happens to a training clip; each part can be switched off."""

    speed: bool = True
    """Speed perturbation"""
    speed_factors: tuple[float, ...] = (0.9, 1.0, 1.1)
    """Playing speeds to draw from (length and pitch change)"""
    gain: bool = True
    """Level changes"""
    gain_p: float = 0.5
    """Share of clips"""
    min_gain_db: float = -10.0
    """dB"""
    max_gain_db: float = 10.0
    """dB"""
    room: bool = True
    """Room impulse responses"""
    room_p: float = 0.15
    """Share of clips"""
    room_dir: str = ""
    """Folder of impulse responses; empty = $SER_DATA/rir"""
    room_exclude: tuple[str, ...] = ("*hall*", "*stairway*")
    """Patterns of files kept for robustness tests"""
    noise: bool = True
    """Background noise"""
    noise_p: float = 0.2
    """Share of clips"""
    min_snr_db: float = 5.0
    """dB, loudest noise"""
    max_snr_db: float = 30.0
    """dB, softest noise"""
    noise_dir: str = ""
    """Folder of noise recordings; empty = $SER_DATA/noise"""
    noise_exclude: tuple[str, ...] = ("*Dog_bark*", "*Chainsaw*", "*Rooster*", "*exercise_bike*")
    """Patterns of files kept for robustness tests"""
    spec: bool = True
    """SpecAugment masks"""
    freq_mask_param: int = 8
    """Widest band mask, mel bands"""
    time_mask_param: int = 24
    """Longest time mask, frames"""

    def __post_init__(self) -> None:
        for name in ("gain_p", "room_p", "noise_p"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"augment.{name} is {getattr(self, name)}; give a share between 0 and 1")
        if self.min_gain_db > self.max_gain_db or self.min_snr_db > self.max_snr_db:
            raise ValueError("augment: min_gain_db, min_snr_db must not be above max_gain_db, max_snr_db")


class WaveformAugment:
    """The chain on waveforms: speed, room, noise, gain, each with a generator of its own."""

    def __init__(self, config: AugmentConfig, sample_rate: int) -> None:
        from augment import noise
        from augment.speed import SpeedPerturbation

        # A part that is switched off keeps its place, so that the others draw the same numbers with and without it.
        self._parts = (
            SpeedPerturbation(config.speed_factors) if config.speed else None,
            noise.Room(
                noise.audio_files(Path(config.room_dir), config.room_exclude, "room"), config.room_p, sample_rate
            )
            if config.room
            else None,
            noise.background_noise(
                noise.audio_files(Path(config.noise_dir), config.noise_exclude, "noise"),
                config.min_snr_db,
                config.max_snr_db,
                config.noise_p,
                sample_rate,
            )
            if config.noise
            else None,
            noise.gain(config.min_gain_db, config.max_gain_db, config.gain_p, sample_rate) if config.gain else None,
        )

    def __call__(self, waveform: np.ndarray, seed: np.random.SeedSequence) -> np.ndarray:
        """`waveform (time,)` float32 -> `(another time,)` float32 in [-1, 1]; `seed` decides everything."""
        for part, part_seed in zip(self._parts, seed.spawn(len(self._parts)), strict=True):
            if part is not None:
                waveform = part(waveform, np.random.default_rng(part_seed))
        return np.clip(waveform, -1.0, 1.0).astype(np.float32)


def spec_augment(config: AugmentConfig) -> SpecAugment | None:
    """The masks on log-mel features, or None where they are switched off."""
    if not config.spec:
        return None
    from augment.spec_augment import SpecAugment

    return SpecAugment(config.freq_mask_param, config.time_mask_param)
