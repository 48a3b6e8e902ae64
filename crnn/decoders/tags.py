"""Tags that programs put before, behind and between sound: ID3, APE, Lyrics3. They hold no sound."""

from typing import BinaryIO

APE, LYRICS = b"APETAGEX", b"LYRICSBEGIN"
FOOTER = 32
"""Bytes of an APE tag's header, and of its footer"""
LONGEST = 1 << 24
"""Bytes; a longer tag without a length is none"""


def id3v2_length(head: bytes) -> int:
    """Bytes of the ID3v2 tag that `head` (at least 10 bytes) begins with; 0 if there is none.

    >>> id3v2_length(b"ID3" + bytes([4, 0, 0, 0, 0, 1, 2])), id3v2_length(b"fLaC" + bytes(6))
    (140, 0)
    """
    if head[:3] != b"ID3" or len(head) < 10 or head[3] == 0xFF or max(head[6:10]) > 0x7F:
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte
    return 10 + size + (10 if head[5] & 0x10 else 0)


def tags_length(file: BinaryIO, stop: int) -> int:
    """Bytes of all ID3v2 and APE tags at the beginning of `file`, at most `stop`."""
    at, length = 0, 1
    while length and at < stop:
        file.seek(at)
        head = file.read(FOOTER)
        length = tag_length(file, at, stop) if head.startswith(APE) else id3v2_length(head)
        at += length
    return min(at, stop)


def tag_length(file: BinaryIO, at: int, stop: int) -> int:
    """Bytes of the tag at byte `at` of `file`, at most up to `stop`; 0 if there is none."""
    file.seek(at)
    head = file.read(min(FOOTER, stop - at))
    length = id3v2_length(head)
    if head.startswith(APE):
        length = FOOTER + int.from_bytes(head[12:16], "little")
    elif head.startswith(LYRICS):
        length = _to_end_of(b"LYRICS", file, at, stop, 9)  # LYRICSEND or LYRICS200
    elif head.startswith(b"TAG+"):
        length = 227
    elif head.startswith(b"TAG"):
        length = 128
    elif not length:
        length = _ape_without_header(file, at, stop)
    return min(length, stop - at)


def _to_end_of(mark: bytes, file: BinaryIO, at: int, stop: int, size: int) -> int:
    file.seek(at)
    found = file.read(min(LONGEST, stop - at)).find(mark, 1)
    return found + size if found > 0 else 0


def _ape_without_header(file: BinaryIO, at: int, stop: int) -> int:
    """Its first version has a footer alone, which says how long it is."""
    file.seek(at)
    data = file.read(min(1 << 16, stop - at))
    found = data.find(APE)
    if found >= 0 and found + FOOTER == int.from_bytes(data[found + 12 : found + 16], "little"):
        return found + FOOTER
    return 0
