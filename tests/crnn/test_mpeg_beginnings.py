"""What stands at the beginning of an MP3 file, or only looks like one: tags, garbage, free format."""

import pytest
from sound_files import RATE, ape, id3v2, mp3, on_device, refused, voice, without_tag

from crnn.audio import read_audio

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
    refused(path, "begins like MP3")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("tags", [id3v2() + id3v2(900), ape(), id3v2() + ape() + id3v2()])
def test_mp3_behind_several_tags_is_the_same_recording(tmp_path, tags):
    plain, tagged = tmp_path / "plain.mp3", tmp_path / "tagged.mp3"
    data = without_tag(mp3(voice()))
    plain.write_bytes(data)
    tagged.write_bytes(tags + data)
    assert (read_audio(tagged, RATE) == read_audio(plain, RATE)).all()
    assert (on_device(tagged) == read_audio(plain, RATE)).all()
