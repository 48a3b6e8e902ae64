"""Parts of a file, and bytes put between them, as one file."""

import io
from bisect import bisect_right
from collections.abc import Sequence
from typing import BinaryIO

Piece = bytes | tuple[int, int]
"""Literal bytes, or (start, stop) of the file"""


class Slices(io.RawIOBase):
    """A read-only file made of pieces: literal bytes, or (start, stop) of `file`.

    It never raises while it is read, because C code calls it that cannot pass an exception on: the first OSError is
    stored in `error`, and the data end there.
    """

    def __init__(self, file: BinaryIO, pieces: Sequence[Piece]) -> None:
        super().__init__()
        self._file, self._pieces = file, list(pieces)
        self._starts, self.length, self._at = [], 0, 0
        for piece in self._pieces:
            self._starts.append(self.length)
            self.length += len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]
        self.error: OSError | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.length}[whence])
        return self._at

    def readinto(self, buffer) -> int:
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and (data := self._some(len(view) - done)):
            view[done : done + len(data)] = data
            done += len(data)
        return done

    def _some(self, size: int) -> bytes:
        """Up to `size` bytes of the piece at the current position; none at the end."""
        if self._at >= self.length or self.error:
            return b""
        number = bisect_right(self._starts, self._at) - 1
        piece, offset = self._pieces[number], self._at - self._starts[number]
        if isinstance(piece, bytes):
            data = piece[offset : offset + size]
        else:
            try:
                self._file.seek(piece[0] + offset)
                data = self._file.read(min(size, piece[1] - piece[0] - offset))
            except OSError as error:
                self.error = error
                return b""
        self._at += len(data)
        return data
