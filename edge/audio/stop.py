"""A request to end the loop, which also wakes a source that waits."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stop:
    """True once the end of the loop was requested; `also` is called then, to wake a source that waits."""

    def __init__(self, also: Callable[[], None] | None = None) -> None:
        self._also, self._wanted = also, False

    def __bool__(self) -> bool:
        return self._wanted

    def __call__(self, *_: object) -> None:
        """Request the end. The second time, in case the first had no effect: raises KeyboardInterrupt."""
        if self._wanted:
            raise KeyboardInterrupt
        self._wanted = True
        if self._also is not None:
            self._also()


@contextmanager
def stopped_by_signals(stop: Stop) -> Iterator[None]:
    """In this context, Ctrl-C and SIGTERM request the end and do not interrupt a computation."""
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
