"""The two chains of augmentation that a configuration describes.

`CopyAugment` changes waveforms. It makes a few *augmented copies* of each recording, computed once and stored as
features (`crnn.data.augmented`). `batch_augment` changes batches of features in every training step, at little
cost: level, long-term spectrum, rooms, steady noise, mixup and masks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from augment.config import AugmentConfig, with_folders

if TYPE_CHECKING:
    from torch import Generator, Tensor

BatchAugment = Callable[["Tensor", "Tensor", int], tuple["Tensor", "Tensor"]]
"""`log_mel (batch, n_mels, frames)`, `targets (batch, n_classes)`, seed -> both, augmented"""
OnWaveform = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""`waveform (time,)` float32, generator -> `(another time,)`"""
OnFeatures = Callable[["Tensor", "Generator"], "Tensor"]
"""`log_mel (batch, n_mels, frames)`, generator -> the same shape"""
COPY_SETTINGS = ("copies", "denoise", "speed", "padding", "room", "noise", "microphone")
COPY_RANGES = ("min_background", "max_background", "min_snr", "max_snr")
"""Prefixes of the settings that decide what a copy is"""


def settings_given(config: AugmentConfig) -> dict[str, bool]:
    """Settings that differ from the default ones -> whether they change features alone, which a model over waveforms
    does not get."""
    usual = vars(with_folders(AugmentConfig()))
    changed = [name for name, value in vars(config).items() if value != usual[name]]
    return {name: not name.startswith((*COPY_SETTINGS, *COPY_RANGES, "mixup")) for name in changed}


@dataclass(frozen=True)
class Chains:
    """The parts of a configuration that training needs."""

    copy_settings: dict
    """Everything that decides what an augmented copy is, as plain values"""
    make_copy_augment: Callable[[], CopyAugment]
    """Makes the chain on waveforms, in the process that uses it"""
    batch: BatchAugment
    """The chain on batches of features"""
    waveforms: BatchAugment
    """The chain on batches of waveforms: mixup alone"""


def chains(config: AugmentConfig, sample_rate: int, min_samples: int, log_offset: float, hop_length: int) -> Chains:
    """Both chains of a configuration. Copies get at least `min_samples`; `log_offset` and `hop_length` (samples) are
    those of the features.

    Raises FileNotFoundError if noise or rooms are switched on and their folder holds no recording.
    """
    settings = {key: value for key, value in vars(config).items() if key.startswith(COPY_SETTINGS + COPY_RANGES)}
    for what in ("noise", "room"):
        # The files and not their place: a moved folder gives the same copies, another file gives others.
        settings[f"{what}_dir"] = described_files(config, what) if getattr(config, what) else []
    make = partial(CopyAugment, config, sample_rate, min_samples)
    batches = batch_augment(config, log_offset, hop_length / sample_rate), waveform_augment(config)
    return Chains(settings | {"min_samples": min_samples}, make, *batches)


def described_files(config: AugmentConfig, what: str) -> list[tuple[str, int]]:
    """Name and size in bytes of every file that the chain draws from; `what` is noise or room."""
    from augment.noise import audio_files

    folder = Path(getattr(config, f"{what}_dir"))
    files = audio_files(folder, getattr(config, f"{what}_exclude"), what)
    return [(file.relative_to(folder).as_posix(), file.stat().st_size) for file in files]


class CopyAugment:
    """The chain on waveforms: denoising, speed, padding, room, noise, microphone, each with its own generator.

    Args:
        min_samples: shorter clips are placed in silence, at a drawn place, before rooms and noise are applied.
    """

    def __init__(self, config: AugmentConfig, sample_rate: int, min_samples: int) -> None:
        from augment import noise
        from augment.denoise import Denoise
        from augment.microphone import Microphone
        from augment.padding import Padding, place
        from augment.speed import SpeedPerturbation

        def files(what: str) -> list[Path]:
            folder, exclude = getattr(config, f"{what}_dir"), getattr(config, f"{what}_exclude")
            return noise.audio_files(Path(folder), exclude, what)

        background_db = (config.min_background_db, config.max_background_db)
        snr_db = (config.min_snr_db, config.max_snr_db)
        always = partial(place, min_samples=min_samples)
        # In the order of use. Each part has a fixed number for its generator: what one part draws does not depend on
        # which others are switched on.
        self._parts: tuple[tuple[int, OnWaveform | None], ...] = (
            (6, Denoise(config.denoise_p, sample_rate) if config.denoise else None),
            (0, SpeedPerturbation(config.speed_factors) if config.speed else None),
            (1, Padding(min_samples, sample_rate, *background_db) if config.padding else always),
            (2, noise.Room(files("room"), config.room_p, sample_rate) if config.room else None),
            (3, noise.background_noise(files("noise"), *snr_db, config.noise_p, sample_rate) if config.noise else None),
            (4, Microphone(config.microphone_p, sample_rate) if config.microphone else None),
        )

    def __call__(self, waveform: np.ndarray, seed: np.random.SeedSequence) -> np.ndarray:
        """`waveform (time,)` float32 -> `(another time,)` float32 in [-1, 1]. Everything random comes from `seed`."""
        seeds = seed.spawn(1 + max(number for number, _ in self._parts))
        for number, part in self._parts:
            if part is not None:
                waveform = part(waveform, np.random.default_rng(seeds[number]))
        return np.clip(waveform, -1.0, 1.0).astype(np.float32)


def batch_augment(config: AugmentConfig, log_offset: float, frame_seconds: float) -> BatchAugment:
    """The chain on batches of features, whose frames follow each other after `frame_seconds` s."""
    import torch

    from augment.level import Gain, SteadyNoise, StyleMix
    from augment.mix import Mixup
    from augment.reverberation import Reverberation
    from augment.spec_augment import SpecAugment

    seconds = (config.min_reverberation_seconds, config.max_reverberation_seconds)
    rooms = (config.reverberation_p, *seconds, config.min_drr_db, config.max_drr_db, frame_seconds)
    noise_db = (config.min_steady_noise_db, config.max_steady_noise_db)
    on_features: list[OnFeatures | None] = [
        StyleMix(config.style_p, config.style_strength) if config.style else None,
        Reverberation(*rooms) if config.reverberation else None,
        SteadyNoise(config.steady_noise_p, *noise_db) if config.steady_noise else None,
        Gain(config.min_gain_db, config.max_gain_db, log_offset) if config.gain else None,
    ]
    mixup = Mixup(config.mixup_alpha, config.mixup_p) if config.mixup else None
    masks = SpecAugment(config.freq_mask_param, config.time_mask_param) if config.spec else None

    def augment(log_mel: Tensor, targets: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        for part in filter(None, on_features):
            log_mel = part(log_mel, generator)
        if mixup is not None:
            log_mel, targets = mixup(log_mel, targets, generator)
        return (log_mel if masks is None else masks(log_mel, generator)), targets

    return augment


def waveform_augment(config: AugmentConfig) -> BatchAugment:
    """The chain on batches of waveforms. Models over waveforms level their input, so a gain would change nothing."""
    import torch

    from augment.mix import Mixup

    mixup = Mixup(config.mixup_alpha, config.mixup_p) if config.mixup else None

    def augment(waveforms: Tensor, targets: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        return (waveforms, targets) if mixup is None else mixup(waveforms, targets, torch.Generator().manual_seed(seed))

    return augment
