"""Masked spans of frames, and the encoder steps that see nothing but masked frames."""

import torch
from torch import Tensor

from crnn.config import ModelConfig
from crnn.training.self_supervision import seen_frames


def draw_spans(n_clips: int, n_frames: int, share: float, span: int) -> Tensor:
    """`(n_clips, n_frames)` bool, True where a frame is masked: as many spans of `span` frames as `share` of the frames
    holds, at least one; they may touch and do not overlap. Drawn from torch's generator. Raises ValueError if a span
    leaves no frame."""
    if not 0 < span < n_frames:
        raise ValueError(f"a span of {span} in {n_frames} frames")
    spans = max(1, int(share * n_frames / span))
    before = torch.randint(n_frames - spans * span + 1, (n_clips, spans)).sort(dim=1).values
    first = before + span * torch.arange(spans)
    places = (first[:, :, None] + torch.arange(span)).flatten(1)
    return torch.zeros(n_clips, n_frames, dtype=torch.bool).scatter_(1, places, True)


def masked_steps(masked: Tensor, model: ModelConfig) -> Tensor:
    """`masked (batch, frames)` -> `(batch, n_steps)` bool: True where all frames that a step sees are masked."""
    return masked.unfold(1, seen_frames(model), model.stride_frames).all(dim=2)
