"""Headers of WAV (RIFF, RIFX, RF64, BW64) and AU, read forwards: from a file or from a pipe."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from crnn.decoders import NotDecodable
from crnn.decoders.pcm import FORMATS, SampleFormat

Order = Literal["little", "big"]
"""Of the bytes in a number"""
PCM, FLOAT, ALAW, ULAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
BLOCKS = {2, 0x11, 0x31}
"""Codecs whose header says how many frames a block holds: MS and IMA ADPCM, GSM 6.10"""
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
UNKNOWN_WITHIN = 1 << 16
"""Bytes: ffmpeg, sox, arecord and others write a length of about 2 or 4 GiB where they cannot seek back"""
LONGEST_HEADER = 1 << 26
"""Bytes: pictures and notes before the samples"""
AU_FORMATS = {1: "ulaw", 2: "s8", 3: "s16be", 4: "s24be", 5: "s32be", 6: "f32be", 7: "f64be", 27: "alaw"}


@dataclass(frozen=True)
class Header:
    """What stands before the samples."""

    rate: int
    """Hz"""
    channels: int
    format: SampleFormat | None
    """None: compressed, by `codec`"""
    codec: int
    promised: int | None
    """Bytes of samples; None if the writer did not know"""
    length: int
    """Bytes of the header itself"""
    block: tuple[int, int] = (0, 0)
    """Of compressed samples: bytes that are decoded together, and the frames in them; 0 if not known"""
    chunks: bytes = b""
    """Of WAV: the `fmt ` and `fact` chunks"""
    ambiguous: bool = False
    """24 bits in 4 bytes, at one end or the other"""


class _Forward:
    """Reads exactly what is asked for, and counts."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read, self.at = read, 0

    def take(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._read(size - len(data))
            if not more:
                raise NotDecodable("truncated (it ends in its header)")
            data += more
        self.at += size
        return data

    def skip(self, size: int) -> None:
        while size > 0:
            size -= len(self.take(min(size, 1 << 16)))


def parse(read: Callable[[int], bytes]) -> Header:
    """The header of WAV or AU data, from their first byte on; `read(n)` gives up to n bytes, none at the end.

    Raises NotDecodable if there is none, or if it is cut or makes no sense.
    """
    source = _Forward(read)
    magic = source.take(4)
    if magic in (b".snd", b"dns."):
        return _au(source, "big" if magic == b".snd" else "little")
    if magic not in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        raise NotDecodable("not readable as audio (no WAV or AU header)")
    return _wav(source, "big" if magic == b"RIFX" else "little")


def unknown(size: int) -> bool:
    """Whether a length is what programs write that do not know it."""
    return size == 0 or any(abs(size - limit) <= UNKNOWN_WITHIN for limit in (1 << 31, 1 << 32)) or size >= 1 << 62


def _wav(source: _Forward, order: Order) -> Header:
    def number(data: bytes) -> int:
        return int.from_bytes(data, order)

    source.skip(4)
    if source.take(4) != b"WAVE":
        raise NotDecodable("not readable as audio (a RIFF file that is no WAV)")
    fmt, chunks, long_size = b"", b"", None
    while True:
        head = source.take(8)
        name, size = head[:4], number(head[4:])
        if name == b"data":
            break
        if source.at + size > LONGEST_HEADER:
            raise NotDecodable(f"not readable as audio (chunk {name!r} of its header is {size} bytes long)")
        body = source.take(size)
        source.skip(size % 2)
        if name == b"fmt ":
            if fmt not in (b"", body):
                raise NotDecodable("not readable as audio (its header gives two formats)")
            fmt = body
        if name == b"ds64" and size >= 16:
            long_size = number(body[8:16])
        if name in (b"fmt ", b"fact"):
            chunks += head + body + b"\0" * (size % 2)
    if len(fmt) < 14 or not any(fmt[2:4]):
        raise NotDecodable("not readable as audio (no format, or no channel, in its header)")
    if size == 0xFFFFFFFF and long_size is not None:
        size = long_size
    codec, channels, rate = number(fmt[:2]), number(fmt[2:4]), number(fmt[4:8])
    align, bits = number(fmt[12:14]), number(fmt[14:16])
    if codec == EXTENSIBLE and len(fmt) >= 40:
        codec = number(fmt[24:26]) if fmt[26:40] == GUID_TAIL else codec
    width = _width(codec, bits, align, channels)
    chosen = _pcm_name(codec, width, order)
    return Header(
        rate=rate,
        channels=channels,
        format=FORMATS.get(chosen),
        codec=codec,
        promised=None if unknown(size) else size,
        length=source.at,
        block=(align, number(fmt[18:20])) if codec in BLOCKS else (0, 0),
        chunks=chunks,
        ambiguous=codec == PCM and 16 < bits <= 24 and width == 4 and number(fmt[:2]) != EXTENSIBLE,
    )


def _width(codec: int, bits: int, align: int, channels: int) -> int:
    """Bytes of a sample. Phone applications write a wrong block alignment, so the bits count; only 24 of them may
    stand in 4 bytes."""
    if not bits:
        return align // max(1, channels)
    return 4 if codec == PCM and 16 < bits <= 24 and align == 4 * channels else (bits + 7) // 8


def _pcm_name(codec: int, width: int, order: Order) -> str:
    end = "le" if order == "little" else "be"
    if codec == PCM:
        return "u8" if width == 1 else f"s{8 * width}{end}"
    if codec == FLOAT:
        return f"f{8 * width}{end}"
    return {ALAW: "alaw", ULAW: "ulaw"}.get(codec, "") if width == 1 else ""


def _au(source: _Forward, order: Order) -> Header:
    offset, size, encoding, rate, channels = (int.from_bytes(source.take(4), order) for _ in range(5))
    if not 24 <= offset <= LONGEST_HEADER:
        raise NotDecodable("not readable as audio (its header makes no sense)")
    source.skip(offset - 24)
    name = AU_FORMATS.get(encoding, "")
    return Header(
        rate=rate,
        channels=channels,
        format=FORMATS.get(name if order == "big" else name.replace("be", "le")),
        codec=encoding,
        promised=None if unknown(size) else size,
        length=source.at,
    )
