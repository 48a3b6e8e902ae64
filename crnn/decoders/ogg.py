"""Ogg files: their pages, and where one logical stream ends and the next one begins."""

from typing import BinaryIO

from crnn.decoders import NotDecodable
from crnn.decoders.tags import tag_length

HEADER = 27
BEGINS, ENDS = 2, 4
"""Flags of a page: the first and the last of its stream"""
SIDE_BY_SIDE = "holds several streams side by side; give one of them: ffmpeg -i FILE out.wav"


def links(file: BinaryIO, start: int, stop: int) -> list[tuple[int, int]]:
    """The logical streams of an Ogg file one after the other: first byte, and one behind the last.

    Raises NotDecodable if the file was cut, if pages are missing, or if it holds streams side by side.
    """
    found: list[list[int]] = []
    serial, expected, pages, ended, at = -1, 0, 0, True, start
    while at < stop:
        file.seek(at)
        page = file.read(min(HEADER + 255, stop - at))
        if page[:4] != b"OggS":
            if tag := tag_length(file, at, stop):
                at += tag
                continue
            if found and not any(page) and ended:
                break
            cut = b"OggS".startswith(page)
            raise NotDecodable(
                "truncated (its last page is incomplete)" if cut else f"damaged (no Ogg page at byte {at})"
            )
        length = HEADER + page[26] + sum(page[HEADER : HEADER + page[26]]) if len(page) >= HEADER else HEADER
        if at + length > stop:
            raise NotDecodable("truncated (its last page is incomplete)")
        flags, own, number = page[5], int.from_bytes(page[14:18], "little"), int.from_bytes(page[18:22], "little")
        if flags & BEGINS:
            if not ended:
                raise NotDecodable(SIDE_BY_SIDE if pages == 1 else "truncated (a stream in it has no end)")
            found.append([at, at])
            serial, expected, pages = own, number, 0
        if not found or own != serial:
            raise NotDecodable(SIDE_BY_SIDE if found else "damaged (it begins in the middle of a stream)")
        if number != expected:
            raise NotDecodable(f"damaged (pages are missing before byte {at})")
        expected, pages, ended = number + 1, pages + 1, bool(flags & ENDS)
        at += length
        found[-1][1] = at
    if not ended:
        raise NotDecodable("truncated (its stream has no end)")
    if not found:
        raise NotDecodable("holds no samples")
    return [(begin, end) for begin, end in found]
