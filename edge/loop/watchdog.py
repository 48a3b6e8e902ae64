"""Tells systemd that the loop listens, and that it goes on: sd_notify(3) and the watchdog of systemd.service(5)."""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from crnn.errors import InputError, require

log = logging.getLogger(__name__)

T = TypeVar("T")


class Watchdog:
    """Sends READY=1 when the source gives its first item, and WATCHDOG=1 while the loop makes progress.

    Progress is an item that was processed, or a poll of a source that may wait (`feed` is its hook). A loop that hangs
    in the model or in a sink calls neither, so systemd restarts it. A sink that hangs in a thread of its own, for more
    than a quarter of the interval, has the same effect.

    Without NOTIFY_SOCKET in the environment nothing is sent; where WATCHDOG_PID names another process, READY=1 alone.

    Args:
        environment: what systemd sets: NOTIFY_SOCKET, and for a unit with WatchdogSec= WATCHDOG_USEC and WATCHDOG_PID.
        clock: s, monotonic.

    Raises InputError for a socket or an interval that systemd does not set.
    """

    def __init__(
        self, environment: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic
    ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        require(not address or address[0] in "/@", f"NOTIFY_SOCKET is {address!r}; give a path, or @ and a name")
        self._address = address.replace("@", "\0", 1) if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None
        wanted = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        interval = _interval(environment.get("WATCHDOG_USEC", ""))
        self._period = interval / 4 if wanted else 0.0  # s between two messages; 0: none are wanted
        self._clock, self._next, self._failed = clock, clock(), False
        self._hung_seconds: Callable[[], float] = lambda: 0.0

    def over(self, source: Iterable[T], hung_seconds: Callable[[], float]) -> Iterator[T]:
        """Pass the items of `source` on, and feed the watchdog whenever one has been processed.

        `hung_seconds`: for how long, s, a sink with a thread of its own has been writing one event.
        """
        self._hung_seconds = hung_seconds
        for number, item in enumerate(source):
            if number == 0:
                self._send(b"READY=1")
            yield item
            self.feed()

    def feed(self) -> None:
        """Say that the loop makes progress: at most one message per quarter of the interval."""
        if self._period and self._clock() >= self._next and self._hung_seconds() <= self._period:
            self._send(b"WATCHDOG=1")
            self._next = self._clock() + self._period

    def _send(self, message: bytes) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(message, socket.MSG_DONTWAIT, self._address)
        except OSError as error:  # logged once: it would be each time
            if not self._failed:
                log.warning("systemd cannot be notified at %s: %s", self._address, error)
            self._failed = True


def _interval(microseconds: str) -> float:
    """s; 0 if there is no watchdog."""
    if not microseconds:
        return 0.0
    try:
        number = int(microseconds)
    except ValueError as error:
        raise InputError(f"WATCHDOG_USEC is {microseconds!r}; give microseconds") from error
    require(0 < number < 2**64, f"WATCHDOG_USEC is {microseconds}; give microseconds above 0, in 64 bits")
    return number / 1e6
