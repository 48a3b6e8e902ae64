"""Embeddings of recordings: computed once, and an interrupted computation goes on where it was."""

import hashlib

import numpy as np
import pytest

from crnn.data import embeddings
from crnn.data.cache import AudioCache
from crnn.data.embeddings import open_embeddings


def audio(n: int, names: str = "own/{}") -> AudioCache:
    """`n` recordings of one sample: their number."""
    samples = np.arange(n, dtype=np.float32)
    clips = {names.format(i): (i, 1, hashlib.sha256(samples[i].tobytes()).hexdigest()) for i in range(n)}
    return AudioCache({"own": samples}, clips, {})


class Doubling:
    """An encoder that counts its calls and can be interrupted."""

    def __init__(self, fails_at: int = -1) -> None:
        self.calls, self._fails_at = 0, fails_at

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        if self.calls == self._fails_at:
            raise KeyboardInterrupt
        self.calls += 1
        return np.array([waveform[0], 2 * waveform[0]], np.float32)


def test_each_recording_is_embedded_once(tmp_path):
    first, second = Doubling(), Doubling()
    found = open_embeddings(audio(5), ["own"], "key", 2, first, tmp_path)
    assert found.of(["own/3", "own/0"]).tolist() == [[3, 6], [0, 0]]
    again = open_embeddings(audio(5, "own/moved-{}"), ["own"], "key", 2, second, tmp_path)
    assert again.of(["own/moved-3"]).tolist() == [[3, 6]]
    assert (first.calls, second.calls) == (5, 0), "known by its samples, whatever its name"
    open_embeddings(audio(5), ["own"], "other encoder", 2, second, tmp_path)
    assert second.calls == 5


def test_an_interrupted_computation_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "PIECE", 4)
    with pytest.raises(KeyboardInterrupt):
        open_embeddings(audio(10), ["own"], "key", 2, Doubling(fails_at=6), tmp_path)
    rest = Doubling()
    found = open_embeddings(audio(10), ["own"], "key", 2, rest, tmp_path)
    assert rest.calls == 6, "the first four were stored"
    assert found.of([f"own/{i}" for i in range(10)])[:, 0].tolist() == [*range(10)]
