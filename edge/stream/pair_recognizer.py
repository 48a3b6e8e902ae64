"""The stream of two models that answer together: one that recomputes its window, and a small one beside it.

They differ in features, network and teacher, so they err on other voices. Their logits are the mean of their
log-probabilities; arousal, if any, is the small model's, and the pooled vector the other's.
"""

import numpy as np

from crnn.config import StreamGeometry
from crnn.outputs import split_outputs
from edge.stream.decision import mean_log_probabilities
from edge.stream.recognizer import StreamingRecognizer, clip_results
from edge.stream.window_recognizer import WindowRecognizer


def fills_window(small: StreamGeometry, window: StreamGeometry) -> bool:
    """Whether the sound in a window of `window` fills one of `small`, but for less than one of its intervals: a window
    is rounded to a whole number of them. Where it does not, a part of all that `small` is given is silence, on which it
    was not trained. Where it fills several, their mean counts, as that of a clip does.
    """
    return small.sound_samples - window.window_samples < small.interval_samples


class PairRecognizer(WindowRecognizer):
    """As `window`, over its models, with a recognizer `small` of the same labels and sample rate beside it.

    `small` is given the sound in each window as a clip of its own. So it has no state from one decision to the next,
    and no decision depends on anything outside of its window.
    """

    def __init__(self, window: WindowRecognizer, small: StreamingRecognizer) -> None:
        self._small = small
        encoder, head = window.models
        settings = window.features, window.geometry, window.labels
        super().__init__(encoder, head, *settings, window.decision, arousal=small.arousal)

    def another(self) -> "PairRecognizer":
        made = PairRecognizer(self, self._small.another())
        made.profile, made.people = self.profile, self.people
        return made

    @property
    def pooled_width(self) -> int:
        return self._head.contract.output_shape[-1] - len(self.labels)

    def reset(self) -> None:
        super().reset()
        self._repeated = 0

    def _after_the_end(self, missing: int) -> np.ndarray:
        self._repeated = missing
        return super()._after_the_end(missing)

    def _outputs(self) -> np.ndarray:
        large = split_outputs(super()._outputs(), len(self.labels), arousal=False)
        results = clip_results(self._small, self._window[: len(self._window) - self._repeated])
        small = np.mean([result.logits for result in results if result.logits is not None], axis=0)
        arousal = [result.arousal for result in results if result.arousal is not None]
        logits = mean_log_probabilities(large.logits, small)
        columns = (logits, [np.mean(arousal)] if arousal else [], large.pooled)
        return np.concatenate(columns, dtype=np.float32)
