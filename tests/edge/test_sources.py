"""Sources: the device decodes and resamples as training does, chunk by chunk; broken input is refused by name."""

import io
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from helpers import broken_files, tone
from hypothesis import given, settings
from hypothesis import strategies as st

from crnn.audio import read_audio, to_mono_rate
from crnn.config import InputError
from edge import sources


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2), (48000, 1), (8000, 1), (96000, 6)])
def test_file_is_what_training_reads(tmp_path, subtype, rate, channels):
    path = tmp_path / "a.wav"
    noise = 0.1 * np.random.default_rng(0).standard_normal((int(1.37 * rate), channels))
    soundfile.write(path, noise, rate, subtype=subtype)
    streamed = np.concatenate(list(sources.from_file(path, 16000)))
    assert np.abs(streamed - read_audio(path, 16000)).max() <= 1e-6
    assert streamed.dtype == np.float32


def test_broken_files_are_refused_by_name(tmp_path):
    for name, part in (broken_files(tmp_path) | {"missing.wav": "no such file"}).items():
        with pytest.raises(InputError, match=part) as refused:
            list(sources.from_file(tmp_path / name, 16000))
        assert str(tmp_path / name) in str(refused.value)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([8000, 16000, 22050, 44100, 48000]),
    st.integers(1, 2),
    st.lists(st.integers(0, 9000), max_size=5),
)
def test_resampling_in_chunks_is_one_call(rate, channels, cuts):
    x = np.random.default_rng(1).standard_normal((9000, channels)).astype(np.float32)
    edges = [0, *sorted(cuts), 9000]
    resample = sources.StreamResampler(rate, 16000)
    parts = [resample(x[a:b], last=b == 9000 and i == len(edges) - 2) for i, (a, b) in enumerate(pairwise(edges))]
    whole = to_mono_rate(x, rate, 16000)
    streamed = np.concatenate(parts)
    assert len(streamed) == len(whole)
    assert np.abs(streamed - whole).max() <= 1e-6


class Dribble(io.RawIOBase):
    """A pipe that hands out a few bytes at a time, never aligned to samples."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self, size: int = -1) -> bytes:
        piece = self._data[self._at : self._at + min(size, 37)]
        self._at += len(piece)
        return piece


@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (48000, 2)])
def test_raw_standard_input(rate, channels):
    x = (tone(0.4, rate, channels) * 32767).astype("<i2")
    streamed = np.concatenate(list(sources.from_raw(Dribble(x.tobytes()), rate, channels, 16000)))
    expected = to_mono_rate(x.astype(np.float32) / 32768, rate, 16000)
    assert len(streamed) == len(expected)
    assert np.abs(streamed - expected).max() <= 1e-6


@pytest.mark.parametrize(("data", "part"), [(b"", "no samples"), (b"\x00\x01\x02", "middle of a sample")])
def test_raw_input_that_is_none(data, part):
    with pytest.raises(InputError, match=part):
        list(sources.from_raw(io.BytesIO(data), 16000, 1, 16000))
