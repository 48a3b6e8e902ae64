"""Recordings of every kind are heard to their real end, alike in training and on the device, or refused in one line."""

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from sound_files import (
    RATE,
    ape,
    chunk,
    encoded,
    id3v1,
    id3v2,
    mp3,
    mp3_frames,
    voice,
    wav,
    without_length,
    without_tag,
)

from crnn import check
from crnn.audio import decode, read_audio, to_mono_rate
from crnn.config import InputError
from edge.sources import from_file

KINDS = [
    ("WAV", "PCM_U8"), ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "PCM_32"), ("WAV", "FLOAT"), ("WAV", "DOUBLE"),
    ("WAV", "ULAW"), ("WAV", "ALAW"), ("WAV", "IMA_ADPCM"), ("WAV", "MS_ADPCM"), ("WAV", "GSM610"), ("WAV", "G721_32"),
    ("WAVEX", "PCM_16"), ("WAVEX", "PCM_24"), ("WAVEX", "FLOAT"), ("RF64", "PCM_16"), ("W64", "PCM_16"),
    ("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"),
    ("AIFF", "PCM_16"), ("AIFF", "PCM_24"), ("AIFF", "FLOAT"), ("AU", "PCM_16"), ("AU", "PCM_24"), ("AU", "FLOAT"),
    ("AU", "ULAW"), ("AU", "ALAW"), ("CAF", "PCM_16"), ("CAF", "ALAC_16"), ("VOC", "PCM_16"), ("NIST", "PCM_16"),
]  # fmt: skip
ONE_CHANNEL = {"GSM610", "G721_32"}


def on_device(path) -> np.ndarray:
    return np.concatenate(list(from_file(path, RATE)))


def refused(path, match: str) -> None:
    """By training and by the device, in the same line."""
    lines = []
    for read in (lambda: read_audio(path, RATE), lambda: on_device(path)):
        with pytest.raises(InputError, match=match) as error:
            read()
        lines.append(str(error.value))
    assert lines[0] == lines[1]
    assert lines[0].startswith(f"{path}: ")
    assert "\n" not in lines[0]


@pytest.mark.parametrize(("container", "subtype"), KINDS)
@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 1), (44100, 2), (48000, 1)])
def test_training_and_device_hear_the_same_samples(tmp_path, container, subtype, rate, channels):
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
def test_mp3_without_its_length_is_heard_whole(tmp_path, capfd, rate, mode):
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
    whole = mp3(voice(2))
    path = tmp_path_factory.mktemp("cut") / "a.mp3"
    path.write_bytes(whole[: int(share * len(whole))])
    refused(path, "truncated|not readable|holds no samples|damaged")


def test_untagged_mp3_cut_within_a_frame_is_refused(tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(without_tag(mp3(voice(2)))[:-20])
    refused(path, "truncated .its last frame is incomplete.")


@pytest.mark.parametrize("between", [b"", id3v1(), id3v2(), ape(), id3v1() + id3v2(), bytes(777), ape() + id3v1()])
def test_joined_mp3_files_are_heard_whole(tmp_path, capfd, between):
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
    refused(path, "truncated .its header promises 2")


def test_mp3_files_of_two_rates_in_one_are_refused(tmp_path):
    path = tmp_path / "joined.mp3"
    path.write_bytes(mp3(voice(1)) + mp3(voice(1, 44100), 44100))
    refused(path, "joined of different recordings: 16000 Hz, 1 channel.* 44100 Hz")


def test_mp3_with_foreign_bytes_in_it_is_refused(tmp_path):
    frames = mp3_frames(mp3(voice(2)))
    junk = np.random.default_rng(3).integers(0, 255, 900).astype(np.uint8).tobytes()
    path = tmp_path / "a.mp3"
    path.write_bytes(b"".join(frames[:20]) + junk + b"".join(frames[20:]))
    refused(path, "damaged .* are no MPEG audio")


def test_mp3_that_begins_within_a_frame_is_heard(tmp_path, capfd):
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
def test_ogg_streams_one_after_the_other_are_heard_whole(tmp_path, subtype):
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
    refused(path, "joined of different recordings: 16000 Hz, 1 channel.*, but part 2 44100 Hz")


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@given(st.floats(0.01, 0.999))
def test_ogg_that_was_cut_is_refused(tmp_path_factory, subtype, share):
    whole = encoded(voice(3), format="OGG", subtype=subtype)
    path = tmp_path_factory.mktemp("cut") / "a.ogg"
    path.write_bytes(whole[: max(20, int(share * len(whole)))])
    refused(path, "truncated")


def test_ogg_cut_between_pages_or_without_one_is_refused(tmp_path):
    whole = encoded(voice(6), format="OGG", subtype="VORBIS")
    pages = [b"OggS" + page for page in whole.split(b"OggS")[1:]]
    assert len(pages) > 3
    (tmp_path / "cut.ogg").write_bytes(b"".join(pages[:-1]))
    refused(tmp_path / "cut.ogg", "truncated .its stream has no end.")
    (tmp_path / "gap.ogg").write_bytes(b"".join([*pages[:-2], pages[-1]]))
    refused(tmp_path / "gap.ogg", "damaged .pages are missing")


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("seconds", [0.01, 1.0, 1.3])
def test_flac_from_a_pipe_is_heard_whole(tmp_path, subtype, seconds):
    whole = encoded(voice(seconds), format="FLAC", subtype=subtype)
    for name, data in {"whole": whole, "pipe": without_length(whole), "tag": id3v2() + whole + id3v1()}.items():
        (tmp_path / name).write_bytes(data)
        assert np.array_equal(read_audio(tmp_path / name, RATE), read_at_once(tmp_path / "whole")[0][:, 0])


@given(st.floats(0.03, 0.999), st.booleans())
def test_flac_that_was_cut_is_refused(tmp_path_factory, share, known):
    whole = encoded(voice(1.3), format="FLAC")
    path = tmp_path_factory.mktemp("cut") / "a.flac"
    path.write_bytes((whole if known else without_length(whole))[: int(share * len(whole))])
    refused(path, "truncated")


def test_joined_flac_files_are_heard_whole(tmp_path):
    path = tmp_path / "a.flac"
    path.write_bytes(encoded(voice(1), format="FLAC") + without_length(encoded(voice(0.5, seed=1), format="FLAC")))
    assert len(read_audio(path, RATE)) == 1.5 * RATE


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
    refused(tmp_path / "cut.wav", "truncated .its header promises 32000 bytes of samples, 31000 are there")


def test_wav_whose_length_leaves_sound_out_is_refused(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(voice(2), data=RATE))
    refused(tmp_path / "a.wav", "wrong length in its header .* ffmpeg -ignore_length 1")


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


@given(
    st.binary(max_size=3000),
    st.sampled_from([b"", b"RIFF\0\0\0\0WAVE", b"fLaC\0\0\0\x22", b"OggS\0\x02", b"\xff\xfb\x90\0"]),
)
def test_any_bytes_are_sound_or_one_line(tmp_path_factory, data, head):
    path = tmp_path_factory.mktemp("bytes") / "a.wav"
    path.write_bytes(head + data)
    try:
        waveform = read_audio(path, RATE)
    except InputError as error:
        assert str(error).startswith(f"{path}: ")
    else:
        assert np.isfinite(waveform).all()


@given(st.data())
def test_headers_with_any_fault_are_sound_or_one_line(tmp_path_factory, data):
    kind = data.draw(st.sampled_from([("WAV", "PCM_16"), ("WAV", "IMA_ADPCM"), ("AU", "PCM_16"), ("AIFF", "PCM_16"),
                                      ("FLAC", "PCM_16"), ("MP3", "MPEG_LAYER_III"), ("W64", "PCM_16")]))  # fmt: skip
    whole = bytearray(encoded(voice(0.3), format=kind[0], subtype=kind[1]))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, 63))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fault") / "a"
    path.write_bytes(whole)
    try:
        waveform = read_audio(path, RATE)
    except InputError as error:
        assert str(error).startswith(f"{path}: ")
    else:
        assert np.isfinite(waveform).all()


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("container", ["WAV", "AU", "AIFF"])
@pytest.mark.parametrize(("rate", "channels"), [(RATE, 1), (44100, 2)])
@pytest.mark.parametrize(("value", "part"), [(3e38, "full scale is 1"), (12000, "divide them"), (np.inf, "infinite")])
def test_absurd_floats_are_refused(tmp_path, container, subtype, rate, channels, value, part):
    x = voice(1, rate, channels).astype(np.float64)
    x[rate // 2] = value
    soundfile.write(tmp_path / "a", x, rate, format=container, subtype=subtype)
    refused(tmp_path / "a", part)


def test_floats_above_full_scale_are_heard_as_they_are(tmp_path):
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
    refused(tmp_path / "a.raw", "raw audio has no header; pipe it")


def test_a_link_and_a_name_in_latin_1_are_heard(tmp_path):
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
    refused(tmp_path / "a.wav", "cannot be read .Input/output error")


def test_check_tells_of_every_kind_without_a_crash(tmp_path, capsys):
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
    assert f"{len(KINDS) - 1} of {len(KINDS)} recordings can be used" in out
    assert "b_1.wav: truncated" in out


def m4a(samples: np.ndarray, rate: int, path, container: str = "mp4") -> None:
    av = pytest.importorskip("av", reason="the aac extra is not installed")
    with av.open(path, "w", format=container) as out:
        stream = out.add_stream("aac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="fltp", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            out.mux(packet)


@pytest.mark.parametrize("container", ["mp4", "adts", "matroska"])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_aac_is_heard_like_the_rest(tmp_path, container, rate):
    x = voice(2, rate)
    m4a(x, rate, tmp_path / "a.wav", container)
    waveform = read_audio(tmp_path / "a.wav", RATE)
    assert np.array_equal(waveform, on_device(tmp_path / "a.wav"))
    assert 2 * RATE - 200 <= len(waveform) <= 2 * RATE + 4000
    mono = to_mono_rate(x, rate, RATE)[:RATE]
    delay = int(np.argmax(np.correlate(waveform[: RATE + 3000], mono, "valid")))
    assert np.corrcoef(waveform[delay : delay + RATE], mono)[0, 1] > 0.98


@pytest.mark.parametrize("container", ["mp4", "adts", "matroska"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
def test_aac_that_was_cut_is_refused(tmp_path, container, share):
    m4a(voice(3), RATE, tmp_path / "whole", container)
    data = (tmp_path / "whole").read_bytes()
    (tmp_path / "cut").write_bytes(data[: int(share * len(data))])
    refused(tmp_path / "cut", "truncated|damaged|not readable")


def test_aac_without_its_extra_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "a.wav").write_bytes(b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(100))
    monkeypatch.setitem(sys.modules, "av", None)
    refused(
        tmp_path / "a.wav", "is MP4 or M4A, which needs PyAV: pip install .*, or convert it: ffmpeg -i FILE out.wav"
    )


def test_the_reader_needs_neither_torch_nor_soundfile_to_be_imported():
    code = "import sys, crnn.audio; assert not {'torch', 'soundfile', 'soxr', 'av'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
