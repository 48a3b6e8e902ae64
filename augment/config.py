"""Every augmentation's settings and switches."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AugmentConfig:
    """What happens to a training clip; each part can be switched off."""

    copies: int = 8
    """Augmented versions of each recording, computed once; every epoch draws one of them"""
    speed: bool = True
    """Speed perturbation, into copies"""
    speed_factors: tuple[float, ...] = (0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15)
    """Playing speeds to draw from (length and pitch change)"""
    denoise: bool = False
    """Take each recording's own steady noise away first, into copies: where louder speech stands further above it, it
    tells the level"""
    denoise_p: float = 1.0
    """Share of copies"""
    padding: bool = True
    """Cut the silence around speech and put speech into a longer silence with a faint background noise, into copies"""
    min_background_db: float = -75.0
    """dB below the speech, faintest background"""
    max_background_db: float = -25.0
    """dB below the speech, loudest background"""
    room: bool = True
    """Room impulse responses, into copies"""
    room_p: float = 0.25
    """Share of copies"""
    room_dir: str = ""
    """Folder of impulse responses; empty = $SER_DATA/rir"""
    room_exclude: tuple[str, ...] = ("*hall*", "*stairway*")
    """Patterns of files kept for robustness tests"""
    reverb: bool = False
    """Drawn reverberation, from a dry room to a hall, into copies"""
    reverb_p: float = 0.25
    """Share of copies"""
    min_reverb_seconds: float = 0.2
    """s, shortest reverberation time"""
    max_reverb_seconds: float = 3.0
    """s, longest reverberation time"""
    min_direct_db: float = -18.0
    """dB, power of the direct sound over that of the reverberation, farthest speaker"""
    max_direct_db: float = 6.0
    """dB, the same, nearest speaker"""
    noise: bool = True
    """Background noise, into copies"""
    noise_p: float = 0.3
    """Share of copies"""
    min_snr_db: float = 5.0
    """dB, loudest noise"""
    max_snr_db: float = 30.0
    """dB, softest noise"""
    noise_dir: str = ""
    """Folder of noise recordings; empty = $SER_DATA/noise"""
    noise_exclude: tuple[str, ...] = ("*Dog_bark*", "*Chainsaw*", "*Rooster*", "*exercise_bike*")
    """Patterns of files kept for robustness tests"""
    microphone: bool = True
    """Other microphones and lines, into copies: equalizer, band limits, clipping"""
    microphone_p: float = 0.4
    """Share of copies"""
    copy_paste: bool = False
    """Neutral speech of the same speaker in part of the window, drawn with the clip"""
    copy_paste_p: float = 0.5
    """Share of clips"""
    steady_noise: bool = False
    """A steady noise under each clip, in every step"""
    steady_noise_p: float = 0.8
    """Share of clips"""
    min_steady_noise_db: float = -35.0
    """dB, softest, relative to the clip's mean power"""
    max_steady_noise_db: float = -5.0
    """dB, loudest"""
    gain: bool = True
    """Level changes, in every step"""
    min_gain_db: float = -30.0
    """dB"""
    max_gain_db: float = 10.0
    """dB"""
    response_db: float = 0.0
    """dB, standard deviation of each component of a random frequency response that comes with the gain"""
    style: bool = True
    """Long-term spectra of other clips, in every step"""
    style_p: float = 0.5
    """Share of clips"""
    style_strength: float = 0.8
    """Largest share that is lent, 0 to 1"""
    shift: bool = False
    """Spectra moved up or down by whole bands, in every step"""
    max_shift_bands: int = 4
    """Largest shift, mel bands"""
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
        for name in (
            "denoise_p",
            "room_p",
            "reverb_p",
            "noise_p",
            "microphone_p",
            "copy_paste_p",
            "steady_noise_p",
            "style_p",
            "style_strength",
            "mixup_p",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"augment.{name} is {getattr(self, name)}; give a share between 0 and 1")
        for name in ("gain_db", "snr_db", "steady_noise_db", "background_db"):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if low > high:
                raise ValueError(f"augment.min_{name} is {low}, above augment.max_{name} ({high})")
        if not 0 < self.min_reverb_seconds <= self.max_reverb_seconds:
            raise ValueError(
                f"augment.min_reverb_seconds, max_reverb_seconds are {self.min_reverb_seconds}, "
                f"{self.max_reverb_seconds}; give times above 0, the shorter first"
            )
        if self.min_direct_db > self.max_direct_db:
            raise ValueError("augment.min_direct_db must not be above augment.max_direct_db")
