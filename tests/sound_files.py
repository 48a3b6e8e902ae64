"""Sound files made byte by byte: what recorders, pipes, telephones and interrupted downloads leave behind."""

import io
import struct

import numpy as np
import pytest
import soundfile

from crnn.data.audio import read_audio
from crnn.decoders.mpeg_frames import frame_at
from crnn.errors import InputError
from edge.audio.sources import from_file

RATE = 16000


def voice(seconds: float = 1.5, rate: int = RATE, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Something like speech, `(time, channels)`: a gliding tone with overtones in syllables, and a little noise."""
    t = np.arange(round(seconds * rate)) / rate
    rng = np.random.default_rng(seed)
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(2 * np.pi * 0.7 * t + seed)) / rate
    tones = sum(np.sin(k * phase) / k for k in range(1, 9))
    wave = 0.12 * tones * np.maximum(0, np.sin(2 * np.pi * 2.1 * t)) + 0.002 * rng.standard_normal(len(t))
    return np.stack([wave * (1 - 0.3 * c) for c in range(channels)], axis=1).astype(np.float32)


def encoded(samples: np.ndarray, rate: int = RATE, **kind) -> bytes:
    """A whole file as libsndfile writes it."""
    out = io.BytesIO()
    soundfile.write(out, samples, rate, **kind)
    return out.getvalue()


def mp3(samples: np.ndarray, rate: int = RATE, mode: str = "VARIABLE") -> bytes:
    return encoded(samples, rate, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode=mode, compression_level=0.5)


def mp3_frames(data: bytes) -> list[bytes]:
    """The frames of a clean MP3 file."""
    frames, at = [], data.index(b"\xff")
    while frame := frame_at(data, at):
        frames.append(data[at : at + frame.length])
        at += frame.length
    return frames


def without_tag(data: bytes) -> bytes:
    """An MP3 file that does not say how long it is."""
    frames = mp3_frames(data)
    assert b"Xing" in frames[0] or b"Info" in frames[0]
    return b"".join(frames[1:])


def id3v2(size: int = 300) -> bytes:
    return b"ID3\x04\x00\x00" + bytes([0, 0, size >> 7, size & 127]) + b"\xff\xfb\x90\x00" * (size // 4)


def id3v1() -> bytes:
    return b"TAG".ljust(128, b"x")


def ape() -> bytes:
    item = struct.pack("<II", 5, 0) + b"Title\0voice"
    head = struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(item) + 32, 1, 0xA0000000)
    foot = struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(item) + 32, 1, 0x80000000)
    return head + item + foot


def wav(
    samples: np.ndarray,
    rate: int = RATE,
    riff: int | None = None,
    data: int | None = None,
    before: bytes = b"",
    behind: bytes = b"",
    align: int | None = None,
) -> bytes:
    """16 bits; the lengths and the block alignment as wrong as asked for."""
    channels = samples.shape[1]
    body = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    fmt = struct.pack("<HHIIHH", 1, channels, rate, 2 * channels * rate, align or 2 * channels, 16)
    data = len(body) if data is None else data
    rest = b"WAVEfmt " + struct.pack("<I", 16) + fmt + before + b"data" + struct.pack("<I", data) + body + behind
    return b"RIFF" + struct.pack("<I", len(rest) if riff is None else riff) + rest


def chunk(name: bytes, size: int) -> bytes:
    return name + struct.pack("<I", size) + bytes(size + size % 2)


def without_length(flac: bytes) -> bytes:
    """A FLAC file as from a pipe."""
    data = bytearray(flac)
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    return bytes(data)


def stored(samples: np.ndarray, name: str) -> bytes:
    """Raw samples in one of `crnn.decoders.pcm.FORMATS`."""
    samples = np.clip(samples, -1, 1).reshape(-1)
    order = ">" if name.endswith("be") else "<"
    if name in ("ulaw", "alaw"):
        au = encoded(samples, format="AU", subtype=name.upper())
        return au[int.from_bytes(au[4:8], "big") :]
    if name[0] == "f":
        return samples.astype(f"{order}f{int(name[1:3]) // 8}").tobytes()
    bits = {"u8": 8, "s8": 8, "s24in32le": 24}.get(name) or int(name[1:3])
    values = np.clip(np.round(samples.astype(np.float64) * 2 ** (bits - 1)), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if name == "u8":
        return (values + 128).astype(np.uint8).tobytes()
    if name in ("s24le", "s24be"):
        packed = values.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3]
        return (packed if order == "<" else packed[:, ::-1]).tobytes()
    return values.astype(f"{order}i{max(bits, 32 if bits == 24 else 0) // 8}").tobytes()


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
