"""CopyPaste (Pappagari et al. 2021): emotional speech beside neutral speech is still heard as emotional."""

import numpy as np


class CopyPaste:
    """Replace the beginning or the end of a stretch of speech by neutral speech of the same speaker.

    Neutral speech gets other neutral speech too: if emotional clips alone had a joint, the joint would tell them.

    Args:
        p: share of clips, 0 to 1.
        min_share, max_share: of the stretch that stays the clip's own, above 0 and below 1.

    >>> paste = CopyPaste(p=1.0, min_share=0.5, max_share=0.5)
    >>> int(paste(np.ones((4, 1)), np.zeros((4, 1)), np.random.default_rng(1)).sum())  # frames of the clip's own
    2
    """

    def __init__(self, p: float, min_share: float = 0.5, max_share: float = 0.8) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"copy_paste p is {p}; give 0 to 1")
        if not 0 < min_share <= max_share < 1:
            raise ValueError(f"min_share is {min_share}, max_share {max_share}; give 0 < min_share <= max_share < 1")
        self._p, self._shares = p, (min_share, max_share)

    def __call__(self, clip: np.ndarray, neutral: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """`clip (frames, n_mels)`, `neutral` of the same shape -> the same shape: one stretch of each, of at least one
        frame (with 2 frames or more), in either order. The label is the clip's."""
        if clip.shape != neutral.shape:
            raise ValueError(f"clip is {clip.shape}, neutral {neutral.shape}; give stretches of one shape")
        if rng.random() >= self._p:
            return clip
        own = int(np.clip(round(rng.uniform(*self._shares) * len(clip)), 1, max(len(clip) - 1, 1)))
        if rng.random() < 0.5:
            return np.concatenate([clip[:own], neutral[own:]])
        return np.concatenate([neutral[: len(clip) - own], clip[len(clip) - own :]])
