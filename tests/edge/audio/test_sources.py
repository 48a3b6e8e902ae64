"""Sources: the device decodes and resamples as training does, chunk by chunk; broken input is refused by name."""

import gzip
import io
import os
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers import ROOT, broken_files, tone
from hypothesis import given, settings
from hypothesis import strategies as st
from sound_files import encoded, stored, voice, wav

from crnn.data.audio import read_audio, to_mono_rate
from crnn.decoders.pcm import FORMATS
from crnn.errors import InputError
from edge.audio import sources


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2), (48000, 1), (8000, 1), (96000, 6)])
def test_file_is_what_training_reads(tmp_path, subtype, rate, channels):
    path = tmp_path / "a.wav"
    noise = 0.1 * np.random.default_rng(0).standard_normal((int(1.37 * rate), channels))
    soundfile.write(path, noise, rate, subtype=subtype)
    streamed = np.concatenate(list(sources.from_file(path, 16000)))
    assert np.array_equal(streamed, read_audio(path, 16000))
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


def test_a_single_raw_sample_is_read():
    (sample, end) = sources.from_raw(io.BytesIO(b"\x00\x40"), 16000, 1, 16000)
    assert sample.tolist() == [0.5]
    assert not len(end)


def read_raw(data: bytes, rate: int = 16000, channels: int = 1, at_once: int = 4096, **options) -> np.ndarray:
    return np.concatenate(list(sources.from_raw(Dribble(data, at_once), rate, channels, 16000, **options)))


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "AIFF", "MP3", "CAF", "W64"])
@pytest.mark.parametrize("at_once", [1, 4096])
def test_a_file_on_standard_input_is_not_taken_for_samples(kind, at_once):
    name = {"OGG": "Ogg"}.get(kind, kind)
    with pytest.raises(InputError, match=rf"a file \({name}\).* s16le"):
        read_raw(encoded(voice(1.5), format=kind), at_once=at_once)


@pytest.mark.parametrize(
    ("container", "subtype", "endian"),
    [("WAV", "PCM_U8", None), ("WAV", "PCM_16", None), ("WAV", "PCM_24", None), ("WAV", "FLOAT", None),
     ("WAV", "ULAW", None), ("WAV", "PCM_16", "BIG"), ("WAVEX", "PCM_32", None), ("RF64", "PCM_16", None),
     ("AU", "PCM_16", None), ("AU", "ALAW", None), ("AU", "FLOAT", None), ("AU", "PCM_16", "LITTLE")],
)  # fmt: skip
@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2)])
def test_wav_and_au_on_standard_input_say_their_format(tmp_path, container, subtype, endian, rate, channels):
    data = encoded(voice(1, rate, channels), rate, format=container, subtype=subtype, endian=endian)
    (tmp_path / "a").write_bytes(data)
    decoded = read_raw(data, rate=8000, channels=2, at_once=999)
    assert np.abs(decoded - read_audio(tmp_path / "a", 16000)).max() < 1e-6


def test_wav_from_a_recorder_is_read_as_it_comes():
    x = voice(1)
    assert len(read_raw(wav(x, data=0xFFFFFFFF))) == len(x)
    assert len(read_raw(wav(x, behind=b"LIST\x04\0\0\0abcd"))) == len(x)
    with pytest.raises(InputError, match="truncated .100 bytes"):
        read_raw(wav(x)[:-100])


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "GSM610"])
def test_a_compressed_wav_file_on_standard_input_is_to_be_named(subtype):
    with pytest.raises(InputError, match="pipe .*name the file"):
        read_raw(encoded(voice(1), format="WAV", subtype=subtype))


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize("channels", [1, 2])
def test_every_sample_format_is_read(name, channels):
    x = voice(1, channels=channels)
    decoded = read_raw(stored(x, name), channels=channels, at_once=1001, sample_format=name)
    assert np.abs(decoded - x.mean(axis=1)).max() < (0.02 if FORMATS[name].width == 1 else 1e-4)


WIDE = ["s16be", "s24le", "s24be", "s24in32le", "s32le", "s32be", "f32le", "f32be", "u8", "ulaw"]


@pytest.mark.parametrize("true", WIDE)
@pytest.mark.parametrize("loudness", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("from16", [True, False])
def test_samples_of_another_format_are_refused(true, loudness, from16):
    x = loudness * voice(3, seed=4)
    if from16:
        x = np.round(x * 32767).astype(np.float32) / 32768
    with pytest.raises(InputError, match="s16le .*but like .* --format"):
        read_raw(stored(x, true))


TEXTS = {
    "English": "What is a feature, a setting, a label? A confident answer is not always a true one.\n" * 100,
    "Japanese": "\u611f\u60c5\u3092\u8a8d\u8b58\u3059\u308b\u3002\n" * 400,
    "Greek": "\u03a4\u03b9 \u03b5\u03af\u03bd\u03b1\u03b9 \u03b1\u03c5\u03c4\u03cc;\n" * 300,
    "JSON": '{"emotion": "angry", "probs": [0.1, 0.2, 0.7]}\n' * 200,
}


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("code", ["utf-8", "utf-16"])
@pytest.mark.parametrize("length", [3000, 10**6])
def test_text_is_refused(language, code, length):
    data = (TEXTS[language] * 40).encode(code)[:length]
    with pytest.raises(InputError, match=" text.* s16le"):
        read_raw(data[: len(data) // 2 * 2])


@pytest.mark.parametrize("code", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_text_without_a_mark_is_refused(code):
    with pytest.raises(InputError, match="is text"):
        read_raw((TEXTS["JSON"] * 40).encode(code))


@pytest.mark.parametrize("level", [10, 40, 80, 100, 115])
def test_a_quiet_room_on_an_offset_of_the_size_of_letters_is_read(level):
    samples = np.clip(np.random.default_rng(0).normal(level, 9, 16000), 1, 255).astype("<i2")
    assert len(read_raw(samples.tobytes())) == len(samples)


def test_the_readme_is_refused():
    with pytest.raises(InputError, match="is text"):
        read_raw((ROOT / "README.md").read_bytes()[:4000])


def test_compressed_data_are_refused():
    with pytest.raises(InputError, match="every byte"):
        read_raw(np.random.default_rng(5).bytes(40000))
    with pytest.raises(InputError, match="gzip"):
        read_raw(gzip.compress(np.random.default_rng(5).bytes(40000)))


@settings(max_examples=60)
@given(
    st.sampled_from(["white", "pink", "brown", "voice", "tone", "click", "square", "silence", "violet"]),
    st.floats(-90, 12),
    st.floats(20, 7990),
    st.sampled_from([1, 2]),
    st.integers(0, 2**31),
)
def test_no_recording_is_ever_refused(kind, level_db, frequency, channels, seed):
    """Quiet, loud, clipped, noise of every colour, tones up to the highest frequency, clicks, silence."""
    rng = np.random.default_rng(seed)
    n = 3 * 16000
    white = rng.standard_normal(n)
    spectrum, bins = np.fft.rfft(white), np.arange(n // 2 + 1)
    x = {
        "white": lambda: white,
        "pink": lambda: np.fft.irfft(spectrum / np.sqrt(np.maximum(1, bins))),
        "brown": lambda: np.fft.irfft(spectrum / np.maximum(20, bins)),
        "violet": lambda: np.fft.irfft(spectrum * bins),
        "voice": lambda: voice(3, seed=seed % 1000)[:, 0],
        "tone": lambda: np.sin(2 * np.pi * frequency * np.arange(n) / 16000),
        "square": lambda: np.sign(np.sin(2 * np.pi * frequency * np.arange(n) / 16000)),
        "click": lambda: white * (rng.random(n) < 0.002),
        "silence": lambda: np.zeros(n),
    }[kind]()
    x = 10 ** (level_db / 20) * x / max(1e-9, np.sqrt(np.mean(x**2)))
    samples = np.round(np.clip(x, -1, 32767 / 32768) * 32768).astype("<i2")
    decoded = read_raw(np.repeat(samples, channels).tobytes(), channels=channels)
    assert np.array_equal(decoded, samples.astype(np.float32) / 32768)


def test_no_recording_of_the_corpora_is_refused():
    if "SER_DATA" not in os.environ:
        pytest.skip("SER_DATA names no folder of recordings")
    folder = Path(os.environ["SER_DATA"])
    files = sorted(f for f in folder.rglob("*") if f.suffix in (".flac", ".ogg", ".wav") and f.stat().st_size > 8000)
    noise = [f for f in files if "noise" in f.parts]
    for file in [*noise[::3], *files[:: len(files) // 60]]:
        x = read_audio(file, 16000)
        for gain in (0.02, 1, 25):
            samples = np.round(np.clip(gain * x, -1, 32767 / 32768) * 32768).astype("<i2")
            assert len(read_raw(samples.tobytes(), at_once=3200)) == len(x), (file, gain)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_raw_floats_that_are_no_samples_are_refused(value):
    x = voice(1)
    x[5000] = value
    with pytest.raises(InputError, match="standard input: "):
        read_raw(x.astype("<f4").tobytes(), sample_format="f32le")


@pytest.mark.parametrize(
    ("rate", "channels"), [(0, 1), (100_000_000_000, 1), (16000, 0), (16000, 1_000_000_000_000), (3999, 1)]
)
def test_a_format_that_nobody_records_is_refused(rate, channels):
    with pytest.raises(InputError, match=f"standard input: .*({rate} Hz|{channels} channels)"):
        list(sources.from_raw(io.BytesIO(bytes(100)), rate, channels, 16000))


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x80000000, 0x7FFFF000])
def test_a_length_that_a_recorder_could_not_know_is_no_cut(tmp_path, length):
    """What ffmpeg, arecord and sox write into a pipe, and what is left of them when they are stopped."""
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(0.1, 16000), 16000, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    data[40:44] = length.to_bytes(4, "little")
    path.write_bytes(bytes(data))
    decoded = np.concatenate(list(sources.from_file(path, 16000)))
    assert len(decoded) == 1600
    assert np.array_equal(decoded, read_audio(path, 16000))


def test_a_file_without_a_header_is_to_be_piped(tmp_path):
    (tmp_path / "a.raw").write_bytes(bytes(32000))
    with pytest.raises(InputError, match=r"a\.raw: .*stream_infer\.py - --rate HZ --format s16le <"):
        list(sources.from_file(tmp_path / "a.raw", 16000))


def test_a_pipe_with_a_name_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe: .*no regular file"):
        list(sources.from_file(tmp_path / "pipe", 16000))


@pytest.mark.parametrize(("missing", "rate"), [("soundfile", 16000), ("soxr", 48000)])
def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch, missing, rate):
    soundfile.write(tmp_path / "a.wav", tone(0.1, rate), rate)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(InputError, match=rf"{missing}.* pip install -e '\.\[device\]'"):
        list(sources.from_file(tmp_path / "a.wav", 16000))


def test_a_missing_libsndfile_is_named(tmp_path, monkeypatch):
    (tmp_path / "soundfile.py").write_text("raise OSError('sndfile library not found')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "soundfile")
    with pytest.raises(InputError, match="libsndfile .*sudo apt install libsndfile1"):
        list(sources.from_file(tmp_path / "a.wav", 16000))
