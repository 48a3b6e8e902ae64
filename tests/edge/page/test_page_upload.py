"""Uploads are decoded within limits, and messages do not contain the path."""

import numpy as np
import pytest
import soundfile
from helpers import broken_files, tone

from crnn.errors import InputError
from edge.page.upload import UploadLimits, decode
from edge.serve.upload import ClipError

RATE = 16000


def refused(path, limits=None) -> str:
    with pytest.raises(ClipError) as error:
        decode(path, RATE, limits or UploadLimits())
    message = str(error.value)
    assert "\n" not in message
    assert str(path) not in message
    assert path.name not in message
    return message


@pytest.mark.parametrize(("name", "rate", "channels"), [("a.wav", 48000, 2), ("a.mp3", 44100, 1), ("a.ogg", 8000, 1)])
def test_a_good_clip_is_decoded(tmp_path, name, rate, channels):
    soundfile.write(tmp_path / name, tone(1.0, rate, channels), rate)
    samples = decode(tmp_path / name, RATE, UploadLimits())
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(RATE, rel=0.1)
    assert np.abs(samples).max() == pytest.approx(0.3, abs=0.1)  # MP3 rings


def test_broken_files_give_one_line(tmp_path):
    said = broken_files(tmp_path / "made")
    for number, (file, part) in enumerate(said.items()):
        place = tmp_path / str(number)
        place.mkdir()
        (tmp_path / "made" / file).rename(place / file)
        assert part in refused(place / file)


def test_a_file_that_is_no_audio_names_the_formats(tmp_path):
    path = tmp_path / "film.m4a"
    path.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(range(256)) * 20)
    message = refused(path)
    assert "WAV, FLAC" in message or "PyAV" in message


def test_limits_hold(tmp_path):
    def written(name, samples, rate=RATE):
        place = tmp_path / name
        place.mkdir()
        soundfile.write(place / "a.flac", samples, rate)
        return place / "a.flac"

    assert " 2 s" in refused(written("long", np.zeros(3 * RATE)), UploadLimits(max_seconds=2))
    assert "1000 Hz" in refused(written("slow", np.zeros(99), 1000))


def test_a_header_with_an_absurd_rate_allocates_nothing(tmp_path):
    path = tmp_path / "bomb.wav"
    soundfile.write(path, np.zeros(100), RATE)
    data = bytearray(path.read_bytes())
    data[24:28] = (2_000_000_000).to_bytes(4, "little")
    path.write_bytes(bytes(data))
    assert "2000000000 Hz" in refused(path)


@pytest.mark.parametrize(
    "values", [{"max_megabytes": 0}, {"max_megabytes": float("inf")}, {"max_seconds": -1}, {"max_sessions": 0}]
)
def test_limits_must_be_positive_and_finite(values):
    with pytest.raises(InputError, match=next(iter(values))):
        UploadLimits(**values)
