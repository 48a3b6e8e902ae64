"""Settings of the augmentation."""

import os
from dataclasses import dataclass, fields, replace
from pathlib import Path


@dataclass(frozen=True)
class AugmentConfig:
    """What happens to a training clip. Each part has a switch.

    Parts marked "in copies" change the waveform, once per augmented copy; the others are drawn anew in every training
    step. Raises ValueError, naming the setting, for a value out of range.
    """

    copies: int = 8
    """Augmented copies of each recording, computed once; every epoch draws one of them"""
    speed: bool = True
    """Speed perturbation, in copies"""
    speed_factors: tuple[float, ...] = (0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15)
    """Playing speeds to draw from; length and pitch change together"""
    denoise: bool = False
    """Subtract the recording's own steady noise first, in copies: its distance to the speech reveals the level"""
    denoise_p: float = 1.0
    """Share of copies"""
    padding: bool = True
    """Cut the silence around speech and place the speech in a longer stretch of faint noise, in copies"""
    min_background_db: float = -75.0
    """dB relative to the speech, faintest such noise"""
    max_background_db: float = -25.0
    """dB relative to the speech, loudest such noise"""
    room: bool = True
    """Room impulse responses, in copies"""
    room_p: float = 0.25
    """Share of copies"""
    room_dir: str = ""
    """Folder of impulse responses; empty = $SER_DATA/rir"""
    room_exclude: tuple[str, ...] = ("*hall*", "*stairway*")
    """Patterns of files that are reserved for robustness tests"""
    noise: bool = True
    """Background noise recordings, in copies"""
    noise_p: float = 0.3
    """Share of copies"""
    min_snr_db: float = 5.0
    """dB, loudest noise"""
    max_snr_db: float = 30.0
    """dB, softest noise"""
    noise_dir: str = ""
    """Folder of noise recordings; empty = $SER_DATA/noise"""
    noise_exclude: tuple[str, ...] = ("*Dog_bark*", "*Chainsaw*", "*Rooster*", "*exercise_bike*")
    """Patterns of files that are reserved for robustness tests"""
    microphone: bool = True
    """Other microphones and lines, in copies: equalizer, band limits, clipping"""
    microphone_p: float = 0.4
    """Share of copies"""
    reverberation: bool = False
    """Late reverberation of a drawn room, in every step"""
    reverberation_p: float = 0.5
    """Share of clips"""
    min_reverberation_seconds: float = 0.15
    """s until the power has fallen by 60 dB, shortest"""
    max_reverberation_seconds: float = 2.0
    """s, longest"""
    min_drr_db: float = -8.0
    """dB, direct-to-reverberant ratio, farthest speaker"""
    max_drr_db: float = 15.0
    """dB, nearest speaker"""
    steady_noise: bool = False
    """Steady noise under each clip, in every step"""
    steady_noise_p: float = 0.8
    """Share of clips"""
    min_steady_noise_db: float = -35.0
    """dB relative to the clip's mean power, softest"""
    max_steady_noise_db: float = -5.0
    """dB relative to the clip's mean power, loudest"""
    gain: bool = True
    """Level changes, in every step"""
    min_gain_db: float = -30.0
    """dB"""
    max_gain_db: float = 10.0
    """dB"""
    style: bool = True
    """Long-term spectra of other clips, in every step"""
    style_p: float = 0.5
    """Share of clips"""
    style_strength: float = 0.8
    """Largest share of the other spectrum, 0 to 1"""
    mixup: bool = True
    """Mixup, in every step"""
    mixup_alpha: float = 0.3
    """Beta(alpha, alpha) draws the share of the other clip"""
    mixup_p: float = 0.5
    """Share of steps"""
    spec: bool = True
    """SpecAugment masks, in every step"""
    freq_mask_param: int = 8
    """Widest band mask, mel bands"""
    time_mask_param: int = 24
    """Longest time mask, frames"""

    def __post_init__(self) -> None:
        if self.copies < 1:
            raise ValueError(f"augment.copies is {self.copies}; give at least 1")
        for name in (item.name for item in fields(self) if item.name.endswith("_p") or item.name == "style_strength"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"augment.{name} is {getattr(self, name)}; give a share between 0 and 1")
        if self.min_reverberation_seconds <= 0:
            given = self.min_reverberation_seconds
            raise ValueError(f"augment.min_reverberation_seconds is {given}; give a time above 0")
        for name in ("gain_db", "snr_db", "steady_noise_db", "background_db", "reverberation_seconds", "drr_db"):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if low > high:
                raise ValueError(f"augment.min_{name} is {low}, above augment.max_{name} ({high})")


def with_folders(config: AugmentConfig) -> AugmentConfig:
    """Empty noise and room folders mean those of $SER_DATA; made absolute, so that the run folder is exact."""
    base = os.environ.get("SER_DATA")

    def folder(given: str, name: str) -> str:
        return str(Path(given).resolve()) if given else str((Path(base) / name).resolve()) if base else ""

    return replace(
        config,
        noise_dir=folder(config.noise_dir, "noise") if config.noise else "",
        room_dir=folder(config.room_dir, "rir") if config.room else "",
    )
