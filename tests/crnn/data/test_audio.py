"""Decoding: every rate, width and channel count; every broken file refused by name; the cache leaves those out."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers import broken_files, tone

from crnn.data.audio import audio_hash, read_audio
from crnn.data.cache import open_cache
from crnn.data.corpora import Utterance
from crnn.errors import InputError

RATE = 16000


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("rate", [8000, 16000, 44100, 96000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_reads_anything(tmp_path, subtype, rate, channels):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(0.5, rate, channels), rate, subtype=subtype)
    waveform = read_audio(path, RATE)
    assert waveform.dtype == np.float32
    assert waveform.shape == (RATE // 2,)
    inner = slice(RATE // 10, -RATE // 10)
    assert np.abs(waveform[inner] - tone(0.5, RATE)[inner, 0]).max() < (0.01 if subtype == "PCM_U8" else 2e-3)


def test_refuses_broken_files_by_name(tmp_path):
    for name, part in (broken_files(tmp_path) | {"missing.wav": "no such file"}).items():
        with pytest.raises(InputError, match=part) as refused:
            read_audio(tmp_path / name, RATE)
        assert str(tmp_path / name) in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_streaming_recorders_header_is_no_cut(tmp_path):
    path = tmp_path / "piped.wav"
    soundfile.write(path, tone(1.0, RATE), RATE)
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(bytes(data))
    assert len(read_audio(path, RATE)) == RATE


def test_too_long_is_refused_before_decoding(tmp_path):
    soundfile.write(tmp_path / "long.wav", tone(600, 4000), 4000)
    with pytest.raises(InputError, match="600 s.* 60 s"):
        read_audio(tmp_path / "long.wav", RATE, max_seconds=60)


def test_hash_is_of_the_samples(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(0.5, RATE), RATE)
    soundfile.write(tmp_path / "b.flac", soundfile.read(tmp_path / "a.wav")[0], RATE)
    assert audio_hash(read_audio(tmp_path / "a.wav", RATE)) == audio_hash(read_audio(tmp_path / "b.flac", RATE))


def utterances(folder: Path) -> list[Utterance]:
    return [Utterance(p, "ravdess", "01", "male", "happy") for p in sorted(folder.glob("*.*"))]


def test_cache_keeps_the_good_and_reports_the_bad(tmp_path):
    folder = tmp_path / "audio"
    bad = broken_files(folder)
    soundfile.write(folder / "fine.wav", tone(0.5, 44100, 2), 44100)
    soundfile.write(folder / "short.wav", tone(0.1, RATE), RATE)
    soundfile.write(folder / "long.wav", tone(600, 4000), 4000)
    soundfile.write(folder / "silent.wav", np.zeros(RATE), RATE)
    bad |= {"short.wav": "0.10 s", "long.wav": "600 s", "silent.wav": "silent"}
    (folder / "cut.flac").rename(folder / "cut_flac.flac")
    cache = open_cache(utterances(folder), RATE, tmp_path / "cache")
    assert set(cache.clips) == {"ravdess/fine"}
    assert np.array_equal(cache.waveform("ravdess/fine"), read_audio(folder / "fine.wav", RATE))
    assert len(cache.skipped) == len(bad)
    for name in ("short.wav", "long.wav", "silent.wav", "nan.wav"):
        assert bad[name] in cache.skipped[str(folder / name)]


def test_cache_is_keyed_by_content_and_settings(tmp_path):
    folder = tmp_path / "audio"
    folder.mkdir()
    soundfile.write(folder / "a.wav", tone(0.5, RATE), RATE)
    first = open_cache(utterances(folder), RATE, tmp_path / "cache")
    assert (
        open_cache(utterances(folder), RATE, tmp_path / "cache").samples["ravdess"].filename
        == first.samples["ravdess"].filename
    )
    assert (
        open_cache(utterances(folder), 8000, tmp_path / "cache").samples["ravdess"].filename
        != first.samples["ravdess"].filename
    )
    soundfile.write(folder / "a.wav", 0.5 * tone(0.5, RATE), RATE)
    second = open_cache(utterances(folder), RATE, tmp_path / "cache")
    assert second.samples["ravdess"].filename != first.samples["ravdess"].filename
    assert second.hashes != first.hashes
    assert not list((tmp_path / "cache").glob("*.part"))


def test_cache_names_a_bad_file_where_it_is_now(tmp_path):
    folder = tmp_path / "before"
    folder.mkdir()
    soundfile.write(folder / "a.wav", tone(0.5, RATE), RATE)
    soundfile.write(folder / "silent.wav", np.zeros(RATE), RATE)
    open_cache(utterances(folder), RATE, tmp_path / "cache")
    moved = folder.rename(tmp_path / "after")
    assert list(open_cache(utterances(moved), RATE, tmp_path / "cache").skipped) == [str(moved / "silent.wav")]


def test_cache_refuses_nothing_usable_and_copies(tmp_path):
    folder = tmp_path / "audio"
    broken_files(folder)
    with pytest.raises(InputError, match="ravdess/cut"):
        open_cache(utterances(folder), RATE, tmp_path / "cache")
    (folder / "cut.flac").unlink()
    with pytest.raises(InputError, match="none of the 6 recordings"):
        open_cache(utterances(folder), RATE, tmp_path / "cache")
