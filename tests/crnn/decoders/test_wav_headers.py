"""Headers that are wrong, names that lie, samples that are none: decoded whole, or refused in one line."""

import os

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from sound_files import (
    RATE,
    chunk,
    encoded,
    id3v1,
    mp3,
    on_device,
    refused,
    voice,
    wav,
)

from crnn.data.audio import read_audio
from crnn.errors import InputError

LATE = [0, 0xFFFFFFFF, 0xFFFFFFDB, 0x7FFFFFFF, 0x7FFFFFDB, 0x80000000, 0x7FFFF000, 0x7FFFFFFF - 44, 0xFFFFFFFF - 36]


@pytest.mark.parametrize("data", LATE)
@pytest.mark.parametrize("riff", [0, 0xFFFFFFFF, 36])
def test_wav_whose_length_the_recorder_never_wrote(tmp_path, data, riff):
    path = tmp_path / "a.wav"
    x = voice(1.2)
    path.write_bytes(wav(x, riff=riff, data=data) + b"\x07")  # it died in the middle of a sample
    assert np.abs(read_audio(path, RATE) - x[:, 0]).max() < 1e-4
    assert np.array_equal(read_audio(path, RATE), on_device(path))


@pytest.mark.parametrize("extra", [44, 36])
def test_wav_that_counts_its_header_as_sound(tmp_path, extra):
    x = voice(1)
    (tmp_path / "a.wav").write_bytes(wav(x, data=2 * len(x) + extra))
    assert len(read_audio(tmp_path / "a.wav", RATE)) == len(x)


@pytest.mark.parametrize("align", [1, 2, 4, 64])
@pytest.mark.parametrize("channels", [1, 2])
def test_wav_with_a_wrong_block_alignment(tmp_path, align, channels):
    x = voice(1, channels=channels)
    (tmp_path / "a.wav").write_bytes(wav(x, align=align))
    assert np.abs(read_audio(tmp_path / "a.wav", RATE) - x.mean(axis=1)).max() < 1e-4


@pytest.mark.parametrize("before", [b"", chunk(b"LIST", 4001), chunk(b"JUNK", 70000)])
@pytest.mark.parametrize(
    "behind", [b"", chunk(b"LIST", 500), chunk(b"bext", 602) + chunk(b"id3 ", 31), id3v1(), bytes(4096)]
)
def test_wav_with_further_chunks(tmp_path, before, behind):
    x = voice(1)
    whole = wav(x, before=before, behind=behind)
    (tmp_path / "a.wav").write_bytes(whole)
    assert len(read_audio(tmp_path / "a.wav", RATE)) == len(x)
    (tmp_path / "cut.wav").write_bytes(wav(x, before=before)[:-1000])
    refused(tmp_path / "cut.wav", "truncated.* 32000 bytes.* 31000")


def test_wav_whose_length_leaves_sound_out_is_refused(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(voice(2), data=RATE))
    refused(tmp_path / "a.wav", "wrong length.* ffmpeg -ignore_length 1")


def test_wav_with_nothing_but_a_chunk_behind_its_header_holds_no_samples(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(voice(0), behind=chunk(b"LIST", 40)))
    refused(tmp_path / "a.wav", "holds no samples")


@pytest.mark.parametrize("low", [True, False])
def test_24_bits_in_4_bytes(tmp_path, low):
    x = voice(1)
    values = np.round(x[:, 0] * 2**23).astype("<i4")
    body = (values if low else values << 8).tobytes()
    fmt = (
        b"fmt \x10\0\0\0\x01\0\x01\0" + RATE.to_bytes(4, "little") + (4 * RATE).to_bytes(4, "little") + b"\x04\0\x18\0"
    )
    (tmp_path / "a.wav").write_bytes(b"RIFF\0\0\0\0WAVE" + fmt + b"data" + len(body).to_bytes(4, "little") + body)
    assert np.abs(read_audio(tmp_path / "a.wav", RATE) - x[:, 0]).max() < 1e-6


def sound_or_one_line(path) -> None:
    try:
        waveform = read_audio(path, RATE)
    except InputError as error:
        assert str(error).startswith(f"{path}: ")
    else:
        assert np.isfinite(waveform).all()


@given(
    st.binary(max_size=3000),
    st.sampled_from([b"", b"RIFF\0\0\0\0WAVE", b"fLaC\0\0\0\x22", b"OggS\0\x02", b"\xff\xfb\x90\0"]),
)
def test_any_bytes_are_sound_or_one_line(tmp_path_factory, data, head):
    path = tmp_path_factory.mktemp("bytes") / "a.wav"
    path.write_bytes(head + data)
    sound_or_one_line(path)


@given(st.data())
def test_headers_with_any_fault_are_sound_or_one_line(tmp_path_factory, data):
    kind = data.draw(st.sampled_from([("WAV", "PCM_16"), ("WAV", "IMA_ADPCM"), ("AU", "PCM_16"), ("AIFF", "PCM_16"),
                                      ("FLAC", "PCM_16"), ("MP3", "MPEG_LAYER_III"), ("W64", "PCM_16")]))  # fmt: skip
    whole = bytearray(encoded(voice(0.3), format=kind[0], subtype=kind[1]))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, 63))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fault") / "a"
    path.write_bytes(whole)
    sound_or_one_line(path)


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("container", ["WAV", "AU", "AIFF"])
@pytest.mark.parametrize(("rate", "channels"), [(RATE, 1), (44100, 2)])
@pytest.mark.parametrize(("value", "part"), [(3e38, "full scale"), (12000, "divide them"), (np.inf, "infinite")])
def test_absurd_floats_are_refused(tmp_path, container, subtype, rate, channels, value, part):
    x = voice(1, rate, channels).astype(np.float64)
    x[rate // 2] = value
    soundfile.write(tmp_path / "a", x, rate, format=container, subtype=subtype)
    refused(tmp_path / "a", part)


def test_floats_above_full_scale_are_decoded_as_they_are(tmp_path):
    x = 20 * voice(1)
    soundfile.write(tmp_path / "a.wav", x, RATE, subtype="FLOAT")
    assert np.array_equal(read_audio(tmp_path / "a.wav", RATE), x[:, 0])


@pytest.mark.parametrize("name", ["voice.mp3", "voice.raw", "voice.wav", "voice", "voice.txt", "stimme \xfc.flac"])
def test_the_content_counts_and_not_the_name(tmp_path, name):
    for data in (wav(voice(1)), mp3(voice(1)), encoded(voice(1), format="FLAC")):
        (tmp_path / name).write_bytes(data)
        assert abs(len(read_audio(tmp_path / name, RATE)) - RATE) < 10


@pytest.mark.parametrize(
    ("head", "part"),
    [(b"PK\x03\x04", "ZIP file"), (b"\x89PNG\r\n", "PNG file"), (b"%PDF-1.7", "PDF file"), (b"\x1f\x8b\x08", "gzip")],
)
def test_other_files_are_named(tmp_path, head, part):
    (tmp_path / "a.wav").write_bytes(head + bytes(5000))
    refused(tmp_path / "a.wav", part)


def test_places_that_are_no_recordings(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "a.raw").write_bytes(voice(1).tobytes())
    refused(tmp_path, "is a folder")
    refused(tmp_path / "pipe", "no regular file")
    refused(tmp_path / "gone", "no such file")
    refused(tmp_path / "loop", "no such file|cannot be read")
    refused(tmp_path / "a.raw", "raw audio")


def test_a_link_and_a_name_in_latin_1_are_decoded(tmp_path):
    real = os.fsencode(tmp_path) + b"/stimme\xfc.wav"
    with open(real, "wb") as file:  # noqa: PTH123
        file.write(wav(voice(1)))
    (tmp_path / "link").symlink_to(os.fsdecode(real))
    assert len(read_audio(tmp_path / "link", RATE)) == RATE


def test_a_disk_that_fails_is_one_line(tmp_path, monkeypatch):
    from crnn.decoders import slices

    (tmp_path / "a.wav").write_bytes(wav(voice(3)))

    def fail(self, size):
        self.error = OSError(5, "Input/output error")
        return b""

    monkeypatch.setattr(slices.Slices, "_some", fail)
    refused(tmp_path / "a.wav", "Input/output error")


def test_a_second_chunk_of_samples_is_not_left_out_silently(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(voice(), behind=wav(voice())[36:]))
    refused(path, "wrong length")


def test_headers_without_a_channel_or_with_two_formats_are_refused(tmp_path):
    path = tmp_path / "a.wav"
    data = wav(voice())
    path.write_bytes(data[:22] + bytes(2) + data[24:])
    refused(path, "no channel")
    path.write_bytes(wav(voice(), before=wav(voice(channels=2))[12:36]))
    refused(path, "two formats")
