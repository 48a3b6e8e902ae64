"""A bounded ring between the audio callback and its reader that counts every loss."""

import threading
from typing import NamedTuple


class Block(NamedTuple):
    """What one read gives."""

    lost: int
    """Frames that are missing before the first one of this block"""
    seconds: float
    """Monotonic clock at the last frame, s"""
    data: bytes
    """Whole frames, as they were written"""


class SampleRing:
    """Blocks of frames from one writer to one reader, in order; if the reader is late the oldest are overwritten.

    So the newest audio is never lost, and every loss lies right before the next block that is read, where it is counted
    to the frame. The memory is allocated once.

    Args:
        n_blocks: blocks stored; block_frames: frames in the largest; frame_bytes: bytes per frame.

    >>> ring = SampleRing(n_blocks=2, block_frames=1, frame_bytes=1)
    >>> ring.write(b"abc", seconds=0.0)
    >>> ring.read(timeout=0)
    Block(lost=1, seconds=0.0, data=b'b')
    """

    def __init__(self, n_blocks: int, block_frames: int, frame_bytes: int) -> None:
        if min(n_blocks, block_frames, frame_bytes) < 1:
            raise ValueError(f"{n_blocks} blocks of {block_frames} frames of {frame_bytes} bytes; give at least 1 each")
        self._frame_bytes = frame_bytes
        self._blocks = [memoryview(bytearray(block_frames * frame_bytes)) for _ in range(n_blocks)]
        self._marks = [(0, 0, 0.0)] * n_blocks  # of each block: position of its first frame, bytes, seconds
        self._written = self._read = 0  # blocks so far
        self._position = self._expected = 0  # frames so far, the lost ones included: of the writer, of the reader
        self._changed = threading.Condition()

    def write(self, data: bytes, seconds: float, lost: int = 0) -> None:
        """Add whole frames, the last of them captured at `seconds`; `lost` frames are missing before them. Never waits
        for the reader."""
        with self._changed:
            self._position += lost
            size = len(self._blocks[0])
            for at in range(0, len(data), size):
                n_bytes = min(size, len(data) - at)
                slot = self._written % len(self._blocks)
                self._blocks[slot][:n_bytes] = data[at : at + n_bytes]
                self._marks[slot] = (self._position, n_bytes, seconds)
                self._position += n_bytes // self._frame_bytes
                self._written += 1
            self._changed.notify()

    def read(self, timeout: float) -> Block | None:
        """The oldest block there is, or None if there is none within `timeout` s."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._written > self._read, timeout):
                return None
            self._read = max(self._read, self._written - len(self._blocks))
            slot = self._read % len(self._blocks)
            position, n_bytes, seconds = self._marks[slot]
            block = Block(position - self._expected, seconds, bytes(self._blocks[slot][:n_bytes]))
            self._expected = position + n_bytes // self._frame_bytes
            self._read += 1
            return block
