"""Recordings of every kind are decoded to their end, alike in training and on the device, or refused in one line."""

import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from sound_files import (
    RATE,
    ape,
    encoded,
    id3v1,
    id3v2,
    mp3,
    mp3_frames,
    on_device,
    refused,
    voice,
    wav,
    without_length,
    without_tag,
)

from crnn import check
from crnn.data.audio import decode, read_audio, to_mono_rate

KINDS = [
    ("WAV", "PCM_U8"), ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "PCM_32"), ("WAV", "FLOAT"), ("WAV", "DOUBLE"),
    ("WAV", "ULAW"), ("WAV", "ALAW"), ("WAV", "IMA_ADPCM"), ("WAV", "MS_ADPCM"), ("WAV", "GSM610"), ("WAV", "G721_32"),
    ("WAVEX", "PCM_16"), ("WAVEX", "PCM_24"), ("WAVEX", "FLOAT"), ("RF64", "PCM_16"), ("W64", "PCM_16"),
    ("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"),
    ("AIFF", "PCM_16"), ("AIFF", "PCM_24"), ("AIFF", "FLOAT"), ("AU", "PCM_16"), ("AU", "PCM_24"), ("AU", "FLOAT"),
    ("AU", "ULAW"), ("AU", "ALAW"), ("CAF", "PCM_16"), ("CAF", "ALAC_16"),
]  # fmt: skip
ONE_CHANNEL = {"GSM610", "G721_32"}


@cache
def to_cut(seconds: float, container: str, subtype: str | None = None) -> bytes:
    """A voice, encoded once for the hundred places where it is cut."""
    return mp3(voice(seconds)) if container == "MP3" else encoded(voice(seconds), format=container, subtype=subtype)


@pytest.mark.parametrize(("container", "subtype"), KINDS)
@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 1), (44100, 2), (48000, 1)])
def test_training_and_device_get_the_same_samples(tmp_path, container, subtype, rate, channels):
    if subtype in ONE_CHANNEL:
        channels = 1
    if (container, subtype) == ("OGG", "OPUS") and rate == 44100:
        rate = 48000
    path = tmp_path / "sound"  # no suffix: the content counts
    soundfile.write(path, voice(1.37, rate, channels), rate, format=container, subtype=subtype)
    samples, found = decode(path)
    reference, true = read_at_once(path)
    assert found == true == rate
    if subtype == "GSM610":  # libsndfile counts the byte that pads its data as a block
        reference = reference[: -(-round(1.37 * rate) // 320) * 320]
    assert np.array_equal(samples, reference)
    waveform = read_audio(path, RATE)
    assert np.array_equal(waveform, on_device(path))
    assert np.array_equal(waveform, to_mono_rate(samples, rate, RATE))


def read_at_once(path) -> tuple[np.ndarray, int]:
    """By soundfile, in one call: then it does not seek."""
    with soundfile.SoundFile(path) as file:
        return file.read(file.frames, dtype="float32", always_2d=True), file.samplerate


@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000])
@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT", "AVERAGE"])
def test_mp3_without_its_length_is_decoded_whole(tmp_path, capfd, rate, mode):
    data = mp3(voice(3, rate), rate, mode)
    (tmp_path / "with.mp3").write_bytes(data)
    (tmp_path / "without.mp3").write_bytes(without_tag(data))
    tagged, untagged = decode(tmp_path / "with.mp3")[0], decode(tmp_path / "without.mp3")[0]
    assert len(tagged) == 3 * rate  # the tag says what the encoder added
    assert 3 * rate <= len(untagged) <= 3 * rate + 3 * 1152
    part = tagged[rate : 2 * rate, 0]
    delay = min(range(3000), key=lambda n: np.abs(untagged[rate + n : rate + n + 50, 0] - part[:50]).max())
    assert np.abs(untagged[rate + delay : 2 * rate + delay, 0] - part).max() < 1e-4
    assert np.array_equal(read_audio(tmp_path / "without.mp3", RATE), on_device(tmp_path / "without.mp3"))
    assert capfd.readouterr().err == ""


@given(st.floats(0.02, 0.995))
def test_mp3_that_was_cut_is_refused_or_whole(tmp_path_factory, share):
    whole = to_cut(2, "MP3")
    path = tmp_path_factory.mktemp("cut") / "a.mp3"
    path.write_bytes(whole[: int(share * len(whole))])
    refused(path, "truncated|not readable|holds no samples|damaged")


def test_untagged_mp3_cut_within_a_frame_is_refused(tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(without_tag(mp3(voice(2)))[:-20])
    refused(path, "truncated.*last frame")


@pytest.mark.parametrize("between", [b"", id3v1(), id3v2(), ape(), id3v1() + id3v2(), bytes(777), ape() + id3v1()])
def test_joined_mp3_files_are_decoded_whole(tmp_path, capfd, between):
    first, second = mp3(voice(2, seed=1)), mp3(voice(1, seed=2))
    path = tmp_path / "joined.mp3"
    path.write_bytes(id3v2() + first + between + second + id3v1())
    seconds = len(read_audio(path, RATE)) / RATE
    assert 3.0 <= seconds <= 3.3
    assert np.array_equal(read_audio(path, RATE), on_device(path))
    assert capfd.readouterr().err == ""


def test_joined_mp3_files_of_which_one_was_cut_are_refused(tmp_path):
    path = tmp_path / "joined.mp3"
    cut = b"".join(mp3_frames(mp3(voice(2)))[:-20])
    path.write_bytes(cut + mp3(voice(1)))
    refused(path, "truncated.*header.* 2")


def test_mp3_files_of_two_rates_in_one_are_refused(tmp_path):
    path = tmp_path / "joined.mp3"
    path.write_bytes(mp3(voice(1)) + mp3(voice(1, 44100), 44100))
    refused(path, "16000 Hz, 1 channel.* 44100 Hz")


def test_mp3_with_foreign_bytes_in_it_is_refused(tmp_path):
    frames = mp3_frames(mp3(voice(2)))
    junk = np.random.default_rng(3).integers(0, 255, 900).astype(np.uint8).tobytes()
    path = tmp_path / "a.mp3"
    path.write_bytes(b"".join(frames[:20]) + junk + b"".join(frames[20:]))
    refused(path, "damaged .*MPEG audio")


def test_mp3_that_begins_within_a_frame_is_decoded(tmp_path, capfd):
    data = without_tag(mp3(voice(2)))
    path = tmp_path / "a.mp3"
    path.write_bytes(data[100:])
    assert 1.8 < len(read_audio(path, RATE)) / RATE < 2.2
    assert capfd.readouterr().err == ""


def test_mp3_inside_a_wav_file(tmp_path):
    body = mp3(voice(1))
    fmt = b"fmt " + (16).to_bytes(4, "little") + b"\x55\x00\x01\x00\x80\x3e\x00\x00\xa0\x0f\x00\x00\x01\x00\x00\x00"
    data = b"WAVE" + fmt + b"data" + len(body).to_bytes(4, "little") + body
    (tmp_path / "a.wav").write_bytes(b"RIFF" + len(data).to_bytes(4, "little") + data)
    (tmp_path / "a.mp3").write_bytes(body)
    assert np.array_equal(read_audio(tmp_path / "a.wav", RATE), read_audio(tmp_path / "a.mp3", RATE))


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_streams_one_after_the_other_are_decoded_whole(tmp_path, subtype):
    path = tmp_path / "a.ogg"
    parts = [encoded(voice(s, seed=seed), format="OGG", subtype=subtype) for seed, s in enumerate((1, 2, 0.5))]
    path.write_bytes(b"".join(parts))
    waveform = read_audio(path, RATE)
    assert abs(len(waveform) / RATE - 3.5) < 0.02
    assert np.array_equal(waveform, on_device(path))
    alone = tmp_path / "first.ogg"
    alone.write_bytes(parts[0])
    first = read_audio(alone, RATE)
    assert np.array_equal(waveform[: len(first)], first)


def test_ogg_streams_of_two_rates_are_refused(tmp_path):
    path = tmp_path / "a.ogg"
    path.write_bytes(
        encoded(voice(1), format="OGG", subtype="VORBIS")
        + encoded(voice(1, 44100), 44100, format="OGG", subtype="VORBIS")
    )
    refused(path, "16000 Hz, 1 channel.* part 2 44100 Hz")


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@given(st.floats(0.01, 0.999))
def test_ogg_that_was_cut_is_refused(tmp_path_factory, subtype, share):
    whole = to_cut(3, "OGG", subtype)
    path = tmp_path_factory.mktemp("cut") / "a.ogg"
    path.write_bytes(whole[: max(20, int(share * len(whole)))])
    refused(path, "truncated")


def test_ogg_cut_between_pages_or_without_one_is_refused(tmp_path):
    whole = encoded(voice(6), format="OGG", subtype="VORBIS")
    pages = [b"OggS" + page for page in whole.split(b"OggS")[1:]]
    assert len(pages) > 3
    (tmp_path / "cut.ogg").write_bytes(b"".join(pages[:-1]))
    refused(tmp_path / "cut.ogg", "truncated")
    (tmp_path / "gap.ogg").write_bytes(b"".join([*pages[:-2], pages[-1]]))
    refused(tmp_path / "gap.ogg", "damaged")


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("seconds", [0.01, 1.0, 1.3])
def test_flac_from_a_pipe_is_decoded_whole(tmp_path, subtype, seconds):
    whole = encoded(voice(seconds), format="FLAC", subtype=subtype)
    for name, data in {"whole": whole, "pipe": without_length(whole), "tag": id3v2() + whole + id3v1()}.items():
        (tmp_path / name).write_bytes(data)
        assert np.array_equal(read_audio(tmp_path / name, RATE), read_at_once(tmp_path / "whole")[0][:, 0])


@given(st.floats(0.03, 0.999), st.booleans())
def test_flac_that_was_cut_is_refused(tmp_path_factory, share, known):
    whole = to_cut(1.3, "FLAC")
    path = tmp_path_factory.mktemp("cut") / "a.flac"
    path.write_bytes((whole if known else without_length(whole))[: int(share * len(whole))])
    refused(path, "truncated")


def test_joined_flac_files_are_decoded_whole(tmp_path):
    path = tmp_path / "a.flac"
    path.write_bytes(encoded(voice(1), format="FLAC") + without_length(encoded(voice(0.5, seed=1), format="FLAC")))
    assert len(read_audio(path, RATE)) == 1.5 * RATE


def test_check_reports_every_kind_without_a_crash(tmp_path, capsys):
    folder = tmp_path / "angry"
    folder.mkdir()
    for number, (container, subtype) in enumerate(KINDS):
        if (container, subtype) != ("WAV", "G721_32"):
            suffix = {"OGG": "ogg", "MP3": "mp3", "FLAC": "flac"}.get(container, "wav")
            soundfile.write(
                folder / f"a_{number}.{suffix}", voice(1, 8000, seed=number), 8000, format=container, subtype=subtype
            )
    (folder / "b_1.wav").write_bytes(wav(voice(1))[:900])
    assert check.main(["--data", f"folder:{tmp_path}"]) == 1
    out = capsys.readouterr().out
    assert f"{len(KINDS) - 1} of {len(KINDS)} recordings" in out
    assert "b_1.wav: truncated" in out


def test_the_reader_needs_neither_torch_nor_soundfile_to_be_imported():
    code = "import sys, crnn.data.audio; assert not {'torch', 'soundfile', 'soxr', 'av'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
