"""From a device's blocks to samples: selects channels, monitors signal and rate, converts the rate."""

from collections.abc import Iterator

import numpy as np

from edge.audio.capture import Device
from edge.audio.channels import Channels
from edge.audio.events import AudioEvent
from edge.audio.signal_monitor import RateMonitor, SignalMonitor, as_samples, usual_rate
from edge.audio.sources import StreamResampler


class InputChain:
    """One stream of a device.

    Args:
        device: as it was opened, or with the rate that it delivers.
        sample_rate: Hz, of the samples that are wanted.
        channel: the chosen one, from 1; None: see `Channels`.
        zeros_seconds, clip_share: see `SignalMonitor`.
    """

    def __init__(
        self, device: Device, sample_rate: int, channel: int | None, zeros_seconds: float, clip_share: float
    ) -> None:
        self.rate, self._name, self._sample_rate = device.rate, device.name, sample_rate
        self._channels = Channels(device.channels, device.rate, channel)
        self._monitor = SignalMonitor(device.rate, zeros_seconds, clip_share)
        self._monitor_all = device.channels <= 2 and channel is None
        self._rate_monitor = RateMonitor(device.rate)
        self._resample = StreamResampler(device.rate, sample_rate)

    def process(self, frames: np.ndarray) -> Iterator[np.ndarray | AudioEvent]:
        """`frames (time, channels)`, as the driver gives them."""
        selected, events = self._channels(frames)
        yield from nonempty(self._resample(as_samples(selected)))
        yield from events + self._monitor.update(frames if self._monitor_all else selected)

    def end(self) -> list[np.ndarray]:
        """The samples that the resampler still holds; afterwards another stream may begin."""
        rest = self._resample(np.zeros((0, 1), dtype=np.float32), last=True)
        self._resample = StreamResampler(self.rate, self._sample_rate)
        return nonempty(rest)

    def check_rate(self, n_frames: int, seconds: float) -> int | None:
        """The rate, Hz, that the device delivers, where it is another usual rate. Raises OSError for an unusual one."""
        measured = self._rate_monitor.update(n_frames, seconds)
        if measured is None:
            return None
        delivered = usual_rate(measured)
        if delivered is None:
            raise OSError(f"{self._name}: opened at {self.rate} Hz, but {measured:.0f} samples come in a second")
        return delivered


def nonempty(samples: np.ndarray) -> list[np.ndarray]:
    """A list of `samples`, or an empty one: a resampler returns none for its first blocks."""
    return [samples] if len(samples) else []
