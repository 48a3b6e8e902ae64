"""Sources: the device decodes and resamples as training does, chunk by chunk; broken input is refused by name."""

import io
import os
import sys
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


class Dribble:
    """A pipe that hands out a few bytes at a time, never aligned to samples."""

    def __init__(self, data: bytes, at_once: int = 37) -> None:
        self._data, self._at, self._at_once = data, 0, at_once

    def read(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + min(size, self._at_once)]
        self._at += len(piece)
        return piece


@pytest.mark.parametrize("at_once", [1, 37])
@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (48000, 2)])
def test_raw_standard_input(rate, channels, at_once):
    x = (tone(0.4, rate, channels) * 32767).astype("<i2")
    streamed = np.concatenate(list(sources.from_raw(Dribble(x.tobytes(), at_once), rate, channels, 16000)))
    expected = to_mono_rate(x.astype(np.float32) / 32768, rate, 16000)
    assert len(streamed) == len(expected)
    assert np.abs(streamed - expected).max() <= 1e-6


@pytest.mark.parametrize(("data", "part"), [(b"", "no samples"), (b"\x00\x01\x02", "middle of a sample")])
def test_raw_input_that_is_none(data, part):
    with pytest.raises(InputError, match=part):
        list(sources.from_raw(io.BytesIO(data), 16000, 1, 16000))


def test_a_single_raw_sample_is_heard():
    (sample, end) = sources.from_raw(io.BytesIO(b"\x00\x40"), 16000, 1, 16000)
    assert sample.tolist() == [0.5]
    assert not len(end)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "AIFF"])
@pytest.mark.parametrize("at_once", [1, 4096])
def test_a_file_on_standard_input_is_not_taken_for_samples(kind, at_once):
    file = io.BytesIO()
    soundfile.write(file, tone(0.1, 16000), 16000, format=kind)
    with pytest.raises(InputError, match=f"is a {kind} file, expected raw s16le audio; name the file"):
        list(sources.from_raw(Dribble(file.getvalue(), at_once), 16000, 1, 16000))


@pytest.mark.parametrize(
    ("rate", "channels"), [(0, 1), (100_000_000_000, 1), (16000, 0), (16000, 1_000_000_000_000), (3999, 1)]
)
def test_a_format_that_nobody_records_is_refused(rate, channels):
    with pytest.raises(InputError, match="standard input: .* can be heard"):
        list(sources.from_raw(io.BytesIO(bytes(100)), rate, channels, 16000))


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x80000000, 0x7FFFF000])
def test_a_length_that_a_recorder_could_not_know_is_no_cut(tmp_path, length):
    """What ffmpeg, arecord and sox write into a pipe, and what is left of them when they are stopped."""
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(0.1, 16000), 16000, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    data[40:44] = length.to_bytes(4, "little")
    path.write_bytes(bytes(data))
    heard = np.concatenate(list(sources.from_file(path, 16000)))
    assert len(heard) == 1600
    assert np.array_equal(heard, read_audio(path, 16000))


def test_a_file_without_a_header_is_to_be_piped(tmp_path):
    (tmp_path / "a.raw").write_bytes(bytes(32000))
    with pytest.raises(InputError, match=r"a\.raw: raw audio has no header; pipe it: stream_infer\.py - --rate HZ <"):
        list(sources.from_file(tmp_path / "a.raw", 16000))


def test_a_pipe_with_a_name_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe: is no regular file; save the recording to one"):
        list(sources.from_file(tmp_path / "pipe", 16000))


@pytest.mark.parametrize(("missing", "rate"), [("soundfile", 16000), ("soxr", 48000)])
def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch, missing, rate):
    soundfile.write(tmp_path / "a.wav", tone(0.1, rate), rate)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(InputError, match=rf"needs {missing}: pip install -e '\.\[device\]'"):
        list(sources.from_file(tmp_path / "a.wav", 16000))


def test_a_missing_libsndfile_is_named(tmp_path, monkeypatch):
    (tmp_path / "soundfile.py").write_text("raise OSError('sndfile library not found')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "soundfile")
    with pytest.raises(InputError, match="libsndfile .*sudo apt install libsndfile1"):
        list(sources.from_file(tmp_path / "a.wav", 16000))
