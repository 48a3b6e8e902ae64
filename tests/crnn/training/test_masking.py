"""Masked spans: how many frames, and which encoder steps see nothing else."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crnn.config import ModelConfig
from crnn.training.masking import draw_spans, masked_steps
from crnn.training.self_supervision import seen_frames


@given(
    frames=st.integers(2, 300),
    share=st.floats(0.01, 0.99),
    span=st.integers(1, 60),
    clips=st.integers(1, 5),
    seed=st.integers(0, 2**31),
)
def test_every_clip_has_as_many_masked_frames_as_its_spans_have(frames, share, span, clips, seed):
    torch.manual_seed(seed)
    if span >= frames:
        with pytest.raises(ValueError, match="a span of"):
            draw_spans(clips, frames, share, span)
        return
    masked = draw_spans(clips, frames, share, span)
    spans = max(1, int(share * frames / span))
    assert masked.shape == (clips, frames)
    assert masked.sum(dim=1).tolist() == [spans * span] * clips
    for row in masked.tolist():  # stretches of whole spans
        text = "".join("x" if frame else " " for frame in row)
        assert all(len(stretch) % span == 0 for stretch in text.split())


def test_places_are_drawn_for_every_clip_anew():
    torch.manual_seed(0)
    masked = draw_spans(200, 100, 0.3, 10)
    assert len({tuple(row) for row in masked.tolist()}) > 150
    often = masked.float().mean(dim=0)
    assert bool(((often[20:80] > 0.2) & (often[20:80] < 0.45)).all()), (
        "no place is preferred, but fewer begin at an end"
    )


@given(st.lists(st.booleans(), min_size=60, max_size=90), st.sampled_from([(2, 2, 1, 1), (1, 1), (2,)]))
def test_a_step_is_masked_if_all_frames_that_it_sees_are(frames, pool):
    model = ModelConfig(channels=(4,) * len(pool), pool_mels=(2,) * len(pool), pool_frames=pool)
    width, stride = seen_frames(model), model.stride_frames
    found = masked_steps(torch.tensor([frames]), model)[0].tolist()
    assert found == [all(frames[at : at + width]) for at in range(0, len(frames) - width + 1, stride)]
