"""MP3 files (and MPEG layers I and II): which of their bytes are frames, and how many there are.

Their headers lie: the length is a guess where there is no Xing tag, that of the first part where files were joined,
and that of the whole where one was cut. So the frames are counted, tags between them are left out, and the decoder
is given the frames alone behind a Xing tag that is true.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from crnn.decoders import NotDecodable
from crnn.decoders.mpeg_frames import LONGEST_FRAME, Frame, frame_at, is_run
from crnn.decoders.slices import Piece
from crnn.decoders.tags import tag_length

HEAD = 64
"""Bytes of a frame that hold its header and where a Xing tag begins"""
SEARCHED = 1 << 16
XING_FRAMES, XING_BYTES = 1, 2


@dataclass
class _Info:
    """What the encoder wrote into a first frame that holds no sound."""

    data: bytes
    at: int
    """Of the tag in `data`"""
    promised: int | None
    """Frames"""
    frames: int = 0
    """Seen since"""


@dataclass
class _Scan:
    file: BinaryIO
    stop: int
    first: Frame | None = None
    frames: int = 0
    pieces: list[tuple[int, int]] = field(default_factory=list)
    infos: list[_Info] = field(default_factory=list)

    def read(self, at: int, size: int) -> bytes:
        self.file.seek(at)
        return self.file.read(max(0, min(size, self.stop - at)))

    def run(self, at: int) -> None:
        while at < self.stop:
            head = self.read(at, HEAD)
            frame = frame_at(head)
            if frame is not None and (self.first is None or frame.format == self.first.format):
                if at + frame.length > self.stop:
                    raise NotDecodable("truncated (its last frame is incomplete)")
                self._take(frame, head, at)
                at += frame.length
            else:
                at += tag_length(self.file, at, self.stop) or self._other(at)

    def _take(self, frame: Frame, head: bytes, at: int) -> None:
        self.first = self.first or frame
        tag = _tag_offset(frame, head)
        if tag:
            self.infos.append(_info(self.read(at, frame.length), tag))
            return
        self.frames += 1
        if self.infos:
            self.infos[-1].frames += 1
        if self.pieces and self.pieces[-1][1] == at:
            self.pieces[-1] = (self.pieces[-1][0], at + frame.length)
        else:
            self.pieces.append((at, at + frame.length))

    def _other(self, at: int) -> int:
        """How many bytes from here on are neither frame nor tag, if they may be left out."""
        begin = at
        zeros = True
        while at < self.stop:
            data = self.read(at, SEARCHED)
            for offset in _candidates(data):
                frame = frame_at(data, offset)
                if frame is not None and is_run(data, offset, 3):
                    self._check_format(frame, at + offset)
                    self._check_gap(begin, at + offset, zeros and not any(data[:offset]))
                    return at + offset - begin
            zeros = zeros and not any(data)
            if at + len(data) >= self.stop:
                break
            at += len(data) - 3 * LONGEST_FRAME
        self._check_gap(begin, self.stop, zeros)
        return self.stop - begin

    def _check_format(self, frame: Frame, at: int) -> None:
        if self.first and frame.format != self.first.format:
            raise NotDecodable(
                f"joined of different recordings: {self.first.rate} Hz, {self.first.channels} channel(s), and from "
                f"byte {at} on {frame.rate} Hz, {frame.channels}; split it there"
            )

    def _check_gap(self, begin: int, end: int, zeros: bool) -> None:
        if not zeros and not (self.first is None and end - begin <= LONGEST_FRAME):  # a frame cut off at the front
            raise NotDecodable(f"damaged ({end - begin} bytes from byte {begin} on are no MPEG audio)")


def scan(file: BinaryIO, start: int, stop: int) -> tuple[list[Piece], int]:
    """The frames of `file[start:stop]`: pieces of the file behind a true Xing tag, and the samples in them. Layers I
    and II have no such tag, so that libmpg123 guesses their length from the bit rate.

    Raises NotDecodable if it was cut, is damaged, or changes its rate or channels.
    """
    found = _Scan(file, stop)
    found.run(start)
    first = found.first
    if first is None or not found.frames:
        raise NotDecodable("holds no samples")
    for info in found.infos:
        if info.promised is not None and info.promised > info.frames + 1:  # some encoders count the tag's frame
            seconds = first.samples / first.rate
            promised, there = info.promised * seconds, info.frames * seconds
            raise NotDecodable(f"truncated (its header promises {promised:.2f} s, {there:.2f} s are there)")
    length = sum(end - begin for begin, end in found.pieces)
    return [*_true_tag(found, first, length), *found.pieces], found.frames * first.samples


def _candidates(data: bytes) -> Sequence[int]:
    found, at = [], data.find(b"\xff")
    while at >= 0:
        found.append(at)
        at = data.find(b"\xff", at + 1)
    return found


def _side_info(frame: Frame) -> int:
    if frame.samples == 1152:
        return 17 if frame.channels == 1 else 32
    return 9 if frame.channels == 1 else 17


def _tag_offset(frame: Frame, head: bytes) -> int:
    """Where the encoder's tag begins in a frame; 0 if it holds none."""
    if frame.layer == 3:
        xing = 4 + _side_info(frame)
        for at in (xing, xing + 2):  # with a checksum behind the header
            if head[at : at + 4] in (b"Xing", b"Info"):
                return at
        if head[36:40] == b"VBRI":
            return 36
    return 0


def _info(data: bytes, at: int) -> _Info:
    if data[at : at + 4] == b"VBRI":
        promised = data[at + 14 : at + 18]
    elif int.from_bytes(data[at + 4 : at + 8], "big") & XING_FRAMES:
        promised = data[at + 8 : at + 12]
    else:
        promised = b""
    return _Info(data, at, int.from_bytes(promised, "big") if len(promised) == 4 else None)


def _true_tag(found: _Scan, first: Frame, length: int) -> list[bytes]:
    """A first frame that holds no sound but says how many follow. The encoder's own is used, corrected, where it
    covers all the frames: it also says which samples the encoder added at the ends."""
    if first.layer != 3:
        return []
    flags = XING_FRAMES | XING_BYTES
    if len(found.infos) == 1 and found.infos[0].frames == found.frames:
        info = found.infos[0]
        data, at = bytearray(info.data), info.at
        if data[at : at + 4] != b"VBRI" and int.from_bytes(data[at + 4 : at + 8], "big") & flags == flags:
            data[at + 8 : at + 12] = found.frames.to_bytes(4, "big")
            data[at + 12 : at + 16] = (len(data) + length).to_bytes(4, "big")
            return [bytes(data)]
    header = bytearray(found.read(found.pieces[0][0], 4))
    header[1] |= 1  # no checksum
    at, size = 4 + _side_info(first), 0
    for bitrate in range(1, 15):  # until the tag fits
        header[2] = bitrate << 4 | header[2] & 0x0C
        frame = frame_at(header)
        size = frame.length if frame else 0
        if size >= at + 16:
            break
    tag = b"Xing" + flags.to_bytes(4, "big") + found.frames.to_bytes(4, "big") + (size + length).to_bytes(4, "big")
    return [bytes(header).ljust(at, b"\0") + tag.ljust(size - at, b"\0")]
