"""Copy and paste: which stretch is whose, and how often."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment.copy_paste import CopyPaste


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 300), st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.integers(0, 2**32 - 1))
def test_copy_paste_leaves_one_stretch_of_each_in_their_places(frames, one, other, seed):
    low, high = sorted((one, other))
    clip, neutral = np.arange(frames)[:, None] + [0.0, 0.5], -1.0 - np.arange(frames)[:, None] + [0.0, 0.5]
    paste = CopyPaste(1.0, low, high)
    made = paste(clip, neutral, np.random.default_rng(seed))
    own = made[:, 0] >= 0
    assert made.shape == clip.shape
    assert np.array_equal(made, np.where(own[:, None], clip, neutral))
    assert np.count_nonzero(np.diff(own)) == 1, "one joint, so both are there"
    assert low * frames - 1 <= max(own.sum(), 1) <= max(high * frames, 1) + 1
    assert np.array_equal(made, paste(clip, neutral, np.random.default_rng(seed)))


def test_copy_paste_comes_as_often_as_said_and_in_both_orders():
    rng = np.random.default_rng(0)
    made = [CopyPaste(0.25)(np.ones((10, 1)), np.zeros((10, 1)), rng)[[0, -1], 0].tolist() for _ in range(2000)]
    assert made.count([1, 1]) == pytest.approx(1500, abs=80)
    assert made.count([0, 1]) == pytest.approx(250, abs=60)
    with pytest.raises(ValueError, match="p is 2"):
        CopyPaste(2)
    with pytest.raises(ValueError, match="max_share 1"):
        CopyPaste(0.5, 0.5, 1.0)
    with pytest.raises(ValueError, match="one shape"):
        CopyPaste(1.0)(np.ones((4, 2)), np.ones((5, 2)), rng)
