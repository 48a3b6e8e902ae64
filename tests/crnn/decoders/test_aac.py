"""AAC, which telephones record, through the optional decoder."""

import sys

import numpy as np
import pytest
from sound_files import (
    RATE,
    on_device,
    refused,
    voice,
)

from crnn.data.audio import read_audio, to_mono_rate


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
def test_aac_is_decoded_like_the_rest(tmp_path, container, rate):
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
    refused(tmp_path / "a.wav", "M4A.*PyAV.*pip install .*ffmpeg -i FILE out.wav")
