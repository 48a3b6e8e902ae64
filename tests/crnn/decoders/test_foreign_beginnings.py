"""What only looks like MPEG audio, what stands before it, and what libsndfile reads beyond or does not notice."""

import pytest
from sound_files import RATE, ape, encoded, id3v2, mp3, on_device, refused, voice, without_tag

from crnn.data.audio import decode, read_audio
from crnn.decoders.mpeg_frames import frame_at

FREE_FORMAT = bytes([0xFF, 0xFB, 0x04, 0xC4])


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfb\x90\x64" + b"junk " * 500,
        FREE_FORMAT + bytes(400),
        (FREE_FORMAT + b"x" * 413) * 20,
        "text of UTF-16".encode("utf-16"),
        b"\xff\xfb",
        id3v2() + b"\xff\xfb\x90\x64" + b"junk " * 500,
    ],
)
def test_what_only_begins_like_mp3_is_refused_without_a_note_on_standard_error(tmp_path, capfd, data):
    path = tmp_path / "bad.mp3"
    path.write_bytes(data)
    refused(path, "MP3")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("tags", [id3v2() + id3v2(900), ape(), id3v2() + ape() + id3v2()])
def test_mp3_behind_several_tags_is_the_same_recording(tmp_path, tags):
    plain, tagged = tmp_path / "plain.mp3", tmp_path / "tagged.mp3"
    data = without_tag(mp3(voice()))
    plain.write_bytes(data)
    tagged.write_bytes(tags + data)
    assert (read_audio(tagged, RATE) == read_audio(plain, RATE)).all()
    assert (on_device(tagged) == read_audio(plain, RATE)).all()


def layer2(frames: int) -> bytes:
    """Silent frames of MPEG-1 layer II, 44.1 kHz, mono: a length in bytes that no whole number of samples gives."""
    made = b""
    for number in range(frames):
        padded = 2 if number % 25 else 0
        header = bytes([0xFF, 0xFD, 0x80 | padded, 0xC0])
        made += header.ljust(frame_at(header).length, b"\0")
    return made


def test_layer_2_whose_length_can_only_be_guessed_is_decoded_whole(tmp_path, capfd):
    path = tmp_path / "a.mp2"
    path.write_bytes(layer2(60))
    samples, rate = decode(path)
    assert (rate, samples.shape) == (44100, (60 * 1152, 1))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("container", "subtype"), [("VOC", "PCM_16"), ("NIST", "PCM_16"), ("SDS", "PCM_16"), ("PVF", "PCM_16")]
)
def test_formats_whose_cuts_go_unnoticed_are_to_be_converted(tmp_path, container, subtype):
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(voice(), format=container, subtype=subtype)[:-1000])
    refused(path, "ffmpeg")


def test_what_follows_a_w64_file_is_not_decoded_as_samples(tmp_path):
    path = tmp_path / "a.w64"
    data = encoded(voice(), format="W64", subtype="PCM_16")
    path.write_bytes(data + data)
    refused(path, "wrong length")
