"""One recording on disk, whatever its format: blocks of samples, once from front to back, in bounded memory."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

import numpy as np

from crnn.decoders import CONVERT, NotDecodable, flac, mpeg, ogg, wav
from crnn.decoders.av_decoder import AvDecoder
from crnn.decoders.containers import HEAD_BYTES, WITH_AV, identify
from crnn.decoders.mpeg_frames import may_be_frame
from crnn.decoders.pcm import SampleFormat
from crnn.decoders.slices import Piece, Slices
from crnn.decoders.sound_file import SoundFileDecoder
from crnn.decoders.tags import tags_length
from crnn.errors import InputError, require

MIN_RATE, MAX_RATE = 4000, 192000
"""Hz; a larger or smaller number in a header is a mistake, or an attack on the memory"""
MAX_CHANNELS = 8
MAX_SAMPLE = 100.0
"""Full scale is 1. Recorders of float samples leave room above it, but 40 dB are no loudness: integers were stored as
floats, or the file is damaged"""
MAX_PARTS = 1000
"""Joined recordings in one file"""
MPEG_IN_WAV = {0x50, 0x55}
BY_LIBSNDFILE = ("AIFF", "CAF", "W64")
"""It also guesses at rarer formats, whose cuts it does not notice, searches for MPEG frames and complains on standard
error, and looks for a resource fork in the current directory"""


class Decoder(Protocol):
    """One part of a recording."""

    @property
    def rate(self) -> int:
        """Hz"""

    @property
    def channels(self) -> int: ...

    @property
    def frames(self) -> int | None:
        """How many there are; None if only decoding shows it"""

    def read(self, frames: int) -> np.ndarray:
        """Up to so many frames `(time, channels)` float32; none at the end."""

    def close(self) -> None: ...


class PcmDecoder:
    """Samples as they are."""

    def __init__(self, data: Slices, stored: SampleFormat, rate: int, channels: int) -> None:
        self._data, self._format = data, stored
        self.rate, self.channels = rate, channels
        self.frames = data.length // (stored.width * channels)

    def read(self, frames: int) -> np.ndarray:
        data = self._data.read(frames * self._format.width * self.channels)
        if self._data.error:
            raise self._data.error
        return self._format.decode(data, self.channels)

    def close(self) -> None:
        pass


class Recording:
    """A recording that is open. Use it as a context manager, and `blocks` once.

    Raises InputError, naming the file, if it is missing, empty, truncated, damaged, not audio, or of a rate or channel
    count that no recording of speech has.
    """

    def __init__(self, path: Path) -> None:
        self._path = path = Path(path)
        self._open: Decoder | None = None
        try:
            require(path.exists(), f"{path}: no such file")
            require(not path.is_dir(), f"{path}: is a folder; give a recording")
            require(path.is_file(), f"{path}: is no regular file; save the recording to one, or pipe raw samples to -")
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        try:
            with self._named():
                self._parts = _parts(self._file, path)
                self._open = first = self._parts[0]()
                self.rate, self.channels, self.frames = first.rate, first.channels, first.frames
                check_format(str(path), self.rate, self.channels)
                self._check_rest()
        except BaseException:
            self.close()
            raise

    @property
    def seconds(self) -> float | None:
        """s; None if only decoding shows it."""
        return None if self.frames is None else self.frames / self.rate

    def blocks(self, frames: int) -> Iterator[np.ndarray]:
        """`(frames, channels)` float32, full scale 1, the last one shorter; all of the recording.

        Raises InputError, naming the file, if it turns out to be truncated or damaged, holds no samples, or samples
        that are not finite or far beyond full scale.
        """
        rest = np.zeros((0, self.channels), dtype=np.float32)
        any_block = False
        for block in self._decoded(frames):
            any_block = True
            rest = np.concatenate([rest, block]) if len(rest) else block
            if len(rest) >= frames:
                yield rest[:frames]
                rest = rest[frames:]
        require(any_block, f"{self._path}: holds no samples")
        if len(rest):
            yield rest

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open = None
        self._file.close()

    def __enter__(self) -> "Recording":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _decoded(self, frames: int) -> Iterator[np.ndarray]:
        for number, part in enumerate(self._parts):
            with self._named():
                decoder = self._open if number == 0 and self._open is not None else part()
                self._open = decoder
                while len(block := decoder.read(frames)):
                    largest = np.abs(block).max()
                    require(bool(np.isfinite(largest)), f"{self._path}: holds NaN or infinite samples")
                    require(
                        bool(largest <= MAX_SAMPLE),
                        f"{self._path}: holds samples up to {largest:.3g}, and full scale is 1; divide them "
                        "(by 32768 if they were 16-bit integers)",
                    )
                    yield block
                decoder.close()
        self._open = None

    def _check_rest(self) -> None:
        """Joined recordings: all of one format, and how long they are together."""
        for number, part in enumerate(self._parts[1:], 2):
            decoder = part()
            rate, channels, frames = decoder.rate, decoder.channels, decoder.frames
            decoder.close()
            if (rate, channels) != (self.rate, self.channels):
                raise NotDecodable(
                    f"joined of different recordings: {self.rate} Hz, {self.channels} channel(s), but part {number} "
                    f"{rate} Hz, {channels}; give them one by one"
                )
            self.frames = None if self.frames is None or frames is None else self.frames + frames

    def _named(self) -> "_Named":
        return _Named(self._path)


class _Named:
    """Puts the file's name before what went wrong in it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, NotDecodable):
            raise InputError(f"{self._path}: {error}") from error
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"{self._path}: cannot be read ({error.strerror})") from error


def check_format(what: str, rate: int, channels: int) -> None:
    """Raises InputError, naming `what`, unless recordings of `rate` Hz and so many channels are supported."""
    require(MIN_RATE <= rate <= MAX_RATE, f"{what}: {rate} Hz; {MIN_RATE} to {MAX_RATE} Hz are supported")
    require(1 <= channels <= MAX_CHANNELS, f"{what}: {channels} channels; 1 to {MAX_CHANNELS} are supported")


def _parts(file: BinaryIO, path: Path) -> list[Callable[[], Decoder]]:
    """How to open what the file holds, by its content: one part, or several that were joined."""
    size = os.fstat(file.fileno()).st_size
    require(size > 0, f"{path}: the file is empty")
    start = tags_length(file, size)
    file.seek(start)
    head = file.read(HEAD_BYTES)
    kind = identify(head)
    if kind in ("WAV", "AU"):
        return [_pcm_or_codec(file, kind, start, size)]
    if kind == "MP3":
        return [_mpeg(file, start, size)]
    if kind == "FLAC":
        return _few([_libsndfile(file, pieces) for pieces in flac.parts(file, start, size)])
    if kind == "Ogg":
        return _few([_libsndfile(file, [link]) for link in ogg.links(file, start, size)])
    if kind is not None and kind in WITH_AV:
        return [lambda: AvDecoder(Slices(file, [(start, size)]), kind)]
    if kind is None and path.suffix.lower() in (".raw", ".pcm"):
        raise InputError(
            f"{path}: raw audio has no header; pipe it: stream_infer.py - --rate HZ --format s16le < {path}"
        )
    if kind not in BY_LIBSNDFILE:
        raise NotDecodable(f"not readable as audio ({f'{kind} file' if kind else _unknown(head)}); {CONVERT}")
    if kind == "W64":
        wav.check_w64(file, start, size)
    return [_libsndfile(file, [(start, size)])]


def _unknown(head: bytes) -> str:
    return "begins like MP3, but no frames of a known size follow" if may_be_frame(head) else "of no known kind"


def _libsndfile(file: BinaryIO, pieces: Sequence[Piece]) -> Callable[[], Decoder]:
    return lambda: SoundFileDecoder(Slices(file, pieces))


def _mpeg(file: BinaryIO, start: int, stop: int) -> Callable[[], Decoder]:
    pieces, most = mpeg.scan(file, start, stop)
    return lambda: SoundFileDecoder(Slices(file, pieces), mpeg=True, most=most)


def _few(parts: list[Callable[[], Decoder]]) -> list[Callable[[], Decoder]]:
    if len(parts) > MAX_PARTS:
        raise NotDecodable(f"joined of {len(parts)} recordings; at most {MAX_PARTS} are supported")
    return parts


def _pcm_or_codec(file: BinaryIO, kind: str, start: int, stop: int) -> Callable[[], Decoder]:
    header, begin, end = wav.locate(file, start, stop)
    stored = header.format
    if stored is not None:
        return lambda: PcmDecoder(Slices(file, [(begin, end)]), stored, header.rate, header.channels)
    if kind == "AU":
        return _libsndfile(file, [(start, stop)])
    if header.codec in MPEG_IN_WAV:
        return _mpeg(file, begin, end)
    size, (block, frames) = end - begin, header.block
    pieces: list[Piece] = [wav.for_libsndfile(header, size), (begin, end)]
    return lambda: SoundFileDecoder(Slices(file, pieces), most=size // block * frames if block and frames else None)
