"""What the service accepts: sizes, lengths, numbers and rates."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from crnn.errors import require

MAX_ADDRESSES = 10_000
"""Addresses whose rates are remembered; then the one that was silent longest is forgotten"""


@dataclass(frozen=True)
class ServiceLimits:
    """What the service accepts from all clients together and from each."""

    max_megabytes: float = 20.0
    """MiB of an uploaded file; a larger one is refused while it arrives"""
    max_seconds: float = 600.0
    """s of an uploaded recording"""
    max_waiting: int = 8
    """Uploads that may arrive or wait while one is computed"""
    max_streams: int = 64
    """WebSocket connections at a time"""
    max_stream_seconds: float = 14_400.0
    """s of audio on one connection, and of its own time"""
    max_per_minute: float = 120.0
    """Requests and connections of one address per minute, on average; as many may come at once"""

    def __post_init__(self) -> None:
        for name in ("max_megabytes", "max_seconds", "max_stream_seconds", "max_per_minute"):
            value = getattr(self, name)
            require(0 < value < math.inf, f"{name} is {value}; give a number above 0")
        for name in ("max_waiting", "max_streams"):
            require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}; give at least 1")


class RateLimit:
    """A token bucket per address: `per_minute` requests on average, as many at once.

    >>> now = [0.0]
    >>> limit = RateLimit(2, clock=lambda: now[0])
    >>> limit.wait("a"), limit.wait("a"), limit.wait("a"), limit.wait("b")
    (0.0, 0.0, 30.0, 0.0)
    >>> now[0] = 30.0
    >>> limit.wait("a"), limit.wait("a")
    (0.0, 30.0)
    """

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._most, self._clock = per_minute / 60, max(1.0, per_minute), clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when that was, s

    def wait(self, address: str) -> float:
        """0, and the request counts; or the s after which the next one is answered."""
        now = self._clock()
        tokens, then = self._left.pop(address, (self._most, now))
        tokens = min(self._most, tokens + (now - then) * self._rate)
        waits = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._left[address] = (tokens - 1 if waits == 0 else tokens, now)
        if len(self._left) > MAX_ADDRESSES:
            self._left.popitem(last=False)
        return waits
