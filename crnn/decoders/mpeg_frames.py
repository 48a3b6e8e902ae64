"""Headers of MPEG audio frames (ISO 11172-3, 13818-3, and the usual 2.5)."""

from dataclasses import dataclass

LONGEST_FRAME = 2881
"""Bytes"""
_KBITS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


@dataclass(frozen=True)
class Frame:
    """One frame, by its header."""

    layer: int
    """1 to 3"""
    rate: int
    """Hz"""
    channels: int
    length: int
    """Bytes, the header included"""
    samples: int
    """Per channel"""

    @property
    def format(self) -> tuple[int, int, int]:
        """What has to stay the same throughout a recording."""
        return self.layer, self.rate, self.channels


def frame_at(data: bytes | bytearray, at: int = 0) -> Frame | None:
    """The frame whose header is at `data[at]`; None if there is none.

    >>> frame_at(bytes([0xFF, 0xFB, 0x90, 0x00]))
    Frame(layer=3, rate=44100, channels=2, length=417, samples=1152)
    """
    if len(data) < at + 4 or data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        return None
    version, layer = data[at + 1] >> 3 & 3, 4 - (data[at + 1] >> 1 & 3)
    bitrate, rate_index, padding = data[at + 2] >> 4, data[at + 2] >> 2 & 3, data[at + 2] >> 1 & 1
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate_index == 3:
        return None
    rate = _RATES[version][rate_index]
    bits = 1000 * _KBITS[1 if version == 3 else 2, layer][bitrate - 1]
    if layer == 1:
        length, samples = 4 * (12 * bits // rate + padding), 384
    else:
        samples = 576 if layer == 3 and version != 3 else 1152
        length = samples // 8 * bits // rate + padding
    return Frame(layer, rate, 1 if data[at + 3] >> 6 == 3 else 2, length, samples)


def may_be_frame(head: bytes) -> bool:
    """Whether the first eleven bits are those that every MPEG frame begins with, also one of free format."""
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0


def is_run(data: bytes, at: int, frames: int) -> bool:
    """Whether so many frames of one format follow each other from `data[at]` on, or as many as `data` can show (but
    always two headers)."""
    first = frame = frame_at(data, at)
    for number in range(1, frames):
        if first is None or frame is None or frame.format != first.format:
            return False
        at += frame.length
        if number > 1 and at + 4 > len(data):
            return True
        frame = frame_at(data, at)
    return first is not None and frame is not None and frame.format == first.format
