"""Samples without compression: the formats that recorders write, as float32."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FULL_SCALE = 0.999
"""Magnitude from which a sample, as a device or a file gives it, counts as clipped: 32767 of 16 bits is 0.99997"""


@dataclass(frozen=True)
class SampleFormat:
    """How one sample is stored."""

    name: str
    """As ffmpeg names it; `s24in32le` is ALSA's S24_LE, `s24le` its S24_3LE"""
    width: int
    """Bytes"""
    convert: Callable[[np.ndarray], np.ndarray]
    """Bytes `(n * width,)` uint8 -> `(n,)` float32, full scale 1"""

    def decode(self, data: bytes, channels: int) -> np.ndarray:
        """Interleaved samples -> `(time, channels)` float32; a rest that is no whole frame is left out.

        >>> FORMATS["s16le"].decode(bytes([0, 64, 0, 192, 7]), channels=2).tolist()
        [[0.5, -0.5]]
        """
        frame = self.width * channels
        whole = np.frombuffer(data, dtype=np.uint8, count=len(data) // frame * frame)
        return self.convert(whole).reshape(-1, channels)


def _integers(dtype: str, full_scale: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda data: data.view(dtype).astype(np.float32) / np.float32(full_scale)


def _floats(dtype: str) -> Callable[[np.ndarray], np.ndarray]:
    def convert(data: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite; the reader refuses that
            return data.view(dtype).astype(np.float32)

    return convert


def _packed24(order: slice) -> Callable[[np.ndarray], np.ndarray]:
    def convert(data: np.ndarray) -> np.ndarray:
        wide = np.zeros((len(data) // 3, 4), dtype=np.uint8)
        wide[:, 1:] = data.reshape(-1, 3)[:, order]
        return wide.reshape(-1).view("<i4").astype(np.float32) / np.float32(2**31)

    return convert


def _low24(data: np.ndarray) -> np.ndarray:
    return (data.view("<i4") << 8).astype(np.float32) / np.float32(2**31)


def _table(values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    table = values.astype(np.float32) / np.float32(32768)
    return lambda data: table[data]


def _ulaw() -> np.ndarray:
    """ITU-T G.711: value of each code."""
    code = ~np.arange(256, dtype=np.uint8)
    magnitude = ((((code & 15).astype(np.int32) << 3) + 132) << (code >> 4 & 7)) - 132
    return np.where(code & 128, -magnitude, magnitude)


def _alaw() -> np.ndarray:
    """ITU-T G.711: value of each code."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32) << 4
    magnitude = np.where(exponent > 0, (mantissa + 264) << np.maximum(exponent - 1, 0), mantissa + 8)
    return np.where(code & 128, magnitude, -magnitude)


FORMATS = {
    f.name: f
    for f in (
        SampleFormat("u8", 1, lambda data: (data.astype(np.float32) - 128) / np.float32(128)),
        SampleFormat("s8", 1, _integers("i1", 128)),
        SampleFormat("s16le", 2, _integers("<i2", 2**15)),
        SampleFormat("s16be", 2, _integers(">i2", 2**15)),
        SampleFormat("s24le", 3, _packed24(slice(None))),
        SampleFormat("s24be", 3, _packed24(slice(None, None, -1))),
        SampleFormat("s24in32le", 4, _low24),
        SampleFormat("s32le", 4, _integers("<i4", 2**31)),
        SampleFormat("s32be", 4, _integers(">i4", 2**31)),
        SampleFormat("f32le", 4, _floats("<f4")),
        SampleFormat("f32be", 4, _floats(">f4")),
        SampleFormat("f64le", 8, _floats("<f8")),
        SampleFormat("f64be", 8, _floats(">f8")),
        SampleFormat("ulaw", 1, _table(_ulaw())),
        SampleFormat("alaw", 1, _table(_alaw())),
    )
}
