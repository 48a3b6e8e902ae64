"""libsndfile, read strictly forwards."""

import io
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np

from crnn.decoders import CONVERT, NotDecodable
from crnn.decoders.headers import unknown
from crnn.decoders.slices import Slices

# libsndfile plays a truncated file without an error, but notes it in its log.
PROMISE = re.compile(r"^\s*(?:data|SSND|Data Size|BODY|riff)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
UNKNOWN_FROM = 0x7F000000
"""Bytes: AIFF files from a pipe"""
UNKNOWN_FRAMES = 1 << 60
MPEG_START = 11520
"""Samples, ten frames: until then a decoder may complain, because what the first frames refer to was cut off"""
_stderr = threading.Lock()


class SoundFileDecoder:
    """What libsndfile decodes of `data`.

    Args:
        mpeg: it is MPEG audio, whose decoder complains on standard error.
        most: frames that it holds at most, where libsndfile guesses, or counts an incomplete block as whole.

    Raises NotDecodable if it is no sound, was cut, or is damaged; ImportError or OSError if the package or its library
    is missing.
    """

    def __init__(self, data: Slices, mpeg: bool = False, most: int | None = None) -> None:
        import soundfile  # optional on the device

        class Forwards(soundfile.SoundFile):
            """soundfile seeks behind every block that it read from a seekable file. MPEG decoders lose what the next
            frames refer to, and up to a tenth of the sound comes out wrong."""

            def seekable(self) -> bool:
                return False

        self._error = soundfile.LibsndfileError
        self._data, self._mpeg, self._read = data, mpeg, 0
        with self._decoding():
            self._file = Forwards(data)
        self.rate, self.channels = self._file.samplerate, self._file.channels
        self.frames = self._file.frames if self._file.frames < UNKNOWN_FRAMES else None
        if most is not None and self.frames is not None:
            self.frames = min(self.frames, most)
        for promised, there in PROMISE.findall(self._file.extra_info):
            size = int(promised)
            if size > int(there) and size < UNKNOWN_FROM and not unknown(size):
                raise NotDecodable(f"truncated (its header promises {promised} bytes, {there} are there)")

    def read(self, frames: int) -> np.ndarray:
        """Up to so many frames `(time, channels)` float32; none at the end."""
        if self.frames is not None:
            frames = min(frames, self.frames - self._read)
        with self._decoding():
            block = self._file.read(frames, dtype="float32", always_2d=True)
        self._read += len(block)
        if not len(block) and self._read < (self.frames or 0):
            raise NotDecodable(f"truncated ({self._read} of {self.frames} samples can be decoded)")
        return block

    def close(self) -> None:
        self._file.close()

    @contextmanager
    def _decoding(self) -> Iterator[None]:
        collecting: AbstractContextManager[list[str]] = _quiet() if self._mpeg else nullcontext([])
        with collecting as complaints:
            try:
                yield
            except self._error as error:
                reason = error.error_string.strip().rstrip(".")
                raise NotDecodable(
                    f"damaged or truncated ({reason})" if self._read else f"not readable as audio ({reason}); {CONVERT}"
                ) from error
        if self._data.error:
            raise self._data.error
        if complaints and self._read > MPEG_START:
            raise NotDecodable("damaged (frames of it cannot be decoded)")


@contextmanager
def _quiet() -> Iterator[list[str]]:
    """While libmpg123 decodes, which writes its complaints to the process's standard error: they are collected here,
    and what others write meanwhile is passed on."""
    complaints: list[str] = []
    with _stderr, tempfile.TemporaryFile() as caught:
        try:
            saved = os.dup(2)
        except OSError:  # a daemon without one
            yield complaints
            return
        try:
            os.dup2(caught.fileno(), 2)
            yield complaints
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            if caught.seek(0, io.SEEK_END):
                caught.seek(0)
                for line in caught.read().splitlines(keepends=True):
                    if b"mpg123" in line or b"Xing" in line:
                        complaints.append(line.decode(errors="replace"))
                    else:
                        os.write(2, line)
