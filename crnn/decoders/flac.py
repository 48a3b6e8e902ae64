"""FLAC files: joined ones, and how many samples there really are, by their last frame."""

from typing import BinaryIO

from crnn.decoders import NotDecodable
from crnn.decoders.slices import Piece

STREAMINFO = 34
"""Bytes"""
SIGNATURES = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")
SEARCHED = 1 << 20
LONGEST_FRAME = 1 << 18
"""Bytes, of what recorders write"""
TAGS = 1 << 16
"""Bytes that may follow the last frame"""
ZEROS = 64
"""Bytes at the end: so many are no end of a frame"""
_BLOCKS = {1: 192, **{c: 576 << (c - 2) for c in range(2, 6)}, **{c: 256 << (c - 8) for c in range(8, 16)}}


def _crc_table(polynomial: int, bits: int) -> list[int]:
    table = []
    for byte in range(256):
        value = byte << (bits - 8)
        for _ in range(8):
            value = (value << 1 ^ polynomial if value >> (bits - 1) else value << 1) & ((1 << bits) - 1)
        table.append(value)
    return table


_CRC8, _CRC16 = _crc_table(0x07, 8), _crc_table(0x8005, 16)


def parts(file: BinaryIO, start: int, stop: int) -> list[list[Piece]]:
    """The pieces of every FLAC stream within `file[start:stop]`, with a true number of samples in each header.

    Raises NotDecodable if one was cut.
    """
    begins = [*_begins(file, start, stop), stop]
    if begins[0] != start:
        raise NotDecodable("not readable as audio (no FLAC header)")
    return [_with_length(file, begin, end) for begin, end in zip(begins, begins[1:], strict=False)]


def _begins(file: BinaryIO, start: int, stop: int) -> list[int]:
    found, at = set(), start
    while at < stop:
        file.seek(at)
        data = file.read(min(SEARCHED, stop - at))
        for signature in SIGNATURES:
            here = data.find(signature)
            while here >= 0:
                found.add(at + here)
                here = data.find(signature, here + 1)
        if at + len(data) >= stop:
            break
        at += len(data) - len(SIGNATURES[0])
    return sorted(found)


def _with_length(file: BinaryIO, begin: int, end: int) -> list[Piece]:
    file.seek(begin)
    head = bytearray(file.read(min(8 + STREAMINFO, end - begin)))
    if len(head) < 8 + STREAMINFO:
        raise NotDecodable("truncated (it ends in its header)")
    promised = (head[21] & 15) << 32 | int.from_bytes(head[22:26], "big")
    block, longest = int.from_bytes(head[8:10], "big"), int.from_bytes(head[15:18], "big")
    there, end = _last_frame(file, begin, end, block, longest or LONGEST_FRAME)
    if there < promised:
        raise NotDecodable(f"truncated ({there} of {promised} samples are there)")
    head[21] = head[21] & 0xF0 | there >> 32
    head[22:26] = (there & 0xFFFFFFFF).to_bytes(4, "big")
    return [bytes(head), (begin + len(head), end)]


def _last_frame(file: BinaryIO, begin: int, end: int, block: int, longest: int) -> tuple[int, int]:
    """Samples up to the end of the last frame, and where it ends; only tags may follow it."""
    start = max(begin, end - longest - TAGS)
    file.seek(start)
    data = _without_tags(file.read(end - start))
    at = len(data)
    while (at := data.rfind(b"\xff", 0, at)) >= 0:
        total = _end_of_frame(data, at, block)
        if total is not None and _crc(data[at:], _CRC16, 16) == 0:
            return total, start + len(data)
    raise NotDecodable("truncated (its last frame is incomplete)")


def _without_tags(data: bytes) -> bytes:
    """Without ID3v1 and APE tags, and the zeros, that some programs put at the end."""
    if data[-128:-125] == b"TAG":
        data = data[:-128]
    if data[-32:-24] == b"APETAGEX":
        data = data[: -int.from_bytes(data[-20:-16], "little")]
        data = data[:-32] if data[-32:-24] == b"APETAGEX" else data
    return data if any(data[-ZEROS:]) else data.rstrip(b"\0")


def _end_of_frame(data: bytes, at: int, block: int) -> int | None:
    """Samples up to the end of the frame whose header is at `data[at]`; None if there is no header."""
    if len(data) < at + 8 or data[at + 1] & 0xFE != 0xF8 or data[at + 3] & 1:
        return None
    code, rate_code = data[at + 2] >> 4, data[at + 2] & 15
    number, size = _coded_number(data, at + 4)
    position = at + 4 + size
    length = _BLOCKS.get(code, 0)
    if code in (6, 7):
        length = int.from_bytes(data[position : position + code - 5], "big") + 1
        position += code - 5
    position += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if not size or not length or position >= len(data) or _crc(data[at : position + 1], _CRC8, 8) != 0:
        return None
    return length + (number if data[at + 1] & 1 else number * block)


def _coded_number(data: bytes, at: int) -> tuple[int, int]:
    """A number in the manner of UTF-8, and its length in bytes; length 0 if it is none."""
    first = data[at]
    size = next((n for n in range(8) if not first & (0x80 >> n)), 8)
    if size == 0:
        return first, 1
    if size in (1, 8):
        return 0, 0
    value = first & (0x7F >> size)
    for byte in data[at + 1 : at + size]:
        if byte & 0xC0 != 0x80:
            return 0, 0
        value = value << 6 | byte & 0x3F
    return value, size


def _crc(data: bytes, table: list[int], bits: int) -> int:
    value, mask, shift = 0, (1 << bits) - 1, bits - 8
    for byte in data:
        value = (value << 8 & mask) ^ table[value >> shift ^ byte]
    return value
