"""SpecAugment (Park et al. 2019): masked bands and frames, by torchaudio."""

import torch
from torch import Tensor

from augment.torchaudio_import import torchaudio


class SpecAugment:
    """Mask `n_freq_masks` runs of bands and `n_time_masks` runs of frames, drawn anew for every clip.

    Masked cells become the clip's mean, which the normalisation later turns into something near zero.

    Args:
        freq_mask_param: widest band mask, bands; below n_mels.
        time_mask_param: longest time mask, frames.
    """

    def __init__(
        self, freq_mask_param: int, time_mask_param: int, n_freq_masks: int = 2, n_time_masks: int = 2
    ) -> None:
        for name, value in (("freq_mask_param", freq_mask_param), ("time_mask_param", time_mask_param)):
            if value < 0:
                raise ValueError(f"{name} is {value}; give 0 or more")
        self._axes = [(2, freq_mask_param)] * n_freq_masks + [(3, time_mask_param)] * n_time_masks

    def __call__(self, log_mel: Tensor, generator: torch.Generator) -> Tensor:
        """`log_mel (batch, n_mels, frames)` -> the same shape."""
        mean = log_mel.mean(dim=(1, 2), keepdim=True)
        masked = (log_mel - mean).unsqueeze(1)
        with torch.random.fork_rng(devices=[]):  # torchaudio draws from the global generator
            torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
            for axis, width in self._axes:
                masked = torchaudio.functional.mask_along_axis_iid(masked, width, 0.0, axis)
        return masked.squeeze(1) + mean
