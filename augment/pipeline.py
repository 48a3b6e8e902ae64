"""The chains that the settings make.

Waveforms are augmented into a few *copies* per recording, computed once and kept as features (`crnn.data.augmented`);
level, channel, masks and mixing are drawn anew in every step, on batches of features, where they cost almost nothing.
Between the two stands what needs to know who speaks: neutral speech of the same training speaker, pasted when a clip is
drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from augment.config import AugmentConfig
from augment.copy_paste import CopyPaste

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Chains:
    """What training needs of a configuration."""

    copy_settings: dict
    """Everything that decides what a copy is, as plain values"""
    make_copy_augment: Callable[[], CopyAugment]
    """Makes the waveform chain, in the process that uses it"""
    paste: CopyPaste | None
    """Joins a clip's features with neutral ones of its speaker"""
    batch: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]
    """The chain on batches of features"""


def chains(config: AugmentConfig, sample_rate: int, min_samples: int, log_offset: float) -> Chains:
    """Both chains of a configuration; copies get at least `min_samples`, `log_offset` is that of the features."""
    groups = (
        "copies",
        "speed",
        "padding",
        "min_background",
        "max_background",
        "room",
        "noise",
        "microphone",
        "min_snr",
        "max_snr",
    )
    # Off, these two name no copy, so that copies made before there were any still serve.
    if config.reverb:
        groups += ("reverb", "min_reverb", "max_reverb", "min_direct", "max_direct")
    if config.denoise:
        groups += ("denoise",)
    settings = {key: value for key, value in vars(config).items() if key.startswith(groups)}
    for what in ("noise", "room"):
        # Which files there are, and not where: other noise makes other copies.
        settings[f"{what}_dir"] = described_files(config, what) if getattr(config, what) else []
    make = partial(CopyAugment, config, sample_rate, min_samples)
    paste = CopyPaste(config.copy_paste_p) if config.copy_paste else None
    return Chains(settings | {"min_samples": min_samples}, make, paste, batch_augment(config, log_offset))


def described_files(config: AugmentConfig, what: str) -> list[tuple[str, int]]:
    """Name and bytes of every file that the chain draws from; `what`: noise or room."""
    from augment.noise import audio_files

    folder = Path(getattr(config, f"{what}_dir"))
    files = audio_files(folder, getattr(config, f"{what}_exclude"), what)
    return [(file.relative_to(folder).as_posix(), file.stat().st_size) for file in files]


class CopyAugment:
    """The chain on waveforms: the recording's own noise taken away, speed, silence around short clips, room,
    reverberation, noise, microphone, each with its own generator.

    Args:
        min_samples: shorter clips are placed among silence, at a drawn place, before rooms and noise reach them.
    """

    def __init__(self, config: AugmentConfig, sample_rate: int, min_samples: int) -> None:
        from augment import noise
        from augment.denoise import Denoise
        from augment.microphone import Microphone
        from augment.padding import Padding, place
        from augment.reverb import Reverb
        from augment.speed import SpeedPerturbation

        rooms = (Path(config.room_dir), config.room_exclude, "room")
        noises = (Path(config.noise_dir), config.noise_exclude, "noise")
        seconds = (config.min_reverb_seconds, config.max_reverb_seconds)
        direct_db = (config.min_direct_db, config.max_direct_db)
        # In the order of use. A part has a number of its own for its chance, so that the others draw the same numbers
        # with and without it, and copies from before it was written are as they were.
        self._parts = (
            (6, Denoise(config.denoise_p, sample_rate) if config.denoise else None),
            (0, SpeedPerturbation(config.speed_factors) if config.speed else None),
            (
                1,
                Padding(min_samples, sample_rate, config.min_background_db, config.max_background_db)
                if config.padding
                else partial(place, min_samples=min_samples),
            ),
            (2, noise.Room(noise.audio_files(*rooms), config.room_p, sample_rate) if config.room else None),
            (5, Reverb(config.reverb_p, sample_rate, seconds, direct_db) if config.reverb else None),
            (
                3,
                noise.background_noise(
                    noise.audio_files(*noises), config.min_snr_db, config.max_snr_db, config.noise_p, sample_rate
                )
                if config.noise
                else None,
            ),
            (4, Microphone(config.microphone_p, sample_rate) if config.microphone else None),
        )

    def __call__(self, waveform: np.ndarray, seed: np.random.SeedSequence) -> np.ndarray:
        """`waveform (time,)` float32 -> `(another time,)` float32 in [-1, 1]; `seed` decides everything."""
        seeds = seed.spawn(len(self._parts))
        for number, part in self._parts:
            if part is not None:
                waveform = part(waveform, np.random.default_rng(seeds[number]))
        return np.clip(waveform, -1.0, 1.0).astype(np.float32)


def batch_augment(config: AugmentConfig, log_offset: float) -> Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]:
    """The chain on batches of features: `log_mel (batch, n_mels, frames)`, `targets (batch, n_classes)` and a seed ->
    both again."""
    import torch

    from augment.level import BandShift, Gain, SteadyNoise, StyleMix
    from augment.mix import Mixup
    from augment.spec_augment import SpecAugment

    style = StyleMix(config.style_p, config.style_strength) if config.style else None
    shift = BandShift(config.max_shift_bands) if config.shift else None
    steady_noise = (
        SteadyNoise(config.steady_noise_p, config.min_steady_noise_db, config.max_steady_noise_db)
        if config.steady_noise
        else None
    )
    gain = Gain(config.min_gain_db, config.max_gain_db, config.response_db, log_offset) if config.gain else None
    mixup = Mixup(config.mixup_alpha, config.mixup_p) if config.mixup else None
    masks = SpecAugment(config.freq_mask_param, config.time_mask_param) if config.spec else None

    def augment(log_mel: Tensor, targets: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        if style is not None:
            log_mel = style(log_mel, generator)
        if shift is not None:
            log_mel = shift(log_mel, generator)
        if steady_noise is not None:
            log_mel = steady_noise(log_mel, generator)
        if gain is not None:
            log_mel = gain(log_mel, generator)
        if mixup is not None:
            log_mel, targets = mixup(log_mel, targets, generator)
        return (log_mel if masks is None else masks(log_mel, generator)), targets

    return augment
