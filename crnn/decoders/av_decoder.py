"""PyAV (FFmpeg), for what libsndfile does not decode: AAC, which telephones record, and rarer formats. Optional."""

import math
from collections.abc import Iterator

import numpy as np

from crnn.cli.installed import install
from crnn.decoders import NotDecodable
from crnn.decoders.slices import Slices

SHORTER = 0.1
"""s by which decoded sound may be shorter than its container says: encoders round up to whole frames"""
EXTRA = "aac"


class AvDecoder:
    """What FFmpeg decodes of the first audio stream of `data`.

    Args:
        kind: what the file is, for messages.

    Raises NotDecodable if PyAV is missing, if it is no sound, was cut, or is damaged.
    """

    frames: int | None = None

    def __init__(self, data: Slices, kind: str) -> None:
        try:
            import av
        except ImportError as error:
            raise NotDecodable(
                f"is {kind}, which needs PyAV: {install(EXTRA)}, or convert it: ffmpeg -i FILE out.wav"
            ) from error
        self._av, self._data, self._kind = av, data, kind
        self._check_end()
        self._container = self._open()
        self._blocks = self._decode()
        self._rest = next(self._blocks, None)
        if self._rest is None:
            raise NotDecodable("holds no samples")
        self.channels = self._rest.shape[1]

    def read(self, frames: int) -> np.ndarray:
        """Up to so many frames `(time, channels)` float32; none at the end."""
        if self._rest is None:
            return np.zeros((0, self.channels), dtype=np.float32)
        block, rest = self._rest[:frames], self._rest[frames:]
        self._rest = rest if len(rest) else next(self._blocks, None)
        return block

    def close(self) -> None:
        self._container.close()

    def _open(self):
        self._data.seek(0)
        try:
            container = self._av.open(self._data)
        except self._av.FFmpegError as error:
            raise NotDecodable(f"not readable as audio ({self._kind}: {error.strerror})") from error
        if not container.streams.audio:
            container.close()
            raise NotDecodable(f"not readable as audio ({self._kind} without sound)")
        return container

    def _check_end(self) -> None:
        """Compare what the container promises with the packets that are there, before anything is decoded."""
        with self._open() as container:
            stream = container.streams.audio[0]
            promised = math.nan
            if stream.duration:
                promised = float(stream.duration * stream.time_base)
            elif container.duration:  # of Matroska
                promised = container.duration / self._av.time_base
            start, end = float((stream.start_time or 0) * stream.time_base), 0.0
            try:
                for packet in container.demux(stream):
                    if packet.is_corrupt:
                        raise NotDecodable("truncated (a packet is incomplete)")
                    if packet.pts is not None:
                        end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            except self._av.FFmpegError as error:
                raise NotDecodable(f"damaged or truncated ({error.strerror})") from error
            estimated = container.format.name in ("aac", "ac3", "amr")  # by the bit rate
            if not estimated and promised - (end - start) > SHORTER:
                raise NotDecodable(f"truncated (its header promises {promised:.2f} s, {end - start:.2f} s are there)")

    def _decode(self) -> Iterator[np.ndarray]:
        """`(time, channels)` float32, one block a frame."""
        convert = layout = None
        try:
            for frame in self._container.decode(audio=0):
                if convert is None:
                    self.rate, layout = frame.sample_rate, frame.layout.name
                    convert = self._av.AudioResampler(format="flt", layout=layout, rate=self.rate)
                if (frame.sample_rate, frame.layout.name) != (self.rate, layout):
                    raise NotDecodable("changes its rate or channels on the way; convert it: ffmpeg -i FILE out.wav")
                for part in convert.resample(frame):
                    yield part.to_ndarray().reshape(-1, frame.layout.nb_channels)
        except self._av.FFmpegError as error:
            raise NotDecodable(f"damaged or truncated ({error.strerror})") from error
