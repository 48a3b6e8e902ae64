"""Runs a sink in its own thread behind a bounded queue, so that the audio never waits for it."""

import itertools
import logging
import threading
import time
from collections import deque
from typing import Generic, TypeVar

from crnn.errors import require
from edge.loop.events import SinkOf
from edge.sinks.guard import Guard
from edge.stream.results import StreamResult

log = logging.getLogger(__name__)

T = TypeVar("T")


class Worker(Generic[T]):
    """`write` puts an event into a queue and returns; a thread passes the events to the sink in order.

    If the queue is full, the oldest decision is dropped. A decision never displaces a segment or an audio event;
    the oldest of these is dropped only if the queue holds no decision. The thread logs the number of dropped events
    when the sink works again, and at the end. `write` does not log, because logging may block as well.

    Args:
        sink: written to and closed by the thread alone.
        name: of the sink, for the log.
        size: events that the queue holds.
        drain_seconds: s that `close` waits for the sink to take what the queue still holds.
    """

    def __init__(self, sink: SinkOf[T], name: str, size: int = 256, drain_seconds: float = 3.0) -> None:
        require(size >= 1, f"the queue of {name} has size {size}; give at least 1")
        self._guard, self._name, self._size, self._drain_seconds = Guard(sink, name), name, size, drain_seconds
        self._number = itertools.count()
        self._decisions: deque[tuple[int, float, T]] = deque()
        self._others: deque[tuple[int, float, T]] = deque()
        self._changed = threading.Condition()
        self._ending = self._reader_gone = False
        self._writing_since: float | None = None  # monotonic s
        self._dropped_reported = 0
        self.dropped_results = self.dropped_others = 0
        """Events dropped because the sink was too slow"""
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)
        self._thread.start()

    @property
    def held(self) -> int:
        """Events in the queue, at most `size`."""
        return len(self._decisions) + len(self._others)

    @property
    def failures(self) -> int:
        """How often the sink has raised."""
        return self._guard.failures

    @property
    def hung_seconds(self) -> float:
        """For how long, s, the sink has been writing one event; 0 if it writes none."""
        since = self._writing_since
        return 0.0 if since is None else time.monotonic() - since

    def write(self, seconds: float, event: T) -> None:
        """Queue an event. Raises BrokenPipeError if the sink's reader is closed."""
        with self._changed:
            if self._reader_gone:
                raise BrokenPipeError(f"the reader of {self._name} is closed")
            decision = isinstance(event, StreamResult)
            if self.held >= self._size:
                if self._decisions or decision:
                    self.dropped_results += 1
                else:
                    self.dropped_others += 1
                if not self._decisions and decision:
                    return
                (self._decisions or self._others).popleft()
            (self._decisions if decision else self._others).append((next(self._number), seconds, event))
            self._changed.notify()

    def close(self) -> None:
        """Give the sink at most `drain_seconds` for the rest of the queue; then abandon it."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(self._drain_seconds)
        with self._changed:
            left = self.held
            self._decisions.clear()
            self._others.clear()
        if self._thread.is_alive():
            log.warning("%s does not accept its results: %d are lost", self._name, left)
        self._report()

    def _run(self) -> None:
        try:
            while (item := self._next()) is not None:
                self._writing_since = time.monotonic()
                try:
                    self._guard.write(*item)
                finally:
                    self._writing_since = None
                if not self._dropped_reported:
                    self._report()
            self._guard.close()
        except BrokenPipeError:
            with self._changed:
                self._reader_gone = True
                self._decisions.clear()
                self._others.clear()

    def _next(self) -> tuple[float, T] | None:
        """Wait for the oldest event; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self.held or self._ending)
            if not self.held:
                return None
            decision_first = self._decisions and (not self._others or self._decisions[0][0] < self._others[0][0])
            _, seconds, event = (self._decisions if decision_first else self._others).popleft()
            return seconds, event

    def _report(self) -> None:
        """Log the number of dropped events if it has changed."""
        decisions, others = self.dropped_results, self.dropped_others
        if decisions + others > self._dropped_reported:
            self._dropped_reported = decisions + others
            log.warning(
                "%s is too slow: %d decisions and %d segments or audio events dropped so far",
                self._name,
                decisions,
                others,
            )
