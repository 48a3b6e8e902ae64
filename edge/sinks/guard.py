"""Retries a sink that fails, for example on a full disk, while listening continues."""

import logging
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from crnn.errors import InputError
from edge.loop.events import SinkOf

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0


class Guard(Generic[T]):
    """Passes events on. After an exception it drops events for a pause, which doubles as long as the sink fails.

    The start and the end of a failure are logged once. Only BrokenPipeError is raised: nobody reads the output any
    more, and the program ends.

    Args:
        name: of the sink, for the log.
        clock: s, monotonic.
    """

    def __init__(self, sink: SinkOf[T], name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._sink, self._name, self._clock = sink, name, clock
        self._pause = self._again = 0.0
        self.failures = 0
        """How often the sink has raised"""
        self.lost = 0
        """Events that were dropped"""

    def write(self, seconds: float, event: T) -> None:
        """Raises BrokenPipeError alone."""
        if self._pause and self._clock() < self._again:
            self.lost += 1
            return
        try:
            self._sink.write(seconds, event)
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of one sink must not affect the others
            self._failed(error)
            return
        if self._pause:
            log.info("%s works again; %d results were lost so far", self._name, self.lost)
            self._pause = 0.0

    def close(self) -> None:
        """Close the sink; raises BrokenPipeError alone."""
        try:
            self._sink.close()
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            self._log(error, "could not be closed")
        if self.lost:
            log.warning("%s lost %d results", self._name, self.lost)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        self.lost += 1
        if not self._pause:
            self._log(error, "failed and is tried again from time to time")
        self._pause = min(2 * self._pause or FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        self._again = self._clock() + self._pause

    def _log(self, error: Exception, what: str) -> None:
        """One line for an expected error; with a traceback for any other, which is a bug."""
        expected = isinstance(error, OSError | InputError)
        log.warning("%s %s: %s", self._name, what, error, exc_info=None if expected else error)
